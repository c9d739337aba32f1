"""Sheet 1: pulse paths, the device, the sense source, the buffer, the comparator and the one-shot."""

from __future__ import annotations

from typing import Any

import schemdraw.elements as elm

from board.strokes import NET, switch, tag


def membrane(d: Any) -> None:
    """Pulse paths, the device, the sense source, the buffer, the comparator and the one-shot."""
    # dendrite path
    tag(d, (-0.2, 0), "VP", "right")
    d += elm.Dot(open=True).at((0, 0))
    d += elm.Resistor().right().at((0, 0)).label("R30 R31 R32 R33\n4.7 kΩ each")
    s = switch(d, d.here, "U2", "SELECT0 … 3")
    d += elm.Dot().at(s.end)
    d.push()
    d += elm.Resistor().down().at(s.end).label("R34\n100 kΩ", "bottom")
    d += elm.Ground()
    d.pop()
    d += elm.Line().right().at(s.end).length(1.4).label("BUS", color=NET)
    switch(d, d.here, "U1 S1", "PULSE")
    d += elm.Line().right().length(1.2)
    te = d.here
    d += elm.Dot().at(te)
    # return path
    tag(d, (-0.2, -5.4), "VS", "right")
    d += elm.Dot(open=True).at((0, -5.4))
    d += elm.Resistor().right().at((0, -5.4)).label("R35\n39 kΩ")
    d += elm.Line().right().length(3.8).label("RET", color=NET)
    s2 = switch(d, d.here, "U1 S2", "RETURN")
    d += elm.Line().right().at(s2.end).tox(te)
    d += elm.Line().up().toy(te)
    d += elm.Dot().at((te[0], -1.4))
    # the device
    d += elm.Line().right().at((te[0], -1.4)).length(1.3)
    d += elm.Memristor2().down().label("M1\nHfO₂", "bottom")
    d += elm.Ground()
    tag(d, (te[0] + 0.12, 0.4), "TE")
    # the sense switch and M
    s3 = switch(d, te, "U1 S3", "SENSE")
    d += elm.Line().right().at(s3.end).length(1.2)
    m = d.here
    d += elm.Dot().at(m)
    tag(d, (m[0] + 0.12, -0.35), "M")
    d += elm.Line().down().at(m).length(0.8)
    s4 = elm.Switch().down().label("U1 S4", "top", ofst=0.3)
    d += s4
    tag(d, (m[0] - 1.75, m[1] - 2.6), "SHUNT")
    d += elm.Ground().at(s4.end)
    # sense source
    q = elm.BjtPnp(circle=True).right().at((m[0], 4.4)).anchor("collector").label("Q1\n2N3906", "right", ofst=(0.2, 0))
    d += q
    d += elm.Line().at(q.collector).to(m)
    d += elm.Line().up().at(q.emitter).length(1.7)
    d += elm.Dot()
    ssrc = d.here
    d += elm.Resistor().up().label("R40\n100 kΩ", "bottom")
    d += elm.Vdd().label("+2.5 V")
    amp = (
        elm.Opamp()
        .right()
        .at((q.base[0] - 1.2, q.base[1]))
        .anchor("out")
        .label("U5A", "center", fontsize=9, ofst=(-0.1, 0))
    )
    d += amp
    d += elm.Line().at(amp.out).to(q.base)
    d += elm.Line().left().at(amp.in1).length(0.7)
    sfb = d.here
    d += elm.Dot().at(sfb)
    d += elm.Line().up().at(sfb).length(1.0)
    d += elm.Dot()
    d.push()
    d += elm.Capacitor().right().label("C40 100 pF").tox(amp.out[0] + 0.4)
    d += elm.Line().down().toy(amp.out)
    d += elm.Dot()
    d.pop()
    d += elm.Line().up().toy(ssrc)
    d += elm.Resistor().right().label("R43 10 kΩ").tox(ssrc)
    d += elm.Line().left().at(amp.in2).length(2.6)
    sref = d.here
    d += elm.Dot().at(sref)
    tag(d, (sref[0] + 0.15, sref[1] + 0.3), "SREF")
    d += elm.Resistor().down().at(sref).label("R45\n18.2 kΩ", "bottom").length(1.7)
    d += elm.Ground()
    d += elm.Resistor().up().at(sref).label("R44\n7.15 kΩ")
    d += elm.Vdd().label("+2.5 V")
    d += elm.Dot().at(sref)
    d += elm.Line().left().at(sref).length(1.8)
    d += elm.Capacitor().up().label("C41\n100 nF")
    d += elm.Vdd().label("+2.5 V")
    # buffer
    d += elm.Line().right().at(m).length(1.6)
    buf = elm.Opamp().right().flip().anchor("in2").label("U5B", "center", fontsize=9, ofst=(-0.1, 0))
    d += buf
    d += elm.Line().at(buf.in1).left(0.4)
    d += elm.Line().down().length(1.2)
    d += elm.Line().right().tox(buf.out)
    d += elm.Line().up().toy(buf.out)
    d += elm.Dot().at(buf.out)
    d += elm.Line().right().at(buf.out).length(0.6)
    vm = d.here
    d += elm.Dot().at(vm)
    tag(d, (vm[0] - 0.1, vm[1] - 0.35), "VM")
    d += elm.Resistor().up().at(vm).label("R46\n100 Ω")
    d += elm.Dot(open=True)
    tag(d, (d.here[0] - 0.6, d.here[1] + 0.4), "J2: membrane")
    d += elm.Resistor().right().at(vm).label("R50 1 kΩ")
    d += elm.Dot()
    cmp_in = d.here
    d += elm.Line().right().length(0.5)
    c = elm.Opamp().right().flip().anchor("in2").label("U4", "center", fontsize=9, ofst=(-0.1, 0))
    d += c
    d += elm.Line().left().at(c.in1).length(0.5)
    d += elm.Line().down().length(0.7)
    vth = d.here
    d += elm.Dot().at(vth)
    d += elm.Capacitor().down().label("C53 10 nF", "bottom")
    d += elm.Ground()
    d += elm.Resistor().left().at(vth).label("R53 100 Ω", "bottom")
    d += elm.Dot(open=True)
    tag(d, (d.here[0] - 0.15, d.here[1]), "U11: V_th", "right")
    d += elm.Line().right().at(c.out).length(0.7)
    fire = d.here
    d += elm.Dot().at(fire)
    tag(d, (fire[0] - 0.3, fire[1] - 0.4), "FIRE")
    d += elm.Line().up().at(fire).length(2.6)
    d += elm.Dot()
    up = d.here
    d += elm.Resistor().left().label("R51 1 MΩ", "bottom").tox(cmp_in)
    d += elm.Line().down().toy(cmp_in)
    d += elm.Resistor().up().at(up).label("R52\n4.7 kΩ", "bottom")
    d += elm.Vdd().label("+3.3 V")
    d += elm.Line().right().at(fire).length(2.0)
    shot = elm.Ic(
        pins=[
            elm.IcPin(name="B", side="left", pin="2"),
            elm.IcPin(name="Q", side="right", pin="13"),
            elm.IcPin(name="RC", side="top", pin="15"),
            elm.IcPin(name="CX", side="top", pin="14"),
        ],
        size=(3.6, 2.4),
        label="U8\none-shot",
    ).anchor("B")
    d += shot
    d += elm.Line().up().at(shot.CX).length(0.5)
    d += elm.Capacitor().left().label("C23\n1 nF").tox(shot.RC)
    d += elm.Dot()
    d += elm.Line().down().toy(shot.RC)
    d += elm.Resistor().up().at((shot.RC[0], shot.RC[1] + 0.5)).label("R23\n4.7 kΩ")
    d += elm.Vdd().label("+3.3 V")
    d += elm.Line().right().at(shot.Q).length(0.5)
    d += elm.Dot()
    tag(d, (d.here[0] - 0.3, d.here[1] - 0.4), "AXON")
    d += elm.Resistor().right().label("R56 1 kΩ")
    d += elm.Dot(open=True)
    tag(d, (d.here[0] + 0.15, d.here[1]), "J1, J2: axon")

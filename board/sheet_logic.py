"""Sheet 2: a line's way in, its limiter, the interlock and the blanking."""

from __future__ import annotations

from typing import Any

import schemdraw.elements as elm
from schemdraw import logic

from board.strokes import tag


def control(d: Any) -> None:
    """A line's way in, its limiter, the interlock and the blanking."""
    for row, (line, series, down, half, gate, b, q, res, cap, net, rc) in enumerate(
        (
            ("dendrite", "R1", "R11", "U9A", "U10A", "2", "13", "R20", "C20", "PULSED", "15"),
            ("reset", "R2", "R12", "U9B", "U10B", "10", "5", "R21", "C21", "RETURNED", "7"),
        )
    ):
        y = -5.2 * row
        d += elm.Dot(open=True).at((0, y))
        tag(d, (-0.3, y), f"J1: {line}", "right")
        d += elm.Line().right().at((0, y)).length(0.9)
        d += elm.Dot()
        d.push()
        d += elm.Resistor().down().label(f"{down}\n10 kΩ", "bottom").length(1.7)
        d += elm.Ground()
        d.pop()
        d += elm.Resistor().right().label(f"{series} 1 kΩ")
        node = d.here
        d += elm.Dot()
        a = logic.And().right().at((node[0] + 6.4, y)).anchor("in1").label(gate, "center", fontsize=9, ofst=(-0.1, 0))
        d += a
        d += elm.Line().at(node).to(a.in1)
        d += elm.Line().down().at(node).length(2.0)
        d += elm.Line().right().length(0.9)
        shot = elm.Ic(
            pins=[
                elm.IcPin(name="B", side="left", pin=b),
                elm.IcPin(name="Q", side="right", pin=q),
                elm.IcPin(name="RC", side="bottom", pin=rc),
                elm.IcPin(name="CX", side="bottom", pin="14" if row == 0 else "6"),
            ],
            size=(2.6, 1.4),
            label=half,
        ).anchor("B")
        d += shot
        d += elm.Line().right().at(shot.Q).tox(a.in2[0] - 0.4)
        d += elm.Line().up().toy(a.in2)
        d += elm.Line().right().tox(a.in2)
        d += elm.Line().down().at(shot.CX).length(0.5)
        d += elm.Capacitor().left().label(f"{cap} 22 nF", "bottom").tox(shot.RC)
        d += elm.Dot()
        d += elm.Line().up().toy(shot.RC)
        d += elm.Resistor().left().at((shot.RC[0], shot.RC[1] - 0.5)).label(f"{res} 100 kΩ", "bottom")
        d += elm.Vdd().label("+5 V")
        d += elm.Line().right().at(a.out).length(0.6)
        tag(d, (d.here[0] + 0.1, d.here[1]), net)
    x = 16.5
    ret_n = logic.Nor().right().at((x, -4.6)).anchor("in2").label("U6A", "center", fontsize=9, ofst=(-0.1, 0))
    d += ret_n
    d += elm.Line().left().at(ret_n.in2).length(0.6)
    tag(d, (d.here[0] - 0.1, d.here[1]), "RETURNED", "right")
    d += elm.Line().left().at(ret_n.in1).length(0.6)
    tag(d, (d.here[0] - 0.1, d.here[1]), "AXON", "right")
    inv = logic.Not().right().at(ret_n.out).label("U7A", "top", fontsize=9)
    d += inv
    ret = inv.out
    d += elm.Line().right().at(ret).length(6.2)
    tag(d, (d.here[0] + 0.1, d.here[1]), "RETURN → U1 S2 (pin 16)")
    # pulse
    inv_p = logic.Not().right().at((x + 0.2, 0.4)).label("U7B", "top", fontsize=9)
    d += inv_p
    d += elm.Line().left().at(inv_p.in1).length(0.6)
    d += elm.Dot()
    pulsed = d.here
    tag(d, (pulsed[0] - 0.15, pulsed[1]), "PULSED", "right")
    pulse = logic.Nor().right().at((x + 5.2, 0.4)).anchor("in1").label("U6B", "center", fontsize=9, ofst=(-0.1, 0))
    d += pulse
    d += elm.Line().at(inv_p.out).to(pulse.in1)
    d += elm.Line().left().at(pulse.in2).length(0.5)
    d += elm.Line().down().toy(ret)
    d += elm.Line().right().at(pulse.out).length(0.8)
    tag(d, (d.here[0] + 0.1, d.here[1]), "PULSE → U1 S1 (pin 1)")
    # sense
    sense = logic.Nor().right().at((x + 5.2, -2.4)).anchor("in1").label("U6C", "center", fontsize=9, ofst=(-0.1, 0))
    d += sense
    d += elm.Line().left().at(sense.in1).tox(pulsed)
    d += elm.Line().up().toy(pulsed)
    d += elm.Line().left().at(sense.in2).length(0.5)
    d += elm.Dot()
    d += elm.Line().down().toy(ret)
    d += elm.Dot()
    d += elm.Line().right().at(sense.out).length(0.8)
    tag(d, (d.here[0] + 0.1, d.here[1]), "SENSE → U1 S3 (pin 9)")
    # shunt
    y = -7.4
    first = logic.Not().right().at((x + 0.2, y)).label("U7C", "top", fontsize=9)
    d += first
    d += elm.Line().left().at(first.in1).length(0.6)
    tag(d, (d.here[0] - 0.15, y), "SENSE", "right")
    d += elm.Line().right().at(first.out).length(0.4)
    d += elm.Dot()
    busy = d.here
    d += elm.Resistor().right().at(busy).label("R22 6.8 kΩ", "bottom")
    d += elm.Dot()
    hold = d.here
    d += elm.Line().up().at(busy).length(1.0)
    d += elm.Diode().right().label("D2").tox(hold)
    d += elm.Line().down().toy(hold)
    d += elm.Capacitor().down().at(hold).label("C22\n100 pF", "bottom").length(1.7)
    d += elm.Ground()
    d += elm.Line().right().at(hold).length(0.6)
    second = logic.Not().right().label("U7D", "top", fontsize=9)
    d += second
    third = logic.Not().right().label("U7E", "top", fontsize=9)
    d += third
    d += elm.Line().right().length(0.4)
    tag(d, (d.here[0] + 0.1, y), "SHUNT → U1 S4 (pin 8)")
    # the selects and sync
    d += elm.Dot(open=True).at((0, -10.4))
    tag(d, (-0.3, -10.4), "J1: select0 … 3", "right")
    d += elm.Line().right().at((0, -10.4)).length(0.9)
    d += elm.Dot()
    d.push()
    d += elm.Resistor().down().label("R13 R14 R15 R16\n10 kΩ each", "bottom").length(1.7)
    d += elm.Ground()
    d.pop()
    d += elm.Resistor().right().label("R3 R4 R5 R6\n1 kΩ each")
    tag(d, (d.here[0] + 0.1, -10.4), "SELECT0 … 3 → U2 (pins 1, 16, 9, 8)")
    d += elm.Dot(open=True).at((13.5, -10.4))
    tag(d, (13.2, -10.4), "J1: sync", "right")
    d += elm.Line().right().at((13.5, -10.4)).length(0.9)
    d += elm.Dot()
    d.push()
    d += elm.Resistor().down().label("R17\n10 kΩ", "bottom").length(1.7)
    d += elm.Ground()
    d.pop()
    d += elm.Resistor().right().label("R7 1 kΩ")
    tag(d, (d.here[0] + 0.1, -10.4), "J2: sync (no switch)")

"""Sheet 3: what is always on, what the relay switches, both amplitudes and V_th."""

from __future__ import annotations

from typing import Any

import schemdraw.elements as elm

from board.strokes import regulator, tag


def supply(d: Any) -> None:
    """What is always on, what the relay switches, both amplitudes and V_th."""
    d += elm.Dot(open=True).at((0, 0))
    tag(d, (-0.3, 0), "J3: +5 V", "right")
    d += elm.Line().right().at((0, 0)).length(2.2)
    d += elm.Dot()
    five = d.here
    d += elm.Line().right().length(2.0)
    contact = elm.Switch().right().label("K1a", "top", ofst=0.3)
    d += contact
    d += elm.Line().right().length(0.5)
    pos = regulator(d, "U13  +2.5 V")
    d += elm.Line().right().at(pos.OUT).length(1.0)
    tag(d, (d.here[0] + 0.1, d.here[1]), "+2.5 V → U5, RV1, RV2, sense")
    d += elm.Line().up().at(five).length(2.6)
    d += elm.Line().right().length(4.9)
    logic_supply = regulator(d, "U12  +3.3 V")
    d += elm.Line().right().at(logic_supply.OUT).length(1.0)
    tag(d, (d.here[0] + 0.1, d.here[1]), "+3.3 V → U8, U11, pull-ups (always on)")
    tag(d, (five[0] + 0.2, five[1] + 1.2), "+5 V → U1, U2, U4, U6, U7, U9, U10 (always on)")
    d += elm.Dot(open=True).at((0, -2.6))
    tag(d, (-0.3, -2.6), "J3: −5 V", "right")
    d += elm.Line().right().at((0, -2.6)).length(2.2)
    d += elm.Dot()
    tag(d, (d.here[0] - 0.4, -2.2), "−5 V → U1, U2")
    d += elm.Line().right().length(2.0)
    d += elm.Switch().right().label("K1b", "top", ofst=0.3)
    d += elm.Line().right().length(0.5)
    neg = regulator(d, "U14  −2.5 V")
    d += elm.Line().right().at(neg.OUT).length(1.0)
    tag(d, (d.here[0] + 0.1, d.here[1]), "−2.5 V → U5, RV1, RV2")
    # the relay's driver
    y = -8.6
    d += elm.Dot(open=True).at((0, y))
    tag(d, (-0.3, y), "J1: enable", "right")
    d += elm.Line().right().at((0, y)).length(1.2)
    d += elm.Dot()
    d.push()
    d += elm.Resistor().down().label("R18\n10 kΩ", "top").length(1.7)
    d += elm.Ground()
    d.pop()
    d += elm.Line().right().length(1.8)
    fet = elm.NFet().anchor("gate").theta(0).reverse().label("Q2", "right", ofst=(0.3, 0))
    d += fet
    d += elm.Ground().at(fet.source)
    d += elm.Line().up().at(fet.drain).length(0.3)
    d += elm.Dot()
    low = d.here
    d += elm.Inductor2().up().at(low).label("K1 coil", "top")
    d += elm.Dot()
    top = d.here
    d += elm.Vdd().label("+5 V")
    d += elm.Line().right().at(low).length(1.4)
    d += elm.Diode().up().toy(top).label("D1", "bottom")
    d += elm.Line().left().tox(top)
    # amplitudes
    for i, (name, pot, amp, net, note) in enumerate(
        (("VP_SET", "RV1", "U5C", "VP", "dendrite amplitude"), ("VS_SET", "RV2", "U5D", "VS", "return amplitude"))
    ):
        x = 7.4 + 7.6 * i
        trimmer = elm.Potentiometer().down().at((x, y + 1.6)).label(f"{pot}\n10 kΩ", "top")
        d += trimmer
        d += elm.Vdd().at(trimmer.start).label("+2.5 V")
        d += elm.Vss().at(trimmer.end).label("−2.5 V")
        d += elm.Line().right().at(trimmer.tap).length(0.4)
        buffer = elm.Opamp().right().flip().anchor("in2").label(amp, "center", fontsize=9, ofst=(-0.1, 0))
        d += buffer
        d += elm.Line().left().at(buffer.in1).length(0.2)
        d += elm.Line().down().length(0.8)
        d += elm.Line().right().tox(buffer.out)
        d += elm.Line().up().toy(buffer.out)
        d += elm.Dot().at(buffer.out)
        d += elm.Line().right().at(buffer.out).length(0.4)
        tag(d, (d.here[0] + 0.1, d.here[1] + 0.25), f"{net}")
        tag(d, (d.here[0] - 2.6, d.here[1] - 1.9), f"{note}, ±2.4 V")
        _ = name
    # DAC
    dac = elm.Ic(
        pins=[
            elm.IcPin(name="LDAC", side="left", pin="4"),
            elm.IcPin(name="SDA", side="left", pin="3"),
            elm.IcPin(name="SCL", side="left", pin="2"),
            elm.IcPin(name="A", side="right", pin="6"),
        ],
        size=(4.2, 2.8),
        label="U11\nMCP4728",
    ).at((29.0, y + 0.2))
    d += dac
    d += elm.Line().right().at(dac.A).length(0.5)
    tag(d, (d.here[0] + 0.1, d.here[1]), "V_th → R53")
    for pin, name, res in ((dac.SDA, "SDA", "R54"), (dac.SCL, "SCL", "R55")):
        length, all_the_way = (4.8, 5.6) if name == "SDA" else (1.0, 2.0)
        d += elm.Line().left().at(pin).length(length)
        d += elm.Dot()
        d.push()
        d += elm.Resistor().up().label(f"{res}\n4.7 kΩ").length(2.6)
        d += elm.Vdd().label("+3.3 V")
        d.pop()
        d += elm.Line().left().length(all_the_way - length)
        d += elm.Dot(open=True)
        tag(d, (d.here[0] - 0.3, d.here[1]), f"J1: {name}", "right")
    d += elm.Line().left().at(dac.LDAC).length(0.4)
    tag(d, (d.here[0] - 0.1, d.here[1]), "+3.3 V", "right")

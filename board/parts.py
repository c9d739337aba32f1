"""What is on the board: one row a part, in the order of its number."""

from __future__ import annotations

from dataclasses import dataclass

from board.nets import DECOUPLING, LINES


@dataclass(frozen=True)
class Part:
    """A part: its reference, what to buy, what it is there for, and what else would do.

    `value` is what a simulation needs (Ω, F), 0 for parts that have none.
    """

    ref: str
    buy: str
    purpose: str
    instead: str = ""
    value: float = 0.0


def _lines(first: int, purpose: str, value: float, buy: str) -> list[Part]:
    return [Part(f"R{first + i}", buy, f"{name}: {purpose}", value=value) for i, name in enumerate(LINES)]


PARTS: tuple[Part, ...] = (
    Part("M1", "HfO2 memristor in a socket, formed", "the neuron's membrane", "39 kΩ resistor for the first power-up"),
    Part("U1", "ADG1212", "dendrite, return, sense and shunt switch at the membrane", "MAX313: same pins, 20 kHz"),
    Part("U2", "MAX313", "select0 … select3; two more take addresses 4 … 11", "MAX313L, DG412, ADG1212"),
    Part("U4", "LM339", "the comparator; three spare", "LM393, or TLV3202 for less offset and delay"),
    Part("U5", "OPA4322AIPWR", "sense source, membrane buffer, both pulse amplitudes", "any quad RRIO, 5 MHz, pA bias"),
    Part("U6", "74HCT02", "the blanking and interlock gates", "74AHCT02"),
    Part("U7", "74HCT14", "inverters, and the shunt's delay", "74AHCT14"),
    Part("U8", "SN74LV123A", "the axon's one-shot, at 3.3 V", "74LVC1G123"),
    Part(
        "U9",
        "SN74AHCT123A",
        "ends a dendrite or reset line that is stuck high",
        "none with HC levels: 3.3 V is too low",
    ),
    Part("U10", "74HCT08", "lets a line through while U9 runs", "74AHCT08"),
    Part("U11", "MCP4728", "V_th; its EEPROM parks it", "MCP4725 (V_th then follows its supply)"),
    Part("U12", "MCP1700-3302E/TO", "+3.3 V for U8, U11 and the pull-ups", "any 3.3 V regulator"),
    Part("U13", "MCP1700-2502E/TO", "+2.5 V for U5, behind the relay", "any 2.5 V regulator, 1 %"),
    Part("U14", "TPS72325", "−2.5 V for U5, behind the relay", "LM337 set to −2.5 V"),
    Part("Q1", "2N3906", "passes the sense current", "any small PNP with under 5 pF; no MOSFET: 30 pF"),
    Part("Q2", "2N7002", "drives the relay", "any logic-level n-MOSFET"),
    Part("K1", "5 V relay, two closing contacts", "switches U13 and U14", "a 2-pole switch"),
    Part("D1", "1N4148", "relay flyback"),
    Part("D2", "1N4148", "shunt closes at once, opens late"),
    *_lines(1, "limits the current into an unpowered board", 1e3, "1 kΩ"),
    *_lines(11, "holds the line low when nobody drives it", 10e3, "10 kΩ"),
    Part("R18", "10 kΩ", "enable: holds the relay off", value=10e3),
    Part("R20", "100 kΩ", "longest dendrite pulse, with C20", value=100e3),
    Part("R21", "100 kΩ", "longest reset pulse, with C21", value=100e3),
    Part("R22", "6.8 kΩ", "shunt's delay, with C22", value=6.8e3),
    Part("R23", "4.7 kΩ, 1 %", "axon width, with C23", value=4.7e3),
    *(
        Part(f"R{30 + i}", "4.7 kΩ, 1 %", f"address {i}: limits a dendrite pulse's current", value=4.7e3)
        for i in range(4)
    ),
    Part("R34", "100 kΩ", "discharges the pulse bus", value=100e3),
    Part(
        "R35",
        "39 kΩ, 1 %",
        "limits the current that returns the device to low resistance",
        "R_LRS of your device",
        39e3,
    ),
    Part("R40", "100 kΩ, 0.1 %", "sense current = 0.705 V / R40", "larger for a device of more than 40 kΩ", 100e3),
    Part("R43", "10 kΩ", "sense loop, with C40", value=10e3),
    Part("R44", "7.15 kΩ, 1 %", "sense reference", value=7.15e3),
    Part("R45", "18.2 kΩ, 1 %", "sense reference", value=18.2e3),
    Part("R46", "100 Ω", "isolates the membrane buffer from its cable", value=100.0),
    Part("R50", "1 kΩ", "comparator input, and hysteresis with R51", value=1e3),
    Part("R51", "1 MΩ", "3.3 mV of hysteresis", value=1e6),
    Part("R52", "4.7 kΩ", "comparator pull-up to 3.3 V, never to 5 V", value=4.7e3),
    Part("R53", "100 Ω", "V_th filter, with C53", value=100.0),
    Part("R54", "4.7 kΩ", "SDA pull-up", value=4.7e3),
    Part("R55", "4.7 kΩ", "SCL pull-up", value=4.7e3),
    Part("R56", "1 kΩ", "axon output", value=1e3),
    Part("RV1", "10 kΩ, 10 turns", "dendrite amplitude, either polarity", value=10e3),
    Part("RV2", "10 kΩ, 10 turns", "return amplitude, either polarity", value=10e3),
    Part("C20", "22 nF", "longest dendrite pulse", value=22e-9),
    Part("C21", "22 nF", "longest reset pulse", value=22e-9),
    Part("C22", "100 pF, C0G", "shunt's delay", value=100e-12),
    Part("C23", "1 nF, C0G", "axon width", value=1e-9),
    Part("C40", "100 pF", "sense loop", value=100e-12),
    Part("C41", "100 nF", "keeps the sense reference with its rail", value=100e-9),
    Part("C53", "10 nF", "V_th filter", value=10e-9),
    *(
        Part(f"C{60 + i}", "1 µF" if i > 12 else "100 nF", f"beside {pin}", value=1e-6 if i > 12 else 100e-9)
        for i, pin in enumerate(DECOUPLING.values())
    ),
    Part("J1", "2 × 10 header", "to the Pi or the Pico"),
    Part("J2", "4 BNC", "to the oscilloscope"),
    Part("J3", "3 screw terminals", "+5 V, ground, −5 V, 100 mA each"),
)

BY_REF: dict[str, Part] = {part.ref: part for part in PARTS}

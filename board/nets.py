"""What is connected to what: net → pins, as part.pin. Simulation, schematic and page come from here."""

from __future__ import annotations

J1_SIGNALS = (
    "dendrite",
    "reset",
    "sync",
    "select0",
    "select1",
    "select2",
    "select3",
    "axon",
    "SDA",
    "SCL",
    "enable",
    "GND",
)
LINES = ("dendrite", "reset", "select0", "select1", "select2", "select3", "sync")

_WIRES = {
    # supplies; ±2.5 V exist only while the relay is on
    "GND": (
        "J1.12 J3.2 M1.2 U1.5 U1.7 U2.5 U4.12 U4.7 U4.9 U4.11 U6.7 U6.11 U6.12 U7.7 U7.13 U8.1 U8.8 U8.9 U8.10 U8.11 "
        "U9.1 U9.8 U9.9 U10.7 U10.9 U10.10 U10.12 U10.13 U11.10 U12.1 U13.1 U14.1 Q2.2 C22.2 C53.2 "
        "R11.2 R12.2 R13.2 R14.2 R15.2 R16.2 R17.2 R18.2 R34.2 R45.2 J2.5"
    ),
    "+5V": "J3.1 U1.13 U2.12 U2.13 U4.3 U6.14 U7.14 U9.3 U9.11 U9.16 U10.14 U12.2 K1.1 K1.5 D1.2 R20.1 R21.1",
    "-5V": "J3.3 U1.4 U2.4 K1.3",
    "+3V3": "U12.3 U8.3 U8.16 U11.1 U11.4 R23.1 R52.1 R54.1 R55.1",
    "+2V5": "U13.3 U5.4 R40.1 R44.1 C41.1 RV1.1 RV2.1",
    "-2V5": "U14.5 U5.11 RV1.3 RV2.3",
    "RLY+": "K1.2 U13.2",
    "RLY-": "K1.4 U14.2 U14.3",
    "COIL": "K1.6 D1.1 Q2.3",
    "enable": "J1.11 Q2.1 R18.1",
    # lines
    "dendrite": "J1.1 R1.1 R11.1",
    "reset": "J1.2 R2.1 R12.1",
    "select0": "J1.4 R3.1 R13.1",
    "select1": "J1.5 R4.1 R14.1",
    "select2": "J1.6 R5.1 R15.1",
    "select3": "J1.7 R6.1 R16.1",
    "sync": "J1.3 R7.1 R17.1",
    "SYNC": "R7.2 J2.2",
    "DENDRITE": "R1.2 U9.2 U10.1 J2.3",
    "RESET": "R2.2 U9.10 U10.4",
    "SELECT0": "R3.2 U2.1",
    "SELECT1": "R4.2 U2.16",
    "SELECT2": "R5.2 U2.9",
    "SELECT3": "R6.2 U2.8",
    # a line that is stuck high is cut off
    "DENDRITE_OK": "U9.13 U10.2",
    "RESET_OK": "U9.5 U10.5",
    "CX20": "U9.14 C20.2",
    "CX21": "U9.6 C21.2",
    "RC20": "U9.15 R20.2 C20.1",
    "RC21": "U9.7 R21.2 C21.1",
    "PULSED": "U10.3 U7.3 U6.8",
    "RETURNED": "U10.6 U6.2",
    # blanking and interlock
    "RETURN_N": "U6.1 U7.1",
    "RETURN": "U7.2 U6.6 U6.9 U1.16",
    "PULSED_N": "U7.4 U6.5",
    "PULSE": "U6.4 U1.1",
    "SENSE": "U6.10 U7.5 U1.9",
    "BUSY": "U7.6 D2.1 R22.1",
    "HOLD": "D2.2 R22.2 C22.1 U7.9",
    "HOLD_N": "U7.8 U7.11",
    "SHUNT": "U7.10 U1.8",
    # pulses
    "VP_SET": "RV1.2 U5.10",
    "VP": "U5.8 U5.9 R30.1 R31.1 R32.1 R33.1",
    "A0": "R30.2 U2.2",
    "A1": "R31.2 U2.15",
    "A2": "R32.2 U2.10",
    "A3": "R33.2 U2.7",
    "BUS": "U2.3 U2.14 U2.11 U2.6 R34.1 U1.2",
    "VS_SET": "RV2.2 U5.12",
    "VS": "U5.13 U5.14 R35.1",
    "RET": "R35.2 U1.15",
    # the membrane
    "TE": "M1.1 U1.3 U1.14 U1.11",
    "M": "U1.10 U1.6 Q1.3 U5.5",
    "VM": "U5.7 U5.6 R46.1 R50.1",
    "MEMBRANE": "R46.2 J2.4",
    "SREF": "R44.2 R45.1 C41.2 U5.3",
    "SGATE": "U5.1 Q1.1 C40.1",
    "SFB": "U5.2 R43.2 C40.2",
    "SSRC": "R40.2 R43.1 Q1.2",
    # the comparator and the axon
    "CMP": "R50.2 R51.1 U4.5",
    "VTH_DAC": "U11.6 R53.1",
    "VTH": "R53.2 C53.1 U4.4 U4.6 U4.8 U4.10",
    "FIRE": "U4.2 R51.2 R52.2 U8.2",
    "CX23": "U8.14 C23.2",
    "RC23": "U8.15 R23.2 C23.1",
    "AXON": "U8.13 U6.3 R56.1",
    "axon": "R56.2 J1.8 J2.1",
    "SDA": "J1.9 U11.3 R54.2",
    "SCL": "J1.10 U11.2 R55.2",
}
_DECOUPLED = "U1.13 U1.4 U2.13 U2.4 U4.3 U5.4 U5.11 U6.14 U7.14 U8.16 U9.16 U10.14 U11.1 U12.3 U13.3 U14.5"
DECOUPLING = {
    f"C{60 + i}": pin for i, pin in enumerate(_DECOUPLED.split())
}  # capacitor → the pin that it stands beside


def _nets() -> dict[str, tuple[str, ...]]:
    nets = {net: pins.split() for net, pins in _WIRES.items()}
    for ref, pin in DECOUPLING.items():
        next(pins for pins in nets.values() if pin in pins).append(f"{ref}.1")
        nets["GND"].append(f"{ref}.2")
    return {net: tuple(pins) for net, pins in nets.items()}


NETS = _nets()

_OPEN = (
    "U1.12 U4.1 U4.13 U4.14 U6.13 U7.12 U8.4 U8.5 U8.6 U8.7 U8.12 U9.4 U9.12 U10.8 U10.11 U11.5 U11.7 U11.8 U11.9 U14.4"
)
NOT_CONNECTED = frozenset(_OPEN.split())
PIN_COUNTS = {
    "U1": 16, "U2": 16, "U4": 14, "U5": 14, "U6": 14, "U7": 14, "U8": 16, "U9": 16, "U10": 14, "U11": 10, "U12": 3,
    "U13": 3, "U14": 5,
}  # fmt: skip


def net_of(pin: str) -> str:
    """The net that a pin such as U1.3 is on; raises KeyError for one that is not connected."""
    return _NET_OF[pin]


_NET_OF = {pin: net for net, pins in NETS.items() for pin in pins}

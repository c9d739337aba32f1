"""The tables, pictures and numbers of docs/how-to/board.md, made from the board: `make board`."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from board import scenarios
from board.nets import DECOUPLING, NETS
from board.parts import PARTS
from board.spice import ADG1212, MAX313

PAGE = Path(__file__).parents[1] / "docs" / "how-to" / "board.md"
VTH_V = 0.7
LM339_HOT_V = 9e-3
PI = {"dendrite": (17, 11), "reset": (27, 13), "sync": (22, 15), "select0": (23, 16), "select1": (24, 18)}
PI |= {"select2": (25, 22), "select3": (12, 32), "SDA": (2, 3), "SCL": (3, 5), "enable": (26, 37)}
PICO = {"dendrite": (2, 4), "reset": (3, 5), "sync": (4, 6), "select0": (5, 7), "select1": (6, 9), "select2": (7, 10)}
PICO |= {"select3": (8, 11), "axon": (15, 20), "SDA": (0, 1), "SCL": (1, 2)}


def parts_table() -> str:
    """One row a part; the supply capacitors in one."""
    rows = ["| part | buy | what for | instead |", "|---|---|---|---|"]
    shown = [part for part in PARTS if part.ref not in DECOUPLING]
    rows += [f"| {part.ref} | {part.buy} | {part.purpose} | {part.instead} |" for part in shown]
    first, *_, last = DECOUPLING
    rows.append(f"| {first} … {last} | 100 nF, 1 µF at the regulators | one beside every supply pin | |")
    return "\n".join(rows)


def nets_table() -> str:
    """One row a net; without the supply capacitors, which stand beside the pins of their net."""
    rows = ["| net | pins |", "|---|---|"]
    for net, pins in NETS.items():
        rows.append(f"| {net} | {' '.join(pin for pin in pins if pin.split('.')[0] not in DECOUPLING)} |")
    return "\n".join(rows)


def pins_table() -> str:
    """J1, pin by pin."""
    rows = ["| signal | J1 | Pi | Pi header pin | Pico | Pico pin |", "|---|---|---|---|---|---|"]
    number = {pin.split(".")[1]: net for net, pins in NETS.items() for pin in pins if pin.startswith("J1.")}
    for pin in sorted(number, key=int):
        net = number[pin]
        pi, pico = PI.get(net), PICO.get(net)
        cells = [f"GPIO {pi[0]}" if pi else "—", str(pi[1]) if pi else "—"]
        cells += [f"GP{pico[0]}" if pico else "—", str(pico[1]) if pico else "—"]
        if net == "GND":
            cells = ["ground", "39", "ground", "38"]
        rows.append(f"| {net} | {pin} | {' | '.join(cells)} |")
    return "\n".join(rows)


def simulated_table() -> str:
    """What ngspice says, one row a question."""
    rows = ["| question | ADG1212 as U1 | MAX313 as U1 |", "|---|---|---|"]
    nodes = [scenarios.node(switch) for switch in scenarios.NODES.values()]
    glitches = [scenarios.glitch(switch) for switch in scenarios.NODES.values()]
    loops = [scenarios.loop(ADG1212, 50e3), scenarios.loop(MAX313, 15e3)]

    def row(question: str, values: list[float], unit: str, digits: int = 1) -> None:
        rows.append("| " + " | ".join([question, *(f"{value:.{digits}f} {unit}" for value in values)]) + " |")

    row("capacitance of the membrane node", [n.farad * 1e12 for n in nodes], "pF", 0)
    row("time constant at 40 kΩ", [n.farad * 40e3 * 1e6 for n in nodes], "µs")
    row("time constant at 100 kΩ (V_m = 0.7 V)", [n.farad * 100e3 * 1e6 for n in nodes], "µs")
    row("after a pulse V_m starts to rise at", [n.released_s * 1e6 for n in nodes], "µs")
    row("fastest clock that sees 5 % above V_th", [n.fastest_hz(VTH_V, 0.05) / 1e3 for n in nodes], "kHz", 0)
    row("charge of the opening shunt: V_m up to", [g.highest_v * 1e3 for g in glitches], "mV", 0)
    row("… and down to", [g.lowest_v * 1e3 for g in glitches], "mV", 0)
    row("from V_m = V_th to the axon's edge", [x.delay_s * 1e6 for x in loops], "µs")
    row("axon width", [x.axon_s * 1e6 for x in loops], "µs")
    row("a −1.2 V pulse: across the device", [x.device_pulse_v for x in loops], "V", 2)
    row("a +2.0 V return: across the device", [x.device_return_v for x in loops], "V", 2)
    return "\n".join(rows)


def faults_table() -> str:
    """What the device sees when something goes wrong; U1 is an ADG1212."""
    rows = ["| what happens | simulated |", "|---|---|"]
    least, most = sorted(scenarios.fires_below_v(-offset_v) * 1e3 for offset_v in (LM339_HOT_V, -LM339_HOT_V))
    held = {line: scenarios.stuck(line) for line in ("dendrite", "reset")}
    parked, unparked = scenarios.power_up(2.0, 3.5e-3), scenarios.power_up(0.0, 0.9e-3)
    rows += [
        f"| supplies come up, relay off: the most across the device | {parked.before_v:.2f} V |",
        f"| relay closes, V_th parked: the most across the device | {parked.after_v:.2f} V |",
        f"| … and return pulses | {parked.fired} |",
        f"| relay closes, V_th at 0 V (EEPROM never parked): return pulses in 0.4 ms | {unparked.fired} |",
        f"| dendrite stuck high: the pulse ends after | {held['dendrite'].acts_s * 1e3:.1f} ms |",
        f"| reset stuck high: the return ends after | {held['reset'].acts_s * 1e3:.1f} ms |",
        f"| … and then the device sees | {held['dendrite'].afterwards_v:.2f} V |",
        f"| comparator offset of ±9 mV: it fires at V_m − V_th of | {least:.0f} … {most:.0f} mV |",
        f"| nothing in the socket: the sense source makes | {scenarios.compliance_v():.2f} V |",
    ]
    return "\n".join(rows)


TABLES: dict[str, Callable[[], str]] = {"parts": parts_table, "nets": nets_table, "pins": pins_table}
SIMULATED: dict[str, Callable[[], str]] = {"simulated": simulated_table, "faults": faults_table}


def table_in(text: str, name: str) -> str:
    """The table that stands in the page between its marks; raises ValueError where there is none."""
    found = re.search(rf"<!-- {name} -->\n(.*?)<!-- end -->", text, re.DOTALL)
    if found is None:
        raise ValueError(f"{PAGE.name} has no table <!-- {name} -->")
    return found[1].strip()


def with_table(text: str, name: str, table: str) -> str:
    """The page with one table put in."""
    start = text.index(f"<!-- {name} -->")
    end = text.index("<!-- end -->", start)
    return f"{text[:start]}<!-- {name} -->\n{table}\n{text[end:]}"


def main() -> None:
    """Write all of them."""
    from board.pictures import draw_loop
    from board.schematic import SHEETS, draw

    text = PAGE.read_text(encoding="utf-8")
    for name, table in (TABLES | SIMULATED).items():
        text = with_table(text, name, table())
    PAGE.write_text(text, encoding="utf-8")
    for sheet in SHEETS:
        draw(sheet, PAGE.with_name(f"board-{sheet}.svg"))
    draw_loop(PAGE.with_name("board-loop.png"))


if __name__ == "__main__":
    main()

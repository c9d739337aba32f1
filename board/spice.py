"""The board as a SPICE deck, made from its nets, and ngspice to run it.

A deck has every part that a signal goes through, with the nets and values of the board; what stands outside (supplies,
the Pi's pins, the DAC) are sources that a scenario sets. Times in seconds, levels in volts.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from board.nets import DECOUPLING, NETS, net_of
from board.parts import BY_REF

MODELS = Path(__file__).with_name("models.cir")
LOGIC_V = 3.3
GROUND = "GND"
STRAYS_F = {"TE": 5e-12, "M": 3e-12, "BUS": 5e-12}  # socket and tracks, assumed

Waveform = Sequence[tuple[float, float]]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Switch:
    """An analog switch: resistance, capacitance at each end, charge injected when it opens, times."""

    ron_ohm: float
    coff_f: float
    q_c: float
    ton_s: float
    toff_s: float

    def params(self) -> str:
        """As a SPICE instance takes them."""
        return f"ron={self.ron_ohm} coff={self.coff_f} q={self.q_c} ton={self.ton_s} toff={self.toff_s}"


MAX313 = Switch(10, 20e-12, -5e-12, 425e-9, 225e-9)  # 19-0420, hot; capacitance of the MAX313F
ADG1212 = Switch(300, 1.5e-12, -1e-12, 170e-9, 110e-9)  # 1 pF off, 2.6 pF on, < 1 pC; slower and 300 Ω on ±5 V: assumed


@dataclass(frozen=True)
class Scenario:
    """What the outside does, and what is in the socket.

    (s, V) of J1's lines, of the DAC's output `vth` and of the ±2.5 V behind the relay; `logic` is the share of ±5 V and
    3.3 V that there is. `vp` and `vs` are what the trimmers are set to, `y0` is ln(R / R_LRS) at the start.
    """

    stop_s: float
    lines: Mapping[str, Waveform] = field(default_factory=dict)
    vth: Waveform = ((0, 0.7),)
    analog: Waveform = ((0, 2.5),)
    logic: Waveform = ((0, 1.0),)
    vp: float = -1.2
    vs: float = 2.0
    node: Switch = ADG1212
    device: str = "rlrs=40k step=0"
    y0: float = 0.0
    offset_v: float = 0.0
    step_s: float = 20e-9
    from_nothing: bool = False  # start with every capacitor empty, instead of from rest


def _pwl(points: Waveform) -> str:
    return "PWL(" + " ".join(f"{t:.12g} {v:.6g}" for t, v in points) + ")"


def _name(net: str) -> str:
    """SPICE knows no difference between DENDRITE and dendrite, and takes + and − for signs."""
    return "0" if net == GROUND else ("in_" + net if net.islower() else net).replace("+", "p").replace("-", "n")


def _at(pin: str) -> str:
    return _name(net_of(pin))


def deck(scenario: Scenario) -> str:
    """The board in this scenario; raises KeyError where a part's pin is on no net."""
    return "\n".join(
        ["the reference board", f".include {MODELS}", *_sources(scenario), *_passives(), *_chips(scenario)]
    )


def _sources(s: Scenario) -> list[str]:
    rails = (("p5V", 5.0), ("n5V", -5.0), ("p3V3", 3.3))
    found = [f"V{net} {net} 0 {_pwl([(t, volts * share) for t, share in s.logic])}" for net, volts in rails]
    found += [f"Vp25 p2V5 0 {_pwl(s.analog)}", f"Vn25 n2V5 0 {_pwl([(t, -v) for t, v in s.analog])}"]
    full = max(v for _, v in s.analog) or 1.0
    for name, volts, pin in (("vp", s.vp, "U5.10"), ("vs", s.vs, "U5.12")):
        found.append(f"V{name} {_at(pin)} 0 {_pwl([(t, volts * v / full) for t, v in s.analog])}")
    found.append(f"Vth {_at('U11.6')} 0 {_pwl(s.vth)}")
    for line in ("dendrite", "reset", "sync", "select0", "select1", "select2", "select3"):
        found.append(f"V{line} in_{line} 0 {_pwl(s.lines.get(line, [(0, 0)]))}")
    return found + [f"Cs{net} {_name(net)} 0 {farad}" for net, farad in STRAYS_F.items()]


def _passives() -> list[str]:
    found = []
    sources = {"R18", "R54", "R55", "RV1", "RV2", *DECOUPLING}  # relay, I²C, trimmers: sources stand for them
    for ref, part in BY_REF.items():
        if ref[0] in "RC" and ref not in sources:
            found.append(f"{ref} {_at(ref + '.1')} {_at(ref + '.2')} {part.value}")
    found.append(f"D2 {_at('D2.1')} {_at('D2.2')} D1N4148")
    found.append(f"Q1 {_at('Q1.3')} {_at('Q1.1')} {_at('Q1.2')} Q2N3906")
    return found


def _chips(s: Scenario) -> list[str]:
    quad = ((2, 3, 1), (15, 14, 16), (10, 11, 9), (7, 6, 8))  # COM, NO, IN
    found = []
    for ref, switch in (("U1", s.node), ("U2", MAX313)):
        for i, pins in enumerate(quad):
            nets = " ".join(_at(f"{ref}.{pin}") for pin in pins)
            found.append(f"X{ref}{i} {nets} p5V SPST {switch.params()}")
    for i, (plus, minus, out) in enumerate(((3, 2, 1), (5, 6, 7), (10, 9, 8), (12, 13, 14))):
        found.append(f"XU5{i} {_at(f'U5.{plus}')} {_at(f'U5.{minus}')} {_at(f'U5.{out}')} p2V5 n2V5 OPAMP")
    found.append(f"XU4 {_at('U4.5')} {_at('U4.4')} {_at('U4.2')} p5V COMPARATOR vos={s.offset_v}")
    gates: dict[tuple[str, str], tuple[tuple[int, ...], ...]] = {
        ("U6", "NOR2"): ((2, 3, 1), (5, 6, 4), (8, 9, 10)),
        ("U10", "AND2"): ((1, 2, 3), (4, 5, 6)),
        ("U7", "SCHMITT"): ((1, 2), (3, 4), (5, 6), (9, 8), (11, 10)),
        ("U8", "ONESHOT"): ((1, 2, 3, 13, 14, 15),),
        ("U9", "ONESHOT"): ((1, 2, 3, 13, 14, 15), (9, 10, 11, 5, 6, 7)),
    }
    for (ref, kind), every in gates.items():
        supply = "p3V3" if ref == "U8" else "p5V"
        for i, gate in enumerate(every):
            found.append(f"X{ref}{i} {' '.join(_at(f'{ref}.{pin}') for pin in gate)} {supply} {kind}")
    found.append(f"XM1 {_at('M1.1')} {_at('M1.2')} MEMRISTOR {s.device}")
    return found


def have_ngspice() -> bool:
    """Whether ngspice is installed."""
    return shutil.which("ngspice") is not None


def run(scenario: Scenario, nets: Sequence[str]) -> tuple[Floats, dict[str, Floats]]:
    """Simulate; returns (times,) in s and (times,) volts of each net. Raises RuntimeError with ngspice's last lines."""
    unknown = set(nets) - set(NETS)
    if unknown:
        raise KeyError(f"no net {', '.join(sorted(unknown))}")
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out.txt"
        wanted = " ".join(f"v({_name(net)})" for net in nets)
        control = (
            f"\n.options method=gear reltol=2e-3 abstol=1e-12 vntol=1e-6\n.save {wanted}\n"
            f".ic v(xm1.y)={scenario.y0}\n.tran {scenario.step_s} {scenario.stop_s} 0 {scenario.step_s}"
            f"{' uic' if scenario.from_nothing else ''}\n"
            f".control\nrun\nset wr_singlescale\nset numdgt=7\nwrdata {out} {wanted}\nquit\n.endc\n.end\n"
        )
        file = Path(folder) / "deck.cir"
        file.write_text(deck(scenario) + control, encoding="utf-8")
        done = subprocess.run(["ngspice", "-b", str(file)], capture_output=True, text=True, timeout=300, check=False)
        if not out.exists():
            raise RuntimeError("ngspice: " + "\n".join((done.stdout + done.stderr).splitlines()[-8:]))
        table = np.loadtxt(out)
    return table[:, 0], {net: table[:, i + 1] for i, net in enumerate(nets)}

"""What the board is asked before it is built: each question is one simulation, and its answer a few numbers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from board.spice import ADG1212, LOGIC_V, MAX313, Floats, Scenario, Switch, Waveform, run

I_SENSE_A = 2.5 * 7.15 / (7.15 + 18.2) / 100e3  # R44, R45, R40
R_LRS_OHM = 40e3  # Hu et al. 2015: 25 µS
NODES = {"ADG1212": ADG1212, "MAX313": MAX313}
WIDTH_S = 2e-6
EDGE_S = 10e-9
CLOSED: Waveform = ((0, LOGIC_V),)


def pulses(starts: Floats | list[float], width_s: float = WIDTH_S) -> list[tuple[float, float]]:
    """A line that is high from each start for a width."""
    points: list[tuple[float, float]] = [(0.0, 0.0)]
    for at in starts:
        points += [(at, 0.0), (at + EDGE_S, LOGIC_V), (at + width_s, LOGIC_V), (at + width_s + EDGE_S, 0.0)]
    return points


def state(ohm: float) -> float:
    """ln(R / R_LRS)."""
    return float(np.log(ohm / R_LRS_OHM))


@dataclass(frozen=True)
class Node:
    """The membrane's node: its capacitance, and how long after a pulse it starts to rise."""

    farad: float
    released_s: float

    def rises_in_s(self, ohm: float, vth_v: float) -> float:
        """From the end of a pulse until V_m is V_th; inf if it never is."""
        share = vth_v / (I_SENSE_A * ohm)
        return self.released_s - ohm * self.farad * float(np.log1p(-share)) if share < 1 else np.inf

    def fastest_hz(self, vth_v: float, excess: float, width_s: float = WIDTH_S) -> float:
        """The clock at which a device that is `excess` (0.05: 5 %) above the threshold is still seen between pulses."""
        return 1 / (width_s + self.rises_in_s(vth_v * (1 + excess) / I_SENSE_A, vth_v))


@cache
def node(switch: Switch, ohm: float = 100e3) -> Node:
    """Fit the rise of V_m after a dendrite pulse of no amplitude onto a resistor."""
    end = 5e-6 + WIDTH_S
    scenario = Scenario(
        end + 80e-6,
        {"select0": CLOSED, "dendrite": pulses([5e-6])},
        vp=0.0,
        node=switch,
        y0=state(ohm),
        vth=((0, 2.0),),
    )
    t, v = run(scenario, ["M"])
    final = I_SENSE_A * ohm
    rising = (t > end) & (v["M"] > 0.2 * final) & (v["M"] < 0.9 * final)
    slope, start = np.polyfit(t[rising], np.log1p(-v["M"][rising] / v["M"][-1]), 1)
    return Node(farad=float(-1 / slope / ohm), released_s=float(-start / slope - end))


@dataclass(frozen=True)
class Glitch:
    """How far the shunt's opening throws V_m, V, while it is still near 0."""

    highest_v: float
    lowest_v: float


@cache
def glitch(switch: Switch, ohm: float = R_LRS_OHM) -> Glitch:
    """Charge of either sign, into the low-resistance state."""
    seen = []
    for sign in (1, -1):
        q = Switch(switch.ron_ohm, switch.coff_f, sign * abs(switch.q_c), switch.ton_s, switch.toff_s)
        lines = {"select0": CLOSED, "dendrite": pulses([5e-6])}
        t, v = run(Scenario(20e-6, lines, vp=0.0, node=q, y0=state(ohm), vth=((0, 2.0),)), ["M", "SHUNT"])
        opens = t[np.flatnonzero((v["SHUNT"][:-1] > 2.5) & (v["SHUNT"][1:] <= 2.5))[-1]]
        just_after = (t > opens) & (t < opens + switch.toff_s + 0.15e-6)
        seen += [v["M"][just_after].max(), v["M"][just_after].min()]
    return Glitch(float(max(seen)), float(min(seen)))


@dataclass(frozen=True)
class Loop:
    """One firing: the pulses that it took, and what the board did. Times in s, volts across the device."""

    pulses: int
    delay_s: float
    axon_s: float
    device_pulse_v: float
    device_return_v: float
    blocked: bool
    times_s: Floats
    volts: dict[str, Floats]


@cache
def loop(switch: Switch = ADG1212, clock_hz: float = 50e3, vth_v: float = 0.7) -> Loop:
    """Reset, then dendrite pulses of −1.2 V that raise the stand-in device until it fires; one comes while it returns.

    Raises RuntimeError when the simulated board does not fire.
    """
    starts = [21e-6 + k / clock_hz for k in range(3)]
    t, v = _fire(starts, switch, vth_v)
    fires, _ = _axon(t, v)
    starts = [start for start in starts if start < fires] + [fires + 1.5e-6]
    t, v = _fire(starts, switch, vth_v)
    rise, fall = _axon(t, v)
    crossing = t[np.flatnonzero((v["M"] > vth_v) & (t > 21e-6))[0]]
    before, during = (t > 21e-6) & (t < rise), (t > rise + 0.3e-6) & (t < fall)
    return Loop(
        pulses=len(starts) - 1,
        delay_s=rise - float(crossing),
        axon_s=fall - rise,
        device_pulse_v=float(v["TE"][before].min()),
        device_return_v=float(v["TE"][during].max()),
        blocked=bool((v["dendrite"][during] > LOGIC_V / 2).any() and v["PULSE"][during].max() < 2.5),
        times_s=t,
        volts=v,
    )


def _fire(starts: list[float], switch: Switch, vth_v: float) -> tuple[Floats, dict[str, Floats]]:
    lines = {"select0": CLOSED, "reset": pulses([5e-6], 10e-6), "dendrite": pulses(starts)}
    scenario = Scenario(
        starts[-1] + 40e-6, lines, vth=((0, vth_v),), node=switch, device="rlrs=40k step=0.5", y0=0.6, vp=-1.2, vs=2.0
    )
    return run(scenario, ["M", "TE", "AXON", "PULSE", "SHUNT", "dendrite", "reset", "VTH"])


def _axon(t: Floats, v: dict[str, Floats]) -> tuple[float, float]:
    """When the axon first rises and falls; raises RuntimeError where it does not."""
    high = v["AXON"] > LOGIC_V / 2
    rises, falls = t[1:][~high[:-1] & high[1:]], t[1:][high[:-1] & ~high[1:]]
    if not len(rises) or not len(falls):
        raise RuntimeError("the simulated board did not fire")
    return float(rises[0]), float(falls[0])


@dataclass(frozen=True)
class Held:
    """What a line that stays high does: for how long it acts, and the most the device sees afterwards, V."""

    acts_s: float
    afterwards_v: float


def stuck(line: str) -> Held:
    """The Pi hangs with dendrite or reset high."""
    scenario = Scenario(
        6e-3, {"select0": CLOSED, line: [(0, 0), (0.1e-3, 0), (0.1e-3 + EDGE_S, LOGIC_V)]}, vth=((0, 2.0),), step_s=2e-6
    )
    net = {"dendrite": "PULSE", "reset": "RETURN"}[line]
    t, v = run(scenario, [net, "TE"])
    high = t[v[net] > 2.5]
    return Held(float(high[-1] - high[0]), float(np.abs(v["TE"][t > high[-1] + 50e-6]).max()))


@dataclass(frozen=True)
class PowerUp:
    """The most that the device sees, V, before and after `enable`, and how often the axon fires after it."""

    before_v: float
    after_v: float
    fired: int


def power_up(parked_v: float, stop_s: float) -> PowerUp:
    """±5 V come up in 0.3 ms with the relay off and V_th at its power-up value; ±2.5 V follow the relay at 0.5 ms."""
    closes_s = 0.5e-3
    logic = ((0, 0), (0.3e-3, 1.0))
    analog = ((0, 0), (closes_s, 0), (closes_s + 0.2e-3, 2.5))
    # the DAC makes its EEPROM's value from 2.2 V of supply on: MCP4728, V_POR
    vth = ((0, 0), (0.2e-3, 0), (0.21e-3, parked_v))
    scenario = Scenario(stop_s, vth=vth, analog=analog, logic=logic, offset_v=-5e-3, step_s=0.1e-6, from_nothing=True)
    t, v = run(scenario, ["TE", "AXON"])
    volts, axon = np.abs(v["TE"]), v["AXON"] > LOGIC_V / 2
    rises = t[1:][~axon[:-1] & axon[1:]]
    return PowerUp(float(volts[t < closes_s].max()), float(volts[t > closes_s].max()), int((rises > closes_s).sum()))


@cache
def compliance_v() -> float:
    """The most that the sense source makes, V: with nothing in the socket."""
    _, v = run(Scenario(100e-6, vth=((0, 2.2),), device="rlrs=1e9 step=0 back=99", vs=0.0), ["M"])
    return float(v["M"].max())


@cache
def fires_below_v(offset_v: float, switch: Switch = ADG1212) -> float:
    """By how much V_th has to be below V_m for the axon to fire, V: V_th falls slowly past a resistor's V_m."""
    high, low, fall_s = 0.35, 0.21, 400e-6
    vth = ((0, high), (20e-6, high), (20e-6 + fall_s, low))
    t, v = run(Scenario(20e-6 + fall_s, vth=vth, node=switch, offset_v=offset_v, vs=0.0), ["M", "AXON", "VTH"])
    fires = int(np.flatnonzero(v["AXON"] > LOGIC_V / 2)[0])
    at = int(np.searchsorted(t, t[fires] - 1.4e-6))  # V_th as it was when the comparator began to answer
    return float(v["M"][at - 1] - v["VTH"][at])

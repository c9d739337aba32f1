"""What can be wrong with the line that a probe sits on, as voltages: runts, notches, echoes, hum, slow edges and more.

Each defect takes a wire and gives the wire as it is with the defect, so that they can be combined. A wire knows its
voltage at any time and when its pulses rise.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

from drivers.errors import InputError

Times = NDArray[np.int64]
Volts = NDArray[np.float64]
_RC_STEPS = 20  # an RC is worked out in steps of this part of its time constant
_RC_PAST = 10  # and remembers so many time constants


@dataclass(frozen=True)
class Wire:
    """`volts` at ascending times (n,) ns → (n,) V; `rises`: ns at which pulses rise in [t0, t1)."""

    volts: Callable[[Times], Volts]
    rises: Callable[[int, int], Times]
    width_ns: int
    high_v: float = 3.3

    def since_rise_ns(self, t_ns: Times, back_ns: int = 0) -> tuple[Times, Times]:
        """For each time, when the latest pulse rose and how long ago; a pulse older than `back_ns` may be missed."""
        rises = self.rises(int(t_ns[0]) - max(back_ns, self.width_ns), int(t_ns[-1]) + 1)
        rises = np.concatenate([[np.iinfo(np.int64).min // 2], np.sort(rises)])
        latest = rises[np.searchsorted(rises, t_ns, side="right") - 1]
        return latest, t_ns - latest

    def changed(self, volts: Callable[[Times], Volts]) -> Wire:
        """The same pulses with other voltages."""
        return Wire(lambda t: volts(t) if len(t) else np.empty(0), self.rises, self.width_ns, self.high_v)


def sticks(wire: Wire, volts: float, from_ns: int) -> Wire:
    """The line stays at one voltage from a time on."""
    return wire.changed(lambda t: np.where(t >= from_ns, volts, wire.volts(t)))


def sticks_after_some(wire: Wire, share: float, for_ns: int) -> Wire:
    """The line stays high for a while after a share of its pulses, hashed from their times."""

    def volts(t: Times) -> Volts:
        rises = np.sort(wire.rises(int(t[0]) - for_ns, int(t[-1]) + 1))
        stuck = np.concatenate([[np.iinfo(np.int64).min // 2], rises[_chosen(rises, share)]])
        since = t - stuck[np.searchsorted(stuck, t, side="right") - 1]
        return np.where(since < for_ns, wire.high_v, wire.volts(t))

    return wire.changed(volts)


def raised_rest(wire: Wire, volts: float) -> Wire:
    """The line rests at `volts`; the top of its pulses stays."""
    return wire.changed(lambda t: volts + wire.volts(t) * (1 - volts / wire.high_v))


def runts(wire: Wire, height: float, share: float) -> Wire:
    """A share of the pulses, hashed from their times, reach only this part of their height."""

    def volts(t: Times) -> Volts:
        rise, _ = wire.since_rise_ns(t)
        return wire.volts(t) * np.where(_chosen(rise, share), height, 1.0)

    return wire.changed(volts)


def notches(wire: Wire, after_ns: int, width_ns: int) -> Wire:
    """Every pulse falls to rest for a moment."""

    def volts(t: Times) -> Volts:
        _, since = wire.since_rise_ns(t)
        return wire.volts(t) * ~((since >= after_ns) & (since < after_ns + width_ns))

    return wire.changed(volts)


def narrow(wire: Wire, width_ns: int) -> Wire:
    """Every pulse ends after this time."""
    return wire.changed(lambda t: wire.volts(t) * (wire.since_rise_ns(t)[1] < width_ns))


def echo(wire: Wire, height: float, delay_ns: int) -> Wire:
    """The line's own voltage, weaker and later, on top of it."""
    return wire.changed(lambda t: wire.volts(t) + height * wire.volts(t - delay_ns))


def glitches(wire: Wire, width_ns: int, every_ns: int, volts: float) -> Wire:
    """Foreign pulses of this width and height, one at a hashed place of each stretch of `every_ns`, on top."""

    def seen(t: Times) -> Volts:
        stretch = t // every_ns
        begin = stretch * every_ns + _hash(stretch) % np.int64(max(1, every_ns - width_ns))
        return np.maximum(wire.volts(t), np.where((t >= begin) & (t < begin + width_ns), volts, 0.0))

    return wire.changed(seen)


def hum(wire: Wire, volts: float, hz: float, phase: float = 0.0) -> Wire:
    """A sine of this amplitude on top."""
    return wire.changed(lambda t: wire.volts(t) + volts * np.sin(2 * np.pi * (hz * 1e-9 * t + phase)))


def drift(wire: Wire, volts: float, from_ns: int, to_ns: int) -> Wire:
    """The line rises by `volts` evenly between two times, and stays there."""
    return wire.changed(lambda t: wire.volts(t) + volts * np.clip((t - from_ns) / (to_ns - from_ns), 0, 1))


def slow_edges(wire: Wire, rc_s: float) -> Wire:
    """A low-pass of one pole between the line and the probe."""
    step_ns = max(1, round(rc_s * 1e9 / _RC_STEPS))
    decay = np.exp(-step_ns * 1e-9 / rc_s)

    def volts(t: Times) -> Volts:
        start = int(t[0]) - _RC_PAST * round(rc_s * 1e9)
        grid = np.arange(start, int(t[-1]) + 2 * step_ns, step_ns, dtype=np.int64)
        smooth = lfilter([1 - decay], [1, -decay], wire.volts(grid))
        return np.interp(t, grid + step_ns, smooth)

    return wire.changed(volts)


def _chosen(rise: Times, share: float) -> NDArray[np.bool_]:
    return _hash(rise) % 1_000 < round(1_000 * share)


def _hash(values: Times) -> Times:
    mixed = values.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    return ((mixed ^ (mixed >> np.uint64(29))) >> np.uint64(33)).astype(np.int64)


_STUCK_NS = 20_000_000
DEFECTS: dict[str, Callable[[Wire], Wire]] = {
    "axon_hum": lambda wire: hum(wire, 1.2, 60.0),
    "axon_raised_rest": lambda wire: raised_rest(wire, 0.8),
    "axon_slow_edges": lambda wire: slow_edges(wire, wire.width_ns * 1e-9),
    "axon_notches": lambda wire: notches(wire, wire.width_ns // 2, wire.width_ns // 10),
    "axon_glitches": lambda wire: glitches(wire, wire.width_ns // 10, 50 * wire.width_ns, wire.high_v),
    "axon_runts": lambda wire: runts(wire, 1.9 / 3.3, 0.5),
    "axon_echo": lambda wire: echo(wire, 2.1 / 3.3, wire.width_ns * 2),
    "axon_narrow": lambda wire: narrow(wire, wire.width_ns // 5),
    "axon_sticks": lambda wire: sticks_after_some(wire, 0.3, _STUCK_NS),
}


def defective(wire: Wire, name: str) -> Wire:
    """A wire with one of the defects that the simulated oscilloscope can be told to see, by name."""
    if name not in DEFECTS:
        raise InputError(f"unknown defect {name!r}; known: {', '.join(DEFECTS)}")
    return DEFECTS[name](wire)

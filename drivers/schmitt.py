"""A Schmitt trigger on raw oscilloscope codes: where a logic signal goes high and low, between samples.

A pulse begins where the trace reaches the upper level and ends where it reaches the lower one, so noise between the
two changes nothing (O. H. Schmitt, J. Sci. Instrum. 15:24, 1938). Works on the codes themselves, block by block, so
that no trace is ever copied as floating point and the temporaries stay in the processor's cache.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drivers.bench import CaptureError
from drivers.signals import FloatArray, Trace

CLIPPED_LOW, CLIPPED_HIGH = 1, 254  # codes at or beyond these lie at the edge of the screen
_BLOCK = 1 << 21
_ABOVE = 2  # classes of a sample: 0 at or below the lower level, 1 between, 2 at or above the upper one


@dataclass(frozen=True, eq=False)
class Pulses:
    """Pulses of one trace, in order: `rise_s` and `fall_s` (n,), s from the trigger; inf if the fall was not recorded.

    A pulse that was already high at the first sample has no rise and is not listed; `starts_high` tells.
    """

    rise_s: FloatArray
    fall_s: FloatArray
    starts_high: bool
    ends_high: bool

    def __len__(self) -> int:
        return len(self.rise_s)

    @property
    def width_s(self) -> FloatArray:
        """(n,) s."""
        return self.fall_s - self.rise_s

    def at_least(self, width_s: float) -> Pulses:
        """Only the pulses of this width or more."""
        keep = self.width_s >= width_s
        return Pulses(self.rise_s[keep], self.fall_s[keep], self.starts_high, self.ends_high)


def find_pulses(trace: Trace, low_v: float, high_v: float, *, inverted: bool = False) -> Pulses:
    """All pulses of a trace, with crossing times interpolated linearly between samples.

    `inverted` looks for pulses that go low. Raises CaptureError if there are no samples or the levels lie off the
    screen that the trace was taken with.
    """
    low, high = _code(trace, low_v), _code(trace, high_v)
    if len(trace.codes) == 0:
        raise CaptureError(f"trace {trace.name!r} is empty: the oscilloscope recorded nothing")
    if low <= CLIPPED_LOW or high >= CLIPPED_HIGH:
        bottom, top = _volts(trace, 0), _volts(trace, 255)
        raise CaptureError(
            f"trace {trace.name!r} shows {bottom:.3g}…{top:.3g} V, its trigger levels are {low_v:g} and {high_v:g} V: "
            "set scope.volts_per_div and scope.probe so that both are on the screen"
        )
    first, at, above = _crossings(trace.codes, low, high)
    index = at + _fraction(trace.codes, at, np.where(above, high, low))
    times = trace.x_origin_s + index * trace.x_increment_s
    if inverted:
        first, above = not first, ~above
    rise, fall = times[above], times[~above]
    if first:
        fall = fall[1:]
    ends_high = bool(above[-1]) if len(above) else first
    if len(fall) < len(rise):
        fall = np.append(fall, np.inf)
    return Pulses(rise, fall, first, ends_high)


def _crossings(codes: NDArray[np.uint8], low: float, high: float) -> tuple[bool, NDArray[np.intp], NDArray[np.bool_]]:
    """State at the first sample; then, for each change of state, the sample before it and whether it went high."""
    upper, lower = int(np.ceil(high)), int(np.floor(low))
    at, reached = [], []
    for start in range(0, len(codes), _BLOCK):
        block = codes[start : start + _BLOCK + 1]
        level = (block >= upper).view(np.uint8)
        level += (block > lower).view(np.uint8)
        changes = np.flatnonzero(level[1:] != level[:-1])
        at.append(changes + start)
        reached.append(level[changes + 1])
    where, level_there = np.concatenate(at), np.concatenate(reached)
    decided = level_there != 1
    where, above = where[decided], level_there[decided] == _ABOVE
    first = bool(codes[0] >= upper) or bool(codes[0] > lower and 2 * int(codes[0]) >= low + high)
    changed = above != np.concatenate([[first], above[:-1]])
    return first, where[changed], above[changed]


def _fraction(codes: NDArray[np.uint8], at: NDArray[np.intp], level: FloatArray) -> FloatArray:
    """How far between sample `at` and the next one the trace crosses `level`, 0…1."""
    before, after = codes[at].astype(np.float64), codes[at + 1].astype(np.float64)
    fraction: FloatArray = (level - before) / (after - before)
    return fraction


def _code(trace: Trace, volts: float) -> float:
    return volts / trace.y_increment_v + trace.y_origin + trace.y_reference


def _volts(trace: Trace, code: int) -> float:
    return (code - trace.y_origin - trace.y_reference) * trace.y_increment_v

"""A Schmitt trigger on raw oscilloscope codes: where a logic signal goes high and low, between samples.

A pulse begins where the trace reaches the upper level and ends where it reaches the lower one, so noise between the
two changes nothing (O. H. Schmitt, J. Sci. Instrum. 15:24, 1938). Works on the codes themselves, block by block, so
that no trace is ever copied as floating point and the temporaries stay in the processor's cache.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drivers.errors import CaptureError
from drivers.signals import BoolArray, FloatArray, Trace

CLIPPED_LOW, CLIPPED_HIGH = 1, 254  # codes at or beyond these lie at the edge of the screen
_BLOCK = 1 << 21
_BETWEEN, _ABOVE = 1, 2  # classes of a sample: 0 at or below the lower level, 1 between, 2 at or above the upper one


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
        if keep.all():
            return self
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
    first, index = _crossings(trace.codes, low, high)
    index *= trace.x_increment_s
    index += trace.x_origin_s
    if inverted:
        first = not first
    rise, fall = index[int(first) :: 2], index[1 - int(first) :: 2]  # changes of state alternate
    if first:
        fall = fall[1:]
    ends_high = first ^ bool(len(index) % 2)
    if len(fall) < len(rise):
        fall = np.append(fall, np.inf)
    return Pulses(rise, fall, first, ends_high)


def _crossings(codes: NDArray[np.uint8], low: float, high: float) -> tuple[bool, FloatArray]:
    """State at the first sample; then, for each change of state, where between samples it was."""
    first = bool(codes[0] >= high) or bool(codes[0] > low and 2 * int(codes[0]) >= low + high)
    state, where = first, [np.empty(0)]
    for start in range(0, len(codes), _BLOCK):
        block = codes[start : start + _BLOCK + 1]
        at, above = _changes(block, low, high, state)
        before, after = block[at].astype(np.float64), block[at + 1].astype(np.float64)
        where.append(at + start + (np.where(above, high, low) - before) / (after - before))
        state ^= bool(len(at) % 2)
    return first, np.concatenate(where)


def _changes(block: NDArray[np.uint8], low: float, high: float, state: bool) -> tuple[NDArray[np.intp], BoolArray]:
    """The samples before each change of state, and whether the change is upwards; `state` is that before the block."""
    level = (block >= int(np.ceil(high))).view(np.uint8)
    level += (block > int(np.floor(low))).view(np.uint8)
    at = np.flatnonzero(level[1:] != level[:-1])
    reached = level[at + 1]
    decided = reached != _BETWEEN
    if not decided.all():  # edges slower than a sample; rare, and the copies are not free
        at, reached = at[decided], reached[decided]
    above = reached == _ABOVE
    changed = np.empty(len(above), dtype=np.bool_)
    changed[1:] = above[1:] != above[:-1]
    changed[:1] = above[:1] != state
    if not changed.all():
        at, above = at[changed], above[changed]
    return at, above


def _code(trace: Trace, volts: float) -> float:
    return volts / trace.y_increment_v + trace.y_origin + trace.y_reference


def _volts(trace: Trace, code: int) -> float:
    return (code - trace.y_origin - trace.y_reference) * trace.y_increment_v

"""A Schmitt trigger on raw oscilloscope codes: where a logic signal goes high and low, between samples.

A pulse begins where the trace reaches the upper level and ends where it reaches the lower one, so noise between the
two changes nothing (O. H. Schmitt, J. Sci. Instrum. 15:24, 1938). The levels may differ from one stretch of the trace
to the next. Works on the codes themselves, block by block, so that no trace is ever copied as floating point and the
temporaries stay in the processor's cache.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drivers.decode.levels import CLIPPED_HIGH, CLIPPED_LOW, Codes, Upright
from drivers.errors import CaptureError
from drivers.signals import BoolArray, FloatArray, Trace

_BLOCK = 1 << 16
_BETWEEN, _ABOVE = 1, 2  # classes of a sample: 0 at or below the lower level, 1 between, 2 at or above the upper one


@dataclass(frozen=True, eq=False)
class Pulses:
    """Pulses of one trace, in order: `rise_s` and `fall_s` (n,), s from the trigger; inf if the fall was not recorded.

    A pulse that was already high at the first sample has no rise and is not listed; `starts_high` tells, and
    `begins_low_s` when it ended (−inf where the trace starts low, inf where it never ended).
    """

    rise_s: FloatArray
    fall_s: FloatArray
    starts_high: bool
    ends_high: bool
    begins_low_s: float = -np.inf

    def __len__(self) -> int:
        return len(self.rise_s)

    @property
    def width_s(self) -> FloatArray:
        """(n,) s."""
        return self.fall_s - self.rise_s

    def at_least(self, width_s: float) -> Pulses:
        """Only the pulses of this width or more."""
        return self.where(self.width_s >= width_s)

    def where(self, keep: BoolArray) -> Pulses:
        """Only the pulses chosen by keep (n,)."""
        if keep.all():
            return self
        return Pulses(self.rise_s[keep], self.fall_s[keep], self.starts_high, self.ends_high, self.begins_low_s)


@dataclass(frozen=True, eq=False)
class Thresholds:
    """The lower and upper level of each stretch of `size` samples: (stretches,), codes."""

    size: int
    low: FloatArray
    high: FloatArray


def upright(trace: Trace, *, inverted: bool = False) -> Upright:
    """The codes of a trace with its pulses upwards in volts, or downwards if `inverted`; raises CaptureError."""
    if len(trace.codes) == 0:
        raise CaptureError(f"trace {trace.name!r} is empty: the oscilloscope recorded nothing")
    if not np.isfinite(trace.y_increment_v) or trace.y_increment_v == 0:
        raise CaptureError(f"trace {trace.name!r} has {trace.y_increment_v:g} V a code: it has no scale")
    return Upright(trace.codes, inverted != (trace.y_increment_v < 0))


def code_of(trace: Trace, samples: Upright, volts: float) -> float:
    """The code, counted upright, that stands for so many volts."""
    code = volts / trace.y_increment_v + trace.y_origin + trace.y_reference
    return 255 - code if samples.flipped else code


def find_pulses(trace: Trace, low_v: float, high_v: float, *, inverted: bool = False) -> Pulses:
    """All pulses of a trace, with crossing times interpolated linearly between samples.

    `inverted` looks for pulses that go low. Raises CaptureError if there are no samples or the levels lie off the
    screen that the trace was taken with.
    """
    samples = upright(trace, inverted=inverted)
    low, high = sorted(code_of(trace, samples, volts) for volts in (low_v, high_v))
    check_on_screen(trace, low_v, high_v)
    return pulses_at(trace, samples, Thresholds(len(samples), np.array([low]), np.array([high])))


def check_on_screen(trace: Trace, low_v: float, high_v: float) -> None:
    """Raise CaptureError where the levels lie off the screen."""
    bottom, top = sorted(_volts(trace, code) for code in (CLIPPED_LOW, CLIPPED_HIGH))
    if low_v <= bottom or high_v >= top:
        bottom, top = sorted(_volts(trace, code) for code in (0, 255))
        raise CaptureError(
            f"trace {trace.name!r} shows {bottom:.3g}…{top:.3g} V, its trigger levels are {low_v:g} and {high_v:g} V: "
            "set scope.volts_per_div and scope.probe so that both are on the screen"
        )


def pulses_at(trace: Trace, samples: Upright, levels: Thresholds) -> Pulses:
    """All pulses between levels in upright codes."""
    first, index = _crossings(samples, levels)
    index *= trace.x_increment_s
    index += trace.x_origin_s
    rise, fall = index[int(first) :: 2], index[1 - int(first) :: 2]  # changes of state alternate
    begins_low_s = -np.inf
    if first:
        begins_low_s = float(fall[0]) if len(fall) else np.inf
        fall = fall[1:]
    ends_high = first ^ bool(len(index) % 2)
    if len(fall) < len(rise):
        fall = np.append(fall, np.inf)
    return Pulses(rise, fall, first, ends_high, begins_low_s)


def _crossings(samples: Upright, levels: Thresholds) -> tuple[bool, FloatArray]:
    """State at the first sample; then, for each change of state, where between samples it was."""
    begin = int(samples.part(0, 1)[0])
    first = bool(begin >= levels.high[0] or (begin > levels.low[0] and 2 * begin >= levels.low[0] + levels.high[0]))
    classes = _Classes(levels, min(len(samples), _BLOCK), first)
    state, where = first, [np.empty(0)]
    for start in range(0, len(samples), classes.stretch):
        at, above = _changes(classes.of(samples.part(start, start + classes.stretch), start), state)
        if len(at):
            at += start  # the sample after each change
            where.append(_between(samples, at, bool(above[0]), levels))
            state ^= bool(len(at) % 2)
    return first, np.concatenate(where)


def _between(samples: Upright, after: NDArray[np.intp], up: bool, levels: Thresholds) -> FloatArray:
    """Where between the sample before and `after` a level is reached; the first change is upwards if `up`."""
    last = samples.at(after)
    after -= 1
    first = samples.at(after).astype(np.float32)
    step = last - first
    row = after // levels.size if len(levels.high) > 1 else None
    for begin, level in ((0, levels.high if up else levels.low), (1, levels.low if up else levels.high)):
        wanted = level[0] if row is None else level[np.minimum(row[begin::2], len(level) - 1)]
        np.subtract(wanted, first[begin::2], out=first[begin::2], casting="same_kind")
    first /= np.where(step == 0, np.float32(1), step) if row is not None else step
    if row is not None:  # a level that changes on the way may have been passed already
        np.clip(first, 0, 1, out=first)
    return after.astype(np.float64) + first


class _Classes:
    """0, 1 or 2 for each code: at or below the lower level, between, at or above the upper one. Reuses its arrays."""

    def __init__(self, levels: Thresholds, most: int, high: bool) -> None:
        self.high, self.low = np.ceil(levels.high).astype(np.uint8), np.floor(levels.low).astype(np.uint8)
        self.size = levels.size
        self.stretch = most if len(self.high) == 1 else max(self.size, most // self.size * self.size)
        self._level = np.empty(self.stretch + 1, dtype=np.uint8)
        self._more = np.empty(self.stretch, dtype=np.uint8)
        self._level[0] = _ABOVE if high else 0

    def of(self, codes: Codes, start: int) -> Codes:
        """(samples + 1,) for the next stretch, which begins at `start`: first the class of the sample before it."""
        level, more = self._level[1 : len(codes) + 1], self._more[: len(codes)]
        if start:
            self._level[0] = self._level[-1]
        self._compare(np.greater_equal, codes, self.high, start, level.view(np.bool_))
        self._compare(np.greater, codes, self.low, start, more.view(np.bool_))
        level += more
        return self._level[: len(codes) + 1]

    def _compare(self, compare: np.ufunc, codes: Codes, levels: Codes, start: int, seen: BoolArray) -> None:
        if len(levels) == 1:
            compare(codes, levels[0], out=seen)
            return
        row, whole = start // self.size, len(codes) // self.size
        cut = whole * self.size
        if whole:
            rows = codes[:cut].reshape(whole, self.size)
            compare(rows, levels[row : row + whole, None], out=seen[:cut].reshape(whole, self.size))
        if cut < len(codes):
            compare(codes[cut:], levels[min(row + whole, len(levels) - 1)], out=seen[cut:])


def _changes(level: Codes, state: bool) -> tuple[NDArray[np.intp], BoolArray]:
    """The samples after each change of state, and whether the change is upwards; level[0] is that before sample 0."""
    at = np.flatnonzero(level[1:] != level[:-1])
    reached = level[1:][at]
    decided = reached != _BETWEEN
    if not decided.all():  # edges slower than a sample; rare, and the copies are not free
        at, reached = at[decided], reached[decided]
    above = reached == _ABOVE
    if not len(above) or (bool(above[0]) != state and bool((above[1:] != above[:-1]).all())):
        return at, above
    changed = np.empty(len(above), dtype=np.bool_)
    changed[1:] = above[1:] != above[:-1]
    changed[0] = above[0] != state
    return at[changed], above[changed]


def _volts(trace: Trace, code: int) -> float:
    return (code - trace.y_origin - trace.y_reference) * trace.y_increment_v

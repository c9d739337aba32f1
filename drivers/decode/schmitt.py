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

_BLOCK = 1 << 18
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
    least = _Rows(levels.size, np.ceil(levels.high).astype(np.uint8), np.floor(levels.low).astype(np.uint8))
    begin = int(samples.part(0, 1)[0])
    first = begin >= levels.high[0] or (begin > levels.low[0] and 2 * begin >= levels.low[0] + levels.high[0])
    state, where = bool(first), [np.empty(0)]
    chunk = max(levels.size, _BLOCK // levels.size * levels.size) if levels.size < _BLOCK else _BLOCK
    last = np.uint8(_ABOVE if state else 0)
    for start in range(0, len(samples), chunk):
        codes = samples.part(start, start + chunk)
        level = np.empty(len(codes) + 1, dtype=np.uint8)
        level[0], level[1:] = last, least.classes(codes, start)
        last = level[-1]
        at, above = _changes(level, state)
        if len(at):
            at += start  # the sample after each change
            row = np.minimum(at // levels.size, len(levels.high) - 1)
            wanted = np.where(above, levels.high[row], levels.low[row])
            where.append(_between(samples, at, wanted))
            state ^= bool(len(at) % 2)
    return bool(first), np.concatenate(where)


def _between(samples: Upright, after: NDArray[np.intp], wanted: FloatArray) -> FloatArray:
    """Where between the sample before and `after` a level is reached."""
    first = samples.at(np.maximum(after - 1, 0)).astype(np.float64)
    step = samples.at(after) - first
    part = np.clip((wanted - first) / np.where(step == 0, 1.0, step), 0, 1)
    return after - 1 + part


@dataclass(frozen=True, eq=False)
class _Rows:
    """Levels as whole codes, by rows of `size` samples."""

    size: int
    high: Codes
    low: Codes

    def classes(self, codes: Codes, start: int) -> Codes:
        """0, 1 or 2 for each code; `start` lies at the border of a row, or there is but one row."""
        level = np.empty(len(codes), dtype=np.uint8)
        more = np.empty(len(codes), dtype=np.uint8)
        for levels, compare, out in ((self.high, np.greater_equal, level), (self.low, np.greater, more)):
            seen = out.view(np.bool_)
            if len(levels) == 1:
                compare(codes, levels[0], out=seen)
                continue
            row, whole = start // self.size, len(codes) // self.size
            if whole:
                cut = whole * self.size
                rows = codes[:cut].reshape(whole, self.size)
                compare(rows, levels[row : row + whole, None], out=seen[:cut].reshape(whole, self.size))
            if whole * self.size < len(codes):
                compare(codes[whole * self.size :], levels[row + whole], out=seen[whole * self.size :])
        level += more
        return level


def _changes(level: Codes, state: bool) -> tuple[NDArray[np.intp], BoolArray]:
    """The samples after each change of state, and whether the change is upwards; level[0] is that before sample 0."""
    at = np.flatnonzero(level[1:] != level[:-1])
    reached = level[1:][at]
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


def _volts(trace: Trace, code: int) -> float:
    return (code - trace.y_origin - trace.y_reference) * trace.y_increment_v

"""A Schmitt trigger on raw oscilloscope codes: where a logic signal goes high and low, between samples.

A pulse begins where the trace reaches the upper level and ends where it reaches the lower one, so noise between the
two changes nothing (O. H. Schmitt, J. Sci. Instrum. 15:24, 1938). The levels may differ from one stretch of the trace
to the next. Works on the codes themselves, block by block, so that no trace is ever copied as floating point and the
temporaries stay in the processor's cache.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drivers.decode.levels import CLIPPED_HIGH, CLIPPED_LOW, Codes, Thresholds, Upright
from drivers.errors import CaptureError
from drivers.signals import BoolArray, FloatArray, Trace

_BLOCK = 1 << 18  # samples searched at a time: both their classes fit a cache of 1 MB, and calls cost little
_TELLING, _SPARE = 0.05, 0.05  # of a trace: less says little of how many edges the rest has; and room beyond that
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
    return pulses_at(trace, samples, Thresholds(len(samples), low, high))


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
    edges = Edges(trace, samples, levels)
    edge_s, count = np.empty(edges.stretch // 8), 0
    for stop, found in edges:
        if count + len(found) > len(edge_s):
            grown = np.empty(_room(count + len(found), stop / len(samples)))
            grown[:count] = edge_s[:count]
            edge_s = grown
        edge_s[count : count + len(found)] = found
        count += len(found)
    return pulses_of(edge_s[:count].copy() if 2 * count < len(edge_s) else edge_s[:count], edges.first)


def pulses_of(edge_s: FloatArray, first: bool) -> Pulses:
    """Pulses with these edges (n,), s, of a trace whose state is `first` before them."""
    rise, fall = edge_s[int(first) :: 2], edge_s[1 - int(first) :: 2]  # changes of state alternate
    begins_low_s = -np.inf
    if first:
        begins_low_s = float(fall[0]) if len(fall) else np.inf
        fall = fall[1:]
    ends_high = first ^ bool(len(edge_s) % 2)
    if len(fall) < len(rise):
        fall = np.append(fall, np.inf)
    return Pulses(rise, fall, first, ends_high, begins_low_s)


class Edges:
    """The times of changes of state, s, a stretch of samples at a time: the sample after it, and its edges (n,).

    Nothing else is held of the trace: everything lives in arrays of a stretch, of `most` samples, which are used again.
    `first` is the state at the sample `start`.
    """

    def __init__(
        self,
        trace: Trace,
        samples: Upright,
        levels: Thresholds,
        start: int = 0,
        stop: int | None = None,
        most: int | None = None,
    ) -> None:
        self._trace, self._samples, self._levels = trace, samples, levels
        stop = len(samples) if stop is None else min(stop, len(samples))
        self._classes = _Classes(levels, min(stop - start, _BLOCK, most or _BLOCK))
        self.stretch = self._classes.stretch
        self._start, self._stop = start if levels.above is None else start // levels.size * levels.size, stop
        low, high = (level[0] for level in levels.of(self._start // levels.size, self._start // levels.size + 1))
        begin = int(samples.part(self._start, self._start + 1)[0])
        self.first = bool(begin >= high or (begin > low and 2 * begin >= low + high))

    def __iter__(self) -> Iterator[tuple[int, FloatArray]]:
        state, trace, samples = self.first, self._trace, self._samples
        for start in range(self._start, self._stop, self.stretch):
            stop = min(start + self.stretch, self._stop)
            part = samples.part(start - 1 if start else 0, stop)
            part = part if start else np.concatenate([part[:1], part])  # nothing is before the first sample
            rows = _Rows(self._levels, max(start - 1, 0), stop)
            at = self._classes.changes(part[1:], start, state, rows)
            edge_s = np.empty(len(at))
            if len(at):
                between = _between(part, at, not state, rows, start)
                at += start - 1
                np.add(at, between, out=edge_s)
                edge_s *= trace.x_increment_s
                edge_s += trace.x_origin_s
                state ^= bool(len(at) % 2)
            yield stop, edge_s


def _room(count: int, part: float) -> int:
    """Edges to make room for: the trace may go on as it began, but for so much of it that says little."""
    return count + int(count * max(_SPARE, (1 + _SPARE) / part - 1) if part > _TELLING else count)


class _Rows:
    """The levels of some rows of samples, from the row `first` on: as they are, and as codes that reach them."""

    def __init__(self, levels: Thresholds, start: int, stop: int) -> None:
        self.size, self.first = levels.size, start // levels.size
        self.low, self.high = levels.of(self.first, -(-stop // levels.size))
        self.down, self.up = np.floor(self.low).astype(np.uint8), np.ceil(self.high).astype(np.uint8)
        self.one = levels.above is None


def _between(part: Codes, at: NDArray[np.intp], up: bool, rows: _Rows, start: int) -> NDArray[np.float32]:
    """Where between each sample of a part and the next, `at` (n,), a level is reached; first an upper one if `up`."""
    where = part[:-1][at].astype(np.float32)
    step = part[1:][at].astype(np.float32)
    step -= where
    row = None if rows.one else np.maximum(at + (start - 1), 0) // rows.size - rows.first
    for begin, level in ((0, rows.high if up else rows.low), (1, rows.low if up else rows.high)):
        wanted = level[0] if row is None else level[row[begin::2]]
        np.subtract(np.asarray(wanted, dtype=np.float32), where[begin::2], out=where[begin::2])
    if row is None:
        where /= step
        return where
    where /= np.where(step == 0, np.float32(1), step)
    return np.clip(where, 0, 1, out=where)  # a level that changes on the way may have been passed already


class _Classes:
    """Codes against both levels, for a stretch of samples at a time; uses its arrays again."""

    def __init__(self, levels: Thresholds, most: int) -> None:
        self.stretch = most if levels.above is None else max(levels.size, most // levels.size * levels.size)
        self._above, self._more = np.empty((2, self.stretch + 1), dtype=np.bool_)

    def changes(self, codes: Codes, start: int, state: bool, rows: _Rows) -> NDArray[np.intp]:
        """(n,) samples of the stretch that begins at `start` with which the state changes, from `state` on."""
        count = len(codes)
        above, more = self._above[: count + 1], self._more[: count + 1]
        above[0] = more[0] = state
        here = 0 if rows.one else start // rows.size - rows.first
        _compare(np.greater_equal, codes, rows.up[here:], rows.size, above[1:])
        _compare(np.greater, codes, rows.down[here:], rows.size, more[1:])
        between = np.not_equal(above[1:], more[1:], out=more[1:])
        if not between.any():
            return np.flatnonzero(np.not_equal(above[1:], above[:-1], out=more[1:]))
        # A sample that is between the levels decides nothing: those that do, where they differ from the last that did.
        level = above.view(np.uint8)
        level += level
        level[1:] += between.view(np.uint8)  # 2 above, 1 between, 0 below
        at = np.flatnonzero(np.not_equal(level[1:], level[:-1], out=between))
        reached = level[1:][at]
        decided = reached != _BETWEEN
        at, high = at[decided], reached[decided] == _ABOVE
        changed = np.empty(len(high), dtype=np.bool_)
        if len(high):
            changed[0] = high[0] != state
            np.not_equal(high[1:], high[:-1], out=changed[1:])
        found: NDArray[np.intp] = at[changed]
        return found


def _compare(compare: np.ufunc, codes: Codes, levels: Codes, size: int, seen: BoolArray) -> None:
    """Codes against the level of each row of `size` of them, or of all."""
    if len(levels) == 1:
        compare(codes, levels[0], out=seen)
        return
    whole = len(codes) // size
    cut = whole * size
    if whole:
        compare(codes[:cut].reshape(whole, size), levels[:whole, None], out=seen[:cut].reshape(whole, size))
    if cut < len(codes):
        compare(codes[cut:], levels[whole], out=seen[cut:])


def _volts(trace: Trace, code: int) -> float:
    return (code - trace.y_origin - trace.y_reference) * trace.y_increment_v

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

_BLOCK = 1 << 20  # samples searched at a time, if nobody wants fewer: calls cost nothing then
_TELLING, _SPARE = 0.05, 0.05  # of a trace: less says little of how many edges the rest has; and room beyond that


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


def pulses_at(trace: Trace, samples: Upright, levels: Thresholds, most: int | None = None) -> Pulses:
    """All pulses between levels in upright codes; `most` samples are searched at a time."""
    edges = Edges(trace, samples, levels, most=most)
    edge_s, count = np.empty(edges.stretch // 8), 0
    for stop, at, between in edges.found():
        if count + len(at) > len(edge_s):
            grown = np.empty(_room(count + len(at), stop / len(samples)))
            grown[:count] = edge_s[:count]
            edge_s = grown
        edges.times(at, between, edge_s[count : count + len(at)])
        count += len(at)
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
        self._changes = _Changes(levels, min(stop - start, _BLOCK, most or _BLOCK))
        self.stretch = self._changes.stretch
        self._start, self._stop = start if levels.above is None else start // levels.size * levels.size, stop
        low, high = (level[0] for level in levels.of(self._start // levels.size, self._start // levels.size + 1))
        begin = int(samples.part(self._start, self._start + 1)[0])
        self.first = bool(begin >= high or (begin > low and 2 * begin >= low + high))

    def __iter__(self) -> Iterator[tuple[int, FloatArray]]:
        for stop, at, between in self.found():
            yield stop, self.times(at, between, np.empty(len(at)))

    def times(self, at: NDArray[np.intp], between: NDArray[np.float32], edge_s: FloatArray) -> FloatArray:
        """The times, into `edge_s` (n,), of what was found between each sample `at` (n,) and the next."""
        np.copyto(edge_s, at)
        edge_s += between.astype(np.float64)  # all of one type: a mixed sum takes longer than both conversions
        edge_s *= self._trace.x_increment_s
        edge_s += self._trace.x_origin_s
        return edge_s

    def found(self) -> Iterator[tuple[int, NDArray[np.intp], NDArray[np.float32]]]:
        """The same, as samples (n,) and how far (n,) from there to the next one the state changes."""
        state = self.first
        rows = _Rows(self._levels, self._start, self._start + 1)
        for start in range(self._start, self._stop, self.stretch):
            stop = min(start + self.stretch, self._stop)
            if not rows.one:
                rows = _Rows(self._levels, max(start - 1, 0), stop)
            codes = self._samples.part(max(start - 1, 0), stop)
            if not start:
                codes = np.concatenate([codes[:1], codes])  # nothing is before the first sample
            at, reached = self._changes.of(codes[1:], start, state, rows)
            before = codes[at]
            at += start - 1
            yield stop, at, _between(before, reached, rows, rows.levels(at, not state))
            state ^= bool(len(at) % 2)


def _room(count: int, part: float) -> int:
    """Edges to make room for: the trace may go on as it began, but for so much of it that says little."""
    return count + int(count * max(_SPARE, (1 + _SPARE) / part - 1) if part > _TELLING else count)


class _Rows:
    """The levels of some rows of samples, from the row `first` on: as they are, and as codes that reach them."""

    def __init__(self, levels: Thresholds, start: int, stop: int) -> None:
        self.one, self.size, self.first = levels.above is None, levels.size, start // levels.size
        low, high = levels.of(self.first, -(-stop // levels.size))
        self.up = np.ceil(high).astype(np.uint8)
        self.down = np.minimum(np.floor(low).astype(np.uint8), self.up - np.uint8(1))
        self._both = np.stack([low, high], axis=1).astype(np.float32)
        self._alternating = np.empty(0, dtype=np.float32)

    def of(self, at: NDArray[np.intp]) -> NDArray[np.intp]:
        """Rows of samples."""
        return np.maximum(at, 0) // self.size - self.first

    def levels(self, at: NDArray[np.intp], up: bool) -> NDArray[np.float32]:
        """(n,) the upper and the lower level in turn, at samples (n,); first the upper one if `up`."""
        if not self.one:
            return self._both[self.of(at), (np.arange(len(at)) + up) % 2]
        if len(self._alternating) <= len(at):
            self._alternating = np.tile(self._both[0], len(at) // 2 + 1)
        return self._alternating[int(up) : int(up) + len(at)]


def _between(before: Codes, reached: Codes, rows: _Rows, levels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Where (n,) between two samples a level is reached."""
    where = before.astype(np.float32)
    step = reached.astype(np.float32)
    step -= where
    np.subtract(levels, where, out=where)
    if rows.one:
        where /= step
        return where
    where /= np.where(step == 0, np.float32(1), step)
    return np.clip(where, 0, 1, out=where)  # a level that changes on the way may have been passed already


class _Changes:
    """Where the state changes, in a stretch of samples at a time; uses its arrays again."""

    def __init__(self, levels: Thresholds, most: int) -> None:
        self.stretch = most if levels.above is None else max(levels.size, most // levels.size * levels.size)
        self._beyond, self._changed = np.empty((2, self.stretch + 1), dtype=np.bool_)

    def of(self, codes: Codes, start: int, state: bool, rows: _Rows) -> tuple[NDArray[np.intp], Codes]:
        """(n,) samples of the stretch that begins at `start` with which the state changes, from `state` on; (n,) their
        codes.
        """
        beyond, changed = self._beyond[: len(codes) + 1], self._changed[: len(codes)]
        beyond[0] = state
        here = 0 if rows.one else start // rows.size - rows.first
        _compare(np.greater_equal, codes, rows.up[here:], rows.size, beyond[1:])
        np.bitwise_xor(beyond[1:].view(np.uint8), beyond[:-1].view(np.uint8), out=changed.view(np.uint8))
        at = np.flatnonzero(changed)
        reached = codes[at]
        # Where the trace has left the upper level and is below the lower one at once, the state changes with it.
        left = slice(1 - int(state), None, 2)
        down = rows.down if rows.one else rows.down[rows.of(at[left] + start)]
        if not (reached[left] > down).any():
            return at, reached
        _compare(np.greater, codes, rows.down[here:], rows.size, beyond[1:])
        down_at = np.flatnonzero(np.greater(beyond[:-1], beyond[1:], out=changed))
        at = _in_turn(at[int(state) :: 2], down_at, state)
        return at, codes[at]


def _in_turn(up: NDArray[np.intp], down: NDArray[np.intp], state: bool) -> NDArray[np.intp]:
    """(n,) changes from `state` on, where the upper level is reached at `up` (k,) and the lower one at `down` (m,)."""
    next_down = np.searchsorted(down, up)
    rises = np.diff(next_down, prepend=0 if state else -1) > 0  # from others on, it has not been down since
    up, next_down = up[rises], next_down[rises]
    if state:
        next_down = np.concatenate([[0], next_down])
    next_down = next_down[: len(next_down) - int(len(next_down) > 0 and next_down[-1] == len(down))]
    found = np.empty(len(up) + len(next_down), dtype=np.intp)
    found[int(state) :: 2], found[1 - int(state) :: 2] = up, down[next_down]
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

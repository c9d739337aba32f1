"""How high pulses are, and of what shape: mean heights, moments within them, how they end, and what tails they leave.

Everything is in codes above the rest level at that place.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drivers.decode.levels import Levels, Upright
from drivers.decode.schmitt import Pulses
from drivers.signals import BoolArray, FloatArray, Trace

WINDOW = 32  # samples of a pulse that are averaged at the most
_CHUNK = 1 << 12  # pulses compared with those before them at a time: what that needs stays in the cache
_AT_ONCE = 1 << 14  # samples of pulses that are averaged at a time
TAIL = 4  # pulse widths after a rise, in which a tail is looked for
_TAIL_PULSES, _TAIL_LEAST = 4096, 16  # pulses without neighbours that a tail is told by, at the most and at the least


@dataclass(frozen=True, eq=False)
class Seen:
    """A trace whose pulses are measured: upright codes, their levels, and samples in the width of a pulse."""

    samples: Upright
    levels: Levels
    trace: Trace
    window: int

    def index(self, time_s: FloatArray) -> FloatArray:
        """Samples, whole or not, at times."""
        found = time_s - self.trace.x_origin_s
        found /= self.trace.x_increment_s
        return found

    def at(self, middle: FloatArray, window: int) -> tuple[NDArray[np.uint8], FloatArray]:
        """Codes (n, count) about each middle, `count` of them spread over `window` samples; and the rest there (n,)."""
        count = min(window, WINDOW)
        steps = (np.arange(count) - (count - 1) / 2) * (window / count)
        places = middle[:, None] + steps
        index = np.rint(places, out=places).astype(np.intp)
        return self.samples.at(np.clip(index, 0, len(self.samples) - 1, out=index)), self.levels.rest_at(middle)

    def middles(self, pulses: Pulses) -> FloatArray:
        """(n,) samples: where pulses have their middle; of one much wider than a pulse, that of its beginning."""
        rise, fall = self.index(pulses.rise_s), self.index(pulses.fall_s)
        rise += np.minimum(fall, rise + 2 * self.window, out=fall)
        rise /= 2
        return rise

    def mean(self, middle: FloatArray, window: int) -> FloatArray:
        """(n,) mean over a window about each middle."""
        found = np.empty(len(middle))
        many = max(1, _AT_ONCE // min(window, WINDOW))
        for start in range(0, len(middle), many):
            part = slice(start, start + many)
            codes, rest = self.at(middle[part], window)
            found[part] = codes.mean(axis=1, dtype=np.float32) - rest
        return found


@dataclass(frozen=True, eq=False)
class Tail:
    """What a real pulse leaves behind it, a line with slow edges: `sums` (samples + 1,) of its mean height since its
    rise, of which `reach` samples are looked at; nothing where too few pulses tell.
    """

    sums: FloatArray
    reach: int
    window: int

    def mean(self, delay: FloatArray) -> FloatArray:
        """(n,) over a pulse's width about a middle so many samples after the rise."""
        if not len(self.sums):
            return np.zeros(len(delay))
        start = np.clip(delay - self.window / 2 + 0.5, 0, self.reach)
        ends = np.interp(np.stack([start, start + self.window]), np.arange(len(self.sums)), self.sums)
        found: FloatArray = (ends[1] - ends[0]) / self.window
        return found


def mean_heights(seen: Seen, pulses: Pulses) -> FloatArray:
    """(n,) over a pulse's width in the middle of each."""
    return seen.mean(seen.middles(pulses), seen.window)


def middle_heights(seen: Seen, pulses: Pulses) -> FloatArray:
    """(n,) of the sample in the middle of each."""
    return seen.mean(seen.middles(pulses), 1)


def end_heights(seen: Seen, pulses: Pulses, tail: Tail) -> FloatArray:
    """(n,) over a pulse's width before the end of each, without what it leaves there itself."""
    middle = np.minimum(seen.index(pulses.fall_s), len(seen.samples)) - seen.window / 2
    return seen.mean(middle, seen.window) - tail.mean(middle - seen.index(pulses.rise_s))


def aligned(seen: Seen, pulses: Pulses, which: BoolArray) -> FloatArray:
    """(chosen,) samples: the middles of the pulses `which` where they are highest, but for what belongs to others.

    In noise a low pulse may seem to begin late or end early, and its middle is not where it seems.
    """
    at = np.flatnonzero(which)
    middle = seen.middles(pulses.where(which))
    left, right = np.full(len(at), -np.inf), np.full(len(at), np.inf)
    left[at > 0] = seen.index(pulses.fall_s[at[at > 0] - 1]) + (seen.window / 2 + 0.5)
    last = at == len(pulses) - 1
    right[~last] = seen.index(pulses.rise_s[at[~last] + 1]) - (seen.window / 2 + 0.5)
    best, height = middle, seen.mean(middle, seen.window)
    for shift in range(-(seen.window // 2), seen.window // 2 + 1):
        moved = middle + shift
        found = seen.mean(moved, seen.window)
        better = (found > height) & (moved >= left) & (moved <= right)
        best, height = np.where(better, moved, best), np.where(better, found, height)
    return best


def without_moment(seen: Seen, middle: FloatArray, moment: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    """(n,) each: the mean of a pulse's `moment` highest samples, the highest of its others, and their mean."""
    codes, rest = seen.at(middle, seen.window)
    split = codes.shape[1] - max(1, round(moment * codes.shape[1] / seen.window))
    if split < 1:
        none = np.zeros(len(middle))
        return none, none, none
    ordered = np.partition(codes, split - 1, axis=1)
    top, others = (part.mean(axis=1, dtype=np.float64) - rest for part in (ordered[:, split:], ordered[:, :split]))
    return top, ordered[:, split - 1] - rest, others


def tail_of(seen: Seen, pulses: Pulses, real: BoolArray) -> Tail:
    """Told by the mean of pulses that have no neighbour; as far as it only falls, so that no echo is taken for it."""
    reach, rise = TAIL * seen.window, seen.index(pulses.rise_s)
    late = np.diff(rise, prepend=-np.inf) > reach
    alone = np.flatnonzero(real & late & np.append(late[1:], np.ones(min(len(rise), 1), dtype=np.bool_)))
    if len(alone) < _TAIL_LEAST:
        return Tail(np.empty(0), reach, seen.window)
    alone = alone[:: -(-len(alone) // _TAIL_PULSES)]
    shape = np.array([seen.mean(rise[alone] + k, 1).mean() for k in range(reach + seen.window)])
    shape[int(shape.argmax()) :] = np.maximum(np.minimum.accumulate(shape[int(shape.argmax()) :]), 0)
    return Tail(np.concatenate([[0.0], np.cumsum(shape)]), reach, seen.window)


def tails(seen: Seen, pulses: Pulses, real: BoolArray, tail: Tail) -> FloatArray:
    """(n,) how much of each pulse's mean height is what the real one before it has left."""
    left = np.zeros(len(pulses))
    if not len(tail.sums):
        return left
    which = np.flatnonzero(real)
    rise = seen.index(pulses.rise_s[which])
    for start in range(0, len(pulses), _CHUNK):
        part = slice(start, min(start + _CHUNK, len(pulses)))
        before = np.searchsorted(which, np.arange(part.start, part.stop)) - 1  # the last real one before each
        middle = seen.middles(Pulses(pulses.rise_s[part], pulses.fall_s[part], starts_high=False, ends_high=False))
        delay = middle - np.where(before >= 0, rise[np.maximum(before, 0)] if len(rise) else 0, -np.inf)
        near = np.flatnonzero(delay < tail.reach)
        left[start + near] = tail.mean(delay[near])
    return left

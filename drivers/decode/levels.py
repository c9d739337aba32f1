"""Where a trace rests and how high its pulses reach, tracked along the trace, so that drift, hum and noise are known.

Everything is in codes, with pulses upwards. The rest level of a block is told by the least codes of groups of its
samples; noise by differences of neighbouring samples.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from drivers.signals import FloatArray

Codes = NDArray[np.uint8]
CLIPPED_LOW, CLIPPED_HIGH = 1, 254  # codes at or beyond these lie at the edge of the screen
PICKED = 32  # samples of a block that are looked at
_GROUPS = 4
_LEAST_OF_GROUP = 1.6  # σ that the second least of four groups lies below rest, when there are no pulses
_LEAST_OF_BLOCK = 2.0  # σ that the least of a block's few samples of rest lies below it
_NOISE_LEAST = 0.3  # codes rms: an 8-bit code is never known better
_LITTLE = 4.0  # codes rms: less noise leaves the level known well enough
_AT_ONCE = 1 << 9  # blocks looked at at once
_NOISE_PAIRS, _PAIRS_AT_ONCE = 1 << 16, 1 << 13
_TOGETHER = 8  # blocks whose mean tells rest better than each
_FINER = 8  # a wandering level is followed in such parts of a block
_QUARTILE = 0.4506  # of |x − y| for independent normal x, y of σ = 1
_TOP_BIAS = 1.2  # σ that the greatest of a pulse's few samples lies above its top
SEEN = 6.0  # σ above rest, from which a block is said to hold a pulse
STEADY = 0.04  # of the swing: rest that moves less is taken as one level


@dataclass(frozen=True, eq=False)
class Upright:
    """Codes (samples,) uint8 read with their pulses upwards."""

    codes: Codes
    flipped: bool = False

    def __len__(self) -> int:
        return len(self.codes)

    def part(self, start: int, stop: int) -> Codes:
        """Codes start…stop−1."""
        part = self.codes[start:stop]
        return np.uint8(255) - part if self.flipped else part

    def at(self, index: NDArray[np.intp]) -> Codes:
        """Codes at an index of any shape."""
        picked = self.codes[index]
        return np.uint8(255) - picked if self.flipped else picked


@dataclass(frozen=True, eq=False)
class Levels:
    """`rest` (blocks,) of `block` samples each, codes; `noise`, codes rms.

    `swing` is how far typical pulses rise above rest, codes; 0 where nothing rises out of the noise by `least`.
    """

    block: int
    rest: FloatArray
    noise: float
    swing: float

    @cached_property
    def middle(self) -> float:
        """The rest level of most of the trace."""
        return float(np.median(self.rest))

    def rest_at(self, index: FloatArray) -> FloatArray:
        """Rest (n,) at samples (n,), between blocks interpolated."""
        if len(self.rest) == 1:
            return np.full(index.shape, self.rest[0])
        if not len(index):
            return np.empty(0)
        first, last = (int(min(max(at / self.block, 1.0), len(self.rest))) - 1 for at in (index.min(), index.max()))
        about = slice(max(first - 1, 0), last + 3)  # the others tell nothing here
        centres = (np.arange(*about.indices(len(self.rest)), dtype=np.float64) + 0.5) * self.block
        return np.interp(index, centres, self.rest[about])

    def steady(self, swing: float) -> bool:
        """Whether rest stays within a small part of the swing."""
        return self._spread <= max(STEADY * swing, 2 * self.noise)

    @cached_property
    def wander(self) -> float:
        """By how many codes rest moves, as well as many blocks together tell."""
        many = min(_TOGETHER, len(self.rest))
        sums = np.zeros(len(self.rest) + 1)
        np.cumsum(self.rest, out=sums[1:])
        return float(np.ptp(sums[many:] - sums[:-many])) / many

    @cached_property
    def _spread(self) -> float:
        return float(np.ptp(self.rest))

    def above_rest(self, low: float, high: float, samples: int, *, steady: bool | None = None) -> Thresholds:
        """Levels `low` and `high` codes above rest; the same everywhere on a `steady` line (rest tells, by default)."""
        if self.steady(high) if steady is None else steady:
            return between(self.middle + low, self.middle + high, samples)
        size = self.block // _FINER if self.block >= PICKED * _FINER // 2 else self.block
        return Thresholds(size, low, high, self)


@dataclass(frozen=True, eq=False)
class Thresholds:
    """A lower and an upper level, codes: the same everywhere, or so much above rest, by rows of `size` samples."""

    size: int
    low: float
    high: float
    above: Levels | None = None

    def of(self, first: int, stop: int) -> tuple[FloatArray, FloatArray]:
        """Either level of the rows `first` to before `stop`, (rows,); (1,) where they are the same everywhere."""
        if self.above is None:
            return np.array([self.low]), np.array([self.high])
        rest = self.above.rest_at((np.arange(first, stop, dtype=np.float64) + 0.5) * self.size)
        return _on_screen(rest + self.low, rest + self.high)


def between(low: float, high: float, samples: int) -> Thresholds:
    """The same levels for all samples, with something on the screen beyond either."""
    lower, upper = _on_screen(np.array([low]), np.array([high]))
    return Thresholds(samples, float(lower[0]), float(upper[0]))


def _on_screen(low: FloatArray, high: FloatArray) -> tuple[FloatArray, FloatArray]:
    top: FloatArray = np.clip(high, 2, 254)
    return np.clip(low, 1, top - 1), top


def track(samples: Upright, block: int, lag: int, beyond: float, least: Callable[[float], float]) -> Levels:
    """Levels of a trace in blocks of about `block` samples; noise from samples `lag` apart.

    No rest is beyond the code `beyond`: a block that looks so may hold pulses nearly all the time, and its least code
    is taken. `least`: rest level → how far above it a pulse must reach at the least, codes.
    """
    block = max(PICKED, min(block, len(samples)) // PICKED * PICKED)
    noise, blocks = _noise(samples, lag), max(len(samples) // block, 1)
    rest, top = np.empty(blocks), np.empty(blocks, dtype=np.uint8)
    places = np.random.default_rng(0).permutation(block)[:PICKED]  # irregular, so that no pulse train keeps step
    for start in range(0, blocks, _AT_ONCE):
        picked = _picked(samples, block, start, places)
        rest[start : start + _AT_ONCE], top[start : start + _AT_ONCE] = _levels_of(picked, noise)
    rest = median_of_three(_below(samples, block, rest, beyond, noise))
    rise = top - rest
    rise = rise[rise >= max(least(float(np.median(rest))), SEEN * noise)]
    swing = float(np.quantile(rise, 0.75, overwrite_input=True)) - _TOP_BIAS * noise if len(rise) else 0.0
    return Levels(block, rest, noise, swing)


def _below(samples: Upright, block: int, rest: FloatArray, beyond: float, noise: float) -> FloatArray:
    """Rest levels, where they are beyond a code replaced by what the block's least code tells."""
    high = np.flatnonzero(rest > beyond)
    if not len(high) or len(samples) < block:
        return rest
    rows = samples.codes[: len(rest) * block].reshape(len(rest), block)[high]
    least = 255 - rows.max(axis=1).astype(np.float64) if samples.flipped else rows.min(axis=1).astype(np.float64)
    found = rest.copy()
    found[high] = np.minimum(rest[high], least + _LEAST_OF_BLOCK * noise)
    return found


def _mean_rest(picked: Codes, rest: FloatArray, noise: float) -> FloatArray:
    """The mean of what lies within the noise about rest: known better than from a few least codes."""
    if noise < _LITTLE:
        return rest
    near = np.abs(picked - rest.astype(np.float32)) <= np.float32(3 * noise)
    count = near.sum(axis=0)
    mean = np.where(near, picked, 0).sum(axis=0, dtype=np.float64) / np.maximum(count, 1)
    found: FloatArray = np.where(count >= _GROUPS, mean, rest)
    return found


def sums_of(codes: Codes, width: int) -> NDArray[np.uint16]:
    """(samples − width + 1,) sums of `width` neighbours, a power of two up to 256.

    The codes are added to themselves, shifted by 1, 2, 4 …
    """
    sums = codes.astype(np.uint16)
    reach = 1
    while reach < width:
        sums = sums[:-reach] + sums[reach:]
        reach *= 2
    return sums


def _levels_of(picked: Codes, noise: float) -> tuple[FloatArray, Codes]:
    """Rest and greatest code of blocks, told by some samples of each (PICKED, blocks)."""
    groups = np.stack([picked[i::_GROUPS].min(axis=0) for i in range(_GROUPS)])
    second = np.partition(groups, 1, axis=0)[1]  # one group may have met an undershoot, and others pulses only
    return _mean_rest(picked, second + _LEAST_OF_GROUP * noise, noise), picked.max(axis=0)


def _picked(samples: Upright, block: int, start: int, places: NDArray[np.intp]) -> Codes:
    """(PICKED, blocks): samples at some places of whole blocks from `start` on, as many as are looked at at once."""
    stop = min(len(samples) // block, start + _AT_ONCE)
    if not stop:
        return np.resize(samples.part(0, len(samples)), (PICKED, 1))
    picked = np.ascontiguousarray(samples.codes[start * block : stop * block].reshape(-1, block)[:, places].T)
    return np.uint8(255) - picked if samples.flipped else picked


def _noise(samples: Upright, lag: int) -> float:
    """Codes rms, from the lower quartile of differences: half of them may lie across edges."""
    apart = len(samples) - lag
    if apart < _GROUPS:
        return _NOISE_LEAST
    step = max(1, apart // _NOISE_PAIRS)
    first, second = (samples.codes[start : start + apart : step] for start in (0, lag))
    counts = np.zeros(256, dtype=np.intp)
    for start in range(0, len(first), _PAIRS_AT_ONCE):
        some = first[start : start + _PAIRS_AT_ONCE].astype(np.int16)
        apart_by = np.abs(some - second[start : start + _PAIRS_AT_ONCE])  # as great whichever way is up
        inside = (some > CLIPPED_LOW) & (some < CLIPPED_HIGH)  # the edge of the screen shows no noise
        counts += np.bincount(apart_by[inside], minlength=256)
    if counts.sum() < PICKED:
        return _NOISE_LEAST
    share = np.cumsum(counts[: max(int(np.flatnonzero(counts)[-1]) + 1, 2)]) / counts.sum()
    edges = np.arange(len(share)) + 0.5
    quartile = float(np.interp(0.25, np.concatenate([[0.0], share]), np.concatenate([[0.0], edges])))
    return max(_NOISE_LEAST, quartile / _QUARTILE)


def median_of_three(values: FloatArray) -> FloatArray:
    """(n,) the middle one of each and its two neighbours; the first and the last as they are."""
    found = values.copy()
    if len(values) < 3:
        return found
    before, here, after = values[:-2], values[1:-1], values[2:]
    least = np.minimum(before, here)
    middle = np.maximum(before, here, out=found[1:-1])
    np.minimum(middle, after, out=middle)
    np.maximum(middle, least, out=middle)
    return found

"""Pulses too low to be found: a running mean as wide as a pulse sees them where single samples do not.

The running mean is the matched filter of a rectangular pulse in white noise (G. L. Turin, IRE Trans. Inf. Theory 6:311,
1960).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from drivers.decode.judge import limits
from drivers.decode.levels import Thresholds, sums_of
from drivers.decode.measured import Reading
from drivers.signals import FloatArray

FAINT = "faint, lower than any that counts"  # of a note
_CHUNK = 1 << 15  # samples averaged at a time
_WIDEST = 64  # samples of a running mean: 64 · 255 fits 16 bits
_STILL = 0.1  # of the least height looked for: rest that moves less is taken as one level
_SURE = 6.0  # σ of the mean above rest: by chance once in 10⁹ samples


def faint_pulses(reading: Reading) -> FloatArray:
    """(n, 2) s: where the trace rises as a low pulse would, more than a pulse's width from any pulse found."""
    height = reading.height or reading.swing  # where no pulse tells, what the settings expect of one
    width = 1 << min(reading.window, _WIDEST).bit_length() - 1
    noise = reading.noise_of(width)
    _, none = limits(noise / height)
    least = max(none * height, _SURE * noise)
    # The mean would take for a pulse, where rest moves, what single samples do not.
    steady = reading.levels.wander <= max(noise, _STILL * least)
    levels = reading.levels.above_rest(least / 2, least, len(reading.samples), steady=steady)
    found = [np.empty((0, 2))]
    for runs in _runs(reading, width, levels):  # of all pulses, in the main
        spans = runs.astype(np.float64) * reading.trace.x_increment_s + reading.trace.x_origin_s
        found.append(spans[_apart(spans, reading)])
    return np.concatenate(found)


def _runs(reading: Reading, width: int, levels: Thresholds) -> Iterator[NDArray[np.intp]]:
    """(n, 2) first sample and the one after the last of every stretch whose running mean reaches the upper level."""
    size = levels.size
    chunk = max(size, _CHUNK // size * size) if size < _CHUNK else _CHUNK
    for start in range(reading.start, reading.stop, chunk):
        stop = min(start + chunk, reading.stop)
        sums = sums_of(reading.samples.part(start, stop + width - 1), width)[: stop - start]
        if not len(sums):
            return
        _, high = levels.of(start // size, (stop - 1) // size + 1)
        least = np.ceil(high * width).astype(np.uint16)
        rows = least if levels.above is None else np.repeat(least, size)[start % size :][: len(sums)]
        above = sums >= rows
        if above.any():
            edges = np.flatnonzero(np.diff(above, prepend=False, append=False)).reshape(-1, 2)
            edges[:, 1] += width - 1
            yield edges + start


def _apart(spans: FloatArray, reading: Reading) -> NDArray[np.bool_]:
    """Which spans lie more than a pulse's width from every pulse."""
    pulses = reading.pulses
    margin_s = (reading.window + 1) * reading.trace.x_increment_s
    clear = spans[:, 0] > pulses.begins_low_s + margin_s
    if len(pulses):
        before = np.searchsorted(pulses.rise_s, spans[:, 1] + margin_s, side="right") - 1
        clear &= (before < 0) | (pulses.fall_s[np.maximum(before, 0)] + margin_s < spans[:, 0])
    return clear

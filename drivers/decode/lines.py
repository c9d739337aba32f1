"""The pulses of one line: found relative to the levels of their own trace, joined where they break, and measured.

Where the trace shows what its pulses look like, a pulse begins at 0.42 and ends at 0.27 of their height above the rest
level at that place. The threshold of the settings says what the line must pass to have pulses at all.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from drivers.decode.clipping import check_clipping
from drivers.decode.levels import Levels, sums_of, track
from drivers.decode.measured import HIGH, LOW, Reading
from drivers.decode.pieces import Quiet, pieces, sampled
from drivers.decode.schmitt import Edges, Pulses, check_on_screen, code_of, pulses_at, upright
from drivers.decode.shapes import mean_heights, middle_heights
from drivers.signals import BoolArray, Trace

JOINED = 0.9  # of a pulse's width: what rises sooner after a rise is the same pulse, torn
_WIDE = 1.25  # times a pulse's width: what is torn and wider is no pulse
MOMENT = 0.25  # of a pulse's width: what is narrower, beside a whole pulse, is none
WHOLE = 0.75  # of a pulse's width: what is as wide is no piece of a pulse
_AXON_BLOCK, _LONG_BLOCK = 32, 8  # pulse widths that a block of levels holds
_SMOOTHED_GAP = 0.7  # of the shortest gap between pulses may be averaged away
_SMOOTHED_MOST = 256  # samples: their sum fits 16 bits
_CHUNK = 1 << 15  # samples averaged at a time
_NOISY, _NOISY_LONG = 0.13, 0.06  # of the swing: with more noise, neighbours are averaged first; of long pulses sooner
_UNLIKE = 0.25  # swing and height may differ so far before pulses are looked for again
_SEARCHED = 1 << 16  # samples searched for edges at a time: a little slower than more, and in less memory
_ENOUGH = 2_000  # pulses of a sample: fewer may tell little of the others


@dataclass(frozen=True)
class Line:
    """What to expect of a line: how wide its pulses are, how near to each other, what they pass, and which way."""

    width_s: float
    gap_s: float
    threshold_v: float
    hysteresis_v: float
    inverted: bool = False
    dense: bool = True  # pulses may fill half of the time; otherwise they are longer than a few samples


def read_line(trace: Trace, line: Line, most: int | None = None) -> Reading:
    """All pulses of a trace, or a sample of them if it has more than `most` samples and the sample tells enough.

    Raises CaptureError where it is empty, clipped, or its scale is off.
    """
    upright(trace)
    half = line.hysteresis_v / 2
    check_on_screen(trace, line.threshold_v - half, line.threshold_v + half)
    levels, swing = _levels(trace, line, 1)
    noisy = _NOISY if line.dense else _NOISY_LONG
    smoothed, widest = 1, min(line.width_s / 2, _SMOOTHED_GAP * line.gap_s) / trace.x_increment_s
    while levels.noise / np.sqrt(smoothed) > noisy * swing and 2 * smoothed <= min(widest, _SMOOTHED_MOST):
        smoothed *= 2
    if smoothed > 1:
        trace = _smooth(trace, smoothed)
        levels, swing = _levels(trace, line, smoothed)
    reading = _measured(trace, levels, line, swing, smoothed, most)
    if reading.height and abs(reading.height / swing - 1) > _UNLIKE:
        # The levels came from too few or too noisy samples: pulses themselves tell better.
        reading = _measured(trace, levels, line, _swing(reading, swing), smoothed, most)
    check_clipping(reading)
    return reading


def _levels(trace: Trace, line: Line, smoothed: int) -> tuple[Levels, float]:
    """Levels and swing; the swing is twice the threshold above rest where no pulse tells."""
    samples = upright(trace, inverted=line.inverted)
    threshold = code_of(trace, samples, line.threshold_v)
    slack = line.hysteresis_v / 2 / abs(trace.y_increment_v)
    width = line.width_s / trace.x_increment_s
    block = round((_AXON_BLOCK if line.dense else _LONG_BLOCK) * width)
    lag = max(1, round(width / 4), smoothed)
    levels = track(samples, max(64, block), lag, threshold, lambda rest: threshold - slack - rest)
    return levels, levels.swing or 2 * max(threshold - levels.middle, slack)


def _smooth(trace: Trace, width: int) -> Trace:
    """Means of `width` neighbours, a power of two."""
    if len(trace.codes) <= width:
        return trace
    codes = np.empty(len(trace.codes) - width + 1, dtype=np.uint8)
    for start in range(0, len(codes), _CHUNK):
        sums = sums_of(trace.codes[start : start + _CHUNK + width - 1], width)
        codes[start : start + _CHUNK] = (sums + width // 2) // width
    return replace(trace, codes=codes, x_origin_s=trace.x_origin_s + (width - 1) / 2 * trace.x_increment_s)


def low_swing(reading: Reading, line: Line) -> Reading | None:
    """The same line read for pulses too low to pass its threshold; None where nothing rises out of the noise."""
    levels = track(reading.samples, reading.levels.block, reading.smoothed, 255, lambda _rest: 4.0)
    if levels.swing < 8 * levels.noise:
        return None
    return _measured(reading.trace, levels, line, levels.swing, reading.smoothed)


def _measured(
    trace: Trace, levels: Levels, line: Line, swing: float, smoothed: int, most: int | None = None
) -> Reading:
    samples = upright(trace, inverted=line.inverted)
    thresholds = levels.above_rest(LOW * swing, HIGH * swing, len(samples))
    found, whole = None, most is None or len(samples) <= most
    if not whole:
        found = sampled(trace, samples, thresholds)
        whole = len(found) < _ENOUGH
    if found is None or whole:
        found = pulses_at(trace, samples, thresholds, _SEARCHED)
    window = max(1, round(line.width_s / trace.x_increment_s))
    none = Reading(
        trace=trace,
        samples=samples,
        levels=levels,
        pulses=found,
        heights=np.empty(0),
        torn=np.empty(0, dtype=np.bool_),
        beside=0,
        window=window,
        swing=swing,
        smoothed=smoothed,
        thresholds=thresholds,
        stop=len(samples),
        whole=whole,
    )
    return _with_pulses(none, line, found)


def _with_pulses(reading: Reading, line: Line, found: Pulses) -> Reading:
    """The line, with pulses as they were found."""
    step_s = reading.trace.x_increment_s
    # An edge is a ramp from one sample to the next, or as long as the mean of neighbours: time is that of its middle.
    found.rise_s[:] += (0.5 - HIGH) * reading.smoothed * step_s
    found.fall_s[:] -= (0.5 - LOW) * reading.smoothed * step_s
    found, beside = _without_moments(found, line.width_s, step_s)
    found, loose = _without_loose(found, line.width_s, step_s)
    pulses, torn = joined(found, JOINED * line.width_s)
    heights = mean_heights(reading.seen, pulses)
    return replace(reading, pulses=pulses, heights=heights, torn=torn, beside=beside + loose)


def in_pieces(reading: Reading, line: Line, quiet: Quiet, size: int) -> Iterator[Reading]:
    """All pulses of a line of which a sample was read, some `size` samples at a time."""
    edges = Edges(reading.trace, reading.samples, reading.thresholds, most=size)
    for piece in pieces(edges, reading.trace, quiet, size):
        here = replace(reading, start=piece.start, stop=piece.stop, typical=reading.height)
        yield _with_pulses(here, line, piece.pulses)


def _swing(reading: Reading, before: float) -> float:
    """The height of pulses at their middles, which slow edges leave higher than their means."""
    middle = middle_heights(reading.seen, reading.pulses)
    real = middle[reading.heights > LOW * before]
    return max(float(np.median(real)) if len(real) else before, reading.height)


def _without_moments(pulses: Pulses, width_s: float, step_s: float) -> tuple[Pulses, int]:
    """Pulses without the moments that come just before or after a whole one; and how many there were.

    A pulse that is whole by itself has lost no piece: what is beside it is a glitch, and must not move its edges.
    """
    if len(pulses) < 2:
        return pulses, 0
    whole = pulses.width_s >= WHOLE * width_s
    near = np.diff(pulses.rise_s) < JOINED * width_s
    after = np.concatenate([[False], whole[:-1] & (pulses.rise_s[1:] - pulses.fall_s[:-1] < width_s)])
    moment = (pulses.width_s < MOMENT * width_s + step_s) & ~whole
    moment &= after | np.concatenate([near & whole[1:], [False]])
    return pulses.where(~moment), int(moment.sum())


def _without_loose(pulses: Pulses, width_s: float, step_s: float) -> tuple[Pulses, int]:
    """Pulses without moments at either end of pieces that together are too wide for a pulse, and without which they are
    a whole one that is not; and how many there were.
    """
    if np.diff(pulses.rise_s).min(initial=np.inf) >= JOINED * width_s:
        return pulses, 0
    first, last = _ends(pulses, JOINED * width_s)
    begin, end = np.flatnonzero(first), np.flatnonzero(last)
    wide = pulses.fall_s[end] - pulses.rise_s[begin] > _WIDE * width_s + 2 * step_s
    begin, end = begin[wide & (end > begin)], end[wide & (end > begin)]
    keep = np.ones(len(pulses), dtype=np.bool_)
    for piece, others in (
        (begin, pulses.fall_s[end] - pulses.rise_s[begin + 1]),
        (end, pulses.fall_s[end - 1] - pulses.rise_s[begin]),
    ):
        keep[piece] = ~(
            (pulses.width_s[piece] < MOMENT * width_s + step_s)
            & (others >= WHOLE * width_s)
            & (others <= _WIDE * width_s + 2 * step_s)
        )
    return pulses.where(keep), int((~keep).sum())


def _ends(pulses: Pulses, within_s: float) -> tuple[BoolArray, BoolArray]:
    """(n,) which pulses are the first, and which the last, of those that rise within a time of the one before."""
    first = np.diff(pulses.rise_s, prepend=-np.inf) >= within_s
    return first, np.append(first[1:], np.ones(min(len(pulses), 1), dtype=np.bool_))


def joined(pulses: Pulses, within_s: float) -> tuple[Pulses, BoolArray]:
    """Pulses, of which those that rise within a time of the one before are made part of it; and which were so (n,)."""
    if not len(pulses) or np.diff(pulses.rise_s).min(initial=np.inf) >= within_s:
        return pulses, np.zeros(len(pulses), dtype=np.bool_)
    first, last = _ends(pulses, within_s)
    return replace(pulses, rise_s=pulses.rise_s[first], fall_s=pulses.fall_s[last]), ~last[first]

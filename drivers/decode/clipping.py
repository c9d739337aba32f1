"""Is a trace clipped? Told by how many samples of rest, and of pulses, lie at the edge of the screen."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from drivers.decode.levels import CLIPPED_HIGH, CLIPPED_LOW
from drivers.decode.shapes import WINDOW
from drivers.errors import CaptureError
from drivers.signals import FloatArray

if TYPE_CHECKING:
    from drivers.decode.measured import Reading

_SHAPE_PULSES = 1024  # pulses that clipping is judged by, evenly spread: it is a matter of halves
_SHAPES_AT_ONCE = 256  # pulses looked at at once
_EVERYWHERE = 1 << 14  # samples of the whole trace, evenly spread
_MOVES = 0.06  # of the swing: rest that moves more is a line that hums or drifts
_PLATEAU, _RESTING = 0.7, 0.3  # of the swing: what is beyond belongs to the top, or to rest


def check_clipping(reading: Reading) -> None:
    """Refuse a trace whose rest or top lies at the edge of the screen; ringing and single excursions are no harm.

    Of what belongs to the top, or to rest, more than half at the very edge is no signal's shape and no noise. A line
    that hums or drifts may touch the edge now and then: what that hides, heights tell.
    """
    swing, levels = reading.swing, reading.levels
    limit = 0.5 if np.ptp(levels.rest) < _MOVES * swing else 0.9
    there, rails = np.zeros(2), np.zeros(2)  # samples that belong to rest or to the top, and those of them at the edge
    for codes, above, inside in _shapes(reading):
        part = codes[(above > _PLATEAU * swing) if inside else (above < _RESTING * swing)]
        there[inside] += len(part)
        rails[inside] += np.count_nonzero(part >= CLIPPED_HIGH if inside else part <= CLIPPED_LOW)
    for inside in (True, False):
        if rails[int(inside)] > limit * there[int(inside)]:
            edge = "top" if inside != reading.samples.flipped else "bottom"
            raise CaptureError(
                f"trace {reading.trace.name!r} is clipped at the {edge} of the screen: check that the probe's switch "
                "agrees with scope.probe and that scope.volts_per_div shows the whole signal"
            )


def _shapes(reading: Reading) -> Iterator[tuple[NDArray[np.uint8], FloatArray, int]]:
    """Codes within pulses (1), and codes everywhere (0), each with how far above rest they are."""
    step = max(1, -(-len(reading.pulses) // _SHAPE_PULSES))
    spread = (np.arange(WINDOW) + 0.5) / WINDOW
    for start in range(0, len(reading.pulses), step * _SHAPES_AT_ONCE):
        some = slice(start, start + step * _SHAPES_AT_ONCE, step)
        rise, fall = reading.seen.index(reading.pulses.rise_s[some]), reading.seen.index(reading.pulses.fall_s[some])
        long = np.minimum(fall, rise + 2 * reading.window + 2)
        inside = np.rint(rise[:, None] + (long - rise)[:, None] * spread).astype(np.intp).ravel()
        yield (*_above_rest(reading, np.minimum(inside, len(reading.samples) - 1)), 1)
    count = min(len(reading.samples), _EVERYWHERE)
    for start in range(0, count, WINDOW * _SHAPES_AT_ONCE):
        spread_at = np.arange(start, min(start + WINDOW * _SHAPES_AT_ONCE, count)) * (len(reading.samples) - 1)
        yield (*_above_rest(reading, spread_at // max(count - 1, 1)), 0)


def _above_rest(reading: Reading, index: NDArray[np.intp]) -> tuple[NDArray[np.uint8], FloatArray]:
    codes = reading.samples.at(index)
    return codes, codes - reading.levels.rest_at(index.astype(np.float64))

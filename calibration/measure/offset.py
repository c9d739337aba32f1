"""The threshold source against an oscilloscope on the V_th net, where one is wired: offset and gain of what is set."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from calibration.estimate import Z_95, Estimate, Result

if TYPE_CHECKING:
    pass

_LEAST_SPAN_V = 0.1  # between settings, for a gain to mean anything
_MOST_OFFSET_V, _MOST_GAIN_ERROR = 0.05, 0.05  # beyond any DAC and oscilloscope: the channel is elsewhere


class SourceResult(Result):
    """What the oscilloscope read on the V_th net, as reading = set + offset + (gain − 1)·(set − the middle setting).

    `offset_v` is at the middle of the settings; `gain` is null where they lie too close together. A comparator's own
    offset does not show here; it is in the window and the gain, which are found in the source's volts.
    """

    offset_v: Estimate
    gain: Estimate | None
    readings: int

    @property
    def believable(self) -> bool:
        """Whether the channel can be on the V_th net at all."""
        gain = self.gain.value if self.gain is not None else None
        return abs(self.offset_v.value or 0.0) < _MOST_OFFSET_V and abs((gain or 1.0) - 1) < _MOST_GAIN_ERROR


def compare_source(readings: list[tuple[float, float]]) -> SourceResult | None:
    """From (set, read) in volts by linear regression; None for fewer than three readings."""
    if len(readings) < 3:
        return None
    was, read = np.array(readings).T
    x = was - was.mean()
    error = read - was
    spread = float(x @ x)
    slope = float(x @ error) / spread if spread > 0 else 0.0
    residual = error - error.mean() - slope * x
    sd = float(np.sqrt(residual @ residual / max(len(readings) - 2, 1)))
    half, middle = Z_95 * sd / float(np.sqrt(len(readings))), float(error.mean())
    gain = None
    if np.ptp(was) >= _LEAST_SPAN_V:
        wide = Z_95 * sd / float(np.sqrt(spread))
        gain = Estimate(value=1 + slope, lo=1 + slope - wide, hi=1 + slope + wide)
    offset = Estimate(value=middle, lo=middle - half, hi=middle + half)
    return SourceResult(offset_v=offset, gain=gain, readings=len(readings))

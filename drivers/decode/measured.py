"""What was read of one line: its pulses and how high they are, and the levels that they were told by."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from drivers.decode.levels import Levels, Thresholds, Upright
from drivers.decode.schmitt import Pulses
from drivers.decode.shapes import WINDOW, Seen
from drivers.signals import BoolArray, FloatArray, Trace

HIGH, LOW = 0.42, 0.27  # of the swing: a runt of 0.58 passes the one in the noise of 20 dB, an echo of 0.4 does not


@dataclass(frozen=True, eq=False)
class Reading:
    """The pulses of one trace with their mean heights over a pulse's width, (n,) codes above rest.

    `torn` (n,) tells which were joined from pieces; `beside` moments beside whole pulses were left out. `smoothed`
    neighbours were averaged before, because of noise; `trace` is what came of that. Pulses are those of samples `start`
    to before `stop`, or a sample of all where it is not the `whole`; then `typical` is the height that all have.
    """

    trace: Trace
    samples: Upright
    levels: Levels
    pulses: Pulses
    heights: FloatArray
    torn: BoolArray
    beside: int
    window: int
    swing: float
    smoothed: int
    thresholds: Thresholds
    start: int = 0
    stop: int = -1
    whole: bool = True
    typical: float | None = None

    def noise_of(self, samples: int) -> float:
        """Codes rms of a mean over so many samples."""
        return self.levels.noise * float(np.sqrt(self.smoothed / max(samples, self.smoothed)))

    @property
    def noise(self) -> float:
        """Codes rms of a height."""
        return self.noise_of(min(self.window, WINDOW))

    @property
    def seen(self) -> Seen:
        """The trace that was measured."""
        return Seen(self.samples, self.levels, self.trace, self.window)

    @cached_property
    def height(self) -> float:
        """The typical height, codes; of pulses that are more than moments. 0 where there are none."""
        if self.typical is not None:
            return self.typical
        real = self.heights[self.heights > LOW * self.swing]
        return float(np.median(real)) if len(real) else 0.0

"""What is queued, worked out ahead of time: runs of whole segments, one after the other."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from drivers.mock.physics.membrane import Segments, cut


@dataclass(frozen=True)
class Ahead:
    """Segments that are queued, up to the reset at stop_ns; `of` (spikes,): whose each spike is."""

    segments: Segments
    of: NDArray[np.intp]
    stop_ns: int

    def __len__(self) -> int:
        return len(self.segments.start_ns)

    def part(self, first: int, stop: int) -> Ahead:
        """Some of them."""
        whole, starts = self.segments, self.segments.start_ns
        spikes = slice(*np.searchsorted(self.of, [first, stop]))
        some = replace(
            whole,
            start_ns=starts[first:stop],
            trains=cut(whole.trains, first, stop),
            keys=whole.keys[first:stop],
            axon_ns=whole.axon_ns[spikes],
        )
        return Ahead(some, self.of[spikes] - first, int(starts[stop]) if stop < len(starts) else self.stop_ns)

    def begun(self, until_ns: int) -> Segments:
        """Those that begin by a time."""
        return self.part(0, int(np.searchsorted(self.segments.start_ns, until_ns, side="right"))).segments

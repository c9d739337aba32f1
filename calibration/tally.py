"""Slots by pulses in and spikes out: what every fit here starts from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Tally:
    """`pulses` (k,) distinct and ascending; `histogram` (k, most spikes + 1) slots by number of spikes."""

    pulses: Ints
    histogram: Ints

    @classmethod
    def of(cls, pulses: NDArray[np.integer], spikes: NDArray[np.integer]) -> Tally:
        """From the pulses and spikes of every slot, both (slots,)."""
        levels, row = np.unique(pulses, return_inverse=True)
        histogram = np.zeros((len(levels), int(spikes.max(initial=0)) + 1), dtype=np.int64)
        np.add.at(histogram, (row.reshape(-1), spikes), 1)
        return cls(levels.astype(np.int64), histogram)

    @classmethod
    def merged(cls, parts: Iterable[Tally]) -> Tally:
        """All slots of several tallies together."""
        rows = [
            (part.pulses[i], s, part.histogram[i, s])
            for part in parts
            for i, s in zip(*np.nonzero(part.histogram), strict=True)
        ]
        n, s, count = (np.array(column, dtype=np.int64) for column in zip(*rows, strict=True))
        return cls.of(np.repeat(n, count), np.repeat(s, count))

    @property
    def slots(self) -> Ints:
        """(k,) how many slots had each number of pulses."""
        slots: Ints = self.histogram.sum(axis=1)
        return slots

    @property
    def total_pulses(self) -> int:
        """Dendrite pulses in all slots."""
        return int(self.pulses @ self.slots)

    @property
    def total_spikes(self) -> int:
        """Axon spikes in all slots."""
        return int(self.histogram.sum(axis=0) @ np.arange(self.histogram.shape[1]))

    @property
    def mean_spikes(self) -> Floats:
        """(k,) mean spikes a slot."""
        mean: Floats = self.histogram @ np.arange(self.histogram.shape[1]) / self.slots
        return mean

    @property
    def sd_spikes(self) -> Floats:
        """(k,) standard deviation of spikes a slot (of the population)."""
        square = self.histogram @ np.arange(self.histogram.shape[1]) ** 2 / self.slots
        sd: Floats = np.sqrt(np.maximum(square - self.mean_spikes**2, 0))
        return sd

    @property
    def fired(self) -> Ints:
        """(k,) slots with at least one spike."""
        return self.slots - self.histogram[:, 0]


def cell_counts(tallies: Sequence[Tally]) -> tuple[Floats, Floats]:
    """(cells,) slots in each cell of all histograms, with one more column of zeros each; and slots in its row.

    In the order of `renewal.count_probabilities(pmf, tally.pulses, tally.histogram.shape[1])`, flattened.
    """
    cells, rows = [], []
    for tally in tallies:
        padded = np.pad(tally.histogram, ((0, 0), (0, 1)))
        cells.append(padded.ravel())
        rows.append(np.repeat(tally.slots, padded.shape[1]))
    return np.concatenate(cells).astype(np.float64), np.concatenate(rows).astype(np.float64)

"""The transfer curve: pulses in → spikes out, measured by playing frames through the bench, and its inverse."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from drivers.signals import probe_frame

if TYPE_CHECKING:
    from drivers.bench import Bench
    from drivers.signals import SlotTiming

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
PULSES_PER_COUNT = 16_384


@dataclass(frozen=True, eq=False)
class TransferCurve:
    """Spikes counted in slots of known pulses, at one V_th and slot timing.

    `pulses` (k,) ascending from 0; `mean_spikes`, `sd_spikes` (k,); `slots` (k,) how many were measured;
    `histogram` (k, most spikes + 1) slots by number of spikes.
    """

    timing_key: str
    vth_v: float
    pulses: Ints
    mean_spikes: Floats
    sd_spikes: Floats
    slots: Ints
    histogram: Ints

    def decode(self, spikes: NDArray[np.integer]) -> NDArray[np.float32]:
        """Estimated pulses for spike counts of any shape: the inverse of the mean curve, made monotone.

        No spike is no pulse; beyond the last measured point the curve is continued straight.
        """
        mean = np.maximum.accumulate(self.mean_spikes - self.mean_spikes[0])
        rising = np.concatenate([[True], np.diff(mean) > 0])
        x, y = mean[rising], self.pulses[rising].astype(np.float64)
        table = np.arange(int(spikes.max(initial=0)) + 1, dtype=np.float64)
        pulses = np.interp(table, x, y)
        if len(x) > 1:
            far = table > x[-1]
            half = min(int(np.searchsorted(x, x[-1] / 2)), len(x) - 2)
            pulses[far] = y[-1] + (table[far] - x[-1]) * (y[-1] - y[half]) / (x[-1] - x[half])
        decoded: NDArray[np.float32] = pulses.astype(np.float32)[spikes]
        return decoded

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "timing_key": self.timing_key,
            "vth_v": self.vth_v,
            "pulses": self.pulses.tolist(),
            "slots": self.slots.tolist(),
            "histogram": [row[: int(np.max(np.nonzero(row)[0], initial=0)) + 1].tolist() for row in self.histogram],
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> TransferCurve:
        """Back from `to_dict`."""
        width = max(len(row) for row in data["histogram"])
        histogram = np.array([row + [0] * (width - len(row)) for row in data["histogram"]], dtype=np.int64)
        return _curve(data["timing_key"], data["vth_v"], np.array(data["pulses"], dtype=np.int64), histogram)


def _curve(timing_key: str, vth_v: float, pulses: Ints, histogram: Ints) -> TransferCurve:
    slots = histogram.sum(axis=1)
    spikes = np.arange(histogram.shape[1])
    mean = histogram @ spikes / slots
    variance = histogram @ spikes**2 / slots - mean**2
    return TransferCurve(timing_key, vth_v, pulses, mean, np.sqrt(np.maximum(variance, 0)), slots, histogram)


def pulse_grid(full_scale: int) -> Ints:
    """Counts to measure: every one up to 32, then in steps of about a twelfth, ending with full scale."""
    grid = [*range(min(full_scale, 32) + 1)]
    while grid[-1] < full_scale:
        grid.append(min(full_scale, max(grid[-1] + 1, round(grid[-1] * 13 / 12))))
    return np.array(grid, dtype=np.int64)


def slots_a_count(grid: Ints, timing: SlotTiming, pulses_per_count: int = PULSES_PER_COUNT) -> Ints:
    """(k,) in how many slots each count is measured: about `pulses_per_count` pulses, but 16 to 4,096 slots.

    Slots of fixed length cost time and not pulses: of those at most 256.
    """
    most = 4_096 if timing.mode == "adaptive" else 256
    slots: Ints = np.clip(pulses_per_count // np.maximum(grid, 1), 16, most).astype(np.int64)
    return slots


def measure_transfer(
    bench: Bench,
    timing: SlotTiming,
    vth_v: float,
    *,
    full_scale: int,
    pulses_per_count: int = PULSES_PER_COUNT,
    purpose: str = "calibrate/transfer",
    progress: Callable[[float], None] | None = None,
) -> TransferCurve:
    """Measure the curve up to `full_scale` pulses a slot; leaves V_th set to vth_v.

    See `slots_a_count` for how many slots that takes.
    """
    grid = pulse_grid(full_scale)
    slots = slots_a_count(grid, timing, pulses_per_count)
    counts = np.repeat(np.arange(len(grid)), slots)
    order = np.random.default_rng(0).permutation(len(counts))  # so that drift does not look like a slope
    bench.set_threshold(vth_v)
    spikes = np.zeros(len(counts), dtype=np.int64)
    for capture in bench.play([probe_frame(purpose, timing, grid[counts[order]].astype(np.int32))]):
        first = capture.frame.first_slot
        spikes[order[first : first + len(capture.frame)]] = capture.spikes
        if progress is not None:
            progress((first + len(capture.frame)) / len(counts))
    histogram = np.zeros((len(grid), int(spikes.max()) + 1), dtype=np.int64)
    np.add.at(histogram, (counts, spikes), 1)
    return _curve(timing.key(), vth_v, grid, histogram)

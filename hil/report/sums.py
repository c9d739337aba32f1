"""Sums over all slots of a run: spikes by pulses against the transfer curve, and slot lengths against the plan."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from calibration.transfer import TransferCurve
from drivers.timing import length_ticks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from drivers.signals import Capture
    from hil.run.config import RunConfig

Z_95 = 1.96
_LEAST_SLOTS = 30  # of a pulse count, to be compared
_SAMPLES_A_SHOT = 2_000
_MOST_SAMPLES = 200_000
_BINS = 41


@dataclass
class Fired:
    """Slots, sum and squares of their spikes, by pulses (n,)."""

    slots: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    total: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    squares: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))

    def add(self, pulses: NDArray[np.integer], spikes: NDArray[np.float64]) -> None:
        """Count slots: (slots,) each."""
        size = max(int(pulses.max(initial=-1)) + 1, len(self.slots))
        self.slots = _grown(self.slots, size) + np.bincount(pulses, minlength=size)
        self.total = _grown(self.total, size) + np.bincount(pulses, spikes, minlength=size)
        self.squares = _grown(self.squares, size) + np.bincount(pulses, spikes**2, minlength=size)

    def points(self, curve: TransferCurve, number: int) -> list[dict[str, Any]]:
        """Of each count of pulses with slots enough its mean, a 95 % interval, and whether the curve agrees."""
        seen = np.flatnonzero(self.slots >= _LEAST_SLOTS)
        seen = seen[seen > 0]
        slots, mean = self.slots[seen], self.total[seen] / self.slots[seen]
        variance = np.maximum(self.squares[seen] / slots - mean**2, 0) * slots / (slots - 1)
        expected = np.interp(seen, curve.pulses, curve.mean_spikes)
        # The curve was measured too: its own error belongs to the comparison.
        curve_variance = np.interp(seen, curve.pulses, curve.sd_spikes**2 / np.maximum(curve.slots, 1))
        error = np.sqrt(variance / slots + curve_variance)
        agrees = np.abs(mean - expected) <= Z_95 * np.maximum(error, 1e-12)
        columns = {
            **{"pulses": seen, "mean": mean, "low": mean - Z_95 * error, "high": mean + Z_95 * error},
            **{"slots": slots, "agrees": agrees, "curve": np.full(len(seen), number)},
        }
        rows = zip(*(values.tolist() for values in columns.values()), strict=True)
        return [dict(zip(columns, row, strict=True)) for row in rows]


@dataclass
class Statistics:
    """Fed with every shot once: spikes by pulses, curve by curve that was in force, and how slot lengths are off."""

    fired: dict[int, Fired] = field(default_factory=dict)
    measured: int = 0
    lowest_s: float = np.inf
    highest_s: float = -np.inf
    worst_share: float = 0.0
    retaken: int = 0
    _sample_s: list[NDArray[np.float64]] = field(default_factory=list)
    _samples: int = 0

    def add(self, capture: Capture, tick_s: float, number: int = 0) -> None:
        """Count the trusted slots of a shot that the run's curve with this number is to be judged by."""
        frame = capture.frame
        good = frame.played & capture.ok
        self.fired.setdefault(number, Fired()).add(frame.pulses[good], capture.spikes[good].astype(np.float64))
        self.retaken += int(np.count_nonzero(~capture.ok))
        planned = length_ticks(frame, tick_s)[good] * tick_s
        if not len(planned):
            return
        off = capture.slot_s[good] - planned
        self.measured += len(off)
        self.lowest_s = min(self.lowest_s, float(off.min()))
        self.highest_s = max(self.highest_s, float(off.max()))
        self.worst_share = max(self.worst_share, float((np.abs(off) / planned).max()))
        if self._samples < _MOST_SAMPLES:
            self._sample_s.append(off[:: max(1, len(off) // _SAMPLES_A_SHOT)].copy())
            self._samples += len(self._sample_s[-1])

    def view(
        self, config: RunConfig, sample_s: float | None, again: Sequence[TransferCurve] = ()
    ) -> dict[str, Any] | None:
        """For the page; `sample_s` is the oscilloscope's step, None without one. None when no slot was measured.

        `again` are the curves that were measured during the run.
        """
        if not self.measured:
            return None
        curves = [*([TransferCurve.from_dict(config.curve)] if config.curve is not None else []), *again]
        return {"firing": self._firing(curves), "timing": self._timing(config, sample_s)}

    def _firing(self, curves: Sequence[TransferCurve]) -> dict[str, Any]:
        """Mean spikes by pulses, each against the transfer curve in force, with 95 % intervals."""
        points = [
            point
            for number, fired in sorted(self.fired.items())
            if number < len(curves)
            for point in fired.points(curves[number], number)
        ]
        if not points:
            return {"text": "Too few slots to compare.", "points": [], "curves": []}
        slots = sum(int(fired.slots.sum()) for fired in self.fired.values())
        each = "the transfer curve in force when they were played" if len(curves) > 1 else "the measured transfer curve"
        share = sum(point["agrees"] for point in points) / len(points)
        text = (
            f"Mean spikes of {slots:,} slots by their pulses (orange, 95 % intervals) on {each} "
            f"(blue, with one standard deviation): {share * 100:.0f} % of {len(points)} counts agree; 95 % would."
        )
        used = {point["curve"] for point in points}
        shapes = [
            {"pulses": curve.pulses.tolist(), "mean": curve.mean_spikes.tolist(), "sd": curve.sd_spikes.tolist()}
            for number, curve in enumerate(curves)
            if number in used
        ]
        return {"text": text, "points": points, "curves": shapes}

    def _timing(self, config: RunConfig, sample_s: float | None) -> dict[str, Any]:
        """How far measured slot lengths are from the plan: the finding in words, and a histogram, µs."""
        sample_us = np.concatenate(self._sample_s) * 1e6
        how = f"on the sync line, sampled every {sample_s * 1e6:.3g} µs" if sample_s else "by the bench itself"
        text = (
            f"{self.measured:,} slots measured {how}: {self.lowest_s * 1e6:+.3f} to {self.highest_s * 1e6:+.3f} µs "
            f"off the plan, at worst {self.worst_share * 100:.3f} % of it "
            f"(allowed {config.bench.spikes.slot_tolerance * 100:.0f} %); "
            f"{self.retaken:,} slots were taken again."
        )
        reach = max(float(np.abs(sample_us).max()) * 1.1, 0.05)
        heights, edges = np.histogram(sample_us, bins=_BINS, range=(-reach, reach))
        return {"text": text, "edges": edges.tolist(), "heights": heights.tolist()}


def _grown(values: NDArray[Any], size: int) -> NDArray[Any]:
    return np.concatenate([values, np.zeros(size - len(values), dtype=values.dtype)])

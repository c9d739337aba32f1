"""The transfer curve: pulses in → spikes out, measured by playing frames through the bench, and its inverse."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from calibration.plausible import check_addresses, check_curve
from calibration.sweep import Sweep
from calibration.tally import Floats, Ints, Tally
from drivers.timing import made_clock_hz

if TYPE_CHECKING:
    from drivers.bench import Bench
    from drivers.signals import Capture, SlotTiming

PULSES_PER_COUNT = 16_384


@dataclass(frozen=True, eq=False)
class TransferCurve:
    """Spikes counted in slots of known pulses, at one V_th and slot timing.

    `vth_v` is what was asked for and `made_v` what the bench made of it; likewise `made_hz` is the adaptive dendrite
    clock that its steps allow, None for slots of fixed length and where it was as asked. `pulses` (k,) ascending from
    0; `mean_spikes`, `sd_spikes` (k,); `slots` (k,) how many were measured;
    `histogram` (k, most spikes + 1) slots by number of spikes.
    """

    timing_key: str
    vth_v: float
    pulses: Ints
    mean_spikes: Floats
    sd_spikes: Floats
    slots: Ints
    histogram: Ints
    made_v: float
    made_hz: float | None = None

    @property
    def pulses_spent(self) -> int:
        """Dendrite pulses that measuring it took."""
        return int(self.pulses @ self.slots)

    @cached_property
    def monotone(self) -> tuple[Floats, Floats]:
        """(j,), (j,): spikes, rising from 0, and the pulses that give them on average.

        The isotonic regression of the means, each weighted with its slots (Barlow et al., "Statistical Inference under
        Order Restrictions", 1972), less what spikes without pulses. A level stretch counts as its middle.
        """
        from scipy.optimize import isotonic_regression

        rising = isotonic_regression(self.mean_spikes, weights=self.slots.astype(np.float64)).x
        spikes, block = np.unique(rising - rising[0], return_inverse=True)
        pulses = np.bincount(block, weights=self.pulses) / np.bincount(block)
        pulses[0] = 0.0
        return spikes, pulses

    def decode(self, spikes: NDArray[np.integer]) -> NDArray[np.float32]:
        """Estimated pulses for spike counts of any shape: the inverse of the monotone mean curve.

        No spike is no pulse; beyond the last measured point the curve is continued straight.
        """
        x, y = self.monotone
        table = np.arange(int(spikes.max(initial=0)) + 1, dtype=np.float64)
        pulses = np.interp(table, x, y)
        if len(x) > 1:
            far = table > x[-1]
            half = min(int(np.searchsorted(x, x[-1] / 2)), len(x) - 2)
            pulses[far] = y[-1] + (table[far] - x[-1]) * (y[-1] - y[half]) / (x[-1] - x[half])
        decoded: NDArray[np.float32] = pulses.astype(np.float32)[spikes]
        return decoded

    def to_dict(self) -> dict[str, Any]:
        """For JSON; what was made stands in it where it was not just as asked, so older curves are told as they are."""
        return {
            "timing_key": self.timing_key,
            "vth_v": self.vth_v,
            "pulses": self.pulses.tolist(),
            "slots": self.slots.tolist(),
            "histogram": [row[: int(np.max(np.nonzero(row)[0], initial=0)) + 1].tolist() for row in self.histogram],
            **({"made_v": self.made_v} if self.made_v != self.vth_v else {}),
            **({"made_hz": self.made_hz} if self.made_hz is not None else {}),
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> TransferCurve:
        """Back from `to_dict`; what comes from a file has been through `calibration.storedcurve`."""
        width = max(len(row) for row in data["histogram"])
        histogram = np.array([row + [0] * (width - len(row)) for row in data["histogram"]], dtype=np.int64)
        tally = Tally(np.array(data["pulses"], dtype=np.int64), histogram)
        made_v, made_hz = data.get("made_v"), data.get("made_hz")
        return cls.of(data["timing_key"], data["vth_v"], tally, made_v=made_v, made_hz=made_hz)

    @classmethod
    def of(
        cls, timing_key: str, vth_v: float, tally: Tally, *, made_v: float | None = None, made_hz: float | None = None
    ) -> TransferCurve:
        """From the slots that were counted; V_th as asked for where nothing else is known to have been made."""
        return cls(
            timing_key,
            vth_v,
            tally.pulses,
            tally.mean_spikes,
            tally.sd_spikes,
            tally.slots,
            tally.histogram,
            vth_v if made_v is None else made_v,
            made_hz,
        )

    @classmethod
    def measured(cls, sweep: Sweep, vth_v: float, tally: Tally) -> TransferCurve:
        """From the slots that a sweep has just counted at V_th, with what its bench made of V_th and clock."""
        return cls.of(
            sweep.timing.key(),
            vth_v,
            tally,
            made_v=sweep.made_v,
            made_hz=made_clock_hz(sweep.timing, sweep.bench.tick_s),
        )


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


def transfer_slots(timing: SlotTiming, full_scale: int, pulses_per_count: int = PULSES_PER_COUNT) -> Ints:
    """(slots,) pulses of the slots that measure a curve, in mixed order so that drift does not look like a slope."""
    grid = pulse_grid(full_scale)
    counts: Ints = np.repeat(grid, slots_a_count(grid, timing, pulses_per_count))
    return counts[np.random.default_rng(0).permutation(len(counts))]


def measure_transfer(
    bench: Bench,
    timing: SlotTiming,
    vth_v: float,
    *,
    full_scale: int,
    pulses_per_count: int = PULSES_PER_COUNT,
    purpose: str = "calibrate/transfer",
    pulses_before: int = 0,
    addresses: int = 0,
    show: Callable[[int, int], None] | None = None,
) -> TransferCurve:
    """Measure the curve up to `full_scale` pulses a slot; leaves V_th set to vth_v.

    See `slots_a_count` for how many slots that takes. `pulses_before` is what the device has had, `addresses` how many
    the board goes through; `show` is told the pulses that were played, of how many, before the first and after every
    shot. Raises CalibrationError for what no working bench does, see `calibration.plausible`.
    """
    pulses = transfer_slots(timing, full_scale, pulses_per_count)
    sweep = Sweep(bench, timing, purpose, pulses_before)
    if show is not None:
        played, total = 0, int(pulses.sum())
        show(played, total)

        def watch(capture: Capture) -> None:
            nonlocal played
            played += capture.frame.total_pulses
            show(played, total)

        sweep.watch = watch
    spikes = sweep.spikes(vth_v, pulses)
    curve = TransferCurve.measured(sweep, vth_v, Tally.of(pulses, spikes))
    check_curve(curve)
    check_addresses(pulses, spikes, addresses)
    return curve

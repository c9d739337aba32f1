"""How good a transfer curve is: straight, unsaturated, repeatable from slot to slot and over time."""

from __future__ import annotations

import numpy as np
from numpy.polynomial import Polynomial
from numpy.typing import NDArray

from calibration.estimate import Result
from calibration.measure.repeatability import Repeatability, repeatability
from calibration.plausible import check_addresses, check_curve
from calibration.sweep import Sweep
from calibration.tally import Tally
from calibration.transfer import PULSES_PER_COUNT, TransferCurve, transfer_slots


class TransferResult(Result):
    """What `hil calibrate transfer` says of the curve that it stores.

    A straight line is fitted to the upper three quarters: `pulses_per_spike` is the inverse of its slope, null where it
    does not rise, and `nonlinearity` the largest distance of the mean from it, as a share of full scale. `saturation`
    is the slope of the last quarter over that of the middle half (1: none).
    """

    timing_key: str
    vth_v: float
    made_v: float | None = None
    full_scale: int
    pulses_per_spike: float | None
    nonlinearity: float
    saturation: float
    repeatability: Repeatability
    pulses_spent: int
    resets_spent: int
    bench_s: float


def characterise_transfer(
    sweep: Sweep,
    vth_v: float,
    *,
    full_scale: int,
    pulses_per_count: int = PULSES_PER_COUNT,
    addresses: int = 0,
) -> tuple[TransferCurve, TransferResult]:
    """Measure the curve as `measure_transfer` does, and judge it; `addresses` is how many the board goes through.

    Raises CalibrationError for what no working bench does, see `calibration.plausible`.
    """
    spent = sweep.pulses_spent, sweep.resets_spent, sweep.bench_s
    pulses = transfer_slots(sweep.timing, full_scale, pulses_per_count)
    spikes = sweep.spikes(vth_v, pulses)
    curve = TransferCurve.measured(sweep, vth_v, Tally.of(pulses, spikes))
    check_curve(curve)
    check_addresses(pulses, spikes, addresses)
    slope, nonlinearity, saturation = straightness(curve)
    return curve, TransferResult(
        timing_key=curve.timing_key,
        vth_v=vth_v,
        made_v=curve.made_v,
        full_scale=full_scale,
        pulses_per_spike=1 / slope if slope > 0 else None,
        nonlinearity=nonlinearity,
        saturation=saturation,
        repeatability=repeatability(pulses, spikes, addresses),
        pulses_spent=sweep.pulses_spent - spent[0],
        resets_spent=sweep.resets_spent - spent[1],
        bench_s=sweep.bench_s - spent[2],
    )


def straightness(curve: TransferCurve) -> tuple[float, float, float]:
    """Slope, nonlinearity and saturation, see `TransferResult`; a curve of few points is called straight."""
    n, mean, weight = curve.pulses.astype(np.float64), curve.mean_spikes, np.sqrt(curve.slots)

    def slope(part: NDArray[np.bool_]) -> tuple[float, Polynomial]:
        line = Polynomial.fit(n[part], mean[part], 1, w=weight[part])
        return float(line.deriv()(0.0)), line

    upper, last = n >= n[-1] / 4, n >= n[-1] * 0.75
    middle = upper & (n <= n[-1] * 0.75)
    if middle.sum() < 4 or last.sum() < 4 or mean[-1] <= 0:
        return float(mean[-1] / max(n[-1], 1)), 0.0, 1.0
    overall, line = slope(upper)
    before, after = slope(middle)[0], slope(last)[0]
    return overall, float(np.abs(line(n[upper]) - mean[upper]).max() / mean[-1]), after / before if before else 1.0

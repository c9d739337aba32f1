"""Choosing V_th: the window, pulses-to-fire against V_th, and the V_th that gives the asked gain."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from calibration.estimate import Z_95, Estimate, Result
from calibration.fit.hazard import HazardFit
from calibration.measure.offset import SourceResult, compare_source
from calibration.measure.search import Progress, Search, find_coarsely, refine, steepness
from calibration.measure.window import Window, measure_window
from calibration.sweep import Sweep
from calibration.tally import Tally
from drivers.errors import CalibrationError

MOST_PULSES = 20_000
MOST_GAIN = 10.0  # pulses a spike; beyond, so close to the upper edge, intervals were found to be too narrow
WANTED_ERROR = 0.012  # standard error of ln(gain) at which the sweep may stop
_STEP_V = 1e-3  # V_th is chosen in whole millivolts, which every threshold source can make
_CURVE_POINTS = 17


class CurvePoint(Result):
    """Pulses to fire at one V_th: mean and standard deviation."""

    vth_v: float
    mean: Estimate
    spread: Estimate


class ThresholdResult(Result):
    """What `hil calibrate threshold` finds.

    `gain` is the mean pulses per spike at `vth_v`, `spread` their standard deviation; `asked_v` is the V_th at which
    the gain is `target`, with its uncertainty. `curve` runs over the window. `source` compares the threshold source
    with an oscilloscope on the V_th net, null where that is not wired.
    """

    vth_v: float
    target: float
    gain: Estimate
    spread: Estimate
    asked_v: Estimate
    window: Window
    curve: tuple[CurvePoint, ...]
    source: SourceResult | None = None
    pulses_spent: int
    resets_spent: int
    bench_s: float


def measure_threshold(
    sweep: Sweep,
    limits_v: tuple[float, float],
    *,
    target: float = 4.0,
    most_pulses: int = MOST_PULSES,
    wanted_error: float = WANTED_ERROR,
    show: Callable[[Progress], None] = lambda _: None,
) -> ThresholdResult:
    """Find the window and the V_th of `target` mean pulses per spike within the bench's limits.

    Raises CalibrationError when the neuron does not fire, or when no V_th in the window gives the gain.
    """
    search = Search(sweep, target, show, most_pulses)
    search.report("window")
    search.window, saturated = measure_window(sweep, limits_v)
    _check_alive(saturated)
    bounds = usable(search.window, limits_v)
    search.data = [(v, tally) for v, tally in saturated if bounds[0] <= v <= bounds[1]]
    search.report("coarse")
    vth_v = find_coarsely(search, bounds)
    fit, vth_v = refine(search, vth_v, bounds, wanted_error)
    chosen = round(vth_v / _STEP_V) * _STEP_V
    search.report("done", chosen)
    return _conclude(search, fit, vth_v, round(chosen, 6), bounds)


def _check_alive(saturated: list[tuple[float, Tally]]) -> None:
    """Raise CalibrationError where nothing fires, however low V_th and however many pulses."""
    if not any(tally.total_spikes for _, tally in saturated):
        raise CalibrationError(
            "no spike at any V_th, however many pulses: the axon or the dendrite line is dead, or the device is; "
            "run hil doctor --loopback"
        )


def usable(window: Window, limits_v: tuple[float, float]) -> tuple[float, float]:
    """The window in volts; where an edge lies beyond the bench's limit, that limit."""
    lo = window.lower_v.value if window.lower_v.value is not None else limits_v[0]
    hi = window.upper_v.value if window.upper_v.value is not None else limits_v[1]
    if hi <= lo * 1.05:
        raise CalibrationError(
            f"no usable V_th: the low-resistance state fires up to {lo:.3g} V, the high one only to {hi:.3g} V; "
            "run hil doctor --loopback for a stuck axon, and check the device's forming and the sense current"
        )
    return max(lo, limits_v[0]), min(hi, limits_v[1])


def _conclude(
    search: Search, fit: HazardFit, asked_v: float, chosen_v: float, bounds: tuple[float, float]
) -> ThresholdResult:
    mean = fit.log_mean(chosen_v)
    gain = fit.profile(mean)
    half = Z_95 * fit.standard_error(fit.log_mean(asked_v)) / max(steepness(fit, asked_v), 0.1)
    if search.window is None:
        raise AssertionError("the window was measured first")
    return ThresholdResult(
        vth_v=chosen_v,
        target=search.target,
        gain=gain,
        spread=fit.profile(fit.log_spread(chosen_v)),
        asked_v=Estimate(value=asked_v, lo=float(asked_v * np.exp(-half)), hi=float(asked_v * np.exp(half))),
        window=search.window,
        curve=_curve(search, bounds),
        source=compare_source(search.sweep.vth_readings),
        pulses_spent=search.sweep.pulses_spent,
        resets_spent=search.sweep.resets_spent,
        bench_s=search.sweep.bench_s,
    )


def _curve(search: Search, bounds: tuple[float, float]) -> tuple[CurvePoint, ...]:
    """Mean and spread over the window, from all slots together, leaving out a margin where the edges rule."""
    fit = search.fit(*bounds, v_terms=4)
    volts = np.geomspace(bounds[0] * 1.02, bounds[1] * 0.98, _CURVE_POINTS)
    return tuple(
        CurvePoint(vth_v=float(v), mean=fit.band(fit.log_mean(v)), spread=fit.band(fit.log_spread(v))) for v in volts
    )

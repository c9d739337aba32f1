"""Firing against dendrite clock: what the leak does at slow clocks, and where fast ones leave the neuron behind."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from calibration.estimate import Z_95, Estimate, Result
from calibration.measure.leak import fit_leak
from calibration.sweep import Sweep
from calibration.tally import Tally
from drivers.errors import CalibrationError
from drivers.timing import made

if TYPE_CHECKING:
    from calibration.measure.window import Window
    from drivers.signals import SlotTiming

SLOWEST_HZ = 10.0
KEPT = 0.95  # of the spikes a pulse of the best clock: below that a clock is too fast
_SHORT, _LONG = 4, 16  # pulses a slot
_SHORT_SLOTS, _LONG_SLOTS = 60, 60
_SLOW_HZ, _SLOW_SHARE = 200.0, 0.4  # below this clock so many of the slots, for the sake of time
Show = Callable[[float, "tuple[FrequencyPoint, ...]"], None]


class FrequencyPoint(Result):
    """Firing at one clock: mean spikes a pulse in slots of equal length, with its 95 % interval, and a second.

    `clock_hz` was asked for and `made_hz` is what the pulse source's steps made of it, null in records from before it
    was written down; spikes a second are of the latter. `fitted` is what the fit of the leak expects of a pulse; null
    where a clock was too fast to be fitted, or nothing was.
    """

    clock_hz: float
    made_hz: float | None = None
    spikes_per_pulse: Estimate
    spikes_per_s: float
    fitted: float | None = None


class FrequencyResult(Result):
    """What `hil calibrate frequency` finds at one V_th.

    `leak_s` is null where the model could not be fitted, for the reason in `leak_note`; `deviance_ratio` is that of
    `calibration.measure.leak.LeakFit`. `fastest_hz` is the fastest measured clock up to which the neuron keeps 95 % of
    the spikes a pulse of its best clock, and `limit_hz` the bench's limit.
    """

    vth_v: float
    made_v: float | None = None
    points: tuple[FrequencyPoint, ...]
    leak_s: Estimate | None
    leak_note: str
    deviance_ratio: float | None
    fastest_hz: float
    limit_hz: float
    pulses_spent: int
    resets_spent: int
    bench_s: float


def clocks(limit_hz: float, slowest_hz: float = SLOWEST_HZ) -> tuple[float, ...]:
    """About three a decade up to the limit, rounded to one digit; the limit itself is the last."""
    decades = [a * 10.0**e for e in range(-1, 7) for a in (1, 2, 5)]
    return (*(f for f in decades if slowest_hz <= f < limit_hz * 0.95), limit_hz)


def measure_frequency(
    sweep: Sweep,
    vth_v: float,
    limit_hz: float,
    window: Window,
    *,
    slowest_hz: float = SLOWEST_HZ,
    show: Show | None = None,
) -> FrequencyResult:
    """Sweep the dendrite clock at V_th, slow to fast; raises CalibrationError when nothing fires at any clock."""
    spent = sweep.pulses_spent, sweep.resets_spent, sweep.bench_s
    swept = clocks(limit_hz, slowest_hz)
    points: list[FrequencyPoint] = []
    data: list[tuple[float, Tally]] = []
    for i, clock_hz in enumerate(swept):
        timing = at_clock(sweep.timing, clock_hz)
        share = _SLOW_SHARE if clock_hz < _SLOW_HZ else 1.0
        tally = sweep.tally(vth_v, {_SHORT: round(_SHORT_SLOTS * share), _LONG: round(_LONG_SLOTS * share)}, timing)
        made_hz = made(timing, sweep.bench.tick_s).rate_hz
        data.append((1 / made_hz, tally))
        points.append(_point(clock_hz, made_hz, tally))
        if show is not None:
            show((i + 1) / len(swept), tuple(points))
    if not any(tally.total_spikes for _, tally in data):
        raise CalibrationError(f"no spikes at V_th {vth_v:g} V at any clock: run hil calibrate threshold first")
    fastest_hz = _fastest(points)
    kept = [row for row, point in zip(data, points, strict=True) if point.clock_hz <= fastest_hz]
    leak, note, ratio, expected = _leak(kept, sweep.made_v, window)
    fitted = iter(expected)
    points = [
        point.model_copy(update={"fitted": next(fitted, None)}) if point.clock_hz <= fastest_hz else point
        for point in points
    ]
    return FrequencyResult(
        vth_v=vth_v,
        made_v=sweep.made_v,
        points=tuple(points),
        leak_s=leak,
        leak_note=note,
        deviance_ratio=ratio,
        fastest_hz=fastest_hz,
        limit_hz=limit_hz,
        pulses_spent=sweep.pulses_spent - spent[0],
        resets_spent=sweep.resets_spent - spent[1],
        bench_s=sweep.bench_s - spent[2],
    )


def at_clock(timing: SlotTiming, clock_hz: float) -> SlotTiming:
    """Adaptive slots at another clock."""
    return timing.model_copy(update={"mode": "adaptive", "dendrite_clock_hz": clock_hz})


def _point(clock_hz: float, made_hz: float, tally: Tally) -> FrequencyPoint:
    """From the long slots: equal lengths at all clocks, so that what their ends cost is equal too."""
    spikes, sd, slots = tally.mean_spikes[-1], tally.sd_spikes[-1], tally.slots[-1]
    value = float(spikes) / _LONG
    half = Z_95 * max(float(sd), 0.2) / float(np.sqrt(slots)) / _LONG
    each = Estimate(value=value, lo=max(value - half, 0.0), hi=value + half)
    return FrequencyPoint(clock_hz=clock_hz, made_hz=made_hz, spikes_per_pulse=each, spikes_per_s=value * made_hz)


def _fastest(points: list[FrequencyPoint]) -> float:
    """The fastest clock before the first one that is surely (its whole interval) below what is to be kept."""
    best = max(points, key=lambda p: p.spikes_per_pulse.lo or 0.0)
    wanted = KEPT * (best.spikes_per_pulse.lo or 0.0)
    fastest = best.clock_hz
    for point in points:
        if point.clock_hz > best.clock_hz:
            if (point.spikes_per_pulse.hi or 0.0) < wanted:
                break
            fastest = point.clock_hz
    return fastest


def _leak(
    data: list[tuple[float, Tally]], vth_v: float, window: Window
) -> tuple[Estimate | None, str, float | None, list[float]]:
    try:
        fit = fit_leak(data, vth_v, window)
    except CalibrationError as error:
        return None, str(error), None, []
    return fit.leak_s, "", fit.deviance_ratio, fit.spikes_per_pulse.tolist()

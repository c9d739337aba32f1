"""The search for V_th: coarse over the window, then adaptive where the mean pulses-to-fire is the one asked for.

A few hundred pulses spread over the window tell roughly where that is, and nearly all others are spent close to there,
until the gain is known well enough. Each block mixes slots that are short against the mean (whose silence shows how
pulses-to-fire is distributed) with slots that hold many firings (whose counts show its mean).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from calibration.fit.hazard import KNOTS, HazardFit, fit_hazard
from calibration.measure.window import Window
from calibration.sweep import Sweep
from calibration.tally import Tally
from drivers.errors import CalibrationError

_COARSE_POINTS = 6
_REACH = 0.15  # in ln V, to each side, of the data in the final fit, and as far as V_th may move in a round
_LEAST_REACH = _REACH / 8
_MOST_CHANGE = 0.3  # of ln(mean) over the reach: so far a straight line holds
_PLACE = 0.2  # V_th are measured in steps of this share of the reach
_FIRST_PLACES = (-0.8, -0.4, 0.0, 0.4, 0.8)  # around the coarse estimate
_NEXT_PLACES = (-0.2, 0.0, 0.2)
_STEP_LN = 0.01
_SOLVE_POINTS = 200
_MOST_SIGMA = 3.0
_BLOCK_GAIN = 4.0  # pulses a spike up to which a block has all its slots
Data = list[tuple[float, Tally]]


@dataclass(frozen=True)
class Progress:
    """What a live view needs: which part of the sweep, how far, and what is known so far."""

    stage: str
    done: float
    data: Data
    window: Window | None = None
    vth_v: float | None = None


@dataclass
class Search:
    """A search on its way: what was measured, (V_th, tally), and where to; `target` is the gain asked for."""

    sweep: Sweep
    target: float
    show: Callable[[Progress], None]
    most_pulses: int
    window: Window | None = None
    data: Data = field(default_factory=list)

    def measure(self, vth_v: float, slots: dict[int, int]) -> None:
        """Play `slots` (pulses → how many) at V_th and keep what they count, with the volts really made."""
        tally = self.sweep.tally(vth_v, slots)
        self.data.append((self.sweep.made_v, tally))

    def fit(self, lo: float, hi: float, *, v_terms: int) -> HazardFit:
        """To all slots played at lo…hi volts, those at the same V_th together."""
        volts = sorted({v for v, _ in self.data if lo <= v <= hi})
        data = [(volt, Tally.merged(tally for v, tally in self.data if v == volt)) for volt in volts]
        return fit_hazard(data, v_terms=v_terms, knots=knots(self.target))

    def report(self, stage: str, vth_v: float | None = None) -> None:
        """Tell whoever watches."""
        self.show(Progress(stage, self.sweep.pulses_spent / self.most_pulses, self.data, self.window, vth_v))


def block(target: float) -> dict[int, int]:
    """Slots by pulses for some 500 pulses: lengths of ½ to 8 times the mean pulses-to-fire, fewer where it is large."""
    share = min(1.0, _BLOCK_GAIN / target)
    slots: dict[int, int] = {}
    for factor, count in zip((0.5, 1, 2, 4, 8), (16, 12, 8, 5, 8), strict=True):
        n = max(1, round(target * factor))
        slots[n] = slots.get(n, 0) + max(1, round(count * share))
    return slots


def knots(target: float) -> tuple[float, ...]:
    """Where the hazard may bend: at powers of two up to four times the mean, and at least those of `KNOTS`."""
    last = max(int(np.log2(KNOTS[-1])), int(np.ceil(np.log2(4 * target))))
    return tuple(2.0**i for i in range(last + 1))


def find_coarsely(search: Search, bounds: tuple[float, float]) -> float:
    """A first look over the window; returns about the V_th of the target."""
    lo, hi = np.log(bounds)
    for x in np.linspace(lo, hi, _COARSE_POINTS + 2)[1:-1]:
        search.measure(round(float(np.exp(x)), 4), {2: 8, 8: 6, 32: 1})
        search.report("coarse")
    return _solve(search.fit(*bounds, v_terms=4), search.target, bounds)


def refine(search: Search, vth_v: float, bounds: tuple[float, float], wanted_error: float) -> tuple[HazardFit, float]:
    """Measure where the gain seems right until it is; returns the fit there and the V_th.

    A fit is trusted only as far as its data reach: from one round to the next V_th moves no farther than that, so that
    a slope which a few hundred pulses got wrong costs a round and not the result.
    """
    slots = block(search.target)
    cost = sum(n * count for n, count in slots.items())
    places: tuple[float, ...] = _FIRST_PLACES
    width = _REACH
    while True:
        for place in places:
            if search.sweep.pulses_spent + cost > search.most_pulses:
                break
            search.measure(_near(vth_v, place, width, bounds), slots)
            search.report("refine", vth_v)
        fit, found_v, width = _local(search, vth_v, bounds)
        arrived = abs(np.log(found_v / vth_v)) < width * 0.999 or found_v in bounds
        vth_v = found_v
        spent = search.sweep.pulses_spent + len(_NEXT_PLACES) * cost > search.most_pulses
        if spent or (arrived and fit.standard_error(fit.log_mean(vth_v)) < wanted_error):
            _check(search, fit, vth_v, bounds)
            return fit, vth_v
        places = _NEXT_PLACES


def _local(search: Search, vth_v: float, bounds: tuple[float, float]) -> tuple[HazardFit, float, float]:
    """A fit around V_th, the V_th of the target within its range, and the range's half width in ln V.

    The steeper the mean, as it is close to the upper edge, the narrower the range over which a straight line holds.
    """
    width = _REACH
    while True:
        lo, hi = float(vth_v * np.exp(-width)), float(vth_v * np.exp(width))
        fit = search.fit(lo, hi, v_terms=2)
        found_v = _solve(fit, search.target, (max(lo, bounds[0]), min(hi, bounds[1])))
        if width <= _LEAST_REACH or steepness(fit, found_v) * width <= _MOST_CHANGE:
            return fit, found_v, width
        width /= 2


def steepness(fit: HazardFit, vth_v: float) -> float:
    """Slope of ln(mean) against ln(V_th)."""
    lo, hi = (float(fit.log_mean(vth_v * np.exp(step))(fit.beta)) for step in (-_STEP_LN, _STEP_LN))
    return (hi - lo) / (2 * _STEP_LN)


def _near(vth_v: float, place: float, width: float, bounds: tuple[float, float]) -> float:
    """About V_th, off by a share of the width: one of a few fixed voltages, so that rounds add to one another."""
    step = width * _PLACE
    at = round((np.log(vth_v) + place * width) / step) * step
    return float(np.clip(round(float(np.exp(at)), 4), *bounds))


def _solve(fit: HazardFit, target: float, within: tuple[float, float]) -> float:
    """The V_th at which the mean pulses-to-fire, which rises with V_th, is the target; an end of the range where it
    is so nowhere in it.
    """
    grid = np.geomspace(*within, _SOLVE_POINTS)
    means = np.exp([float(fit.log_mean(v)(fit.beta)) for v in grid])
    crossings = np.flatnonzero((means[:-1] < target) & (means[1:] >= target))
    if not len(crossings):
        middle = means[np.argmin(np.abs(np.log(grid / fit.reference_v)))]  # where the data are
        return within[0] if middle >= target else within[1]
    # The crossing nearest to the data, should the curve bend back.
    i = crossings[np.argmin(np.abs(np.log(grid[crossings] / fit.reference_v)))]
    share = (np.log(target) - np.log(means[i])) / (np.log(means[i + 1]) - np.log(means[i]))
    return float(grid[i] * (grid[i + 1] / grid[i]) ** share)


def _check(search: Search, fit: HazardFit, vth_v: float, bounds: tuple[float, float]) -> None:
    """Raise CalibrationError unless the mean at V_th is the target within what noise explains."""
    error = fit.standard_error(fit.log_mean(vth_v))
    if abs(float(fit.log_mean(vth_v)(fit.beta)) - np.log(search.target)) <= _MOST_SIGMA * error:
        return
    there = f"at {vth_v:.3g} V they are {fit.band(fit.log_mean(vth_v)).shown()}"
    if vth_v in bounds:
        raise CalibrationError(
            f"no V_th in {bounds[0]:.3g}…{bounds[1]:.3g} V gives {search.target:g} pulses per spike: {there}; "
            "choose another --gain"
        )
    raise CalibrationError(
        f"{search.sweep.pulses_spent:,} pulses did not find the V_th of {search.target:g} pulses per spike: {there}; "
        "check that the device is stable with `hil characterize`, then calibrate again"
    )

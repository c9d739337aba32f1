"""The leak time constant, from spike counts at several dendrite clocks.

The first-passage model of `calibration.fit.passage` is fitted to all clocks together. What the threshold window tells
of the low- and high-resistance state enters as a prior; steps, jumps and leak are free. Where the clocks were all so
fast that the leak could do nothing between two pulses, only a lower bound is known, and the estimate says so.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import logit

from calibration.estimate import Z_95, Estimate
from calibration.fit.passage import LEAK, PARAMETERS, first_passage
from calibration.fit.renewal import count_probabilities
from calibration.fit.scoring import Optimum, Problem, maximise
from calibration.measure.window import Window
from calibration.tally import Floats, Tally, cell_counts
from drivers.errors import CalibrationError

_FAR = 100.0  # a leak so many times slower than the slowest period, or faster than the fastest, cannot be seen
_DELTA = 1e-3  # the grid makes smaller steps than this uneven
_LEAST_SPIKES = 200
_PRECISION = 0.02  # of ln τ at the ends of the interval


@dataclass(frozen=True)
class LeakFit:
    """`leak_s` with its 95 % interval; one-sided ("longer than") where the sweep cannot see it.

    `deviance` of the best fit over its degrees of freedom tells how well the model describes the device: near 1 is
    good; far above, the time constant is that of a model which the device does not obey. `spikes_per_pulse` (clocks,)
    is what that fit expects of the longest slots at each clock.
    """

    leak_s: Estimate
    deviance_ratio: float
    spikes_per_pulse: Floats


def fit_leak(data: list[tuple[float, Tally]], vth_v: float, window: Window) -> LeakFit:
    """Fit τ to (period in s, tally) of several clocks, all at V_th; raises CalibrationError when there is too little.

    The window must have both edges within the bench's reach.
    """
    if sum(tally.total_spikes for _, tally in data) < _LEAST_SPIKES:
        raise CalibrationError(f"fewer than {_LEAST_SPIKES} spikes in the sweep: lower V_th or play more pulses")
    if window.lrs_v is None or window.lrs_spread is None or window.hrs_v is None:
        raise CalibrationError("the leak needs both edges of the threshold window, and one is beyond the bench's reach")
    periods_s = np.array([period for period, _ in data])
    problem, start = _problem(data, periods_s, vth_v, window.lrs_v, window.lrs_spread, window.hrs_v)
    best = _best_of(problem, start, periods_s)
    expected = _expected([tally for _, tally in data], problem.cells(best.beta))
    return LeakFit(_interval(problem, best, periods_s), _deviance_ratio(problem, best), expected)


def _expected(tallies: list[Tally], cells: Floats) -> Floats:
    """(clocks,) mean spikes a pulse in the longest slots, from the probabilities of all cells, clock after clock."""
    found, at = [], 0
    for tally in tallies:
        lengths, counts = len(tally.pulses), tally.histogram.shape[1] + 1  # see `count_probabilities`
        longest = cells[at : at + lengths * counts].reshape(lengths, counts)[-1]
        found.append(float(longest @ np.arange(counts)) / int(tally.pulses[-1]))
        at += lengths * counts
    return np.array(found)


def _problem(
    data: list[tuple[float, Tally]], periods_s: Floats, vth_v: float, lrs_v: float, lrs_spread: float, hrs_v: float
) -> tuple[Problem, Floats]:
    prior = {  # centre and standard deviation of every parameter; wide, but for what the window tells
        "threshold": (np.log(vth_v / lrs_v), 0.06),
        "ln lrs_spread": (np.log(lrs_spread), 0.25),
        "ln y_hrs": (np.log(np.log(hrs_v / lrs_v)), 0.08),
        "ln step": (np.log(0.3), 1.0),
        "ln step_spread": (np.log(0.7), 0.7),
        "logit jump_probability": (logit(0.05), 1.5),
        "logit jump_least": (0.0, 1.0),
        "ln leak_s": (np.log(periods_s).mean(), 1e3),
    }
    centre, sd = np.array([prior[name] for name in PARAMETERS]).T
    tallies = [tally for _, tally in data]
    counts, rows = cell_counts(tallies)
    reach = max(int(tally.pulses.max()) for tally in tallies)

    def cells(beta: Floats) -> Floats:
        first, later = first_passage(beta.reshape(-1, len(PARAMETERS)), periods_s, reach)
        parts = [
            count_probabilities(later[:, j], tally.pulses, tally.histogram.shape[1], first[:, j]).reshape(
                *beta.shape[:-1], -1
            )
            for j, tally in enumerate(tallies)
        ]
        return np.concatenate(parts, axis=-1)

    return Problem(cells, counts, rows, np.diag(1 / sd**2), centre, _DELTA), centre


def _best_of(problem: Problem, start: Floats, periods_s: Floats) -> Optimum:
    """Climb from several leaks: seen from one that is too slow, the likelihood is flat."""
    starts = np.geomspace(periods_s.min() * 10, periods_s.max() * 3, 3)
    ends = []
    for leak_s in starts:
        beta = start.copy()
        beta[LEAK] = np.log(leak_s)
        ends.append(maximise(problem, beta))
    return max(ends, key=lambda optimum: optimum.objective)


def _interval(problem: Problem, best: Optimum, periods_s: Floats) -> Estimate:
    ends = [_end(problem, best, float(np.log(leak_s))) for leak_s in (periods_s.min() / _FAR, periods_s.max() * _FAR)]
    value = float(np.exp(best.beta[LEAK])) if None not in ends else None
    return Estimate(value=value, lo=ends[0], hi=ends[1])


def _end(problem: Problem, best: Optimum, far: float) -> float | None:
    """Where the profile likelihood of ln τ passes the 95 % level between the best and `far`; None if it does not."""
    from scipy.optimize import brentq

    middle = float(best.beta[LEAK])
    beta = best.beta

    def excess(ln_leak: float) -> float:
        nonlocal beta
        start = beta.copy()
        start[LEAK] = ln_leak
        held = maximise(problem, start, (_ln_leak, ln_leak))
        beta = held.beta
        return float(np.sqrt(max(2 * (best.objective - held.objective), 0.0))) - Z_95

    if excess(far) <= 0:
        return None
    beta = best.beta
    return float(np.exp(brentq(excess, middle, far, xtol=_PRECISION, rtol=_PRECISION)))


def _ln_leak(beta: Floats) -> Floats:
    return beta[..., LEAK]


def _deviance_ratio(problem: Problem, best: Optimum) -> float:
    """Deviance over degrees of freedom, from cells in which at least one slot was expected."""
    expected = problem.rows * problem.cells(best.beta)
    some = expected > 1
    found = problem.counts[some]
    terms = np.where(found > 0, found * np.log(np.maximum(found, 1) / expected[some]), 0.0) - found + expected[some]
    return float(2 * terms.sum() / max(int(some.sum()) - len(np.unique(problem.rows)) - len(PARAMETERS), 1))

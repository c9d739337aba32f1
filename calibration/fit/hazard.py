"""Pulses to fire without a guess at the mechanism: a smooth hazard, fitted to spike counts by maximum likelihood.

logit P(N = k | N ≥ k) is piecewise linear in ln k, and moves with ln V_th by a term that is itself linear in ln k. With
five knots that follows every unimodal or decaying distribution met here, from nearly regular to heavy-tailed, and
needs no physics, so its mean and spread can be trusted on a device that obeys none of our models.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from calibration.estimate import Z_95, Estimate
from calibration.fit.renewal import count_probabilities, hazard_to_pmf, moments
from calibration.fit.scoring import Optimum, Problem, Quantity, maximise, profile_end
from calibration.tally import Floats, Tally, cell_counts
from drivers.errors import CalibrationError

KNOTS = (1.0, 2.0, 4.0, 8.0, 16.0)  # in pulses; the hazard is constant from the last on
_SMOOTH_SD = 2.0  # prior: logit differences of neighbouring knots ~ N(0, 2²), felt only where there are no data
_LEVEL_SD = 10.0
_SLOPE_SD = 30.0  # of logit hazard against ln V_th: the steepest meaningful is a few tens


@dataclass(frozen=True, eq=False)
class HazardFit:
    """Fitted coefficients; x = ln(V_th / reference_v)."""

    reference_v: float
    knots: tuple[float, ...]
    reach: int
    v_terms: int
    problem: Problem
    best: Optimum

    @property
    def beta(self) -> Floats:
        """(m,) coefficients."""
        return self.best.beta

    def hazard(self, vth_v: float, beta: Floats | None = None) -> Floats:
        """P(N = k | N ≥ k) (…, reach) for k = 1…reach at V_th, for coefficients (…, m), by default the fitted ones."""
        b = self.beta if beta is None else beta
        return _hazard(b, self.knots, self.reach, float(np.log(vth_v / self.reference_v)), self.v_terms)

    def log_mean(self, vth_v: float) -> Quantity:
        """The logarithm of the mean pulses to fire, as a function of coefficients."""
        return lambda beta: np.log(moments(self.hazard(vth_v, beta))[0])

    def log_spread(self, vth_v: float) -> Quantity:
        """The logarithm of the standard deviation of pulses to fire, as a function of coefficients."""
        return lambda beta: np.log(np.maximum(moments(self.hazard(vth_v, beta))[1], 1e-9))

    def standard_error(self, quantity: Quantity) -> float:
        """By the delta method."""
        slope = self.problem.gradient(quantity, self.beta)
        return float(np.sqrt(slope @ np.linalg.solve(self.best.information, slope)))

    def band(self, quantity: Quantity) -> Estimate:
        """exp(quantity) with its 95 % interval by the delta method: quick, for bands."""
        middle, half = float(quantity(self.beta)), Z_95 * self.standard_error(quantity)
        value, lo, hi = np.exp([middle, middle - half, middle + half]).tolist()
        return Estimate(value=value, lo=lo, hi=hi)

    def profile(self, quantity: Quantity) -> Estimate:
        """exp(quantity) with its 95 % interval by likelihood profile."""
        middle, error = float(quantity(self.beta)), self.standard_error(quantity)
        ends = [profile_end(self.problem, self.best, quantity, sign * error) for sign in (-1, 1)]
        value, lo, hi = np.exp([middle, *ends]).tolist()
        return Estimate(value=value, lo=min(lo, value), hi=max(hi, value))


def fit_hazard(data: Sequence[tuple[float, Tally]], *, v_terms: int = 2, knots: tuple[float, ...] = KNOTS) -> HazardFit:
    """Fit all (V_th, tally) jointly; raises CalibrationError when there is too little to fit.

    `v_terms` 0 for one V_th, 2 near one, 4 over the whole window; `knots` in pulses, ascending from 1.
    """
    spikes = sum(tally.total_spikes for _, tally in data)
    if spikes < 20:
        raise CalibrationError(f"only {spikes} spikes were counted, too few to fit pulses-to-fire: play more pulses")
    reference = float(np.exp(np.average(np.log([v for v, _ in data]), weights=[t.total_spikes + 1 for _, t in data])))
    reach = max(int(knots[-1]), *(int(t.pulses.max()) for _, t in data))
    pulses = sum(t.total_pulses for _, t in data)
    beta = np.zeros(len(knots) + v_terms)
    beta[: len(knots)] = np.log(spikes / max(pulses - spikes, 1))
    counts, rows = cell_counts([tally for _, tally in data])

    def cells(b: Floats) -> Floats:
        parts = []
        for vth_v, tally in data:
            pmf = hazard_to_pmf(_hazard(b, knots, reach, float(np.log(vth_v / reference)), v_terms))
            chances = count_probabilities(pmf, tally.pulses, tally.histogram.shape[1])
            parts.append(chances.reshape(*b.shape[:-1], -1))
        return np.concatenate(parts, axis=-1)

    problem = Problem(cells, counts, rows, _penalty(len(knots), v_terms), np.zeros(len(beta)))
    return HazardFit(reference, knots, reach, v_terms, problem, maximise(problem, beta))


def _hazard(beta: Floats, knots: tuple[float, ...], reach: int, x: float, v_terms: int) -> Floats:
    hazard: Floats = expit(beta @ _features(knots, reach, x, v_terms).T)
    return hazard


def _features(knots: tuple[float, ...], reach: int, x: float, v_terms: int) -> Floats:
    """(reach, m) what the coefficients multiply, for k = 1…reach at x = ln(V/V₀)."""
    log_k, at = np.log(np.arange(1, reach + 1)), np.log(knots)
    hats = np.stack([np.interp(log_k, at, row) for row in np.eye(len(at))], axis=1)
    late = np.minimum(log_k, at[-1])
    moves = np.stack([np.full(reach, x), x * late, np.full(reach, x**2), x**2 * late], axis=1)
    return np.concatenate([hats, moves[:, :v_terms]], axis=1)


def _penalty(n: int, v_terms: int) -> Floats:
    """(m, m) inverse covariance of the prior."""
    matrix = np.zeros((n + v_terms, n + v_terms))
    difference = np.diff(np.eye(n), axis=0)
    matrix[:n, :n] = difference.T @ difference / _SMOOTH_SD**2 + np.eye(n) / _LEVEL_SD**2
    matrix[n:, n:] = np.eye(v_terms) / _SLOPE_SD**2
    return matrix

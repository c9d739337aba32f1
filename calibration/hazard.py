"""Pulses to fire without a guess at the mechanism: a smooth hazard, fitted to spike counts by maximum likelihood.

logit P(N = k | N ≥ k) is piecewise linear in ln k, and moves with ln V_th by a term that is itself linear in ln k. With
five knots that follows every unimodal or decaying distribution met here, from nearly regular to heavy-tailed, and
needs no physics, so its mean and spread can be trusted on a device that obeys none of our models.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from calibration.estimate import CHI2_95, Estimate
from calibration.renewal import count_probabilities, hazard_to_pmf, moments
from calibration.tally import Floats, Tally
from drivers.bench import CalibrationError

KNOTS = (1.0, 2.0, 4.0, 8.0, 16.0)  # in pulses; the hazard is constant from the last on
_SMOOTH_SD = 2.0  # prior: logit differences of neighbouring knots ~ N(0, 2²), felt only where there are no data
_LEVEL_SD = 10.0
_SLOPE_SD = 30.0  # of logit hazard against ln V_th: the steepest meaningful is a few tens
_DELTA = 1e-4
_CONSTRAINT = 1e8  # weight of the pseudo-observation that holds a quantity in a profile
Quantity = Callable[[Floats], Floats]


@dataclass(frozen=True, eq=False)
class HazardFit:
    """Fitted coefficients (m,) with their covariance (m, m); x = ln(V_th / reference_v)."""

    reference_v: float
    reach: int
    v_terms: int
    beta: Floats
    covariance: Floats
    log_likelihood: float
    data: tuple[tuple[float, Tally], ...]

    def hazard(self, vth_v: float, beta: Floats | None = None) -> Floats:
        """P(N = k | N ≥ k) (…, reach) for k = 1…reach at V_th, for coefficients (…, m), by default the fitted ones."""
        b = self.beta if beta is None else beta
        hazard: Floats = expit(b @ _features(self.reach, float(np.log(vth_v / self.reference_v)), self.v_terms).T)
        return hazard

    def log_mean(self, vth_v: float) -> Quantity:
        """The logarithm of the mean pulses to fire, as a function of coefficients."""
        return lambda beta: np.log(moments(self.hazard(vth_v, beta))[0])

    def log_spread(self, vth_v: float) -> Quantity:
        """The logarithm of the standard deviation of pulses to fire, as a function of coefficients."""
        return lambda beta: np.log(np.maximum(moments(self.hazard(vth_v, beta))[1], 1e-9))

    def standard_error(self, quantity: Quantity) -> float:
        """By the delta method."""
        slope = _gradient(quantity, self.beta)
        return float(np.sqrt(slope @ self.covariance @ slope))

    def band(self, quantity: Quantity) -> Estimate:
        """exp(quantity) with its 95 % interval by the delta method: quick, for bands."""
        middle, half = float(quantity(self.beta)), np.sqrt(CHI2_95) * self.standard_error(quantity)
        value, lo, hi = np.exp([middle, middle - half, middle + half]).tolist()
        return Estimate(value=value, lo=lo, hi=hi)

    def profile(self, quantity: Quantity) -> Estimate:
        """exp(quantity) with its 95 % interval by likelihood profile."""
        middle, error = float(quantity(self.beta)), self.standard_error(quantity)
        ends = [_profile_end(self, quantity, middle, sign * error) for sign in (-1, 1)]
        value, lo, hi = np.exp([middle, *ends]).tolist()
        return Estimate(value=value, lo=min(lo, value), hi=max(hi, value))


def fit_hazard(data: Sequence[tuple[float, Tally]], *, v_terms: int = 2) -> HazardFit:
    """Fit all (V_th, tally) jointly; raises CalibrationError when there is too little to fit.

    `v_terms` 0 for one V_th, 2 near one, 4 over the whole window.
    """
    spikes = sum(tally.total_spikes for _, tally in data)
    if spikes < 20:
        raise CalibrationError(f"only {spikes} spikes were counted, too few to fit pulses-to-fire: play more pulses")
    reference = float(np.exp(np.average(np.log([v for v, _ in data]), weights=[t.total_spikes + 1 for _, t in data])))
    reach = max(int(KNOTS[-1]), *(int(t.pulses.max()) for _, t in data))
    pulses = sum(t.total_pulses for _, t in data)
    beta = np.zeros(len(KNOTS) + v_terms)
    beta[: len(KNOTS)] = np.log(spikes / max(pulses - spikes, 1))
    start = HazardFit(reference, reach, v_terms, beta, np.eye(len(beta)), -np.inf, tuple(data))
    return _scoring(start, beta)


def _features(reach: int, x: float, v_terms: int) -> Floats:
    """(reach, m) what the coefficients multiply, for k = 1…reach at x = ln(V/V₀)."""
    log_k, knots = np.log(np.arange(1, reach + 1)), np.log(KNOTS)
    hats = np.stack([np.interp(log_k, knots, row) for row in np.eye(len(knots))], axis=1)
    late = np.minimum(log_k, knots[-1])
    moves = np.stack([np.full(reach, x), x * late, np.full(reach, x**2), x**2 * late], axis=1)
    return np.concatenate([hats, moves[:, :v_terms]], axis=1)


def _penalty(v_terms: int) -> Floats:
    """(m, m) inverse covariance of the prior."""
    n = len(KNOTS)
    matrix = np.zeros((n + v_terms, n + v_terms))
    difference = np.diff(np.eye(n), axis=0)
    matrix[:n, :n] = difference.T @ difference / _SMOOTH_SD**2 + np.eye(n) / _LEVEL_SD**2
    matrix[n:, n:] = np.eye(v_terms) / _SLOPE_SD**2
    return matrix


def _cells(fit: HazardFit, beta: Floats) -> Floats:
    """(…, cells) probabilities of all cells of all histograms."""
    parts = []
    for vth_v, tally in fit.data:
        probability = count_probabilities(
            hazard_to_pmf(fit.hazard(vth_v, beta)), tally.pulses, tally.histogram.shape[1]
        )
        parts.append(probability.reshape(*beta.shape[:-1], -1))
    return np.concatenate(parts, axis=-1)


def _counts(data: Sequence[tuple[float, Tally]]) -> tuple[Floats, Floats]:
    """(cells,) slots in each cell, and slots in each cell's row."""
    cells, rows = [], []
    for _, tally in data:
        padded = np.pad(tally.histogram, ((0, 0), (0, 1)))
        cells.append(padded.ravel())
        rows.append(np.repeat(tally.slots, padded.shape[1]))
    return np.concatenate(cells).astype(np.float64), np.concatenate(rows).astype(np.float64)


def _gradient(quantity: Quantity, beta: Floats) -> Floats:
    shifts = np.eye(len(beta)) * _DELTA
    slope: Floats = (quantity(beta + shifts) - quantity(beta - shifts)) / (2 * _DELTA)
    return slope


def _scoring(fit: HazardFit, beta: Floats, hold: tuple[Quantity, float] | None = None) -> HazardFit:
    """Fisher scoring with step halving on the penalised likelihood; `hold` keeps a quantity at a value."""
    counts, rows = _counts(fit.data)
    penalty = _penalty(fit.v_terms)
    m = len(beta)

    def objective(b: Floats) -> Floats:
        value = np.log(_cells(fit, b)) @ counts - 0.5 * np.einsum("...i,ij,...j", b, penalty, b)
        held = 0.0 if hold is None else 0.5 * _CONSTRAINT * (hold[0](b) - hold[1]) ** 2
        return np.asarray(value - held)

    now = float(objective(beta))
    information = np.eye(m)
    for _ in range(100):
        cells = _cells(fit, beta + _DELTA * np.concatenate([np.zeros((1, m)), np.eye(m), -np.eye(m)]))
        slopes = (cells[1 : m + 1] - cells[m + 1 :]) / (2 * _DELTA)
        score = slopes @ (counts / cells[0]) - penalty @ beta
        information = (slopes * (rows / cells[0])) @ slopes.T + penalty
        weighted = information
        if hold is not None:
            slope = _gradient(hold[0], beta)
            score = score - _CONSTRAINT * (float(hold[0](beta)) - hold[1]) * slope
            weighted = information + _CONSTRAINT * np.outer(slope, slope)
        step = np.linalg.solve(weighted, score)
        tries = beta + step * 0.5 ** np.arange(12)[:, None]
        values = objective(tries)
        best = int(np.argmax(values))
        gain = float(values[best]) - now
        if gain <= 0:
            break
        beta, now = tries[best], float(values[best])
        if gain < 1e-7:
            break
    return HazardFit(
        fit.reference_v, fit.reach, fit.v_terms, beta, np.asarray(np.linalg.inv(information)), now, fit.data
    )


def _profile_end(fit: HazardFit, quantity: Quantity, middle: float, error: float) -> float:
    """Where the profile likelihood has fallen by half the chi-square quantile, on the side that `error` points to."""
    target = np.sqrt(CHI2_95)
    at, beta = middle + target * error, fit.beta
    for _ in range(4):
        held = _scoring(fit, beta, (quantity, at))
        beta = held.beta
        reached = float(quantity(beta))
        drop = fit.log_likelihood - _free_objective(held)
        root = np.sqrt(max(2 * drop, 1e-12))
        if abs(root - target) < 0.02:
            return float(reached)
        at = middle + (reached - middle) * float(np.clip(target / root, 0.5, 2.0))
    return float(at)


def _free_objective(fit: HazardFit) -> float:
    """The penalised likelihood without the constraint."""
    counts, _ = _counts(fit.data)
    penalty = _penalty(fit.v_terms)
    return float(np.log(_cells(fit, fit.beta)) @ counts - 0.5 * fit.beta @ penalty @ fit.beta)

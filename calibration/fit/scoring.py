"""Maximum likelihood for counts in cells: Fisher scoring with step halving, and intervals by likelihood profile."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from calibration.estimate import CHI2_95
from calibration.tally import Floats

_CONSTRAINT = 1e8  # weight of the pseudo-observation that holds a quantity in a profile
_MOST_STEPS = 100
_HALVINGS = 12
_TOLERANCE = 1e-4  # of the log-likelihood
Quantity = Callable[[Floats], Floats]  # coefficients (…, m) → (…)


@dataclass(frozen=True, eq=False)
class Problem:
    """What to maximise: Σ counts · ln P(cell) − ½ (β − centre)ᵀ penalty (β − centre).

    `cells` maps coefficients (…, m) to probabilities (…, cells); `counts` (cells,) were found, of `rows` (cells,) that
    were tried in the same row; `penalty` (m, m) is the inverse covariance of the prior around `centre` (m,); `delta` is
    the step of numerical derivatives.
    """

    cells: Callable[[Floats], Floats]
    counts: Floats
    rows: Floats
    penalty: Floats
    centre: Floats
    delta: float = 1e-4

    def objective(self, beta: Floats) -> Floats:
        """(…) for coefficients (…, m)."""
        off = beta - self.centre
        value: Floats = np.log(self.cells(beta)) @ self.counts - 0.5 * np.einsum("...i,ij,...j", off, self.penalty, off)
        return value

    def gradient(self, quantity: Quantity, beta: Floats) -> Floats:
        """(m,) slope of a quantity."""
        shifts = np.eye(len(beta)) * self.delta
        slope: Floats = (quantity(beta + shifts) - quantity(beta - shifts)) / (2 * self.delta)
        return slope


@dataclass(frozen=True, eq=False)
class Optimum:
    """Coefficients (m,), the information there (m, m), and the objective."""

    beta: Floats
    information: Floats
    objective: float


def maximise(problem: Problem, start: Floats, hold: tuple[Quantity, float] | None = None) -> Optimum:
    """Climb from `start`; `hold` keeps a quantity at a value."""
    m, beta = len(start), start
    steps = problem.delta * np.concatenate([np.zeros((1, m)), np.eye(m), -np.eye(m)])

    def objective(b: Floats) -> Floats:
        held = 0.0 if hold is None else 0.5 * _CONSTRAINT * (hold[0](b) - hold[1]) ** 2
        return np.asarray(problem.objective(b) - held)

    now = float(objective(beta))
    information = np.eye(m)
    for _ in range(_MOST_STEPS):
        cells = problem.cells(beta + steps)
        slopes = (cells[1 : m + 1] - cells[m + 1 :]) / (2 * problem.delta)
        score = slopes @ (problem.counts / cells[0]) - problem.penalty @ (beta - problem.centre)
        information = np.asarray((slopes * (problem.rows / cells[0])) @ slopes.T + problem.penalty)
        weighted = information
        if hold is not None:
            slope = problem.gradient(hold[0], beta)
            score = score - _CONSTRAINT * (float(hold[0](beta)) - hold[1]) * slope
            weighted = information + _CONSTRAINT * np.outer(slope, slope)
        tries = beta + np.linalg.solve(weighted, score) * 0.5 ** np.arange(_HALVINGS)[:, None]
        values = objective(tries)
        best = int(np.argmax(values))
        gain = float(values[best]) - now
        if gain <= 0:
            break
        beta, now = tries[best], float(values[best])
        if gain < _TOLERANCE:
            break
    return Optimum(beta, information, float(problem.objective(beta)))


def profile_end(problem: Problem, best: Optimum, quantity: Quantity, error: float) -> float:
    """Where the profile likelihood of a quantity has fallen by half the 95 % quantile of chi-square.

    `error` is the quantity's standard error, with the sign of the side to look on.
    """
    target = float(np.sqrt(CHI2_95))
    middle, beta = float(quantity(best.beta)), best.beta
    at = middle + target * error
    for _ in range(6):
        held = maximise(problem, beta, (quantity, at))
        beta, reached = held.beta, float(quantity(held.beta))
        root = float(np.sqrt(max(2 * (best.objective - held.objective), 1e-12)))
        if abs(root - target) < 0.02:
            return reached
        at = middle + (reached - middle) * float(np.clip(target / root, 0.5, 2.0))
    return at

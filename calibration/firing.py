"""Firing statistics: how many pulses it takes to fire, and which stochastic model tells it best.

What any bench can count is in how many slots of n pulses there was at least one spike: the distribution function F(n)
of the pulses to fire, sampled as binomials. Models are fitted to those by maximum likelihood, compared by the criterion
of Akaike, and judged by a parametric bootstrap of the deviance, which is valid although parameters were fitted.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drivers.bench import CalibrationError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
_TINY = 1e-9


@dataclass(frozen=True)
class FiringCounts:
    """In `fired` (k,) of `slots` (k,) slots of `pulses` (k,) pulses the neuron fired at least once."""

    pulses: Ints
    slots: Ints
    fired: Ints

    @property
    def share(self) -> Floats:
        """(k,) estimates of F(n)."""
        return self.fired / self.slots


@dataclass(frozen=True)
class Model:
    """A distribution function of the pulses to fire, with the names of its parameters and where to start a fit.

    Parameters are fitted as logarithms when `positive`, else as logits.
    """

    name: str
    parameters: tuple[str, ...]
    cdf: Callable[[Floats, Floats], Floats]
    start: Callable[[float, float], tuple[float, ...]]
    shares: tuple[bool, ...]


def _normal(n: Floats, p: Floats) -> Floats:
    from scipy.stats import norm

    return np.asarray(norm.cdf((n - p[0]) / p[1]))


def _lognormal(n: Floats, p: Floats) -> Floats:
    from scipy.stats import norm

    return np.asarray(norm.cdf((np.log(n) - np.log(p[0])) / p[1]))


def _gumbel(n: Floats, p: Floats) -> Floats:
    return np.asarray(np.exp(-np.exp(-(n - p[0]) / p[1])))


def _first_passage(n: Floats, p: Floats) -> Floats:
    """Inverse Gaussian: a drifting random walk of ln R first passes the threshold (mean p0, shape p1)."""
    from scipy.stats import invgauss

    return np.asarray(invgauss.cdf(n, p[0] / p[1], scale=p[1]))


def _gradual_and_jump(n: Floats, p: Floats) -> Floats:
    """Each pulse may jump to firing with probability p2; otherwise gradual steps add up to a normal passage."""
    from scipy.stats import norm

    return np.asarray(1 - (1 - p[2]) ** n * norm.sf((n - p[0]) / p[1]))


MODELS = (
    Model("normal threshold", ("mean", "sd"), _normal, lambda m, s: (m, s), (False, False)),
    Model("lognormal threshold", ("median", "sd of ln"), _lognormal, lambda m, s: (m, s / m), (False, False)),
    Model("Gumbel", ("mode", "scale"), _gumbel, lambda m, s: (0.8 * m, 0.78 * s), (False, False)),
    Model("first passage", ("mean", "shape"), _first_passage, lambda m, s: (m, m**3 / s**2), (False, False)),
    Model(
        "gradual and jump",
        ("mean", "sd", "jump probability"),
        _gradual_and_jump,
        lambda m, s: (1.2 * m, s, 0.05),
        (False, False, True),
    ),
)


@dataclass(frozen=True)
class Fit:
    """A fitted model: parameters with their 95 % bootstrap intervals (parameters, 2), AIC, deviance and its p-value."""

    model: Model
    values: Floats
    intervals: Floats
    aic: float
    deviance: float
    p_value: float

    def cdf(self, n: Floats) -> Floats:
        """F(n)."""
        return _bounded(self.model, n, self.values)


def fit_all(counts: FiringCounts, *, replicates: int = 200, seed: int = 0) -> list[Fit]:
    """Fit every model, best AIC first; raises CalibrationError when nothing fired, or everything always did."""
    share = counts.share
    if counts.fired.sum() == 0:
        raise CalibrationError("no slot fired at all: lower V_th, or check the bench with hil doctor --loopback")
    if share.min() > 0.98:
        raise CalibrationError("every slot fired: V_th is below the usable window, or the axon is stuck")
    rng = np.random.default_rng(seed)
    fits = [_fit(model, counts, replicates, rng) for model in MODELS]
    return sorted(fits, key=lambda fit: fit.aic)


def _fit(model: Model, counts: FiringCounts, replicates: int, rng: np.random.Generator) -> Fit:
    values, loss = _maximise(model, counts, np.array(model.start(*_moments(counts))))
    deviance = 2 * (loss - _saturated(counts))
    chance = _bounded(model, counts.pulses.astype(np.float64), values)
    drawn, worse = [], 0
    for _ in range(replicates):
        again = FiringCounts(counts.pulses, counts.slots, rng.binomial(counts.slots, chance))
        other, other_loss = _maximise(model, again, values)
        drawn.append(other)
        worse += 2 * (other_loss - _saturated(again)) >= deviance
    intervals = np.quantile(np.array(drawn), [0.025, 0.975], axis=0).T if drawn else np.full((len(values), 2), np.nan)
    return Fit(model, values, intervals, 2 * len(values) + 2 * loss, deviance, (worse + 1) / (replicates + 1))


def _moments(counts: FiringCounts) -> tuple[float, float]:
    """Rough mean and spread of the pulses to fire, to start from."""
    share = np.maximum.accumulate(counts.share)
    quartiles = np.interp([0.25, 0.5, 0.75], share, counts.pulses)
    return max(float(quartiles[1]), 0.5), max(float(quartiles[2] - quartiles[0]) / 1.35, 0.3)


def _maximise(model: Model, counts: FiringCounts, start: Floats) -> tuple[Floats, float]:
    from scipy.optimize import minimize

    shares = np.array(model.shares)

    def back(x: Floats) -> Floats:
        return np.where(shares, 1 / (1 + np.exp(-np.clip(x, -30, 30))), np.exp(np.clip(x, -30, 30)))

    def loss(x: Floats) -> float:
        return _loss(counts, _bounded(model, counts.pulses.astype(np.float64), back(x)))

    safe = np.where(shares, np.clip(start, 1e-6, 1 - 1e-6), np.maximum(start, 1e-6))
    first = np.where(shares, np.log(safe / np.where(shares, 1 - safe, 1.0)), np.log(safe))
    best = minimize(loss, first, method="Nelder-Mead", options={"xatol": 1e-4, "fatol": 1e-4, "maxiter": 600})
    return back(best.x), float(best.fun)


def _bounded(model: Model, n: Floats, values: Floats) -> Floats:
    return np.clip(model.cdf(n, values), _TINY, 1 - _TINY)


def _loss(counts: FiringCounts, chance: Floats) -> float:
    """Negative binomial log likelihood, without its constant."""
    return -float((counts.fired * np.log(chance) + (counts.slots - counts.fired) * np.log1p(-chance)).sum())


def _saturated(counts: FiringCounts) -> float:
    return _loss(counts, np.clip(counts.share, _TINY, 1 - _TINY))

"""Firing statistics: how many pulses it takes to fire, and which stochastic model tells it best.

What any bench can count is spikes in slots of chosen numbers of pulses. Each model gives the distribution of pulses to
fire, and with it, as a renewal process, that of those counts; so every spike counts, not only whether a slot fired.
Models are fitted by maximum likelihood, compared by Akaike's criterion, and judged by a parametric bootstrap of the
deviance, which is valid although parameters were fitted (Stute, Manteiga, Quindimil, Metrika 40:243, 1993).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy.special import expit, log_ndtr, logit, ndtr

from calibration.estimate import Z_95
from calibration.fit.hazard import fit_hazard
from calibration.fit.passage import PARAMETERS, first_passage
from calibration.fit.renewal import count_probabilities, hazard_to_pmf, sample_counts
from calibration.fit.scoring import Problem, maximise
from calibration.tally import Floats, Ints, Tally, cell_counts
from drivers.errors import CalibrationError

_TINY = 1e-12
_START_SPREAD, _BOUND = 0.15, 2.0  # of the low state, and of y, as shares of the threshold: assumed, not fitted
_VAGUE_SD = 5.0  # of the prior of every transformed parameter: only keeps a useless one from running away


@dataclass(frozen=True)
class Model:
    """A distribution function F(n) of the pulses to fire, with the names of its parameters and where to start a fit.

    `cdf` takes n (k,) and parameters (…, m); a parameter is positive, or, where `shares` says so, between 0 and 1.
    """

    name: str
    parameters: tuple[str, ...]
    cdf: Callable[[Floats, Floats], Floats]
    start: Callable[[float, float], tuple[float, ...]]
    shares: tuple[bool, ...]

    def transformed(self, values: Floats) -> Floats:
        """Logarithms and logits, in which parameters are fitted."""
        shares = np.array(self.shares)
        return np.where(shares, logit(np.where(shares, values, 0.5)), np.log(np.where(shares, 1.0, values)))

    def values(self, beta: Floats) -> Floats:
        """The inverse of `transformed`."""
        return np.where(self.shares, expit(beta), np.exp(np.clip(beta, -30, 30)))

    def pmf(self, values: Floats, reach: int) -> Floats:
        """P(N = k) (…, reach), k = 1…reach, given that it takes at least one pulse: what F has at 0 is left out."""
        cdf = self.cdf(np.arange(reach + 1, dtype=np.float64), values)
        pmf: Floats = np.clip(np.diff(cdf, axis=-1) / np.maximum(1 - cdf[..., :1], _TINY), 0.0, 1.0)
        return pmf


def _normal(n: Floats, p: Floats) -> Floats:
    return np.asarray(ndtr((n - p[..., :1]) / p[..., 1:2]))


def _lognormal(n: Floats, p: Floats) -> Floats:
    return np.asarray(ndtr((np.log(np.maximum(n, _TINY)) - np.log(p[..., :1])) / p[..., 1:2]))


def _gumbel(n: Floats, p: Floats) -> Floats:
    return np.asarray(np.exp(-np.exp(np.clip(-(n - p[..., :1]) / p[..., 1:2], -700, 700))))


def _first_passage(n: Floats, p: Floats) -> Floats:
    """Inverse Gaussian: a random walk of ln R with drift first passes the threshold (mean p0, shape p1)."""
    mean, shape, x = p[..., :1], p[..., 1:2], np.maximum(n, _TINY)
    root = np.sqrt(shape / x)
    return np.asarray(ndtr(root * (x / mean - 1)) + np.exp(2 * shape / mean + log_ndtr(-root * (x / mean + 1))))


def _gradual_and_jump(n: Floats, p: Floats) -> Floats:
    """Each pulse may jump to firing with probability p2; otherwise gradual steps add up to a normal passage."""
    return np.asarray(1 - (1 - p[..., 2:3]) ** n * ndtr(-(n - p[..., :1]) / p[..., 1:2]))


def _leaky_walk(n: Floats, p: Floats) -> Floats:
    """Equation (1): lognormal steps of mean p0 (threshold: 1) and spread p1, jumps p2, a leak of p3 a pulse."""
    flat = p.reshape(-1, 4)
    theta = np.zeros((len(flat), len(PARAMETERS)))
    theta[:, PARAMETERS.index("threshold")] = 1.0
    theta[:, PARAMETERS.index("ln lrs_spread")] = np.log(_START_SPREAD)
    theta[:, PARAMETERS.index("ln y_hrs")] = np.log(_BOUND)
    theta[:, PARAMETERS.index("ln step")] = np.log(flat[:, 0])
    theta[:, PARAMETERS.index("ln step_spread")] = np.log(flat[:, 1])
    theta[:, PARAMETERS.index("logit jump_probability")] = logit(np.clip(flat[:, 2], 1e-6, 1 - 1e-6))
    theta[:, PARAMETERS.index("ln leak_s")] = -np.log(flat[:, 3])
    pmf, _ = first_passage(theta, np.ones(1), len(n) - 1)  # one period is the unit of time
    cdf = np.concatenate([np.zeros((len(flat), 1)), np.cumsum(pmf[:, 0], axis=-1)], axis=-1)
    return np.asarray(cdf.reshape(*p.shape[:-1], -1))


MODELS = (
    Model("normal threshold", ("mean", "sd"), _normal, lambda m, s: (m, s), (False, False)),
    Model("lognormal threshold", ("median", "sd of ln"), _lognormal, lambda m, s: (0.9 * m, s / m), (False, False)),
    Model("Gumbel", ("mode", "scale"), _gumbel, lambda m, s: (0.8 * m, 0.78 * s), (False, False)),
    Model("first passage", ("mean", "shape"), _first_passage, lambda m, s: (m, m**3 / s**2), (False, False)),
    Model(
        "gradual and jump",
        ("mean", "sd", "jump probability"),
        _gradual_and_jump,
        lambda m, s: (1.3 * m, s, 0.05),
        (False, False, True),
    ),
    Model(
        "first passage with leak and jumps",
        ("step", "step spread", "jump probability", "leak a pulse"),
        _leaky_walk,
        lambda m, _: (1.2 / m, 0.8, 0.05, 0.05),
        (False, False, True, False),
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

    def pmf(self, reach: int) -> Floats:
        """P(N = k) (reach,), k = 1…reach."""
        return self.model.pmf(self.values, reach)


@dataclass(frozen=True)
class Histogram:
    """P(N = k) (k,), k = 1…, with the ends of the 95 % intervals, whatever the model."""

    share: Floats
    lo: Floats
    hi: Floats


def histogram(tally: Tally, reach: int) -> Histogram:
    """The firing histogram that the counts tell without a model: a hazard that is free at every pulse."""
    knots = tuple(float(k) for k in range(1, reach + 1))
    fit = fit_hazard([(1.0, _played(tally))], v_terms=0, knots=knots)

    def log_odds(beta: Floats) -> Floats:
        pmf = np.clip(hazard_to_pmf(fit.hazard(1.0, beta))[..., :reach], _TINY, 1 - 1e-9)
        return np.asarray(logit(pmf))

    middle = log_odds(fit.beta)
    half = Z_95 * np.array([fit.standard_error(partial(_one, log_odds, k)) for k in range(reach)])
    return Histogram(expit(middle), expit(middle - half), expit(middle + half))


def _one(quantity: Callable[[Floats], Floats], k: int, beta: Floats) -> Floats:
    return quantity(beta)[..., k]


def fit_all(
    tally: Tally,
    *,
    models: Sequence[Model] = MODELS,
    replicates: int = 100,
    seed: int = 0,
    progress: Callable[[float], None] | None = None,
) -> list[Fit]:
    """Fit every model, best AIC first; `progress` is told the share of the time that is over.

    Raises CalibrationError when nothing fired, or everything always did.
    """
    counts = _played(tally)
    if counts.total_spikes == 0:
        raise CalibrationError("no slot fired at all: lower V_th, or check the bench with hil doctor --loopback")
    if (counts.fired / counts.slots).min() > 0.98:
        raise CalibrationError("every slot fired: V_th is below the usable window, or the axon is stuck")
    rng = np.random.default_rng(seed)
    first = []
    took_s = []
    for model in models:  # the slowest takes ten times what the others do: their shares are as their first fits take
        began = time.perf_counter()
        first.append(_maximise(model, counts, _start(model, counts)))
        took_s.append(time.perf_counter() - began)
    fits, total_s = [], sum(took_s) * max(replicates, 1)
    for i, (model, found) in enumerate(zip(models, first, strict=True)):

        def advance(done: int, i: int = i) -> None:
            if progress is not None:
                progress((sum(took_s[:i]) * replicates + took_s[i] * done) / total_s)

        fits.append(_fit(model, counts, found, replicates, rng, advance))
    return sorted(fits, key=lambda fit: fit.aic)


def _played(tally: Tally) -> Tally:
    """Without empty slots, which tell nothing of pulses."""
    played = tally.pulses > 0
    return Tally(tally.pulses[played], tally.histogram[played])


def _start(model: Model, counts: Tally) -> Floats:
    mean = max(counts.total_pulses / counts.total_spikes, 1.2)
    return model.transformed(np.array(model.start(mean, max(0.6 * mean, 0.5))))


def _fit(
    model: Model,
    counts: Tally,
    found: tuple[Floats, float],
    replicates: int,
    rng: np.random.Generator,
    advance: Callable[[int], None],
) -> Fit:
    """What was `found`, with the intervals and the p-value of the parametric bootstrap."""
    beta, loss = found
    values, deviance = model.values(beta), 2 * (loss - _saturated(counts))
    pmf, pulses = model.pmf(values, int(counts.pulses.max())), np.repeat(counts.pulses, counts.slots)
    drawn, worse = [], 0
    for done in range(replicates):
        again = Tally.of(pulses, sample_counts(pmf, pulses, rng))
        other, other_loss = _maximise(model, again, beta)
        drawn.append(model.values(other))
        worse += 2 * (other_loss - _saturated(again)) >= deviance
        advance(done + 1)
    intervals = np.quantile(np.array(drawn), [0.025, 0.975], axis=0).T if drawn else np.full((len(values), 2), np.nan)
    return Fit(model, values, intervals, 2 * len(values) + 2 * loss, deviance, (worse + 1) / (replicates + 1))


def _maximise(model: Model, counts: Tally, start: Floats) -> tuple[Floats, float]:
    """Transformed parameters (m,) and the negative log-likelihood there."""
    reach, width = int(counts.pulses.max()), counts.histogram.shape[1]
    found, rows = cell_counts([counts])

    def cells(beta: Floats) -> Floats:
        chances = count_probabilities(model.pmf(model.values(beta), reach), counts.pulses, width)
        return chances.reshape(*beta.shape[:-1], -1)

    penalty = np.eye(len(start)) / _VAGUE_SD**2
    best = maximise(Problem(cells, found, rows, penalty, start), start)
    return best.beta, -float(found @ np.log(cells(best.beta)))


def _saturated(counts: Tally) -> float:
    """Negative log-likelihood of the counts' own shares."""
    share = counts.histogram / counts.slots[:, None]
    return -float((counts.histogram * np.log(np.where(share > 0, share, 1.0))).sum())


def spikes_after(pulse_times_s: Floats, spike_times_s: Floats, starts_s: Floats) -> Ints:
    """(firings,) pulses to fire from spike times on an oscilloscope: dendrite pulses since the last start or spike.

    `starts_s` are the starts of slots; all times ascend. A spike belongs to the pulses that rose before it.
    """
    before = np.searchsorted(pulse_times_s, spike_times_s).astype(np.int64)
    slot = np.searchsorted(starts_s, spike_times_s) - 1
    since = np.searchsorted(pulse_times_s, starts_s).astype(np.int64)[slot]
    again = np.flatnonzero(np.diff(slot) == 0) + 1  # not the first spike of its slot
    since[again] = before[again - 1]
    return before - since

"""Fits against counts drawn from a known distribution; seeds are fixed, stated rates are for a fresh one."""

from __future__ import annotations

import numpy as np
import pytest

from calibration.firing import MODELS, FiringCounts, fit_all
from drivers.bench import CalibrationError

PULSES = np.arange(1, 25, 2)
SLOTS = np.full(12, 800)
TRUTH = {
    "normal threshold": (6.0, 2.5),
    "lognormal threshold": (5.0, 0.5),
    "Gumbel": (4.0, 2.0),
    "first passage": (6.0, 20.0),
    "gradual and jump": (7.0, 2.0, 0.06),
}


def drawn(name: str, seed: int = 1) -> FiringCounts:
    model = next(m for m in MODELS if m.name == name)
    chance = np.clip(model.cdf(PULSES.astype(float), np.array(TRUTH[name])), 0, 1)
    return FiringCounts(PULSES, SLOTS, np.random.default_rng(seed).binomial(SLOTS, chance))


@pytest.mark.parametrize("name", TRUTH)
def test_the_true_model_is_found_with_its_parameters_and_is_not_rejected(name: str) -> None:
    """The interval of each parameter covers the truth in 95 % of cases, the p-value is below 0.01 in 1 %."""
    fits = fit_all(drawn(name), replicates=40)
    assert fits[0].aic <= fits[-1].aic
    mine = next(f for f in fits if f.model.name == name)
    assert mine.aic - fits[0].aic < 6
    assert mine.p_value > 0.01
    wide = mine.intervals + np.array([-1, 1]) * np.diff(mine.intervals, axis=1) * 0.5
    assert ((wide[:, 0] <= TRUTH[name]) & (np.array(TRUTH[name]) <= wide[:, 1])).all()


def test_a_wrong_model_is_rejected() -> None:
    fits = {f.model.name: f for f in fit_all(drawn("gradual and jump"), replicates=40)}
    assert fits["normal threshold"].p_value < 0.05
    assert fits["normal threshold"].aic > fits["gradual and jump"].aic + 10


def test_a_neuron_that_never_or_always_fires_is_refused() -> None:
    with pytest.raises(CalibrationError, match="no slot fired"):
        fit_all(FiringCounts(PULSES, SLOTS, np.zeros(12, dtype=np.int64)))
    with pytest.raises(CalibrationError, match="every slot fired"):
        fit_all(FiringCounts(PULSES, SLOTS, SLOTS))

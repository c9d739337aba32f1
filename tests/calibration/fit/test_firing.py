"""Fits against counts drawn from a known distribution; seeds are fixed, stated rates are for a fresh one."""

from __future__ import annotations

import numpy as np
import pytest

from calibration.fit.firing import MODELS, fit_all, histogram, spikes_after
from calibration.fit.renewal import sample_counts
from calibration.tally import Tally
from drivers.errors import CalibrationError

PULSES = np.repeat(np.arange(1, 25, 2), 200)
TRUTH = {
    "normal threshold": (6.0, 2.5),
    "lognormal threshold": (5.0, 0.5),
    "Gumbel": (4.0, 2.0),
    "first passage": (6.0, 20.0),
    "gradual and jump": (7.0, 2.0, 0.06),
    "first passage with leak and jumps": (0.35, 0.8, 0.06, 0.1),
}


def drawn(name: str, seed: int = 1) -> Tally:
    model = next(m for m in MODELS if m.name == name)
    pmf = model.pmf(np.array(TRUTH[name]), int(PULSES.max()))
    return Tally.of(PULSES, sample_counts(pmf, PULSES, np.random.default_rng(seed)))


@pytest.mark.parametrize("name", TRUTH)
def test_every_model_is_a_distribution(name: str) -> None:
    model = next(m for m in MODELS if m.name == name)
    values = np.array(TRUTH[name])
    pmf = model.pmf(values, 300)
    assert (pmf >= 0).all()
    assert pmf.sum() == pytest.approx(1.0, abs=1e-6)
    assert model.values(model.transformed(values)) == pytest.approx(values)
    assert model.pmf(np.stack([values, values]), 30)[1] == pytest.approx(pmf[:30])


@pytest.mark.parametrize("name", TRUTH)
def test_the_true_model_is_found_with_its_parameters_and_is_not_rejected(name: str) -> None:
    """Its intervals, doubled, miss a parameter in fewer than one case in a thousand; p is below 0.01 in one of 100."""
    quick = [m for m in MODELS if m.name in (name, "lognormal threshold", "Gumbel")]
    fits = fit_all(drawn(name), models=quick, replicates=30)
    mine = next(f for f in fits if f.model.name == name)
    assert mine.aic - fits[0].aic < 6
    assert mine.p_value > 0.01
    wide = mine.intervals + np.array([-1, 1]) * np.diff(mine.intervals, axis=1) * 0.5
    assert ((wide[:, 0] <= TRUTH[name]) & (np.array(TRUTH[name]) <= wide[:, 1])).all()


def test_a_wrong_model_is_rejected() -> None:
    both = [m for m in MODELS if m.name in ("lognormal threshold", "gradual and jump")]
    fits = {f.model.name: f for f in fit_all(drawn("gradual and jump"), models=both, replicates=20)}
    assert fits["lognormal threshold"].p_value < 0.05
    assert fits["lognormal threshold"].aic > fits["gradual and jump"].aic + 10


def test_the_p_value_is_valid_although_parameters_are_fitted() -> None:
    """Under a true model p-values are uniform: of 30, eight or more below 0.1 would be a false alarm in 0.8 %."""
    model = [m for m in MODELS if m.name == "Gumbel"]
    p_values = [fit_all(drawn("Gumbel", seed), models=model, replicates=19)[0].p_value for seed in range(30)]
    assert sum(p <= 0.1 for p in p_values) < 8
    assert min(p_values) < 0.5 < max(p_values)


def test_the_histogram_needs_no_model() -> None:
    """Of 12 intervals of 95 % nine or more cover: fewer do in 0.2 % of cases."""
    found = histogram(drawn("gradual and jump"), 24)
    truth = MODELS[4].pmf(np.array(TRUTH["gradual and jump"]), 12)
    assert sum((found.lo[:12] <= truth) & (truth <= found.hi[:12])) >= 9
    assert found.share.sum() == pytest.approx(1.0, abs=0.05)


def test_a_neuron_that_never_or_always_fires_is_refused() -> None:
    with pytest.raises(CalibrationError, match="no slot fired"):
        fit_all(Tally.of(PULSES, np.zeros_like(PULSES)))
    with pytest.raises(CalibrationError, match="every slot fired"):
        fit_all(Tally.of(PULSES, PULSES))


def test_spike_times_are_counted_in_pulses_since_the_start_or_the_last_spike() -> None:
    pulses = np.array([1.0, 2, 3, 4, 11, 12, 13, 14])
    gaps = spikes_after(pulses, np.array([2.1, 4.1, 13.1, 13.2]), np.array([0.5, 10.5]))
    assert gaps.tolist() == [2, 2, 3, 0]

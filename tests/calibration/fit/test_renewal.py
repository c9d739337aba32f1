from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from calibration.fit.renewal import count_probabilities, hazard_to_pmf, moments, sample_counts

PULSES = np.array([1, 3, 8, 20])


def test_a_neuron_without_memory_gives_binomial_counts() -> None:
    chances = count_probabilities(hazard_to_pmf(np.full(20, 0.3)), PULSES, 21)
    for row, n in zip(chances, PULSES, strict=True):
        assert row == pytest.approx(binom.pmf(np.arange(22), n, 0.3), abs=1e-11)


def test_a_neuron_without_chance_fires_every_fourth_pulse() -> None:
    pmf = np.zeros(20)
    pmf[3] = 1.0
    assert count_probabilities(pmf, PULSES, 8).argmax(axis=1).tolist() == [0, 0, 2, 5]


def test_the_first_firing_may_be_of_another_kind() -> None:
    first, later = np.zeros(20), np.zeros(20)
    first[0], later[4] = 1.0, 1.0  # after pulse 1, then after 6, 11, 16
    assert count_probabilities(later, PULSES, 8, first).argmax(axis=1).tolist() == [1, 1, 2, 4]


@settings(derandomize=True, max_examples=50)
@given(st.lists(st.floats(0.01, 0.99), min_size=12, max_size=12), st.integers(1, 12))
def test_chances_add_up_and_never_more_spikes_than_pulses(hazard: list[float], n: int) -> None:
    chances = count_probabilities(hazard_to_pmf(np.array(hazard)), np.array([n]), 14)[0]
    assert chances.sum() == pytest.approx(1.0, abs=1e-9)
    assert chances[n + 1 :].max() < 1e-9


def test_the_last_column_is_all_that_is_more() -> None:
    pmf = hazard_to_pmf(np.full(20, 0.4))
    few, many = count_probabilities(pmf, PULSES, 2), count_probabilities(pmf, PULSES, 21)
    assert few[:, 2] == pytest.approx(many[:, 2:].sum(axis=1), abs=1e-9)


def test_moments_of_an_endless_tail() -> None:
    mean, sd = moments(np.full(5, 0.2))
    assert (float(mean), float(sd)) == pytest.approx((5.0, np.sqrt(0.8) / 0.2))


def test_batches_are_the_same_as_one_by_one() -> None:
    pmf = hazard_to_pmf(np.random.default_rng(0).uniform(0.1, 0.5, (3, 2, 20)))
    together = count_probabilities(pmf, PULSES, 6)
    assert together.shape == (3, 2, 4, 7)
    assert together[2, 1] == pytest.approx(count_probabilities(pmf[2, 1], PULSES, 6))


def test_drawn_counts_have_the_mean_of_their_distribution() -> None:
    """Five standard errors: 6 in ten million for a fresh seed."""
    pmf, pulses = hazard_to_pmf(np.linspace(0.1, 0.8, 20)), np.repeat(PULSES, 4_000)
    drawn = sample_counts(pmf, pulses, np.random.default_rng(1))
    chances, s = count_probabilities(pmf, PULSES, 21), np.arange(22)
    for n, row in zip(PULSES, chances, strict=True):
        sd = np.sqrt(row @ s**2 - (row @ s) ** 2)
        assert drawn[pulses == n].mean() == pytest.approx(row @ s, abs=5 * sd / np.sqrt(4_000))

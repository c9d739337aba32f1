"""Coverage is counted on synthetic renewal data with fixed seeds; the stated rates are those for fresh ones."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit

from calibration.estimate import Estimate
from calibration.fit.hazard import fit_hazard
from calibration.fit.renewal import hazard_to_pmf, moments, sample_counts
from calibration.tally import Tally, cell_counts
from drivers.errors import CalibrationError

SLOTS = np.repeat([2, 4, 8, 16, 32], [80, 60, 40, 25, 40])
K = np.arange(1, 400)
SHAPES = {
    "rising": np.minimum(0.1 + 0.05 * K, 0.85),
    "without memory": np.full(len(K), 0.25),
    "falling": 0.15 + 0.3 / K,
    "late": expit((K - 6.0) * 1.5),
}


def synthetic(hazard: np.ndarray, seed: int, copies: int = 1) -> Tally:
    pulses = np.repeat(SLOTS, copies)
    return Tally.of(pulses, sample_counts(hazard_to_pmf(hazard), pulses, np.random.default_rng(seed)))


@pytest.mark.parametrize("shape", SHAPES)
def test_mean_and_spread_of_any_shape_are_found(shape: str) -> None:
    """Within four standard errors and 1 % for the five knots: fewer than one false alarm in ten thousand."""
    hazard = SHAPES[shape]
    mean, sd = moments(hazard)
    fit = fit_hazard([(0.7, synthetic(hazard, 3, copies=20))], v_terms=0)
    for quantity, truth in ((fit.log_mean(0.7), mean), (fit.log_spread(0.7), sd)):
        assert abs(quantity(fit.beta) - np.log(truth)) < 4 * fit.standard_error(quantity) + 0.01


def test_intervals_cover_the_truth_as_often_as_they_say() -> None:
    """Of 80 intervals 70 or fewer cover in 0.6 % of cases; that all 160 do, in 0.03 %."""
    hazard = SHAPES["rising"]
    mean, sd = (float(x) for x in moments(hazard))
    covered = {"mean": 0, "spread": 0}
    for seed in range(80):
        fit = fit_hazard([(0.7, synthetic(hazard, seed))], v_terms=0)
        covered["mean"] += fit.band(fit.log_mean(0.7)).covers(mean)
        covered["spread"] += fit.band(fit.log_spread(0.7)).covers(sd)
    assert all(count > 70 for count in covered.values()), covered
    assert sum(covered.values()) < 160, covered


def test_profile_and_delta_intervals_agree_where_data_are_many() -> None:
    fit = fit_hazard([(0.7, synthetic(SHAPES["rising"], 5, copies=10))], v_terms=0)
    profile, band = fit.profile(fit.log_mean(0.7)), fit.band(fit.log_mean(0.7))
    assert (profile.lo, profile.hi) == pytest.approx((band.lo, band.hi), rel=2e-3)


def test_the_trend_with_threshold_is_followed() -> None:
    """Hazards fall with V_th; a joint fit interpolates. Four standard errors."""

    def hazard(v: float) -> np.ndarray:
        return np.asarray(expit(-2.0 + 0.4 * np.minimum(K, 12) - 6 * np.log(v / 0.7)))

    data = [(v, synthetic(hazard(v), i, copies=5)) for i, v in enumerate((0.62, 0.66, 0.74, 0.78))]
    fit = fit_hazard(data)
    truth = float(moments(hazard(0.7))[0])
    assert abs(float(fit.log_mean(0.7)(fit.beta)) - np.log(truth)) < 4 * fit.standard_error(fit.log_mean(0.7))
    assert fit.log_mean(0.78)(fit.beta) > fit.log_mean(0.62)(fit.beta) + 0.1


def test_too_few_spikes_are_refused() -> None:
    with pytest.raises(CalibrationError, match="only 1 spikes were counted"):
        fit_hazard([(0.7, Tally.of(np.array([4, 4]), np.array([0, 1])))])


def test_tallies_merge_and_count() -> None:
    one, two = Tally.of(np.array([2, 5, 5]), np.array([0, 1, 3])), Tally.of(np.array([5, 9]), np.array([1, 0]))
    both = Tally.merged([one, two])
    assert both.pulses.tolist() == [2, 5, 9]
    assert both.histogram.tolist() == [[1, 0, 0, 0], [0, 2, 0, 1], [1, 0, 0, 0]]
    assert (both.total_pulses, both.total_spikes, both.slots.tolist()) == (26, 5, [1, 3, 1])
    assert both.mean_spikes == pytest.approx([0, 5 / 3, 0])
    cells, rows = cell_counts([both])
    assert len(cells) == len(rows) == 15
    assert cells.sum() == 5


def test_estimates_must_be_in_order() -> None:
    with pytest.raises(ValueError, match="does not hold"):
        Estimate(value=1.0, lo=2.0, hi=3.0)
    assert Estimate(value=None, lo=0.5, hi=None).shown("s") == "> 0.5 s"
    assert Estimate(value=None, lo=0.5, hi=None).covers(9.0)
    assert Estimate(value=0.7, lo=0.6, hi=0.8).scaled(10).shown("V", 2) == "7 V (6…8)"

"""When to stop: the threshold keeps its promise on digits that it was not found on."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from drivers.errors import CalibrationError
from hil.run.sequential import find_rule, upper_limit


def digits(rng: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Confidences (count, 1), and whether the answer will change: the more often the lower they are."""
    confidence = 1 - rng.random((count, 1)) ** 3
    changed = rng.random((count, 1)) < 0.5 * (1 - confidence) ** 1.5
    return confidence, changed


def test_the_stated_error_holds_on_other_digits() -> None:
    """Of 200 rules the promise may fail in 5 %; more than 25 failures have a chance below 1e-4."""
    rng = np.random.default_rng(0)
    other_confidence, other_changed = digits(rng, 200_000)
    failures = 0
    for _ in range(200):
        rule = find_rule(*digits(rng, 1_000), 0.02)
        assert rule.error <= 0.02
        true = ((other_confidence >= rule.sure) & other_changed).mean()
        failures += true > 0.02
        assert rule.stopped > 0
    assert binom.sf(25, 200, 0.05) < 1e-4
    assert failures <= 25


def test_as_many_as_possible_are_stopped() -> None:
    confidence = np.array([[0.9], [0.8], [0.7], [0.6]] * 100)
    changed = np.array([[False], [False], [False], [True]] * 100)
    rule = find_rule(confidence, changed, 0.02)
    assert (rule.sure, rule.stopped, rule.otherwise) == (0.7, 300, 0)
    assert find_rule(confidence, changed, 0.4).sure == 0.6


def test_of_several_helpings_the_first_that_is_sure_counts() -> None:
    """A later change of mind does not matter where the digit had stopped before."""
    confidence = np.array([[0.9, 0.1], [0.2, 0.9]] * 200)
    changed = np.array([[False, True], [True, False]] * 200)
    rule = find_rule(confidence, changed, 0.01)
    assert (rule.sure, rule.stopped, rule.otherwise) == (0.9, 400, 0)


def test_too_few_digits_cannot_promise_much() -> None:
    with pytest.raises(CalibrationError, match=r"10 digits cannot promise an error of at most 0\.01; at least 299"):
        find_rule(np.full((10, 1), 0.9), np.zeros((10, 1), dtype=np.bool_), 0.01)
    assert find_rule(np.full((299, 1), 0.9), np.zeros((299, 1), dtype=np.bool_), 0.01).stopped == 299


def test_the_limit_is_that_of_clopper_and_pearson() -> None:
    """With p at the limit, so few events or fewer happen in 5 % of all trials."""
    for events, trials in ((0, 100), (3, 500), (17, 400)):
        assert binom.cdf(events, trials, upper_limit(events, trials)) == pytest.approx(0.05)
    assert upper_limit(5, 5) == 1.0

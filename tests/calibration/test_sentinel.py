"""The sentinel's rates are checked by simulation with fixed seeds; the stated rate is that for fresh ones."""

from __future__ import annotations

import numpy as np
import pytest

from calibration.sentinel import Expected, Sentinel, decision_limit, expected_spikes
from calibration.transfer import measure_transfer
from drivers.benchfile import load_bench
from drivers.device import load_device
from drivers.mock.bench import MockBench
from drivers.signals import SlotTiming, probe_frame

FRAME = Expected(20_000.0, 80.0, 0.0)


def frames_to_alarm(change: float, seed: int, most: int = 5_000, limit: float | None = None) -> int:
    rng = np.random.default_rng(seed)
    sentinel = Sentinel() if limit is None else Sentinel(limit)
    for n in range(1, most + 1):
        if sentinel.feed(FRAME, round(FRAME.spikes * (1 + change) + FRAME.sd * rng.standard_normal())):
            return n
    return most + 1


def test_false_alarms_come_as_rarely_as_stated() -> None:
    """At a limit for one in 200 frames the mean of 100 runs has a standard error of 20: it must lie in 140…280."""
    limit = decision_limit(200)
    runs = [frames_to_alarm(0.0, seed, limit=limit) for seed in range(100)]
    assert 140 < np.mean(runs) < 280
    assert sum(frames_to_alarm(0.0, seed, most=1_000) <= 1_000 for seed in range(20)) <= 2


@pytest.mark.parametrize(("change", "most_frames"), [(0.01, 12), (-0.01, 12), (0.05, 2), (-0.2, 1)])
def test_drift_is_noticed_in_a_few_frames(change: float, most_frames: int) -> None:
    assert np.median([frames_to_alarm(change, seed) for seed in range(21)]) <= most_frames


def test_the_alarm_says_how_much() -> None:
    rng = np.random.default_rng(3)
    sentinel = Sentinel()
    totals = (round(FRAME.spikes * 0.95 + FRAME.sd * rng.standard_normal()) for _ in range(100))
    drift = next(drift for total in totals if (drift := sentinel.feed(FRAME, total)) is not None)
    assert drift.change == pytest.approx(-0.05, abs=0.01)
    assert "fewer spikes than calibrated" in str(drift)


def test_an_inexact_curve_is_not_taken_for_drift() -> None:
    doubtful = Expected(20_000.0, 80.0, 200.0)
    sentinel = Sentinel()
    assert all(sentinel.feed(doubtful, 20_000 + 250) is None for _ in range(500))


def test_a_real_frame_gives_what_the_curve_expects() -> None:
    """Five standard deviations: a false alarm in 2 million."""
    with MockBench(load_bench("mock"), load_device("nominal")) as bench:
        curve = measure_transfer(bench, SlotTiming(), 0.7, full_scale=32)
        pulses = np.random.default_rng(0).integers(0, 33, 5_000).astype(np.int32)
        found = sum(int(c.spikes.sum()) for c in bench.play([probe_frame("test", SlotTiming(), pulses)]))
    expected = expected_spikes(curve, pulses)
    assert abs(found - expected.spikes) < 5 * np.hypot(expected.sd, expected.curve_error)
    assert expected.curve_error < expected.sd
    assert Sentinel().feed(expected_spikes(curve, pulses[:0]), 0) is None

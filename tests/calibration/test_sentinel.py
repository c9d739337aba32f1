"""The sentinel's rates are checked by simulation with fixed seeds; the stated rate is that for fresh ones."""

from __future__ import annotations

import numpy as np
import pytest

from calibration.sentinel import Drift, Expected, Sentinel, decision_limit, expected_spikes
from calibration.tally import Tally
from calibration.transfer import TransferCurve, measure_transfer
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


@pytest.mark.parametrize(
    ("frames", "allowance", "limit"),
    [(370, 0.25, 8.01), (370, 0.5, 4.77), (370, 0.75, 3.34), (370, 1.0, 2.52), (168, 0.5, 4.0), (465, 0.5, 5.0)],
)
def test_the_limit_is_the_published_one(frames: float, allowance: float, limit: float) -> None:
    """Hawkins, J. Qual. Technol. 25:248 (1993), and Montgomery, "Statistical Quality Control", tables of the two-sided
    CUSUM; Siegmund's formula is within 0.04 of them.
    """
    assert decision_limit(frames, allowance) == pytest.approx(limit, abs=0.04)


def test_one_false_alarm_in_100_000_frames_by_default() -> None:
    assert Sentinel().limit == decision_limit() == decision_limit(100_000, 0.5)


def test_each_sum_adds_deviations_less_half_a_standard_deviation() -> None:
    sentinel = Sentinel()
    seen = []
    for deviation in (2.0, 2.0, -1.0, -2.0, -2.0, 0.25):
        assert sentinel.feed(FRAME, round(FRAME.spikes + deviation * FRAME.sd)) is None
        seen.append(sentinel.statistic)
    assert seen == pytest.approx([1.5, 3.0, 1.5, 2.0, 3.5, 2.75])  # the sum upwards, then the one downwards


def test_an_alarm_comes_beyond_the_limit_and_tells_of_the_frames_since_the_sum_began() -> None:
    sentinel = Sentinel(limit=6.0)
    for deviation in (-0.5, 0.5, 3.5, 3.5):  # the first two leave the sum upwards at zero
        assert sentinel.feed(FRAME, round(FRAME.spikes + deviation * FRAME.sd)) is None
    assert sentinel.statistic == 6.0  # at the limit is not beyond it
    drift = sentinel.feed(FRAME, round(FRAME.spikes + 1.5 * FRAME.sd))
    assert drift is not None
    assert drift.frames == 3
    assert drift.change == pytest.approx((3.5 + 3.5 + 1.5) * FRAME.sd / (3 * FRAME.spikes))
    assert sentinel.statistic == 0.0  # it begins anew
    assert sentinel.feed(FRAME, round(FRAME.spikes - 3 * FRAME.sd)) is None
    assert sentinel.statistic == 2.5


@pytest.mark.parametrize("sign", [1, -1])
def test_an_alarm_may_come_with_the_first_frame(sign: int) -> None:
    drift = Sentinel(limit=3.0).feed(FRAME, round(FRAME.spikes + sign * 4 * FRAME.sd))
    assert drift is not None
    assert drift.frames == 1
    assert drift.change == pytest.approx(sign * 4 * FRAME.sd / FRAME.spikes)


@pytest.mark.parametrize(
    ("change", "text"), [(0.051, "5.1% more spikes than calibrated"), (-0.051, "5.1% fewer spikes than calibrated")]
)
def test_drift_is_told_with_its_direction(change: float, text: str) -> None:
    assert str(Drift(change, 7)) == f"the neuron has drifted: {text}, over the last 7 frames"


def after(doubtful: Expected, totals: list[int]) -> float:
    sentinel = Sentinel(limit=1e9)
    for total in totals:
        sentinel.feed(doubtful, total)
    return sentinel.statistic


def test_what_the_curve_is_wrong_by_is_learnt_within_its_error() -> None:
    """By hand: its error is 1 % of the spikes, a frame's deviation 0.4 %: the first frame counts for 1/(1 + 0.16)."""
    doubtful = Expected(20_000.0, 80.0, 200.0)
    first = 520 / 80 - (0.5 + 2 * 200 / 80)  # nothing is learnt yet: two errors of the curve are no drift
    assert after(doubtful, [20_520]) == pytest.approx(first)
    learnt = 520 / 20_000 / 1.16
    second = (20_520 - 20_000 * (1 + learnt)) / 80 - (0.5 + 2 * 0.5 * 200 / 80)  # half of its error is not learnt
    assert after(doubtful, [20_520, 20_700]) == pytest.approx(first + second + 180 / 80)
    most = 3 * 200  # whatever was seen, more than three errors of the curve are never learnt
    first, second = (5_000 / 80 - 5.5), (5_000 - most) / 80 - 3.0
    assert after(doubtful, [25_000, 25_000]) == pytest.approx(first + second)
    assert after(doubtful, [15_000, 15_000]) == pytest.approx(first + second)


def test_how_much_is_learnt_from_frames_that_tell_little() -> None:
    """A frame's deviation is twice the curve's error: after one frame four fifths of the doubt's square are left."""
    vague = Expected(1_000.0, 20.0, 10.0)
    first = (1_200 - 1_000) / 20 - (0.5 + 2 * 10 / 20)
    second = (1_200 - 1_000 * (1 + 0.2 / 5 * 0.75)) / 20 - (0.5 + 2 * 10 * 0.8**0.5 / 20)
    assert after(vague, [1_200]) == pytest.approx(first)
    assert 0.2 / 5 > 3 * 0.01  # so that three errors of the curve, 3 %, are what is learnt
    assert after(vague, [1_200, 1_200]) == pytest.approx(first + second)


def test_only_the_first_frames_are_learnt_from() -> None:
    doubtful = Expected(20_000.0, 80.0, 200.0)
    sentinel = Sentinel(limit=1e9)
    states = []
    for _ in range(30):
        sentinel.feed(doubtful, 20_100)
        states.append(sentinel.state()["bias"])
    assert [state["frames"] for state in states] == [*range(1, 26), 25, 25, 25, 25, 25]
    assert states[24] == states[29] == {"frames": 25, "found": 502_500, "expected": 500_000.0, "variance": 160_000.0}


def test_a_sentinel_goes_on_from_its_state() -> None:
    rng = np.random.default_rng(5)
    totals = [round(FRAME.spikes * 1.002 + FRAME.sd * rng.standard_normal()) for _ in range(60)]
    whole, part = Sentinel(50.0), Sentinel(50.0)
    for total in totals[:20]:
        whole.feed(FRAME, total), part.feed(FRAME, total)
    part = Sentinel.of(part.state())
    assert [whole.feed(FRAME, t) for t in totals[20:]] == [part.feed(FRAME, t) for t in totals[20:]]
    assert whole.state() == part.state()
    assert part.limit == 50.0


def test_frames_that_expect_nothing_are_skipped() -> None:
    sentinel = Sentinel()
    assert sentinel.feed(Expected(0.0, 0.0, 0.0), 5) is None
    assert sentinel.feed(Expected(100.0, 0.0, 1.0), 90) is None
    assert sentinel.statistic == 0.0
    assert sentinel.state()["bias"]["frames"] == 0


def test_what_a_frame_should_give_by_hand() -> None:
    """Counts of 0, 2 and 4 were measured in 4 slots each; between them straight, beyond them as at the end."""
    pulses = np.repeat([0, 2, 4], 4)
    spikes = np.array([0, 0, 0, 0, 0, 2, 0, 2, 1, 5, 1, 5])  # means 0, 1, 3; standard deviations 0, 1, 2
    curve = TransferCurve.of("t", 0.7, Tally.of(pulses, spikes))
    assert curve.sd_spikes.tolist() == [0.0, 1.0, 2.0]
    found = expected_spikes(curve, np.array([0, 1, 2, 3, 4, 4, 9], dtype=np.int32))
    assert found.spikes == pytest.approx(0 + 0.5 + 1 + 2 + 3 + 3 + 3)
    assert found.sd == pytest.approx((0 + 0.5 + 1 + 2.5 + 4 + 4 + 4) ** 0.5)
    assert found.curve_error == pytest.approx(((2**2 + 8**2) / 4) ** 0.5)  # 1 and 2 with 2's, 3 and more with 4's


def test_the_limit_is_siegmunds_to_the_last_digit() -> None:
    """b = 2 k (h + 1.166) = 2 for k = 0.5 and h = 0.834, where the formula gives (e² − 2 − 1) / 2k² / 2."""
    assert decision_limit(np.exp(2) - 3, 0.5) == pytest.approx(0.834, rel=1e-9)

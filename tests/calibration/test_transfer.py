from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calibration.measure.quality import characterise_transfer, straightness
from calibration.measure.repeatability import repeatability
from calibration.sweep import Sweep
from calibration.tally import Tally
from calibration.transfer import TransferCurve, measure_transfer, pulse_grid, slots_a_count, transfer_slots
from drivers.benchfile import load_bench
from drivers.device import load_device
from drivers.errors import CalibrationError
from drivers.mock.bench import MockBench
from drivers.signals import Capture, Frame, SlotTiming
from tests.hil.rig import flaky

PULSES = np.repeat(np.arange(17), 40)


def curve_of(pulses: np.ndarray, spikes: np.ndarray) -> TransferCurve:
    return TransferCurve.of("adaptive@100000Hz", 0.7, Tally.of(pulses, spikes))


@settings(derandomize=True, max_examples=60)
@given(st.lists(st.integers(0, 12), min_size=5, max_size=60), st.integers(0, 2**32))
def test_decoding_never_falls_and_nothing_is_nothing(spikes: list[int], seed: int) -> None:
    pulses = np.sort(np.random.default_rng(seed).integers(0, 9, len(spikes)))
    pulses[0] = 0
    decoded = curve_of(pulses, np.array(spikes)).decode(np.arange(20))
    assert decoded[0] == 0
    assert (np.diff(decoded) >= 0).all()
    assert np.isfinite(decoded).all()


def test_a_curve_that_dips_is_made_monotone_by_its_weights() -> None:
    pulses = np.repeat([0, 1, 2, 3], [10, 10, 30, 10])
    spikes = np.repeat([0, 3, 1, 4], [10, 10, 30, 10])
    levels, at = curve_of(pulses, spikes).monotone
    assert levels == pytest.approx([0.0, 1.5, 4.0])
    assert at == pytest.approx([0.0, 1.5, 3.0])


def test_the_ideal_device_is_straight_and_repeats() -> None:
    bench = MockBench(load_bench("mock"), load_device("ideal"))
    curve, result = characterise_transfer(Sweep(bench, SlotTiming(), "test"), 0.7, full_scale=16, addresses=4)
    assert curve.decode(np.arange(17)) == pytest.approx(np.arange(17))
    assert (result.pulses_per_spike, result.nonlinearity) == pytest.approx((1.0, 0.0), abs=1e-9)
    assert result.saturation == pytest.approx(1.0)
    assert result.repeatability.address_p is None
    assert set(result.repeatability.autocorrelation) == {0.0}
    assert result.pulses_spent == int(transfer_slots(SlotTiming(), 16).sum())


def test_a_curve_that_bends_is_called_saturated() -> None:
    bent = np.minimum(PULSES, 12 + PULSES // 8)
    slope, nonlinearity, saturation = straightness(curve_of(PULSES, bent))
    assert saturation < 0.5
    assert nonlinearity > 0.05
    assert 0 < slope < 1


def test_independent_slots_have_no_memory() -> None:
    """All eight lags within twice the 95 % limit, and no drift and no address at 1 in 1,000: together 0.3 %."""
    rng = np.random.default_rng(11)
    pulses = rng.permutation(np.repeat(np.arange(1, 17), 200))
    found = repeatability(pulses, rng.binomial(pulses, 0.3), 4)
    assert max(map(abs, found.autocorrelation)) < 2 * found.autocorrelation_limit
    assert found.address_p is not None
    assert found.address_p > 0.001
    half = ((found.drift_per_megapulse.hi or 0) - (found.drift_per_megapulse.lo or 0)) / 2
    assert abs(found.drift_per_megapulse.value or 0) < 1.7 * half


@pytest.mark.parametrize("fault", ["memory", "drift", "address"])
def test_slots_that_are_not_alike_are_noticed(fault: str) -> None:
    """Each disturbance is ten standard errors large."""
    rng = np.random.default_rng(12)
    pulses = rng.permutation(np.repeat(np.arange(1, 17), 400))
    n = len(pulses)
    chance = np.full(n, 0.3)
    if fault == "memory":
        chance += 0.08 * np.repeat(rng.choice([-1, 1], n // 2), 2)
    elif fault == "drift":
        chance *= np.linspace(0.85, 1.15, n)
    else:
        chance[np.arange(n) % 4 == 2] *= 1.2
    found = repeatability(pulses, rng.binomial(pulses, chance), 4)
    drift = found.drift_per_megapulse
    seen = {
        "memory": found.autocorrelation[0] > 2 * found.autocorrelation_limit,
        "drift": (drift.lo or 0) > 0,
        "address": (found.address_p or 0) < 1e-6,
    }
    assert seen[fault]
    if fault == "drift":
        assert drift.value == pytest.approx(0.3 / (pulses.sum() * 1e-6), rel=0.3)


def test_a_slot_that_cannot_be_trusted_stops_a_sweep() -> None:
    with pytest.raises(CalibrationError, match=r"slot \d+ of sweep step 0 \(test\) was late or missing"):
        Sweep(flaky(1.0), SlotTiming(), "test").spikes(0.7, np.full(5, 8))


def means(*spikes: int) -> TransferCurve:
    """A curve of one slot each for 0, 1, 2 … pulses."""
    return curve_of(np.arange(len(spikes)), np.array(spikes))


def test_beyond_full_scale_the_curve_goes_on_as_its_upper_half_did() -> None:
    bent = means(0, 2, 4, 5, 6)  # from half of the 6 spikes on: 3 pulses for 4 spikes were the last half's slope
    assert bent.decode(np.array([0, 1, 2, 4, 5, 6])).tolist() == [0, 0.5, 1, 2, 3, 4]
    assert bent.decode(np.array([7, 8, 10])).tolist() == [5, 6, 8]  # (4 - 2) pulses over (6 - 4) spikes
    assert means(0, 2, 4, 5).decode(np.array([6])).tolist() == [4]  # half of 5 is past 2 spikes
    levels = means(0, 2, 4, 6, 7)  # from 4 on, 3 spikes for 2 pulses: two of the last pulse alone would be 1 each
    assert levels.decode(np.array([10])).tolist() == [6]
    assert means(0, 6).decode(np.array([6, 12, 18])).tolist() == [1, 2, 3]  # the only two points there are
    assert means(0, 1, 8).decode(np.array([8, 15])).tolist() == pytest.approx([2, 3])  # no point in the upper half
    assert means(0, 0, 0).decode(np.array([0, 1, 5])).tolist() == [0, 0, 0]


def test_decoding_keeps_shapes_and_takes_nothing() -> None:
    curve = means(0, 1, 2)
    assert curve.decode(np.array([[0, 1], [2, 4]])).tolist() == [[0, 1], [2, 4]]
    assert curve.decode(np.zeros(0, dtype=np.int32)).shape == (0,)
    assert curve.decode(np.zeros(2, dtype=np.int32)).tolist() == [0, 0]
    assert curve.decode(np.array([1])).dtype == np.float32


def test_a_level_stretch_counts_as_its_middle_but_nothing_is_nothing() -> None:
    levels, at = means(1, 1, 1, 3, 3, 5).monotone
    assert levels.tolist() == [0, 2, 4]  # less what spikes without pulses
    assert at.tolist() == [0, 3.5, 5]


def test_the_grid_is_every_count_and_then_steps_of_a_twelfth() -> None:
    assert pulse_grid(0).tolist() == [0]
    assert pulse_grid(3).tolist() == [0, 1, 2, 3]
    assert pulse_grid(32).tolist() == [*range(33)]
    assert pulse_grid(33).tolist() == [*range(34)]
    assert pulse_grid(64).tolist() == [*range(33), 35, 38, 41, 44, 48, 52, 56, 61, 64]


def test_how_often_each_count_is_measured() -> None:
    grid = np.array([0, 1, 4, 5, 64, 1024, 5000])
    assert slots_a_count(grid, SlotTiming()).tolist() == [4096, 4096, 4096, 3276, 256, 16, 16]
    fixed = SlotTiming(mode="fixed", window_s=1e-3)
    assert slots_a_count(grid, fixed).tolist() == [256, 256, 256, 256, 256, 16, 16]
    assert slots_a_count(grid, fixed, 200).tolist() == [200, 200, 50, 40, 16, 16, 16]


def test_slots_are_mixed_and_the_same_each_time() -> None:
    slots = transfer_slots(SlotTiming(), 8, 160)
    assert np.bincount(slots).tolist() == [160, 160, 80, 53, 40, 32, 26, 22, 20]
    halves = slots[: len(slots) // 2].mean(), slots[len(slots) // 2 :].mean()
    assert halves == pytest.approx((slots.mean(), slots.mean()), abs=0.6)  # six standard errors
    assert (slots == transfer_slots(SlotTiming(), 8, 160)).all()


def test_a_curve_survives_its_record() -> None:
    asked = curve_of(PULSES, PULSES // 3)
    assert set(asked.to_dict()) == {"timing_key", "vth_v", "pulses", "slots", "histogram"}  # made just as asked
    made = TransferCurve.of("adaptive@1Hz", 0.7, Tally.of(PULSES, PULSES // 3), made_v=0.74, made_hz=0.9)
    assert (made.to_dict()["made_v"], made.to_dict()["made_hz"]) == (0.74, 0.9)
    for curve in (asked, made):
        back = TransferCurve.from_dict(curve.to_dict())
        assert (back.timing_key, back.vth_v, back.made_v, back.made_hz) == (
            *(curve.timing_key, curve.vth_v, curve.made_v, curve.made_hz),
        )
        for name in ("pulses", "slots", "histogram", "mean_spikes", "sd_spikes"):
            assert np.array_equal(getattr(back, name), getattr(curve, name))
    assert asked.to_dict()["histogram"][:4] == [[40], [40], [40], [0, 40]]  # without what is zero to the end
    assert asked.pulses_spent == PULSES.sum()


def test_measuring_tells_how_far_it_is_and_what_was_made() -> None:
    told: list[tuple[int, int]] = []
    seen: list[tuple[str, int, int]] = []

    class Watched(MockBench):
        def play(self, frames: Iterable[Frame]) -> Iterator[Capture]:
            for capture in super().play(frames):
                seen.append((capture.frame.key.purpose, capture.frame.key.image, capture.frame.pulses_before))
                yield capture

    timing = SlotTiming(dendrite_clock_hz=9e3)
    with Watched(load_bench("mock"), load_device("ideal")) as bench:
        curve = measure_transfer(
            bench,
            timing,
            0.7,
            full_scale=4,
            pulses_per_count=50_000,
            pulses_before=1_000,
            show=lambda done, total: told.append((done, total)),
        )
        assert bench.threshold_v == 0.7
    spent = int(transfer_slots(timing, 4, 50_000).sum())
    assert told[0] == (0, spent)
    assert told[-1] == (spent, spent)
    assert [done for done, _ in told] == sorted({done for done, _ in told})
    assert len(told) == len(seen) + 1 > 2
    assert seen[0] == ("calibrate/transfer", 0, 1_000)
    assert (curve.timing_key, curve.vth_v, curve.made_v) == (timing.key(), 0.7, 0.7)
    assert curve.made_hz == pytest.approx(1 / 111e-6)  # whole microseconds
    assert curve.pulses.tolist() == [0, 1, 2, 3, 4]
    assert (curve.slots == slots_a_count(curve.pulses, timing, 50_000)).all()
    assert (curve.sd_spikes == 0).all()


def test_what_was_made_is_written_only_where_it_is_not_as_asked() -> None:
    tally = Tally(np.array([0, 4]), np.array([[9, 0], [0, 9]]))
    asked = TransferCurve.of("t", 0.7, tally, made_v=float("0.7"))  # as equal, and not the same object
    assert "made_v" not in asked.to_dict()
    assert asked.to_dict()["histogram"] == [[9], [0, 9]]
    assert TransferCurve.of("t", 0.7, tally, made_v=0.71).to_dict()["made_v"] == 0.71

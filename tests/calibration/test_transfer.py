from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calibration.measure.quality import characterise_transfer, straightness
from calibration.measure.repeatability import repeatability
from calibration.sweep import Sweep
from calibration.tally import Tally
from calibration.transfer import TransferCurve, transfer_slots
from drivers.benchfile import load_bench
from drivers.device import load_device
from drivers.errors import CalibrationError
from drivers.mock.bench import MockBench
from drivers.signals import SlotTiming
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

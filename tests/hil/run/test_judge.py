from __future__ import annotations

import numpy as np
import pytest

from calibration.transfer import TransferCurve, measure_transfer
from drivers.benchfile import load_bench
from drivers.device import load_device
from drivers.errors import CalibrationError, CaptureError
from drivers.mock.bench import MockBench
from drivers.signals import FrameKey, SlotTiming, probe_frame
from hil.run.judge import LASTING_FRAMES, Judge

PULSES = np.random.default_rng(1).integers(0, 33, 2_000).astype(np.int32)


def judge() -> Judge:
    return Judge("warn", print)


@pytest.fixture(scope="module")
def measured() -> tuple[TransferCurve, np.ndarray]:
    bench = MockBench(load_bench("mock"), load_device("nominal"))
    curve = measure_transfer(bench, SlotTiming(), 0.7, full_scale=32)
    (capture,) = bench.play([probe_frame("test", SlotTiming(), PULSES)])
    return curve, capture.spikes


def test_a_sound_frame_passes(measured: tuple[TransferCurve, np.ndarray]) -> None:
    judge()(FrameKey("test"), measured[0], PULSES, measured[1])
    judge()(FrameKey("test"), measured[0], PULSES[:0], measured[1][:0])


@pytest.mark.parametrize("dead", [slice(None), slice(0, None, 4)], ids=["axon stuck", "one address of four"])
def test_a_dead_line_does_not_pass(measured: tuple[TransferCurve, np.ndarray], dead: slice) -> None:
    spikes = measured[1].copy()
    spikes[dead] = 0
    with pytest.raises(CaptureError, match=r"image 7: \d+ spikes where the calibration expects \d+ ± \d+: run hil doc"):
        judge()(FrameKey("test", image=7), measured[0], PULSES, spikes)


def test_drift_makes_the_curve_stale_and_drift_at_once_again_ends_it(
    measured: tuple[TransferCurve, np.ndarray],
) -> None:
    told: list[str] = []
    found = Judge("recalibrate", told.append)
    fewer = measured[1] - (np.arange(len(PULSES)) % 6 == 0) * (measured[1] > 0)
    assert fewer.sum() < 0.97 * measured[1].sum()
    for _ in range(30):
        found(FrameKey("test"), measured[0], PULSES, fewer)
    assert (found.stale, len(told)) == (True, 1), "frames that were under way already say nothing more"
    found.renewed()
    assert (found.stale, found.frames) == (False, 0)

    def again() -> None:
        for _ in range(LASTING_FRAMES):
            found(FrameKey("test"), measured[0], PULSES, fewer)

    with pytest.raises(CalibrationError, match="faster than calibrating it again can follow"):
        again()


def test_what_is_learnt_of_the_curve_at_few_pulses_is_not_held_against_many(
    measured: tuple[TransferCurve, np.ndarray],
) -> None:
    """A curve that is wrong by its own error, too low at few pulses and too high at many: nothing drifts."""
    curve, told = measured[0], list[str]()
    found = Judge("warn", told.append)
    few, many = np.full(4_000, 4, dtype=np.int32), np.full(4_000, 30, dtype=np.int32)
    error = curve.sd_spikes / np.sqrt(curve.slots)
    rng = np.random.default_rng(3)
    for helping, pulses, off in [(0, few, +1.7)] * 50 + [(1, many, -1.7)] * 50:
        n = pulses[0]
        mean, sd = curve.mean_spikes[n] + off * error[n], curve.sd_spikes[n]
        spikes = np.zeros(len(pulses), dtype=np.int32)
        spikes[0] = round(rng.normal(mean * len(pulses), sd * np.sqrt(len(pulses))))
        found(FrameKey("test", helping=helping), curve, pulses, spikes)
    assert not told
    restored = Judge("warn", told.append)
    restored.restore(found.state())
    assert restored.state() == found.state()

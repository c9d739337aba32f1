"""What a bench really made stands beside what was asked for: V_th set by hand, clocks in whole steps."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from calibration.estimate import Estimate
from calibration.measure.frequency import measure_frequency
from calibration.measure.threshold import measure_threshold
from calibration.measure.window import Window
from calibration.record import check_made, load_record
from calibration.sweep import Sweep
from calibration.transfer import TransferCurve, measure_transfer
from drivers.benchfile import load_bench
from drivers.device import load_device
from drivers.errors import CalibrationError
from drivers.mock.bench import MockBench
from drivers.signals import SlotTiming
from hil.cli import main

FILE = load_bench("mock")


class HandSet(MockBench):
    """A supply that a person leaves at 0.74 V when about that is asked for, which is within 50 mV."""

    def set_threshold(self, volts: float) -> float:
        return super().set_threshold(0.74 if abs(volts - 0.74) < 0.05 else volts)


class Skewed(MockBench):
    """A supply that makes 40 mV more than it is asked for."""

    def set_threshold(self, volts: float) -> float:
        return super().set_threshold(min(volts + 0.04, self.file.limits.vth_max_v))


def test_a_curve_is_that_of_the_volts_made() -> None:
    by_hand = measure_transfer(HandSet(FILE, load_device("nominal")), FILE.slot, 0.70, full_scale=8)
    exact = measure_transfer(MockBench(FILE, load_device("nominal")), FILE.slot, 0.74, full_scale=8)
    assert (by_hand.vth_v, by_hand.made_v, exact.made_v) == (0.70, 0.74, 0.74)
    assert by_hand.histogram.tolist() == exact.histogram.tolist()
    again = TransferCurve.from_dict(json.loads(json.dumps(by_hand.to_dict())))
    assert (again.vth_v, again.made_v, again.made_hz) == (0.70, 0.74, None)
    assert "made_v" not in exact.to_dict()
    check_made(by_hand, 0.745)
    with pytest.raises(CalibrationError, match=r"V_th = 0.7 V, and .* at 0.74 V: set that \(--vth 0.74\)"):
        check_made(by_hand, 0.70)


def test_a_threshold_search_fits_the_volts_made() -> None:
    """The true V_th of a gain of 4 is 0.703 V, which this supply makes when asked for 0.663 V."""
    found = measure_threshold(
        Sweep(Skewed(FILE, load_device("nominal")), FILE.slot, "test"), (0.2, 2.0), most_pulses=9_000
    )
    lo, hi = found.asked_v.lo or 0.0, found.asked_v.hi or 9.0
    assert lo - (hi - lo) / 2 < 0.703 < hi + (hi - lo) / 2
    assert found.window.upper_v.value == pytest.approx(1.528, rel=0.015)


def test_frequency_points_hold_the_clocks_made() -> None:
    bench = MockBench(FILE, load_device("nominal"))
    sweep = Sweep(bench, FILE.slot.model_copy(update={"pulse_width_s": 1e-6}), "test")
    lower, upper = (Estimate(value=v, lo=v * 0.99, hi=v * 1.01) for v in (0.397, 1.528))
    window = Window(lower_v=lower, upper_v=upper, lrs_v=0.28, lrs_spread=0.15, hrs_v=1.528, hrs_spread=0.02)
    found = measure_frequency(sweep, 0.7, 240e3, window, slowest_hz=30e3)
    assert [point.clock_hz for point in found.points] == [50e3, 100e3, 200e3, 240e3]
    assert [point.made_hz for point in found.points] == pytest.approx([50e3, 100e3, 200e3, 250e3])
    last = found.points[-1]
    assert last.spikes_per_s == pytest.approx((last.spikes_per_pulse.value or 0.0) * 250e3)
    curve = measure_transfer(bench, SlotTiming(dendrite_clock_hz=240e3, pulse_width_s=1e-6), 0.7, full_scale=2)
    assert curve.made_hz == pytest.approx(250e3)
    assert TransferCurve.from_dict(curve.to_dict()).made_hz == curve.made_hz


def test_record_and_run_hold_the_volts_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    exact = MockBench.set_threshold
    monkeypatch.setattr(
        MockBench, "set_threshold", lambda bench, volts: exact(bench, 0.74 if abs(volts - 0.74) < 0.05 else volts)
    )
    assert main(["calibrate", "transfer", "--full-scale", "8", "--out", "c.json", "--json"]) == 0
    record = load_record(Path("c.json"))
    assert (record.vth_v, record.made_v, record.threshold_v) == (0.70, 0.74, 0.74)
    assert record.curve(record.timing_key, 0.74, 8).made_v == 0.74
    capsys.readouterr()
    assert main(["calibrate", "--replay", "c.sqlite", "--out", "again.json", "--json"]) == 0
    again = load_record(Path("again.json"))
    assert (again.made_v, again.curves) == (record.made_v, record.curves)
    assert main(["run", "--digits", "0:1", "--full-scale", "conv1=8", "--calibration", "c.json", "--json"]) == 0
    monkeypatch.setattr(MockBench, "set_threshold", exact)
    with_others = ["run", "--digits", "0:1", "--full-scale", "conv1=8", "--calibration", "c.json", "--vth", "0.7"]
    assert main(with_others) == 1
    assert "makes V_th = 0.7 V, and the transfer curve was measured at 0.74 V" in capsys.readouterr().err

"""A fault that is there while calibrating is refused by name, not learnt."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np
import pytest

from calibration.measure.quality import characterise_transfer
from calibration.plausible import check_addresses, check_curve
from calibration.sweep import Sweep
from calibration.tally import Tally
from calibration.transfer import TransferCurve, measure_transfer
from drivers.benchfile import load_bench
from drivers.device import load_device
from drivers.errors import CalibrationError
from drivers.mock.bench import MockBench
from drivers.signals import Capture, Frame, SlotTiming
from hil.cli import main


def test_a_neuron_that_never_fires_is_no_calibration() -> None:
    """V_th is where no state of the device reaches: to the reader just what a dead axon is."""
    file = load_bench("mock")
    with (
        MockBench(file, load_device("nominal")) as bench,
        pytest.raises(CalibrationError, match=r"0 spikes a slot of 8 pulses .* dead.*hil doctor --loopback"),
    ):
        measure_transfer(bench, file.slot, file.limits.vth_max_v, full_scale=8)


def test_a_neuron_that_fires_alike_without_pulses_is_none_either() -> None:
    pulses = np.repeat([0, 4, 8], 100)
    curve = TransferCurve.of("t", 0.2, Tally.of(pulses, np.ones(300, dtype=np.int64)))
    with pytest.raises(CalibrationError, match="pulses do not reach the neuron"):
        check_curve(curve)


def test_a_neuron_that_fires_at_rest_is_none_either() -> None:
    """V_th is below the low-resistance state: it fires again and again, pulses or not."""
    file = load_bench("mock")
    with MockBench(file, load_device("nominal")) as bench, pytest.raises(CalibrationError, match="fires at rest"):
        measure_transfer(bench, SlotTiming(dendrite_clock_hz=1e3), file.limits.vth_min_v, full_scale=8)


class Mute(MockBench):
    """Its third select address never closes."""

    def play(self, frames: Iterable[Frame]) -> Iterator[Capture]:
        for capture in super().play(frames):
            at = (np.arange(len(capture.frame)) + capture.frame.first_slot) % 4
            yield replace(capture, spikes=np.where(at == 2, 0, capture.spikes))


def test_a_run_that_measures_its_own_curve_refuses_a_silent_address(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not only `hil calibrate`."""
    monkeypatch.setattr("drivers.mock.bench.MockBench", Mute)
    assert main(["run", "--digits", "0:1", "--physical", "conv1:0-0"]) == 1
    assert "select address 2 gives 0 spikes a pulse where address" in capsys.readouterr().err


def test_an_address_that_stays_silent_is_named() -> None:
    pulses = np.random.default_rng(1).integers(0, 17, 4000)
    spikes = pulses // 4
    check_addresses(pulses, spikes, 4)
    spikes[2::4] = 0
    with pytest.raises(CalibrationError, match="select address 2 gives 0 spikes a pulse where address"):
        check_addresses(pulses, spikes, 4)


def test_a_sound_neuron_is_let_through() -> None:
    with MockBench(load_bench("mock"), load_device("nominal")) as bench:
        characterise_transfer(Sweep(bench, SlotTiming(), "test"), 0.7, full_scale=8, addresses=4)

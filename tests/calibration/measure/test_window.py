from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np
import pytest
from scipy.special import ndtr, ndtri

from benchmarks.devices import Truth
from calibration.fit.edge import fit_edge
from calibration.measure.offset import compare_source
from calibration.measure.search import block
from calibration.measure.threshold import measure_threshold, usable
from calibration.measure.window import Window, measure_window
from calibration.sweep import Sweep
from drivers.benchfile import load_bench
from drivers.device import load_device
from drivers.errors import CalibrationError
from drivers.mock.bench import MockBench
from drivers.signals import Capture, Frame, Trace

LIMITS = (0.2, 2.0)
FILE = load_bench("mock")


def sweep(device: str = "nominal", **model: float) -> Sweep:
    found = load_device(device)
    changed = found.model_copy(update={"model": {**(found.model or {}), **model}})
    return Sweep(MockBench(FILE, changed), FILE.slot, "test")


@pytest.mark.parametrize(("level", "two_sided"), [(0.5, True), (0.01, False)])
def test_edge_intervals_cover_the_truth_as_often_as_they_say(level: float, two_sided: bool) -> None:
    """Of 60 intervals 52 or fewer cover in 1 % of cases."""
    truth, width, rng = 0.7, 0.03, np.random.default_rng(7)
    volts = truth * np.exp(np.linspace(-0.12, 0.06, 9))
    chance = ndtr((np.log(truth) - np.log(volts)) / width + ndtri(level))
    slots = np.full(len(volts), 30.0 if two_sided else 800.0)
    covered = 0
    for _ in range(60):
        fired = rng.binomial(slots.astype(int), chance).astype(np.float64)
        covered += fit_edge(volts, fired, slots, LIMITS, level=level, two_sided=two_sided).at_v.covers(truth)
    assert covered > 52


def test_a_sharp_edge_is_known_to_the_gap_between_the_two_sides() -> None:
    edge = fit_edge(
        np.array([0.5, 0.6, 0.7]), np.array([9.0, 9, 0]), np.full(3, 9.0), LIMITS, level=0.5, two_sided=True
    )
    assert edge.at_v.lo == pytest.approx(0.6, abs=0.01)
    assert edge.at_v.hi == pytest.approx(0.7, abs=0.01)
    assert 0.6 < (edge.at_v.value or 0) < 0.7


def test_the_window_of_the_nominal_device_is_found() -> None:
    """95 % intervals: with this seed they cover; of fresh seeds one in ten may not."""
    window, _ = measure_window(sweep(), LIMITS)
    truth = Truth.of(load_device("nominal"), FILE.board, FILE.slot)
    assert window.lower_v.covers(truth.lower_v())
    assert (window.upper_v.lo or 0) * 0.999 < truth.upper_v() < (window.upper_v.hi or 0) * 1.001
    assert window.lrs_v == pytest.approx(0.28, rel=0.05)


def test_edges_beyond_the_bench_are_one_sided() -> None:
    window, _ = measure_window(sweep(y_hrs=3.0), LIMITS)
    assert window.upper_v.model_dump() == {"value": None, "lo": 2.0, "hi": None}
    window, _ = measure_window(sweep(r_lrs_ohm=10e3), LIMITS)
    assert window.lower_v.model_dump() == {"value": None, "lo": None, "hi": 0.2}
    assert usable(window, LIMITS)[0] == 0.2


def test_a_device_without_window_is_refused() -> None:
    with pytest.raises(CalibrationError, match="no usable V_th"):
        measure_threshold(sweep(lrs_spread=0.4, y_hrs=0.5), LIMITS)


def test_a_device_that_never_fires_is_refused() -> None:
    with pytest.raises(CalibrationError, match="line is dead, or the device is; run hil doctor --loopback"):
        measure_threshold(sweep(r_lrs_ohm=1e3), LIMITS)


def test_another_gain_is_found_within_the_budget() -> None:
    """True gain within 8 %: four standard errors of what 12,000 pulses tell of 8 a spike."""
    player = sweep()
    found = measure_threshold(player, LIMITS, target=8.0, most_pulses=12_000)
    assert found.pulses_spent == player.pulses_spent <= 12_000
    truth = Truth.of(load_device("nominal"), FILE.board, FILE.slot)
    assert truth.pulses_to_fire(found.vth_v, neurons=4_000)[0] == pytest.approx(8.0, rel=0.08)


def test_nothing_here_peeks(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sweep works although the bench's device has lost its parameters."""
    player = sweep()
    monkeypatch.setattr(player.bench, "device", None)
    window, _ = measure_window(player, LIMITS)
    assert isinstance(window, Window)


class Probed(MockBench):
    """The mock with an oscilloscope on the V_th net, whose source makes 4 mV and 1 % too much."""

    def play(self, frames: Iterable[Frame]) -> Iterator[Capture]:
        for capture in super().play(frames):
            volts = 1.01 * (self._vth_v or 0.0) + 4e-3
            rng = np.random.default_rng(capture.frame.key.image)
            codes = np.rint(volts / 0.01 + rng.normal(0, 1, 2_000)).astype(np.uint8)
            yield replace(capture, traces=(Trace("vth", codes, 0.01, 0, 0, 1e-6, 0.0),))


def test_the_source_is_compared_with_an_oscilloscope_on_its_net() -> None:
    """Four standard errors of the regression, which its intervals state as two."""
    found = measure_threshold(Sweep(Probed(FILE, load_device("nominal")), FILE.slot, "test"), LIMITS, most_pulses=8_000)
    assert found.source is not None
    assert found.source.gain is not None
    for estimate, truth in ((found.source.gain, 1.01), (found.source.offset_v, None)):
        half = ((estimate.hi or 0) - (estimate.lo or 0)) / 2
        middle = truth if truth is not None else 4e-3 + 0.01 * 0.75  # the settings' middle is near 0.75 V
        assert abs((estimate.value or 0) - middle) < 2 * half + (0.003 if truth is None else 0)
    assert compare_source([(0.7, 0.71)]) is None


def test_blocks_hold_some_500_pulses_whatever_the_gain() -> None:
    assert all(300 <= sum(n * count for n, count in block(gain).items()) <= 700 for gain in (3.0, 4.0, 12.0, 30.0))


@pytest.mark.parametrize("least_v", [0.0, 0.45004, 0.45006])
def test_any_limit_of_the_bench_will_do(least_v: float) -> None:
    file = FILE.model_copy(update={"limits": FILE.limits.model_copy(update={"vth_min_v": least_v})})
    player = Sweep(MockBench(file, load_device("nominal")), FILE.slot, "test")
    window, _ = measure_window(player, (least_v, 2.0))
    assert window.upper_v.value == pytest.approx(1.53, rel=0.02)
    assert (window.lower_v.value is None) == (least_v > 0.4)
    assert player.steps < 100

"""What of a drive becomes pulses, and what comes back of it through a neuron that fires once for every pulse."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibration.tally import Tally
from calibration.transfer import TransferCurve
from drivers.signals import FrameKey, SlotTiming
from hil.cli import main
from hil.network.encode import Coding, Gain, gain_for, slot_identities, to_drives, to_frame, to_pulses
from hil.network.layers import LAYERS, Floats, Layer, activations, as_maps
from hil.network.mnist import load_test
from hil.network.physical import Physical
from hil.network.walk import walk
from hil.network.weights import load_weights
from hil.run.config import RunConfig

CONV1, _, FC1, FC2 = LAYERS
WEIGHTS = load_weights()
MOST = 4096
ONCE = TransferCurve.of("", 0.7, Tally(np.array([0, MOST]), np.eye(MOST + 1, dtype=np.int64)[[0, MOST]]))


def there_and_back(gain: Gain, drive: Floats) -> Floats:
    pulses, _ = to_pulses(gain, drive)
    return to_drives(gain, ONCE, pulses)


@pytest.mark.parametrize("layer", [CONV1, FC1])
def test_what_is_below_the_threshold_costs_nothing_and_changes_nothing(layer: Layer) -> None:
    """Activations are the same but for the rounding to whole pulses, for fewer of these."""
    images = as_maps(load_test()[0][:3])
    passed = list(walk(WEIGHTS.layers, images))[layer.index]
    part, weights = Physical(layer, 0, layer.units), WEIGHTS.layers[layer.index]
    sent: dict[Coding, int] = {}
    for coding in ("whole", "excess"):
        gain = gain_for(part, weights, MOST, passed.drive[0], coding)
        pulses, saturated = to_pulses(gain, passed.drive[0])
        sent[coding] = int(pulses.sum())
        step = (1 / gain.pulses_per_drive).max()
        back = activations(layer, weights, there_and_back(gain, passed.drive[0])[None])
        off = np.abs(back - passed.maps[:1])
        assert np.count_nonzero(off > 0.51 * step) <= saturated
    assert sent["excess"] < 0.95 * sent["whole"]


@given(seed=st.integers(0, 2**32 - 1), common=st.floats(0, 1e3), spread=st.floats(1e-3, 10))
def test_of_the_last_layer_only_differences_are_sent(seed: int, common: float, spread: float) -> None:
    drive = np.random.default_rng(seed).uniform(0, spread, (10, 1)).astype(np.float32)
    part, weights = Physical(FC2, 0, 10), WEIGHTS.layers[3]
    gain = gain_for(part, weights, 512, drive, "whole")
    pulses, saturated = to_pulses(gain, drive)
    assert pulses.shape == drive.shape
    assert (pulses.min(), pulses.max(), saturated) == (0, 512, 0)
    assert np.allclose(there_and_back(gain, drive), drive, atol=0.51 * np.ptp(drive) / 512)
    shifted = drive + np.float32(common)
    step = np.spacing(np.float32(common + spread)) / np.ptp(drive) * 512
    more, _ = to_pulses(gain_for(part, weights, 512, shifted, "whole"), shifted)
    assert np.abs(more - pulses).max() <= 1 + 2 * step


def test_equal_drives_of_the_last_layer_need_no_pulse() -> None:
    drive = np.full((10, 1), 7.5, dtype=np.float32)
    gain = gain_for(Physical(FC2, 0, 10), WEIGHTS.layers[3], 512, drive, "excess")
    assert to_pulses(gain, drive)[0].sum() == 0
    assert (there_and_back(gain, drive) == drive).all()


def test_runs_of_before_go_on_with_whole_sums_of_the_last_layer() -> None:
    assert RunConfig.model_fields["coding"].default == "sums"
    drive = np.linspace(50, 60, 10, dtype=np.float32)[:, None]
    sums = gain_for(Physical(FC2, 0, 10), WEIGHTS.layers[3], 65_535, drive, "sums")
    assert np.array_equal(sums.pulses_per_drive, 65_535 / WEIGHTS.layers[3].full_scale[:, None])


def test_a_half_has_no_threshold_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "--weights", "differential", "--coding", "excess", "--digits", "0:1"]) == 2
    assert "--coding excess is for all-positive weights" in capsys.readouterr().err


def test_pulses_by_hand() -> None:
    """Ten pulses for a drive of 2, from 0.5 on: rounded, cut off at both ends, and what is cut off above is counted."""
    gain = Gain(np.array([[5.0], [1.0]], dtype=np.float32), 10, 0.5)
    drive = np.array([[0.0, 0.5, 0.59, 0.61, 2.5, 2.59, 2.61], [0.5, 1.4, 2.5, 10.5, 11.1, 99.0, -3.0]], np.float32)
    pulses, saturated = to_pulses(gain, drive)
    assert pulses.tolist() == [[0, 0, 0, 1, 10, 10, 10], [0, 1, 2, 10, 10, 10, 0]]
    assert saturated == 3  # 2.61, 11.1 and 99
    assert pulses.dtype == np.int32
    chosen = np.array([[True] * 6 + [False], [False] * 5 + [True, True]])
    pulses, saturated = to_pulses(gain, drive, chosen)
    assert pulses.tolist() == [[0, 0, 0, 1, 10, 10, 0], [0, 0, 0, 0, 0, 10, 0]]
    assert saturated == 1  # what is not played saturates nothing


def test_drives_by_hand() -> None:
    gain = Gain(np.array([[5.0], [1.0]], dtype=np.float32), 10, 0.5)
    assert to_drives(gain, ONCE, np.array([[0, 10], [0, 10]], dtype=np.int32)).tolist() == [[0.5, 2.5], [0.5, 10.5]]


def test_gains_come_of_the_units_that_are_played() -> None:
    part, weights = Physical(CONV1, 2, 5), WEIGHTS.layers[0]
    scale = weights.full_scale[2:5, None]
    gain = gain_for(part, weights, 64, np.zeros((3, 1), dtype=np.float32), "whole")
    assert np.allclose(gain.pulses_per_drive, 64 / scale)
    assert (gain.full_scale_pulses, gain.least) == (64, 0.0)
    above = gain_for(part, weights, 64, np.zeros((3, 1), dtype=np.float32), "excess")
    threshold = np.maximum(-weights.bias[2:5, None], 0)
    assert np.allclose(above.least, threshold)
    assert (above.pulses_per_drive >= gain.pulses_per_drive).all()
    assert np.allclose(above.pulses_per_drive, 64 / np.maximum(scale - threshold, scale / 1000))
    assert above.full_scale_pulses == 64


def test_a_unit_that_hardly_passes_its_threshold_is_scaled_by_a_thousandth_at_least() -> None:
    part = Physical(CONV1, 0, 2)
    weights = replace(
        WEIGHTS.layers[0],
        bias=np.array([-5.0, 1.0], dtype=np.float32),
        full_scale=np.array([4.0, 4.0], dtype=np.float32),
    )
    gain = Gain.above_threshold(part, weights, 8)
    assert gain.least == pytest.approx(np.array([[5.0], [0.0]]))  # a bias that helps leaves no threshold
    assert gain.pulses_per_drive == pytest.approx(np.array([[8 / 0.004], [8 / 4.0]]))


def test_slots_are_all_positions_of_a_channel_in_turn() -> None:
    layer, channel, position = slot_identities(Physical(FC1, 3, 5))
    assert (layer.tolist(), channel.tolist(), position.tolist()) == ([FC1.index] * 2, [3, 4], [0, 0])
    layer, channel, position = slot_identities(Physical(CONV1, 1, 2, halves=2))
    assert channel.tolist() == [2] * 784 + [3] * 784
    assert position.tolist() == [*range(784)] * 2
    assert set(layer.tolist()) == {CONV1.index}


def test_a_frame_holds_the_slots_of_an_image() -> None:
    identities = slot_identities(Physical(FC1, 0, 3))
    frame = to_frame(FrameKey("run", 7), SlotTiming(), np.array([[4], [0], [9]], dtype=np.int32), identities, 123)
    assert frame.pulses.tolist() == [4, 0, 9]
    assert (frame.key, frame.pulses_before, frame.first_slot) == (FrameKey("run", 7), 123, 0)
    for had, wanted in zip((frame.layer, frame.channel, frame.position), identities, strict=True):
        assert had.tolist() == wanted.tolist()

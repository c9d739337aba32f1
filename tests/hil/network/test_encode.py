"""What of a drive becomes pulses, and what comes back of it through a neuron that fires once for every pulse."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibration.tally import Tally
from calibration.transfer import TransferCurve
from hil.cli import main
from hil.network.encode import Coding, Gain, gain_for, to_drives, to_pulses
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

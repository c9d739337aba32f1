from __future__ import annotations

import numpy as np
import pytest

from hil.network.fullscale import DENSE_MARGIN, LEAST, with_full_scales
from hil.network.layers import LAYERS, activations, as_maps, drives
from hil.network.mnist import Digits, load_test
from hil.network.weights import Weights
from hil.training.handover import CONV1_PULSES, accuracy_of, conv1_pulses, finish


@pytest.fixture(scope="module")
def digits() -> Digits:
    images, labels = load_test()
    return images[:40], labels[:40]


@pytest.fixture(scope="module")
def as_trained(shipped: Weights) -> dict[str, np.ndarray]:
    """The shipped network as training would hand it over: in double precision, without full scales."""
    made = {f"{layer.name}.weight": layer.weight.astype(np.float64) for layer in shipped.layers}
    return made | {f"{layer.name}.bias": layer.bias.astype(np.float64) for layer in shipped.layers}


def test_half_precision_is_kept_where_it_costs_nothing(as_trained: dict[str, np.ndarray], digits: Digits) -> None:
    finished = finish(as_trained, digits, digits)
    assert finished.dtype is np.float16
    assert finished.accuracy == accuracy_of(finished.layers, *digits) > 0.9
    assert 0.8 < finished.accuracy_zeroed <= 1
    assert finished.conv1_pulses == conv1_pulses(finished.layers, digits[0])


def test_single_precision_is_kept_where_half_precision_would_cost(
    as_trained: dict[str, np.ndarray], digits: Digits
) -> None:
    """The last layer's weights so small that float16 makes them all zero: then every answer is a 0."""
    tiny = as_trained | {f"fc2.{part}": as_trained[f"fc2.{part}"] * 1e-12 for part in ("weight", "bias")}
    finished = finish(tiny, digits, digits)
    assert finished.dtype is np.float32
    assert finished.accuracy > 0.9


def test_full_scales_follow_their_rules(shipped: Weights, digits: Digits) -> None:
    """Kernels: a thousandth of the drives is above. Dense units: a little above the largest. Never nothing."""
    layers = with_full_scales(shipped.layers, digits[0])
    maps = as_maps(digits[0])
    for layer, weights in zip(LAYERS, layers, strict=True):
        drive = drives(layer, weights, maps)
        if layer.is_convolution:
            above = (drive > weights.full_scale[:, None]).mean(axis=(0, 2))
            assert above.max() <= 1e-3 + 1 / drive[:, 0].size
        else:
            least = LEAST * weights.full_scale.max()
            expected = np.maximum(drive[:, :, 0].max(axis=0) * DENSE_MARGIN, least)
            np.testing.assert_allclose(weights.full_scale, expected, rtol=1e-5)
        maps = activations(layer, weights, drive)


def test_pulses_of_a_digit_are_whole_and_cut_off(shipped: Weights, digits: Digits) -> None:
    one = conv1_pulses(shipped.layers, digits[0][:1])
    assert one == int(one)
    assert conv1_pulses(shipped.layers, np.full((1, 28, 28), 255, dtype=np.uint8)) <= 25_088 * CONV1_PULSES


def test_the_shipped_network_spares_the_neuron(shipped: Weights) -> None:
    """At most 110,000 pulses a digit; 200 digits tell the mean to about ±2,500."""
    assert conv1_pulses(shipped.layers, load_test()[0][:200]) < 110_000

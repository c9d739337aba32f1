from __future__ import annotations

import numpy as np
import pytest

from hil.network.layers import LAYERS, activations, as_maps, drives, max_pool, softmax
from hil.network.mnist import load_test
from hil.network.weights import LayerWeights, Weights
from hil.run.config import RunConfig


def naive_convolution(kernel: np.ndarray, maps: np.ndarray) -> np.ndarray:
    """Equation (2) as it is printed: a sum over k_i, k_j = 0…4, with a zero border of two."""
    channels, side, _ = maps.shape
    padded = np.zeros((channels, side + 4, side + 4))
    padded[:, 2:-2, 2:-2] = maps
    out = np.zeros((side, side))
    for i in range(side):
        for j in range(side):
            out[i, j] = (kernel * padded[:, i : i + 5, j : j + 5]).sum()
    return out


@pytest.mark.parametrize("layer", LAYERS[:2])
def test_convolution_is_equation_2(layer: object, shipped: Weights) -> None:
    convolution = LAYERS[0] if layer is LAYERS[0] else LAYERS[1]
    weights = shipped.layers[convolution.index]
    rng = np.random.default_rng(0)
    maps = rng.random((2, weights.weight.shape[1], convolution.side, convolution.side)).astype(np.float32)
    found = drives(convolution, weights, maps)
    for unit in (0, convolution.units - 1):
        expected = naive_convolution(weights.weight[unit], maps[1]).ravel()
        assert found[1, unit] == pytest.approx(expected, rel=1e-4, abs=1e-4)


def test_on_and_off_pixels_are_two_channels_of_equation_2() -> None:
    rng = np.random.default_rng(0)
    both = LayerWeights(
        "conv1", rng.random((32, 2, 5, 5), np.float32), np.zeros(32, np.float32), np.ones(32, np.float32)
    )
    images = as_maps(rng.integers(0, 256, (2, 28, 28), dtype=np.uint8))
    found = drives(LAYERS[0], both, images)
    bordered = np.pad(images[1, 0], 2)
    seen = np.stack([bordered, 1 - bordered])
    for unit in (0, 31):
        expected = [[(both.weight[unit] * seen[:, i : i + 5, j : j + 5]).sum() for j in range(28)] for i in range(28)]
        assert found[1, unit] == pytest.approx(np.ravel(expected), rel=1e-4)
    assert found.min() > 0, "the darkest image gives every neuron something"


def test_pooling_is_equation_3() -> None:
    maps = np.arange(32, dtype=np.float32).reshape(1, 2, 4, 4)
    assert max_pool(maps)[0, 0].tolist() == [[5, 7], [13, 15]]


def test_dense_is_equation_4_with_bias_and_relu() -> None:
    rng = np.random.default_rng(0)
    weights = LayerWeights(
        "fc1", rng.random((1024, 3136), np.float32), np.full(1024, -800.0, np.float32), np.ones(1024, np.float32)
    )
    maps = rng.random((1, 64, 7, 7), np.float32)
    out = activations(LAYERS[2], weights, drives(LAYERS[2], weights, maps))
    expected = np.maximum(weights.weight.astype(float) @ maps.ravel() - 800, 0)
    assert out.ravel() == pytest.approx(expected, abs=0.01)
    assert 0 < (out > 0).mean() < 1


def test_softmax_sums_to_one_even_for_huge_logits() -> None:
    chances = softmax(np.array([[1e4, 1e4 - 1, 0.0]], dtype=np.float32))
    assert chances.sum() == pytest.approx(1)
    assert chances[0, 0] == pytest.approx(1 / (1 + np.exp(-1)))


def test_software_network_equals_pytorch(shipped: Weights) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch (extra 'train') is not installed")
    functional = torch.nn.functional
    maps = as_maps(load_test()[0][:20])
    x = torch.from_numpy(maps)
    tensors = [(torch.from_numpy(w.weight), torch.from_numpy(w.bias)) for w in shipped.layers]
    x = functional.max_pool2d(functional.relu(functional.conv2d(x, *tensors[0], padding=2)), 2)
    x = functional.max_pool2d(functional.relu(functional.conv2d(x, *tensors[1], padding=2)), 2)
    x = functional.linear(functional.relu(functional.linear(x.flatten(1), *tensors[2])), *tensors[3])
    for layer, weights in zip(LAYERS, shipped.layers, strict=True):
        maps = activations(layer, weights, drives(layer, weights, maps))
    assert maps.reshape(20, 10) == pytest.approx(x.numpy(), rel=1e-4, abs=1e-3)


def test_a_configuration_survives_being_stored() -> None:
    from drivers.benchfile import load_bench
    from drivers.device import load_device
    from drivers.signals import SlotTiming

    config = RunConfig(
        command="run",
        digits="0:10",
        vth_v=0.7,
        timing=SlotTiming(),
        bench=load_bench("mock"),
        device=load_device("ideal"),
        weights_digest="x",
    )
    assert RunConfig.model_validate_json(config.model_dump_json()) == config

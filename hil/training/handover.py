"""What training hands over: plain layers with their full scales, in half precision where that costs nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hil.network.fullscale import with_full_scales
from hil.network.layers import LAYERS, as_maps, halves
from hil.network.mnist import Digits, zero_pixels
from hil.network.walk import walk
from hil.network.weights import LayerWeights, Sign

FULL_SCALE_IMAGES = 2_000  # training digits that full scales are measured on
HALF_MAY_COST = 5e-4  # of the validation digits: float16 is kept unless it loses more
CONV1_PULSES = 32
_CHUNK = 100


@dataclass(frozen=True)
class Finished:
    """The layers as they read back from the file, and what they do with the digits held out, in software."""

    layers: tuple[LayerWeights, ...]
    dtype: type[np.floating]
    accuracy: float
    accuracy_zeroed: float
    conv1_pulses: float


def finish(
    tensors: Mapping[str, NDArray[np.float64]], known: Digits, held: Digits, sign: Sign = "positive"
) -> Finished:
    """From conv1.weight … fc2.bias; full scales come from the digits trained on, accuracies from those held out.

    `accuracy_zeroed` is with 40 % of the pixels zeroed; `conv1_pulses` are those of a clean digit at 32 a full scale.
    """
    single, half = (_layers(tensors, dtype, sign) for dtype in (np.float32, np.float16))
    accuracy, accuracy_half = (accuracy_of(layers, *held) for layers in (single, half))
    keep_half = accuracy_half >= accuracy - HALF_MAY_COST
    layers = with_full_scales(half if keep_half else single, known[0][:FULL_SCALE_IMAGES])
    zeroed = zero_pixels(held[0], 0.4, np.random.default_rng(0))
    return Finished(
        layers,
        np.float16 if keep_half else np.float32,
        accuracy_half if keep_half else accuracy,
        accuracy_of(layers, zeroed, held[1]),
        conv1_pulses(layers, held[0]),
    )


def _layers(
    tensors: Mapping[str, NDArray[np.float64]], dtype: type[np.floating], sign: Sign
) -> tuple[LayerWeights, ...]:
    def rounded(name: str) -> NDArray[np.float32]:
        return tensors[name].astype(dtype).astype(np.float32)

    return tuple(
        LayerWeights(
            layer.name,
            rounded(f"{layer.name}.weight"),
            rounded(f"{layer.name}.bias"),
            np.ones(layer.units * (1 if sign == "positive" else 2), dtype=np.float32),
        )
        for layer in LAYERS
    )


def accuracy_of(layers: tuple[LayerWeights, ...], images: NDArray[np.uint8], labels: NDArray[np.uint8]) -> float:
    """Share of images (n, 28, 28) that the network answers rightly in software."""
    right = 0
    for start in range(0, len(images), _CHUNK):
        *_, last = walk(layers, as_maps(images[start : start + _CHUNK]))
        answers = last.maps.reshape(len(last.maps), -1).argmax(axis=1)
        right += int((answers == labels[start : start + _CHUNK]).sum())
    return right / len(images)


def conv1_pulses(layers: tuple[LayerWeights, ...], images: NDArray[np.uint8]) -> float:
    """Pulses that conv1 takes for an image (n, 28, 28), on average, at 32 pulses for full scale."""
    total = 0.0
    for start in range(0, len(images), _CHUNK):
        drive = halves(LAYERS[0], layers[0], as_maps(images[start : start + _CHUNK]))
        sent = np.rint(drive / layers[0].full_scale[:, None] * CONV1_PULSES)
        total += float(np.minimum(sent, CONV1_PULSES).sum())
    return total / len(images)

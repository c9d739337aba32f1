"""The network in software: the other half of the experiment, in plain numpy.

28×28 → conv 5×5 (32), ReLU → max-pool 2×2 → conv 5×5 (64), ReLU → max-pool 2×2 → dense 1024, ReLU → dense 10, as in
Wang et al., Sci. Rep. 8:12546 (2018), equations (2)-(4). Every layer is split where the neuron can take over: its
*drive* is the non-negative weighted sum a neuron receives; bias, ReLU and pooling follow in software.

Arrays: maps (images, channels, rows, columns); drives (images, units, positions), one position for a dense layer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from hil.network.onoff import on_off_as_one

if TYPE_CHECKING:
    from hil.network.weights import LayerWeights

Floats = NDArray[np.float32]
KERNEL = 5
BORDER = KERNEL // 2


@dataclass(frozen=True)
class Layer:
    """Where a layer stands and what it is; `side` is the side of its output map before pooling, 1 for a dense layer."""

    index: int
    name: str
    units: int
    side: int
    relu: bool

    @property
    def is_convolution(self) -> bool:
        """Whether its units are kernels over a map."""
        return self.side > 1

    @property
    def positions(self) -> int:
        """How many neurons one kernel stands for."""
        return self.side * self.side


LAYERS = (
    Layer(0, "conv1", 32, 28, relu=True),
    Layer(1, "conv2", 64, 14, relu=True),
    Layer(2, "fc1", 1024, 1, relu=True),
    Layer(3, "fc2", 10, 1, relu=False),
)


def drives(layer: Layer, weights: LayerWeights, maps: Floats) -> Floats:
    """The weighted sums (images, units, positions) without bias: equation (2) for a convolution, (4) for a dense layer.

    The border of a convolution's input is filled with zeros, so that its output has the same size. A conv1 of two
    channels sees a pixel twice, how bright it is and how dark: every neuron still receives a non-negative sum.
    """
    return _sums(layer, weights.weight, maps)


def halves(layer: Layer, weights: LayerWeights, maps: Floats) -> Floats:
    """The non-negative drives (images, halves · units, positions) that the neuron is played with."""
    return _sums(layer, weights.played_weight, maps)


def subtracted(drive: Floats) -> Floats:
    """Drives (…, units, positions) from those of positive and negative halves in turn (…, 2 · units, positions)."""
    return drive[..., 0::2, :] - drive[..., 1::2, :]


def _sums(layer: Layer, weight: Floats, maps: Floats) -> Floats:
    if not layer.is_convolution:
        flat = maps.reshape(len(maps), -1)
        return (flat @ weight.T)[:, :, None]
    kernels = weight.reshape(len(weight), -1)
    if weight.shape[1] == 2 * maps.shape[1]:
        seen, dark = on_off_as_one(weight)
        return _sums(layer, seen, maps) + dark[:, None]
    # Image by image, so that what the product reads is still in the processor's cache.
    sums: Floats = np.empty((len(maps), len(kernels), layer.positions), dtype=np.float32)
    padded = np.zeros((maps.shape[1], layer.side + 2 * BORDER, layer.side + 2 * BORDER), dtype=np.float32)
    windows = sliding_window_view(padded, (layer.side, layer.side), axis=(1, 2))  # channels, 5, 5, rows, columns
    columns = np.empty(windows.shape, dtype=np.float32)
    for image, found in zip(maps, sums, strict=True):
        padded[:, BORDER:-BORDER, BORDER:-BORDER] = image
        np.copyto(columns, windows)
        np.matmul(kernels, columns.reshape(-1, layer.positions), out=found)
    return sums


def activations(layer: Layer, weights: LayerWeights, drive: Floats) -> Floats:
    """Bias and ReLU on drives, then for a convolution the max-pool: the maps the next layer sees."""
    out = drive + weights.bias[:, None]
    if layer.relu:
        np.maximum(out, 0, out=out)
    out = out.reshape(len(drive), layer.units, layer.side, layer.side)
    return max_pool(out) if layer.is_convolution else out


def max_pool(maps: Floats) -> Floats:
    """Largest of each 2×2 block: equation (3), read as 2i ≤ p < 2i + 2."""
    pooled = np.maximum(maps[:, :, 0::2], maps[:, :, 1::2])
    return np.maximum(pooled[..., 0::2], pooled[..., 1::2])


def as_maps(images: NDArray[np.uint8]) -> Floats:
    """Grey levels (images, 28, 28) → maps (images, 1, 28, 28) in 0…1."""
    return images[:, None].astype(np.float32) / np.float32(255)


def softmax(logits: Floats) -> Floats:
    """(images, 10) → probabilities."""
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    chances: Floats = e / e.sum(axis=1, keepdims=True)
    return chances

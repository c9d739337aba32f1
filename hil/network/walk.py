"""The way of an image through the layers in software, layer by layer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hil.network.layers import LAYERS, Floats, Layer, activations, drives

if TYPE_CHECKING:
    from hil.network.weights import LayerWeights


@dataclass(frozen=True)
class Passed:
    """A layer that images have gone through: its drives (images, units, positions), and the maps the next one sees."""

    layer: Layer
    drive: Floats
    maps: Floats


def walk(weights: tuple[LayerWeights, ...], maps: Floats, first: int = 0, stop: int = len(LAYERS)) -> Iterator[Passed]:
    """Take maps (images, channels, rows, columns) through layers first…stop−1; `weights` are those of all layers."""
    for layer in LAYERS[first:stop]:
        drive = drives(layer, weights[layer.index], maps)
        maps = activations(layer, weights[layer.index], drive)
        yield Passed(layer, drive, maps)

"""How large each unit's drive gets on training images: what counts as full scale when it is coded as pulses."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hil.network.layers import LAYERS, Floats, as_maps, halves
from hil.network.walk import walk
from hil.network.weights import LayerWeights

QUANTILE = 0.999  # of a kernel's drives over all positions of all images
DENSE_MARGIN = 1.05  # a dense unit has one drive an image, too few for that quantile: its largest, and a little more
LEAST = 1e-3  # of the largest unit's full scale: a unit that never gets a drive still needs a scale
_CHUNK = 100


def with_full_scales(layers: tuple[LayerWeights, ...], images: NDArray[np.uint8]) -> tuple[LayerWeights, ...]:
    """The layers with `full_scale` taken from these training images (n, 28, 28), played in software."""
    seen: dict[str, list[Floats]] = {layer.name: [] for layer in LAYERS}
    for start in range(0, len(images), _CHUNK):
        maps = as_maps(images[start : start + _CHUNK])
        for passed in walk(layers, maps):
            weights = layers[passed.layer.index]
            drive = passed.drive if weights.halves == 1 else halves(passed.layer, weights, maps)
            seen[passed.layer.name].append(drive)
            maps = passed.maps
    return tuple(replace(weights, full_scale=_full_scale(np.concatenate(seen[weights.name]))) for weights in layers)


def _full_scale(drive: Floats) -> NDArray[np.float32]:
    """(images, halves · units, positions) → (halves · units,)"""
    if drive.shape[2] > 1:
        scale = np.quantile(drive.transpose(1, 0, 2).reshape(drive.shape[1], -1), QUANTILE, axis=1)
    else:
        scale = drive[:, :, 0].max(axis=0) * DENSE_MARGIN
    kept: NDArray[np.float32] = np.maximum(scale, LEAST * scale.max()).astype(np.float32)
    return kept

"""What need not be played because a max-pool would drop it: `--play pooled`.

Drives are known before a pulse leaves, and of a block that is pooled only the largest activation goes on. Bias and ReLU
rise with the drive, and so do the pulses it is coded as and the spikes an ideal neuron answers with: the largest drive
of a block is its largest activation, and for an ideal neuron playing it alone changes nothing. A real neuron scatters,
so that the largest of four answers is larger than the answer to the largest; playing one leaves that bias out too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from hil.network.layers import Floats, Layer

Play = Literal["all", "pooled"]
NOT_PLAYED = np.float32(-np.inf)  # below every drive, so that the pool takes the one that was played


def played(play: Play, layer: Layer, drive: Floats) -> NDArray[np.bool_] | None:
    """(…, units, positions) true where the neuron of a drive (…, units, positions) is to be played; None: all are.

    Of each 2×2 block that is one: the largest drive and, where several are equally large, the first of them in reading
    order. A dense layer is not pooled.
    """
    if play == "all" or not layer.is_convolution:
        return None
    blocks: Floats = drive.reshape(-1, layer.side // 2, 2, layer.side // 2, 2)
    largest = blocks.max(axis=(2, 4), keepdims=True)
    chosen: NDArray[np.bool_] = blocks == largest
    taken = np.zeros(chosen[:, :, 0, :, 0].shape, dtype=np.bool_)
    for row, column in ((0, 0), (0, 1), (1, 0), (1, 1)):
        here = chosen[:, :, row, :, column]
        here &= ~taken
        taken |= here
    return chosen.reshape(drive.shape)

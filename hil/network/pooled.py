"""What need not be played because a max-pool would drop it: `--play pooled`.

Drives are known before a pulse leaves, and of a block that is pooled only the largest activation goes on. Bias and ReLU
rise with the drive, and so do the pulses it is coded as and the spikes an ideal neuron answers with: the largest drive
of a block is its largest activation, and for an ideal neuron playing it alone changes nothing. A real neuron scatters,
so that the largest of four answers is larger than the answer to the largest; playing one leaves that bias out too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from hil.network.layers import drives, halves, subtracted

if TYPE_CHECKING:
    from hil.network.layers import Floats, Layer
    from hil.network.physical import Physical
    from hil.network.weights import LayerWeights

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
    corners = [(slice(None), slice(None), row, slice(None), column) for row in (0, 1) for column in (0, 1)]
    one, two, three, four = (blocks[corner] for corner in corners)
    largest = np.maximum(np.maximum(one, two), np.maximum(three, four))
    chosen = np.empty(blocks.shape, dtype=np.bool_)
    free = np.ones(largest.shape, dtype=np.bool_)  # blocks that none has been chosen of
    for corner in corners:
        here = chosen[corner]
        np.equal(blocks[corner], largest, out=here)
        here &= free
        free ^= here
    return chosen.reshape(drive.shape)


@dataclass(frozen=True)
class Offered:
    """What images bring to a part that is played.

    `units` (images, units, positions) are the drives of the whole layer, `channels` (images, channels, positions) those
    of what is played: of the part's units, or of their halves. `chosen`, shaped like these, says where; None: all.
    """

    part: Physical
    units: Floats
    channels: Floats
    chosen: NDArray[np.bool_] | None

    def which(self, image: int) -> NDArray[np.bool_] | None:
        """(channels, positions) where this one of the images is played; None: everywhere."""
        return None if self.chosen is None else self.chosen[image]

    def take_back(self, image: int, answered: Floats) -> None:
        """Put what came back for an image (channels, positions) in the place of the drives of the part's units."""
        part, which = self.part, self.which(image)
        one = answered if part.halves == 1 else subtracted(answered)
        if which is not None:
            one = np.where(which[:: part.halves], one, NOT_PLAYED)
        self.units[image, part.start : part.stop] = one


def offer(part: Physical, weights: LayerWeights, maps: Floats, play: Play) -> Offered:
    """What these maps (images, channels, rows, columns) bring to the part's layer, and what of it is played."""
    if part.halves == 1:
        units = drives(part.layer, weights, maps)
        channels = units[:, part.start : part.stop]
    else:
        every = halves(part.layer, weights, maps)
        units, channels = subtracted(every), every[:, part.channels.start : part.channels.stop]
    chosen = played(play, part.layer, units[:, part.start : part.stop])
    if chosen is not None and part.halves == 2:
        chosen = np.repeat(chosen, 2, axis=1)
    return Offered(part, units, channels, chosen)

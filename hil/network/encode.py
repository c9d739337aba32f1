"""Drives to pulses and spikes back to drives: where the network's numbers meet the neuron's.

A unit's drive is coded as pulses in a slot, `full_scale_pulses` for the drive `full_scale` (the 99.9 % quantile of that
unit over training images, stored with the weights). What is above is cut off and counted as saturated. Spikes are
turned back into pulses by the inverse of the transfer curve that was measured on this bench.

Of the last layer the differences are coded: from the least drive of an image's ten to the largest. With `--coding
excess` other layers are given only what of a drive is above the unit's threshold, since ReLU drops the rest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from drivers.signals import Frame, FrameKey, IntArray, SlotTiming

if TYPE_CHECKING:
    from calibration.transfer import TransferCurve
    from hil.network.layers import Floats
    from hil.network.physical import Physical
    from hil.network.weights import LayerWeights


_LEAST_SHARE = 1e-3  # of a full scale: a unit that hardly ever passes its threshold is not scaled by nothing
# What of a drive is coded as pulses: all of it, also of the last layer; all but of the last layer; what can matter.
Coding = Literal["sums", "whole", "excess"]


@dataclass(frozen=True)
class Gain:
    """Pulses a unit of drive (channels, 1), the pulses of full scale, and the drives (channels, 1) coded as none.

    For the physical part of one layer.
    """

    pulses_per_drive: NDArray[np.float32]
    full_scale_pulses: int
    least: Floats | float = 0.0

    @classmethod
    def of(cls, part: Physical, weights: LayerWeights, full_scale_pulses: int) -> Gain:
        """From the full scales stored with the weights."""
        return cls(np.float32(full_scale_pulses) / _full_scale(part, weights), full_scale_pulses)

    @classmethod
    def above_threshold(cls, part: Physical, weights: LayerWeights, full_scale_pulses: int) -> Gain:
        """Drives above a unit's threshold, the amount of its bias: ReLU makes nothing of what is below."""
        threshold = np.maximum(-weights.bias[part.start : part.stop, None], 0).astype(np.float32)
        scale = _full_scale(part, weights)
        above = np.maximum(scale - threshold, _LEAST_SHARE * scale)
        return cls(np.float32(full_scale_pulses) / above, full_scale_pulses, threshold)

    @classmethod
    def between(cls, drive: Floats, full_scale_pulses: int) -> Gain:
        """For one image's drives (channels, 1): from the least, coded as no pulse, to the largest, coded as all.

        All weights of the last layer are non-negative because one constant was added to all ten of an input, which
        shifts all logits alike. So its drives are large and nearly equal, and only their differences say anything:
        these are what the neuron is given.
        """
        least = float(drive.min())
        span = max(float(drive.max()) - least, float(np.finfo(np.float32).tiny) * full_scale_pulses)
        return cls(np.full((len(drive), 1), full_scale_pulses / span, dtype=np.float32), full_scale_pulses, least)


def gain_for(part: Physical, weights: LayerWeights, full_scale_pulses: int, drive: Floats, coding: Coding) -> Gain:
    """How the drives (channels, positions) of one image to this part are coded."""
    if coding != "sums" and not part.layer.relu:
        return Gain.between(drive, full_scale_pulses)
    if coding == "excess":
        return Gain.above_threshold(part, weights, full_scale_pulses)
    return Gain.of(part, weights, full_scale_pulses)


def _full_scale(part: Physical, weights: LayerWeights) -> Floats:
    return weights.full_scale[part.channels.start : part.channels.stop, None].astype(np.float32)


def to_pulses(gain: Gain, drive: Floats, chosen: NDArray[np.bool_] | None = None) -> tuple[IntArray, int]:
    """Drives (channels, positions) → pulses (channels, positions) and how many were saturated.

    `chosen` (channels, positions) says which are played (`hil.network.pooled`); the others get no pulses.
    """
    wanted = np.rint((drive - gain.least) * gain.pulses_per_drive)
    if chosen is not None:
        wanted *= chosen
    saturated = int(np.count_nonzero(wanted > gain.full_scale_pulses))
    return np.clip(wanted, 0, gain.full_scale_pulses).astype(np.int32), saturated


def to_drives(gain: Gain, curve: TransferCurve, spikes: IntArray) -> Floats:
    """Spikes (channels, positions) → estimated drives (channels, positions)."""
    drive: Floats = curve.decode(spikes).astype(np.float32) / gain.pulses_per_drive + gain.least
    return drive


def slot_identities(part: Physical) -> tuple[IntArray, IntArray, IntArray]:
    """(slots,) layer, channel and position of the slots of a frame for `part`: all positions of a channel in turn."""
    channels = np.array(part.channels, dtype=np.int32)
    channel = np.repeat(channels, part.layer.positions).astype(np.int32)
    position = np.tile(np.arange(part.layer.positions, dtype=np.int32), len(channels))
    return np.full(part.slots, part.layer.index, dtype=np.int32), channel, position


def to_frame(
    key: FrameKey,
    timing: SlotTiming,
    pulses: IntArray,
    identities: tuple[IntArray, IntArray, IntArray],
    pulses_before: int,
) -> Frame:
    """One frame holding every physical unit's slots for one image."""
    layer, channel, position = identities
    return Frame(key, timing, pulses.ravel(), layer, channel, position, pulses_before=pulses_before)

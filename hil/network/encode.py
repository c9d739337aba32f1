"""Drives to pulses and spikes back to drives: where the network's numbers meet the neuron's.

A unit's drive is coded as pulses in a slot, `full_scale_pulses` for the drive `full_scale` (the 99.9 % quantile of that
unit over training images, stored with the weights). What is above is cut off and counted as saturated. Spikes are
turned back into pulses by the inverse of the transfer curve that was measured on this bench.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from drivers.signals import Frame, FrameKey, IntArray, SlotTiming

if TYPE_CHECKING:
    from calibration.transfer import TransferCurve
    from hil.network.layers import Floats
    from hil.network.physical import Physical
    from hil.network.weights import LayerWeights


@dataclass(frozen=True)
class Gain:
    """Pulses a unit of drive (channels, 1), and the pulses of full scale, for the physical part of one layer."""

    pulses_per_drive: NDArray[np.float32]
    full_scale_pulses: int

    @classmethod
    def of(cls, part: Physical, weights: LayerWeights, full_scale_pulses: int) -> Gain:
        """From the full scales stored with the weights."""
        full_scale = weights.full_scale[part.channels.start : part.channels.stop, None].astype(np.float32)
        return cls(np.float32(full_scale_pulses) / full_scale, full_scale_pulses)


def to_pulses(gain: Gain, drive: Floats, chosen: NDArray[np.bool_] | None = None) -> tuple[IntArray, int]:
    """Drives (channels, positions) → pulses (channels, positions) and how many were saturated.

    `chosen` (channels, positions) says which are played (`hil.network.pooled`); the others get no pulses.
    """
    wanted = np.rint(drive * gain.pulses_per_drive)
    if chosen is not None:
        wanted *= chosen
    saturated = int(np.count_nonzero(wanted > gain.full_scale_pulses))
    return np.clip(wanted, 0, gain.full_scale_pulses).astype(np.int32), saturated


def to_drives(gain: Gain, curve: TransferCurve, spikes: IntArray) -> Floats:
    """Spikes (channels, positions) → estimated drives (channels, positions)."""
    drive: Floats = curve.decode(spikes).astype(np.float32) / gain.pulses_per_drive
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

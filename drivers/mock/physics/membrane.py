"""The membrane voltage as a probe sees it, from the pieces of the neuron's history."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from drivers.mock.physics.neuron import NeuronModel, Trains, membrane

if TYPE_CHECKING:
    from drivers.edges import Times
    from drivers.mock.physics.neuron import Midway
    from drivers.mock.physics.random import U64
    from drivers.settings import BoardSettings

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Segments:
    """Some segments in order, all sensed with one V_th: when each began, its pulses, its key, its axon pulses.

    With `midway` it is the part of a single segment that goes on from there.
    """

    start_ns: Times
    trains: Trains
    keys: U64
    vth_v: float
    pulses_before: int
    axon_ns: Times
    midway: Midway | None = None

    @property
    def end_ns(self) -> float:
        """When the last of them ends."""
        return float(self.start_ns[-1] + self.trains.end_s[-1] * 1e9)


def membrane_volts(
    model: NeuronModel, board: BoardSettings, segments: Sequence[Segments], t_ns: NDArray[np.int64]
) -> Floats:
    """(n,) V_m at the times t_ns (n,): sensed between pulses, grounded during pulses and while the axon is high."""
    starts, ys = [], []
    for block in segments:
        lo = max(0, int(np.searchsorted(block.start_ns, t_ns[0], side="right")) - 1)
        hi = max(lo + 1, int(np.searchsorted(block.start_ns, t_ns[-1], side="right")))
        aged, trains = model.aged(block.pulses_before), cut(block.trains, lo, hi)
        pieces = membrane(aged, board, block.vth_v, trains, block.keys[lo:hi], block.midway)
        starts.append(block.start_ns[lo:hi][pieces.segment] + pieces.start_s * 1e9)
        ys.append(pieces.y)
    start, y = np.concatenate(starts), np.concatenate(ys)
    order = np.argsort(start, kind="stable")
    start, y = start[order], y[order]
    at = np.searchsorted(start, t_ns, side="right") - 1
    inside = at >= 0
    at = np.maximum(at, 0)
    volts = _sensed(model, y[at], (t_ns - start[at]) * 1e-9)
    # A grounded node decays from where sensing had brought it.
    before = np.maximum(at - 1, 0)
    reached = np.nan_to_num(_sensed(model, y[before], (start[at] - start[before]) * 1e-9))
    decay = np.exp(-(t_ns - start[at]) * 1e-9 / model.node_s) if model.node_s else 0.0
    volts = np.where(np.isnan(volts), reached * decay, volts)
    return np.where(inside, volts, 0.0)


def _sensed(model: NeuronModel, y: Floats, since_s: Floats) -> Floats:
    leaked = y * np.exp(-since_s / model.leak_s)
    rise = 1 - np.exp(-since_s / model.node_s) if model.node_s else 1.0
    return model.i_sense_a * model.r_lrs_ohm * np.exp(leaked) * rise


def cut(trains: Trains, lo: int, hi: int) -> Trains:
    """The trains of segments lo…hi."""
    first, last = trains.offsets[lo], trains.offsets[hi]
    return Trains(
        trains.offsets[lo : hi + 1] - first, trains.rise_s[first:last], trains.fall_s[first:last], trains.end_s[lo:hi]
    )

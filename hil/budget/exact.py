"""Whole pulses without a neuron: what coding alone loses.

A bench that answers every pulse with a spike, and the curve that turns so many spikes back into just so many pulses.
Everything else is as with a neuron: what is rounded, cut off and left out, helpings too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from calibration.transfer import TransferCurve
from drivers.signals import Capture, Frame, nothing_played
from drivers.timing import length_ticks, seconds, shots, slot_ticks
from hil.network.weights import load_weights
from hil.run.digits import Course, DigitResult, recognise_digits
from hil.workers.portions import BATCH

if TYPE_CHECKING:
    from hil.run.config import RunConfig
    from hil.workers.portions import Part


class ExactBench:
    """Plays nothing; its captures hold a spike a pulse, and the time that a bench with this tick (s) would take."""

    def __init__(self, tick_s: float) -> None:
        self.tick_s = tick_s
        self.identity = {"bench": "none", "kind": "exact"}
        self.temperature_c: float | None = None
        self.spent_s: dict[str, float] = {}
        self.threshold_v: float | None = None

    def set_threshold(self, volts: float) -> float:
        """Nothing to set."""
        self.threshold_v = volts
        return volts

    def make_safe(self) -> None:
        """Nothing to bring to rest."""

    def play(self, frames: Iterable[Frame]) -> Iterator[Capture]:
        """See `drivers.bench.Bench.play`."""
        for frame in frames:
            for shot in shots(frame, self.tick_s):
                yield self._answered(shot) if shot.played.any() else nothing_played(shot)

    def _answered(self, shot: Frame) -> Capture:
        lengths = length_ticks(shot, self.tick_s)
        return Capture(
            frame=shot,
            spikes=np.where(shot.played, shot.pulses, 0).astype(np.int32),
            slot_s=seconds(lengths, self.tick_s),
            ok=np.ones(len(shot), dtype=np.bool_),
            bench_s=float(lengths.sum() + slot_ticks(shot.timing, self.tick_s).lead) * self.tick_s,
        )

    def __enter__(self) -> ExactBench:
        return self

    def __exit__(self, *exc: object) -> None:
        self.make_safe()


def exact_curve(config: RunConfig) -> TransferCurve:
    """So many spikes, so many pulses, up to the largest full scale of the layers on the neuron."""
    most = max(config.full_scale_pulses[part.layer.name] for part in config.parts)
    ends = np.array([0, most], dtype=np.int64)
    histogram = np.zeros((2, most + 1), dtype=np.int64)
    histogram[[0, 1], ends] = 1
    return TransferCurve(
        timing_key=config.timing.key(),
        vth_v=config.vth_v,
        pulses=ends,
        mean_spikes=ends.astype(np.float64),
        sd_spikes=np.zeros(2),
        slots=np.ones(2, dtype=np.int64),
        histogram=histogram,
        made_v=config.vth_v,
    )


def recognise_exactly(part: Part) -> Iterator[DigitResult]:
    """The results of a part, whose configuration has the curve above; work for a crew."""
    config = part.config
    bench = ExactBench(config.bench.tick_s)
    for result, _ in recognise_digits(config, load_weights(config.weights_path), bench, Course(batch=BATCH)):
        yield result

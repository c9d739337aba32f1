"""What happened on the lines, shot by shot, on one time axis: what logic analysers and spike tools want to see.

Shots follow each other in the order in which they were taken, without the pauses between them. The lines are those that
the shot was compiled to; where there are traces, the axon's pulses are those that were counted in them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from drivers.decode.schmitt import Pulses
from drivers.decode.spikes import counted_pulses
from drivers.edges import DENDRITE, RESET, SELECT0, SYNC, compile_levels
from drivers.errors import CaptureError, InputError
from drivers.timing import length_ticks
from hil.offline.decoding import decode_recording, shot_s
from hil.offline.recordings import config_of_import
from hil.run.session import config_of
from hil.store.frozen import kind_of

if TYPE_CHECKING:
    from drivers.benchfile import BenchFile
    from drivers.signals import BoolArray, Capture, FloatArray, Trace
    from hil.store.runfile import RunFile

GAP_S = 50e-6  # of rest between two shots


@dataclass(frozen=True, eq=False)
class Played:
    """One shot: what was captured, and when it begins on the common axis.

    `lines` hold, for each digital line, when it changes (n,), s from the shot's trigger, and its level from then on.
    `axon_s` (n, 2) are the rises and falls of the axon, None where nobody knows when they were. `slots_s` (played, 2)
    tell when each played slot begins and ends.
    """

    row: int
    capture: Capture
    begin_s: float
    start_s: float
    stop_s: float
    lines: dict[str, tuple[FloatArray, BoolArray]]
    axon_s: FloatArray | None
    slots_s: FloatArray

    @property
    def length_s(self) -> float:
        """From its first moment to its last."""
        return self.stop_s - self.start_s

    @property
    def played(self) -> NDArray[np.intp]:
        """The indices of the slots that `slots_s` tells of."""
        frame = self.capture.frame
        return np.flatnonzero(frame.played) if frame.played.any() else np.arange(len(frame))


def line_names(bench: BenchFile) -> list[str]:
    """The digital lines of a bench."""
    return ["dendrite", "reset", "sync", *(f"select{i}" for i in range(bench.board.select_lines))]


def bench_of(run: RunFile) -> BenchFile:
    """The bench file of a run, an evaluation or an import; raises WrongKindError, RunFileError."""
    return config_of_import(run).bench if kind_of(run) == "import" else config_of(run).bench


def wanted_shots(run: RunFile, digits: Collection[int] | None) -> list[int]:
    """Row ids of the shots of these digits (of an import: recordings), or all; raises InputError for none."""
    shots = [row for row in run.shot_ids() if digits is None or run.counts(row).frame.key.image in digits]
    if not shots:
        raise InputError(f"run {run.path} has no shot of what was asked for")
    return shots


def played_shots(run: RunFile, digits: Collection[int] | None = None) -> Iterator[Played]:
    """Every shot in the order it was taken; raises RunFileError, InputError."""
    bench, tick_s, begin_s = bench_of(run), float(run.fact("tick_s")), 0.0
    measured = kind_of(run) == "import" and config_of_import(run).measured
    for row in wanted_shots(run, digits):
        capture = run.load(row, None)
        if capture.frame.played.any():
            found = _planned(row, capture, begin_s, bench, tick_s)
        else:
            found = _recorded(row, capture, begin_s, bench, measured=measured)
        yield found
        begin_s += found.length_s + GAP_S


def _planned(row: int, capture: Capture, begin_s: float, bench: BenchFile, tick_s: float) -> Played:
    frame = capture.frame
    ticks, words = compile_levels(frame, bench.board, tick_s)
    names = line_names(bench)
    bits = [DENDRITE, RESET, SYNC, *(SELECT0 << i for i in range(bench.board.select_lines))]
    times = ticks.astype(np.float64) * tick_s
    ends = np.cumsum(length_ticks(frame, tick_s)[frame.played]) * tick_s
    edges = np.concatenate([[0.0], ends])
    sync = _counted(capture, "sync", bench, tick_s)
    if sync is not None and len(sync):
        edges += sync.rise_s[0]  # where the trace has what the plan calls its beginning
        times += sync.rise_s[0]
        if len(sync) == len(edges):
            edges = sync.rise_s
    lines = {name: _changes(times, (words & np.uint32(bit)) != 0) for name, bit in zip(names, bits, strict=True)}
    axon = _counted(capture, "axon", bench, tick_s)
    start, stop = _ends(capture.traces, float(edges[0]), float(edges[0]) + shot_s(frame, tick_s))
    slots = np.stack([edges[:-1], edges[1:]], axis=1)
    return Played(row, capture, begin_s, start, stop, lines, None if axon is None else _spans(axon), slots)


def _recorded(row: int, capture: Capture, begin_s: float, bench: BenchFile, *, measured: bool) -> Played:
    """A recording without a plan: of its lines sync alone is known."""
    found = decode_recording(capture.traces, bench, measured=measured, shot=None, tick_s=1e-6)
    seen = found.look
    lines = {} if seen.sync is None else {"sync": _as_changes(seen.sync)}
    slots = np.stack([seen.intervals_s[:-1], seen.intervals_s[1:]], axis=1)
    start, stop = _ends(capture.traces, float(seen.intervals_s[0]), float(seen.intervals_s[-1]))
    return Played(row, capture, begin_s, start, stop, lines, _spans(seen.judged.pulses), slots)


def _changes(times: FloatArray, high: BoolArray) -> tuple[FloatArray, BoolArray]:
    """Only where the level becomes another; it is low before."""
    differs = np.concatenate([high[:1], high[1:] != high[:-1]])
    return times[differs], high[differs]


def _as_changes(pulses: Pulses) -> tuple[FloatArray, BoolArray]:
    spans = _spans(pulses)
    return spans.ravel(), np.tile([True, False], len(spans))


def _spans(pulses: Pulses) -> FloatArray:
    ended = np.isfinite(pulses.fall_s)
    return np.stack([pulses.rise_s[ended], pulses.fall_s[ended]], axis=1)


def _ends(traces: tuple[Trace, ...], start_s: float, stop_s: float) -> tuple[float, float]:
    """The first moment and the last that is told of."""
    for trace in traces:
        start_s = min(start_s, trace.x_origin_s)
        stop_s = max(stop_s, trace.x_origin_s + len(trace.codes) * trace.x_increment_s)
    return start_s, stop_s


def _counted(capture: Capture, name: str, bench: BenchFile, tick_s: float) -> Pulses | None:
    """The pulses of `axon` or `sync` that count; None without a trace of it that can be read."""
    trace = next((trace for trace in capture.traces if trace.name == name), None)
    if trace is None:
        return None
    try:
        return counted_pulses(capture.frame, trace, bench.spikes, bench.board, tick_s)
    except CaptureError:
        return None

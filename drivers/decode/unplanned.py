"""A recording without a plan: its pulses, and how many lie between two edges of sync.

What the axon looks like is told by a bench file, or measured in the recording itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from drivers.decode.faint import FAINT, faint_pulses
from drivers.decode.judge import Judged, Shape, judge
from drivers.decode.lines import Line, read_line
from drivers.decode.measured import Reading
from drivers.decode.refusals import code_volts
from drivers.decode.schmitt import Pulses, find_pulses
from drivers.decode.spikes import check_time_base, doubted, expected_lines
from drivers.errors import CaptureError, InputError
from drivers.signals import BoolArray, FloatArray, IntArray, SlotTiming, Trace

if TYPE_CHECKING:
    from drivers.settings import BoardSettings, SpikeSettings

_RARE = 1e-4  # share of the samples that may lie beyond rest and top
_BAND = 0.3  # of the swing: hysteresis where the recording tells the levels
_LEAST_SWING = 4  # codes
_UPSIDE_DOWN = 0.6  # of the time: a line that is high for longer rests there
_SHORT = 3  # samples: noise makes shorter pulses at slow edges
_GLITCH = 0.25  # of a pulse's width, as in SpikeSettings


@dataclass(frozen=True, eq=False)
class Look:
    """What a recording shows.

    `intervals_s` (k + 1,) are the rises of sync, or the ends of the trace where there is none; `spikes` (k,) the axon's
    pulses that rise in each; `at_sync` (k,) those of them while sync is high; `doubtful` (k,) where something is not as
    an axon makes it. `outside` pulses lie in no interval; `faint` ones were too low to be found as pulses.
    """

    axon: Reading
    sync: Pulses | None
    line: Line
    judged: Judged
    intervals_s: FloatArray
    spikes: IntArray
    at_sync: IntArray
    doubtful: BoolArray
    outside: int
    faint: int

    @property
    def cut_off(self) -> bool:
        """Whether the last pulse is counted as too wide because the record ends in it."""
        falls = self.axon.pulses.fall_s
        return bool(len(falls) and np.isinf(falls[-1]) and self.judged.reasons.get("too wide"))

    @property
    def notes(self) -> tuple[str, ...]:
        """What is to be said of it."""
        kinds = dict(self.judged.reasons)
        if self.cut_off:
            kinds["too wide"] -= 1
            kinds["cut off by the end of the record"] = 1
        if self.faint:
            kinds[FAINT] = self.faint
        lines = [f"{count} axon pulses {kind}" for kind, count in kinds.items() if count]
        if self.judged.glitches:
            lines.append(f"{self.judged.glitches} glitches ignored")
        if self.doubtful.any():
            lines.append(f"{self.doubtful.sum()} of {len(self.doubtful)} intervals doubtful")
        if self.outside:
            lines.append(f"{self.outside} axon pulses before the first or after the last edge of sync")
        return tuple(lines)

    @property
    def levels_v(self) -> tuple[float, float, float]:
        """Rest and top of the axon, and the rms of its noise, V."""
        trace, levels = self.axon.trace, self.axon.levels
        codes = levels.middle, levels.middle + (self.axon.height or self.axon.swing)
        rest, top = (code_volts(trace, 255 - code if self.axon.samples.flipped else code) for code in codes)
        return rest, top, levels.noise * abs(trace.y_increment_v)


def bench_lines(spikes: SpikeSettings, board: BoardSettings) -> dict[str, Line]:
    """The lines of a bench whose slots are not known."""
    return expected_lines(spikes, board, SlotTiming().lead_s)


def measured_line(trace: Trace, *, dense: bool = True) -> Line:
    """What a line must be, from the recording alone; raises CaptureError where nothing rises out of it."""
    codes = np.sort(trace.codes[:: max(1, len(trace.codes) >> 20)])
    spare = min(int(len(codes) * _RARE), len(codes) // 4)
    low, high = float(codes[spare]), float(codes[-1 - spare])
    if high - low < _LEAST_SWING:
        low, high = float(trace.codes.min()), float(trace.codes.max())  # pulses rarer than that
    if high - low < _LEAST_SWING:
        raise CaptureError(f"trace {trace.name!r} is flat: it has no pulses to find; check which channel it is")
    middle_v, swing_v = code_volts(trace, (low + high) / 2), (high - low) * abs(trace.y_increment_v)
    turned = bool((trace.codes > (low + high) / 2).mean() > _UPSIDE_DOWN) != (trace.y_increment_v < 0)
    line = Line(0.0, 0.0, middle_v, _BAND * swing_v, inverted=turned and dense, dense=dense)
    half = line.hysteresis_v / 2
    found = find_pulses(trace, middle_v - half, middle_v + half, inverted=line.inverted)
    long = found.where(np.isfinite(found.fall_s)).at_least(_SHORT * trace.x_increment_s)
    if not len(long):
        raise CaptureError(f"trace {trace.name!r} has no pulse of {_SHORT} samples or more: record it faster")
    gaps = long.rise_s[1:] - long.fall_s[:-1]
    width_s = float(np.median(long.width_s))
    gap_s = float(np.quantile(gaps, 0.01)) if len(gaps) else width_s
    return replace(line, width_s=width_s, gap_s=max(gap_s, trace.x_increment_s))


def look(traces: Sequence[Trace], lines: Mapping[str, Line]) -> Look:
    """The pulses of `axon`, by the edges of `sync` if there is one; `lines` say what either looks like.

    Raises CaptureError where a trace cannot be read, InputError where two do not belong together.
    """
    by_name = {trace.name: trace for trace in traces}
    if "axon" not in by_name:
        raise InputError("name the axon's channel, as --axon CH1")
    axon, line = by_name["axon"], lines["axon"]
    seen = read_line(axon, line)
    width_s = line.width_s
    judged = judge(seen, Shape(width_s, width_s, 0.0, _GLITCH * width_s))
    sync = None
    if "sync" in by_name:
        check_time_base(axon, by_name["sync"])
        sync = read_line(by_name["sync"], lines["sync"]).pulses.at_least(lines["sync"].width_s / 2)
        if not len(sync):
            raise CaptureError("sync shows no pulse: check which channel it is, and spikes.sync_threshold_v")
    edges = sync.rise_s if sync is not None else _ends(axon)
    rises = judged.pulses.rise_s
    until = np.searchsorted(rises, edges)
    spikes = np.diff(until).astype(np.int32)
    at_sync = np.zeros_like(spikes)
    if sync is not None:
        at_sync = (np.searchsorted(rises, sync.fall_s[:-1]) - until[:-1]).astype(np.int32)
    faint = faint_pulses(seen)
    doubts = np.concatenate([judged.doubts, faint])
    return Look(
        axon=seen,
        sync=sync,
        line=line,
        judged=judged,
        intervals_s=edges,
        spikes=spikes,
        at_sync=at_sync,
        doubtful=doubted(doubts, sync) if sync is not None else np.array([len(doubts) > 0]),
        outside=len(rises) - int(spikes.sum()),
        faint=len(faint),
    )


def _ends(trace: Trace) -> NDArray[np.float64]:
    return np.array([trace.x_origin_s, trace.x_origin_s + len(trace.codes) * trace.x_increment_s])

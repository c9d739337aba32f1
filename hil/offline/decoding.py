"""One recording decoded: as a bench would have, where its plan is known, and interval by interval where it is not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from drivers.decode.lines import Line
from drivers.decode.spikes import decode
from drivers.decode.unplanned import Look, bench_lines, look, measured_line
from drivers.errors import CaptureError, InputError
from drivers.signals import PROBE_LAYER, Capture, FloatArray, Frame, FrameKey, SlotTiming, Stray, Trace
from drivers.timing import length_ticks, slot_ticks

if TYPE_CHECKING:
    from drivers.benchfile import BenchFile

PURPOSE = "import"


@dataclass(frozen=True, eq=False)
class Decoded:
    """A recording as a capture, with what its traces show; `planned` tells whether the plan was known."""

    capture: Capture
    look: Look
    planned: bool


_LINES = ("axon", "sync")


def settled_lines(traces: Sequence[Trace], bench: BenchFile, *, measured: bool) -> dict[str, Line]:
    """What axon and sync must look like: as the bench file says, or as the recording itself shows."""
    if not measured:
        return bench_lines(bench.spikes, bench.board)
    return {trace.name: measured_line(trace, dense=trace.name == "axon") for trace in traces if trace.name in _LINES}


def decode_recording(
    traces: Sequence[Trace], bench: BenchFile, *, measured: bool, shot: Frame | None, tick_s: float, index: int = 0
) -> Decoded:
    """Decode traces named `axon` and, if there is one, `sync`; raises CaptureError, InputError.

    `measured`: the lines are what the recording shows, not what the bench says; not with a shot.
    """
    seen = look(traces, settled_lines(traces, bench, measured=measured))
    if shot is None:
        return Decoded(_by_intervals(traces, seen, index), seen, planned=False)
    if seen.sync is None:
        raise InputError("a plan says which slot is which by the edges of sync: name its channel too, as --sync CH2")
    keyed = replace(shot, key=replace(shot.key, purpose=PURPOSE, image=index, noise=0, attempt=0, helping=0))
    capture = decode(keyed, traces, bench.spikes, bench.board, tick_s, shot_s(keyed, tick_s))
    return Decoded(capture, seen, planned=True)


def shot_s(shot: Frame, tick_s: float) -> float:
    """How long a shot takes, with the sync pulse that closes it."""
    return float((int(length_ticks(shot, tick_s).sum()) + slot_ticks(shot.timing, tick_s).lead) * tick_s)


def _by_intervals(traces: Sequence[Trace], seen: Look, index: int) -> Capture:
    """A capture whose slots are the intervals between edges of sync; nothing is known of their pulses."""
    count = len(seen.spikes)
    if not count:
        raise CaptureError("sync shows one edge only: no interval to count in")
    where = np.arange(count, dtype=np.int32)
    none = np.zeros(count, dtype=np.int32)
    frame = Frame(FrameKey(PURPOSE, image=index), SlotTiming(), none, none + PROBE_LAYER, none, where)
    before = int(np.searchsorted(seen.judged.pulses.rise_s, seen.intervals_s[0]))
    return Capture(
        frame=frame,
        spikes=seen.spikes,
        slot_s=np.diff(seen.intervals_s),
        ok=~seen.doubtful,
        bench_s=float(seen.intervals_s[-1] - seen.intervals_s[0]),
        stray=Stray(before=before, guard=int(seen.at_sync.sum()), after=seen.outside - before),
        traces=tuple(traces),
        notes=seen.notes,
    )


def to_json(found: Decoded) -> dict[str, object]:
    """What `hil decode --json` says of one recording."""
    seen, capture = found.look, found.capture
    rest, top, noise = seen.levels_v
    widths = seen.judged.pulses.width_s
    return {
        "axon": {
            "pulses": len(seen.judged.pulses),
            "doubtful": sum(seen.judged.reasons.values()),
            "faint": seen.faint,
            "glitches": seen.judged.glitches,
            "width_s": _spread(widths[np.isfinite(widths)]),
            "rest_v": round(rest, 6),
            "top_v": round(top, 6),
            "noise_v": round(noise, 6),
            "threshold_v": seen.line.threshold_v,
            "inverted": seen.line.inverted,
        },
        "sync": None if seen.sync is None else {"pulses": len(seen.sync), "width_s": _spread(_ended(seen))},
        "planned": found.planned,
        "slots": [
            {
                "slot": capture.frame.first_slot + i,
                **({"pulses": int(capture.frame.pulses[i])} if found.planned else {"at_sync": int(seen.at_sync[i])}),
                "spikes": int(capture.spikes[i]),
                "length_s": round(float(capture.slot_s[i]), 12),
                "ok": bool(capture.ok[i]),
            }
            for i in range(len(capture.frame))
        ],
        "spikes": int(capture.spikes.sum()),
        "stray": vars(capture.stray),
        "ok": bool(capture.ok.all()),
        "notes": list(capture.notes),
    }


def _ended(seen: Look) -> FloatArray:
    widths = seen.sync.width_s if seen.sync is not None else np.empty(0)
    return widths[np.isfinite(widths)]


def _spread(values: FloatArray) -> Mapping[str, float] | None:
    if not len(values):
        return None
    named = {"least": values.min(), "median": np.median(values), "most": values.max()}
    return {name: float(f"{value:.6g}") for name, value in named.items()}

"""Traces → axon spikes per slot.

`sync` is high during the lead of each slot and low during its pulses and settling; one more sync pulse closes the shot.
So every slot lies between two rising edges on the oscilloscope's own clock, and no two clocks have to agree.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from drivers.decode.axon import LONG, Heard, hear
from drivers.decode.displaced import Lines, displaced, of_network, steps
from drivers.decode.faint import FAINT
from drivers.decode.judge import Shape, judge
from drivers.decode.lines import Line, read_line
from drivers.decode.measured import Reading
from drivers.decode.refusals import check_axon, check_silent, flat, unlike
from drivers.decode.schmitt import Pulses
from drivers.decode.slots import Alignment, align_held
from drivers.decode.tail import due_s, is_tail, whole_sync
from drivers.errors import CaptureError
from drivers.signals import Capture, Trace
from drivers.timing import length_ticks, period_ticks, seconds, slot_ticks

if TYPE_CHECKING:
    from drivers.settings import BoardSettings, SpikeSettings
    from drivers.signals import BoolArray, FloatArray, Frame

GLITCHES, TORN = "axon pulses shorter than", "axon pulses were torn"  # of a note
_LEADS = (0.9, 1.3)  # of the planned lead: the usual width of a sync pulse
_LEAD_TOLERANCE = 0.1  # of the sync pulse's width; its ends bound the guard, not the slot
_DOUBTFUL_LEAST = 3  # slots: fewer say little of the others, however short the shot
_ECHO_PERIODS = 0.6  # of the shortest dendrite period: a spike may lag behind its pulse by the rest
_QUICKEST = 0.23  # of a comparator's delay at 5 mV: what it takes with a large signal, 0.3 of 1.3 µs (TI LM339)
_LIKE_SYNC = 0.25  # of the lead: pulses of the axon channel that are so near to it, and as many as sync has, are sync's


def decode(
    shot: Frame,
    traces: Sequence[Trace],
    settings: SpikeSettings,
    board: BoardSettings,
    tick_s: float,
    bench_s: float,
) -> Capture:
    """Count the axon spikes of every slot of a shot from its traces, which must hold `axon` and `sync`.

    A spike belongs to the slot during whose sync-low time its axon rises; spikes while sync is high, before the first
    slot or after the last are reported as stray. Slots of the wrong length are not ok, and neither are slots in which
    something was seen that no axon of this board does (see `drivers.decode.judge`); of a shot with too many of them
    none is. Raises CaptureError when a trace is missing, empty, flat, clipped, upside down or swapped, or when slots
    cannot be told apart.
    """
    axon_trace, sync_trace = _trace(traces, "axon"), _trace(traces, "sync")
    check_time_base(axon_trace, sync_trace)
    lead_s = slot_ticks(shot.timing, tick_s).lead * tick_s
    played = np.flatnonzero(shot.played)
    lines = expected_lines(settings, board, lead_s)
    axon_seen = read_line(axon_trace, lines["axon"], LONG)
    if is_tail(sync_trace):
        sync = sync_by_tail(shot, sync_trace, settings, board, tick_s)
    else:
        sync = _sync(read_line(sync_trace, lines["sync"]), axon_seen, axon_trace, lines, lead_s, len(played))
    check_axon(axon_seen, lines["axon"])
    slots, measured = _slots(shot, sync, settings, tick_s, sync_trace)
    shape, network = shape_of(shot, settings, board, tick_s), of_network(shot)
    heard = hear(axon_seen, lines["axon"], shape, sync, keep=network)
    check_silent(axon_seen, lines["axon"], heard.pulses)
    counts = heard.counts
    known = slots.interval >= 0
    spikes = np.zeros(len(shot), dtype=np.int32)
    slot_s = np.zeros(len(shot))
    ok = np.ones(len(shot), dtype=np.bool_)
    spikes[played[known]] = counts[slots.interval[known]]
    slot_s[played[known]] = measured[slots.interval[known]]
    in_doubt = doubted(heard.doubts, sync)
    here = np.zeros(len(played), dtype=np.bool_)
    here[known] = in_doubt[slots.interval[known]]
    moved, astray = "", 0
    if heard.spikes is not None:
        both = Lines(heard.spikes, sync, sync_trace.x_increment_s)
        there, moved = displaced(shot, both, slots, spikes, here, tick_s)
        astray = int((there & ~here).sum())
        here |= there
    reason = unlike(axon_seen, heard, shape) or moved or _too_doubtful(here, settings)
    ok[played] = slots.ok & ~here & (not reason)
    unclaimed = int(counts.sum() - spikes.sum())
    return Capture(
        frame=shot,
        spikes=spikes,
        slot_s=slot_s,
        ok=ok,
        bench_s=bench_s,
        stray=heard.stray,
        traces=tuple(traces),
        notes=(
            *_line_notes(heard, shape),
            *_slot_notes(played, slots, len(measured), unclaimed),
            *_doubt_notes(played, here, heard, astray, reason),
        ),
    )


def counted_pulses(shot: Frame, trace: Trace, settings: SpikeSettings, board: BoardSettings, tick_s: float) -> Pulses:
    """The pulses of an `axon` or `sync` trace that count; raises CaptureError as `decode` does."""
    if is_tail(trace):
        return sync_by_tail(shot, trace, settings, board, tick_s)
    lead_s = slot_ticks(shot.timing, tick_s).lead * tick_s
    seen = read_line(trace, expected_lines(settings, board, lead_s)[trace.name])
    if trace.name == "sync":
        return seen.pulses.at_least(lead_s / 2)
    return judge(seen, shape_of(shot, settings, board, tick_s)).pulses


def sync_by_tail(shot: Frame, trace: Trace, settings: SpikeSettings, board: BoardSettings, tick_s: float) -> Pulses:
    """All pulses of sync by a trace of its end; raises CaptureError where more of it is needed."""
    lead_s = slot_ticks(shot.timing, tick_s).lead * tick_s
    seen = read_line(trace, expected_lines(settings, board, lead_s)["sync"]).pulses.at_least(lead_s / 2)
    return whole_sync(seen, trace, due_s(shot, tick_s), lead_s, edge_slack_s(trace.x_increment_s, settings))


def edge_slack_s(step_s: float, settings: SpikeSettings) -> float:
    """How far two edges may be from when they are due: each is known to half a sample at worst, and DMA may be late."""
    return 1.5 * step_s + settings.edge_slack_s


def expected_lines(settings: SpikeSettings, board: BoardSettings, lead_s: float) -> dict[str, Line]:
    """What `axon` and `sync` must look like on a bench."""
    gap_s = board.axon_delay_s or board.axon_width_s
    axon = Line(board.axon_width_s, gap_s, settings.threshold_v, settings.hysteresis_v, settings.inverted)
    sync = Line(lead_s, lead_s, settings.sync_level_v, settings.sync_span_v, dense=False)
    return {"axon": axon, "sync": sync}


def shape_of(shot: Frame, settings: SpikeSettings, board: BoardSettings, tick_s: float) -> Shape:
    """What axon pulses of this shot can be: the one-shot is ready again a comparator's delay after it has ended.

    That is shorter the further the neuron is over its threshold.
    """
    periods = period_ticks(shot, tick_s)
    periods = periods[periods > 0]
    period_s = float(periods.min()) * tick_s if len(periods) else 0.0
    return Shape(
        width_s=board.axon_width_s,
        apart_s=board.axon_width_s + _QUICKEST * board.axon_delay_s,
        echo_s=_ECHO_PERIODS * period_s,
        glitch_s=settings.narrowest_s(board),
    )


def _trace(traces: Sequence[Trace], name: str) -> Trace:
    for trace in traces:
        if trace.name == name:
            if trace.settings.get(":ACQ:TYPE") == "PEAK":
                raise CaptureError(f"{name} was taken with peak detect, whose pairs are no samples: take plain samples")
            return trace
    raise CaptureError(f"no {name!r} trace among {[t.name for t in traces]}: name its channel in [scope] channels")


def check_time_base(axon: Trace, sync: Trace) -> None:
    """Raise CaptureError where two traces were not sampled at the same times; of sync only the end may be there."""
    bases = [(len(t.codes), t.x_increment_s, t.x_origin_s) for t in (axon, sync)]
    step = axon.x_increment_s
    ends = [(t.x_increment_s, t.x_origin_s + len(t.codes) * t.x_increment_s) for t in (axon, sync)]
    fits = len(sync.codes) <= len(axon.codes) if is_tail(sync) else len(sync.codes) == len(axon.codes)
    if not fits or not np.allclose(ends[0], ends[1], rtol=1e-9, atol=1e-3 * step):
        raise CaptureError(
            f"axon and sync do not share a time base: (samples, step, start) = {bases[0]} and {bases[1]}; "
            "read both channels from one acquisition"
        )


def _sync(
    seen: Reading, axon: Reading, axon_trace: Trace, lines: Mapping[str, Line], lead_s: float, slots: int
) -> Pulses:
    """The pulses of sync; raises CaptureError where they cannot be those of so many slots."""
    sync, line = seen.pulses.at_least(lead_s / 2), lines["sync"]
    if not slots:
        return sync
    if len(sync) != slots + 1 and _as_sync(
        (axon if axon.whole else read_line(axon_trace, lines["axon"])).pulses, lead_s, slots
    ):
        raise CaptureError(
            f"the axon channel shows the {slots + 1} sync pulses of this shot: sync and axon are swapped; exchange the "
            "probes or [scope] channels"
        )
    if len(sync) >= 2:
        return sync
    if len(seen.pulses):
        raise CaptureError(
            f"sync shows {len(seen.pulses)} pulses of {np.median(seen.pulses.width_s):.3g} s, expected {slots + 1} of "
            f"{lead_s:.3g} s: check which line is on the sync channel"
        )
    raise CaptureError(flat(seen.trace, line))


def _as_sync(pulses: Pulses, lead_s: float, slots: int) -> bool:
    """Whether there are as many and as wide pulses as sync has."""
    wide = pulses.at_least(lead_s / 2)
    return len(wide) == slots + 1 and abs(float(np.median(wide.width_s)) / lead_s - 1) < _LIKE_SYNC


def _too_doubtful(here: BoolArray, settings: SpikeSettings) -> str:
    if here.sum() >= _DOUBTFUL_LEAST and here.mean() >= settings.doubtful_share:
        return f"{here.sum()} of {len(here)} slots are doubtful, at least spikes.doubtful_share: none is trusted"
    return ""


def doubted(doubts: FloatArray, sync: Pulses) -> BoolArray:
    """(intervals,) which of the intervals between sync edges a doubt (n, 2) touches, their guards left out."""
    change = np.zeros(max(len(sync), 1) + 1, dtype=np.intp)
    if len(doubts) and len(sync):
        first = np.searchsorted(sync.rise_s, doubts[:, 0], side="right") - 1
        last = np.searchsorted(sync.rise_s, doubts[:, 1], side="right") - 1
        inside = (first == last) & (first >= 0) & (doubts[:, 1] < sync.fall_s[np.maximum(first, 0)])
        seen = ~inside & (last >= 0)
        np.add.at(change, np.maximum(first[seen], 0), 1)
        np.add.at(change, last[seen] + 1, -1)
    return np.cumsum(change)[: max(len(sync) - 1, 0)] > 0


def _slots(
    shot: Frame, sync: Pulses, settings: SpikeSettings, tick_s: float, trace: Trace
) -> tuple[Alignment, FloatArray]:
    """Planned slots matched with sync edges, and the measured intervals (k,) in s."""
    played, step_s = shot.played, trace.x_increment_s
    planned_s = seconds(length_ticks(shot, tick_s)[played], tick_s)
    measured_s = np.diff(sync.rise_s)
    if not len(planned_s):
        return Alignment(np.empty(0, np.intp), np.empty(0, np.bool_)), measured_s
    allowed_s = settings.slot_tolerance * planned_s  # of the two clocks
    allowed_s += edge_slack_s(step_s, settings)
    # What triggered on the shot's first edge shows the shot from its beginning, if not to its end.
    begun = abs(float(sync.rise_s[0])) <= edge_slack_s(step_s, settings)
    rest_s = trace.x_origin_s + len(trace.codes) * step_s - float(sync.rise_s[-1]) if begun else math.inf
    found = align_held(measured_s, planned_s, allowed_s, rest_s)
    del allowed_s
    still = found.ok.copy()
    if still.all() and len(measured_s) == len(planned_s):
        still = ~steps(measured_s, planned_s, step_s)
    else:
        still[found.ok] = ~steps(measured_s[found.interval[found.ok]], planned_s[found.ok], step_s)
    del planned_s
    lead_s = slot_ticks(shot.timing, tick_s).lead * tick_s
    # Slow edges lengthen all of them alike.
    least, most = _LEADS
    width_s = sync.width_s[:-1]
    usual_s = min(max(float(np.median(width_s)), least * lead_s), most * lead_s)
    width_s -= usual_s
    lead_good = np.abs(width_s, out=width_s) <= _LEAD_TOLERANCE * lead_s + edge_slack_s(step_s, settings)
    still &= lead_good[found.interval]
    return Alignment(found.interval, still), measured_s


def _line_notes(heard: Heard, shape: Shape) -> list[str]:
    notes = []
    if heard.glitches:
        notes.append(f"{heard.glitches} {GLITCHES} {shape.glitch_s:g} s ignored")
    if heard.torn:
        notes.append(f"{heard.torn} {TORN} and have been joined")
    return notes


def _doubt_notes(played: NDArray[np.intp], here: BoolArray, heard: Heard, astray: int, reason: str) -> list[str]:
    notes = []
    if here.any():
        kinds = [f"{count} {kind}" for kind, count in heard.reasons.items()]
        rest = len(heard.doubts) - sum(heard.reasons.values())
        kinds += [f"{rest} {FAINT}"] if rest else []
        kinds += [f"out of step with sync in or beside {astray}"] if astray else []
        first = int(played[here][0])
        notes.append(f"{here.sum()} slots doubtful, first slot {first} of the shot: axon pulses {', '.join(kinds)}")
    return [*notes, reason] if reason else notes


def _slot_notes(played: NDArray[np.intp], slots: Alignment, intervals: int, unclaimed: int) -> list[str]:
    notes = []
    if intervals != len(played) and len(played):
        notes.append(f"sync shows {intervals} slots, planned were {len(played)}")
    bad = played[~slots.ok]
    if len(bad):
        notes.append(f"{len(bad)} slots late, missing or unreadable, first slot {int(bad[0])} of the shot")
    if unclaimed:
        notes.append(f"{unclaimed} spikes in slots that cannot be told apart")
    return notes

"""Peak-detect records → axon spikes per slot: the least and the greatest of every two sample times, in whatever order.

A pulse shorter than a sample survives in such a record, but what it looked like does not: neither its width nor when in
its interval it came. So this counts only where nothing else is possible. One spike is high in one interval or two;
spikes of pulses in a row are joined only where no whole interval lies between them, and are then told apart by how many
intervals they take. Whatever is between high and low, too long, too short for two, or of another height makes its slot
not ok: it is taken again in full.

Slots are told by sync, of which the end of the shot is enough where the ratio of the two clocks is known: a pulse
source that was late once is late ever after, so that edges at the end which come when they are due prove all those
before. See docs/explanation/scope-speed.md.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from drivers.decode.levels import CLIPPED_HIGH
from drivers.decode.schmitt import Pulses, code_of, upright
from drivers.decode.slots import Alignment, SlotsMissingError, align
from drivers.errors import CaptureError
from drivers.signals import Capture, FloatArray, Stray
from drivers.timing import length_ticks, period_ticks, seconds, slot_ticks

if TYPE_CHECKING:
    from drivers.settings import BoardSettings, SpikeSettings
    from drivers.signals import BoolArray, Frame, Trace

PEAK = "PEAK"
TYPE, RATIO = ":ACQ:TYPE", "clock_ratio"  # settings of a trace
JITTER_S = 1.5e-6  # by how much a comparator's delay differs from spike to spike: LM339 at 5 to 100 mV overdrive, twice
GAP_INTERVALS = 1.6  # of the shortest gap between spikes lie in an interval: all but few gaps hold a whole one
WIDER = 0.1  # by so much of itself a one-shot's pulse may be wider
_HIGH, _FAINT = 0.5, 0.25  # of the swing: at or above is high; between is neither
_ALIKE = (0.75, 1.3)  # of the usual height
_QUIET = 0.3  # of the swing: rest that moves more is another line than this is for
_MOST_JOINED = 3
_HELD_SHARE = 0.95  # of the slots in a record that ended too soon are as planned, each in its place
_NO_PULSES_S = 1.0  # between the pulses of a slot that has none


def of_peaks(trace: Trace) -> bool:
    """Whether a trace was taken with peak detect."""
    return trace.settings.get(TYPE) == PEAK


def longest_interval_s(shot: Frame, board: BoardSettings, tick_s: float) -> float:
    """The longest time that a pair of samples may stand for, so that spikes of this shot can be told apart; 0: none.

    Of pulses in a row a whole interval lies between the spikes. A neuron may fire once more before the next pulse, a
    comparator's delay after the axon has fallen: the two then take more intervals than one spike ever does.
    """
    ticks = slot_ticks(shot.timing, tick_s)
    periods = period_ticks(shot, tick_s)[shot.pulses > 1]
    apart_s = min(float(periods.min(initial=1 << 40)), ticks.lead + ticks.settle) * tick_s
    again_s = ((1 - WIDER) * board.axon_width_s + board.axon_delay_s) / 2
    return max(0.0, min((apart_s - board.axon_width_s - JITTER_S) / GAP_INTERVALS, ticks.lead * tick_s / 3, again_s))


@dataclass(frozen=True, eq=False)
class Envelope:
    """Runs of intervals in which a line is high, by their first and the one after the last (runs,), and what is odd.

    `start_s` is when interval 0 began and `step_s` how long each is; `faint` (intervals,) are neither high nor low;
    `odd` (runs,) have another height than most; `falls` (runs,) are low for a moment within. `moves`: why none of it
    can be believed.
    """

    start_s: float
    step_s: float
    first: NDArray[np.intp]
    stop: NDArray[np.intp]
    faint: BoolArray
    odd: BoolArray
    falls: BoolArray
    moves: str

    @property
    def length(self) -> NDArray[np.intp]:
        """(runs,) intervals."""
        return self.stop - self.first

    @property
    def middle_s(self) -> FloatArray:
        """(runs,) s."""
        return self.at_s(np.asarray((self.first + self.stop - 1) / 2, dtype=np.float64))

    def at_s(self, interval: NDArray[np.intp] | FloatArray) -> FloatArray:
        """The middle of intervals (n,), s: where an edge in them is to half an interval."""
        return np.asarray(self.start_s + (interval + 0.5) * self.step_s, dtype=np.float64)


def read_envelope(trace: Trace, level_v: float, *, inverted: bool = False) -> Envelope:
    """The envelope of a line that passes `level_v`; raises CaptureError where there is nothing to read."""
    samples = upright(trace, inverted=inverted)
    codes = samples.part(0, len(samples) - len(samples) % 2).reshape(-1, 2)
    if not len(codes):
        raise CaptureError(f"trace {trace.name!r} has less than a pair of samples")
    least, most = codes.min(axis=1).astype(np.int16), codes.max(axis=1).astype(np.int16)
    level = code_of(trace, samples, level_v)
    passed = most >= level
    rest = float(np.median(least[~passed])) if (~passed).any() else float(least.min())
    top = float(np.median(most[passed])) if passed.any() else 2 * level - rest
    swing = max(top - rest, level - rest, 1.0)
    high = most >= rest + _HIGH * swing
    faint = ~high & (most >= rest + _FAINT * swing)
    change = np.diff(high.astype(np.int8), prepend=0, append=0)
    first, stop = np.flatnonzero(change == 1), np.flatnonzero(change == -1)
    odd = np.zeros(len(first), dtype=np.bool_)
    if len(first):
        height = np.maximum.reduceat(np.append(most, 0), np.stack([first, stop], axis=1).ravel())[::2] - rest
        odd = (height < _ALIKE[0] * (top - rest)) | (height > _ALIKE[1] * (top - rest))
    return Envelope(
        start_s=trace.x_origin_s,
        step_s=2 * trace.x_increment_s,
        first=first,
        stop=stop,
        faint=faint,
        odd=odd,
        falls=_falls(least < rest + _HIGH * swing, first, stop),
        moves=_moves(trace.name, least, most, high, swing),
    )


def _falls(low: BoolArray, first: NDArray[np.intp], stop: NDArray[np.intp]) -> BoolArray:
    """(runs,) which are `low` (intervals,) at some time between their first and their last interval."""
    before = np.concatenate([[0], np.cumsum(low)])
    found: BoolArray = before[np.maximum(stop - 1, first + 1)] > before[first + 1]
    return found


def _moves(name: str, least: NDArray[np.int16], most: NDArray[np.int16], high: BoolArray, swing: float) -> str:
    quiet = ~high
    if quiet.any():
        low, upper = np.quantile(least[quiet], 0.001), np.quantile(most[quiet], 0.99)
        if upper - low > _QUIET * swing:
            return f"{name} moves at rest by {(upper - low) / swing:.0%} of its pulses"
    if high.any() and np.median(most[high]) >= CLIPPED_HIGH:
        return f"{name} is clipped"
    return ""


def decode_peaks(
    shot: Frame,
    axon_trace: Trace,
    sync_trace: Trace,
    settings: SpikeSettings,
    board: BoardSettings,
    tick_s: float,
    bench_s: float,
) -> Capture:
    """As `drivers.decode.spikes.decode`, of traces taken with peak detect; sync may hold the end of the shot only.

    Raises CaptureError where no slot can be told.
    """
    axon = read_envelope(axon_trace, settings.threshold_v, inverted=settings.inverted)
    played = np.flatnonzero(shot.played)
    planned_s = seconds(length_ticks(shot, tick_s)[played], tick_s)
    line = timeline(sync_trace, planned_s, slot_ticks(shot.timing, tick_s).lead * tick_s, settings)
    period_s = seconds(period_ticks(shot, tick_s)[played], tick_s)
    counts, stray, bad = _counted(axon, line, period_s, board)
    known = line.interval >= 0
    spikes, slot_s, ok = np.zeros(len(shot), dtype=np.int32), np.zeros(len(shot)), ~shot.played
    which = line.interval[known]
    spikes[played[known]] = counts[which]
    slot_s[played[known]] = np.diff(line.rise_s)[which]
    doubtful = np.ones(len(played), dtype=np.bool_)
    doubtful[known] = bad[which]
    reason = axon.moves or _too_doubtful(doubtful & line.ok, settings)
    ok[played] = line.ok & ~doubtful & (not reason)
    notes = [] if line.ok.all() else [f"{(~line.ok).sum()} slots late, missing or unreadable"]
    if (here := doubtful & line.ok).any():
        notes.append(f"{here.sum()} slots doubtful in the envelope, first slot {int(played[here][0])} of the shot")
    return Capture(
        frame=shot,
        spikes=spikes,
        slot_s=slot_s,
        ok=ok,
        bench_s=bench_s,
        stray=stray,
        traces=(axon_trace, sync_trace),
        notes=(*notes, reason) if reason else tuple(notes),
    )


def _too_doubtful(here: BoolArray, settings: SpikeSettings) -> str:
    if here.sum() >= 3 and here.mean() >= settings.doubtful_share:
        return f"{here.sum()} of {len(here)} slots are doubtful in the envelope: none is trusted"
    return ""


def pulses_of_peaks(trace: Trace, level_v: float, *, inverted: bool = False) -> Pulses:
    """Pulses to the intervals that they are seen in; of a part of sync only, CaptureError: it is no timeline."""
    if trace.name == "sync" and trace.x_origin_s > 0:
        raise CaptureError("of sync only the end was read: the plan tells when slots were, and the counts that it held")
    seen = read_envelope(trace, level_v, inverted=inverted)
    ends = seen.start_s + np.stack([seen.first, seen.stop]) * seen.step_s
    return Pulses(ends[0], ends[1], starts_high=False, ends_high=False)


@dataclass(frozen=True, eq=False)
class Timeline:
    """When slots began: `rise_s` (k + 1,) of sync; which of these intervals each slot (n,) is, −1: none; `ok` (n,).

    `lead_s` is how long sync is high, on the oscilloscope's clock; edges are known to `slack_s`. `ratio` of the
    oscilloscope's clock to the pulse source's, where these edges tell it.
    """

    rise_s: FloatArray
    interval: NDArray[np.intp]
    ok: BoolArray
    lead_s: float
    slack_s: float
    ratio: float | None


def timeline(trace: Trace, planned_s: FloatArray, lead_s: float, settings: SpikeSettings) -> Timeline:
    """When slots of planned lengths (n,) began, by a trace of sync that holds the shot or its end.

    Raises CaptureError where edges are not when they should be, so that more of the trace is needed, or no slot can be
    told.
    """
    seen = read_envelope(trace, settings.sync_level_v)
    if seen.moves:
        raise CaptureError(seen.moves)
    slack_s = seen.step_s + settings.edge_slack_s
    keep = np.abs(seen.length * seen.step_s - lead_s) <= 0.1 * lead_s + 2 * seen.step_s + settings.edge_slack_s
    rise_s = seen.at_s(seen.first[keep])
    due_s = np.concatenate([[0.0], np.cumsum(planned_s)])
    whole = trace.x_origin_s <= 0 and trace.x_origin_s + len(trace.codes) * trace.x_increment_s >= due_s[-1]
    ratio = float(trace.settings.get(RATIO, "nan"))
    if not whole:
        ratio = _at_the_end(rise_s, due_s, ratio, slack_s, trace)
        interval, ok = np.arange(len(planned_s)), np.ones(len(planned_s), dtype=np.bool_)
        return Timeline(due_s * ratio, interval, ok, lead_s * ratio, slack_s, ratio)
    found = _aligned(np.diff(rise_s), planned_s, settings.slot_tolerance * planned_s + slack_s)
    told = _ratio(rise_s, due_s, slack_s)
    if told is not None:  # a line through all edges is better than each of them
        rise_s = told[0] + due_s * told[1]
    return Timeline(rise_s, found.interval, found.ok, lead_s, slack_s, None if told is None else told[1])


def _aligned(measured_s: FloatArray, planned_s: FloatArray, allowed_s: FloatArray) -> Alignment:
    """As `align`; where the record ended before a shot whose pulses came late, the slots that it holds are known."""
    try:
        return align(measured_s, planned_s, allowed_s)
    except SlotsMissingError:
        held = len(measured_s)
        if not 0 < held < len(planned_s):
            raise
        ok = np.zeros(len(planned_s), dtype=np.bool_)
        ok[:held] = np.abs(measured_s - planned_s[:held]) <= allowed_s[:held]
        if ok[:held].mean() < _HELD_SHARE:
            raise
        return Alignment(np.where(np.arange(len(ok)) < held, np.arange(len(ok)), -1), ok)


def _at_the_end(rise_s: FloatArray, due_s: FloatArray, ratio: float, slack_s: float, trace: Trace) -> float:
    """The ratio of the clocks, put right by the last edges; raises CaptureError where those are not due then."""
    if not math.isfinite(ratio):
        raise CaptureError("the end of sync tells nothing without the ratio of the clocks")
    due_s = due_s * ratio
    there = due_s[due_s > trace.x_origin_s + slack_s]
    if len(there) < 2 or len(there) != len(rise_s):
        raise CaptureError(f"sync shows {len(rise_s)} edges at the end of the shot, due were {len(there)}")
    late_s = rise_s - there
    if np.abs(late_s).max() > slack_s or abs(late_s.mean()) > slack_s / 2:
        raise CaptureError(f"sync at the end of the shot is {late_s.mean() * 1e6:.3g} µs from where it is due")
    return ratio * (1 + float(late_s.mean()) / float(there.mean()))


def _ratio(rise_s: FloatArray, due_s: FloatArray, slack_s: float) -> tuple[float, float] | None:
    """Start and ratio of the clocks, where all edges lie on one line; None otherwise."""
    if len(rise_s) != len(due_s) or len(due_s) < 2:
        return None
    slope, start = np.polyfit(due_s, rise_s, 1)
    return (float(start), float(slope)) if np.abs(start + slope * due_s - rise_s).max() <= slack_s else None


def spikes_of(length: NDArray[np.intp], step_s: float, period_s: FloatArray, width_s: float) -> NDArray[np.intp]:
    """How many spikes make runs of so many intervals (n,), where pulses are `period_s` (n,) apart; 0: no telling."""
    found = np.zeros(len(length), dtype=np.intp)
    times = np.zeros(len(length), dtype=np.intp)
    for count in range(1, _MOST_JOINED + 1):
        spread_s = JITTER_S if count > 1 else 0.0
        span_s = (count - 1) * period_s + width_s
        fits = (length >= np.ceil((span_s - spread_s) / step_s)) & (
            length <= np.floor((span_s + spread_s + WIDER * width_s) / step_s) + 2
        )
        found[fits] = count
        times += fits
    found[times != 1] = 0
    return found


def _fired_again(axon: Envelope, board: BoardSettings) -> BoolArray:
    """(runs,) which are two spikes after one pulse: longer than one is, shorter than three are, low for a moment."""
    width_s, delay_s = board.axon_width_s, board.axon_delay_s
    two, three = (math.ceil((count * width_s + (count - 1) * delay_s) / axon.step_s) for count in (2, 3))
    one = math.floor((1 + WIDER) * width_s / axon.step_s) + 2
    found: BoolArray = axon.falls & (axon.length >= max(two, one + 1)) & (axon.length < three)
    return found


def _counted(
    axon: Envelope, line: Timeline, period_s: FloatArray, board: BoardSettings
) -> tuple[NDArray[np.int32], Stray, BoolArray]:
    """Spikes of every interval between sync edges (k,), those that belong to none, and which intervals are in doubt."""
    rise_s, k = line.rise_s, len(line.rise_s) - 1
    at = np.searchsorted(rise_s, axon.middle_s, side="right") - 1
    inside = (at >= 0) & (at < k)
    guard_s = line.lead_s - axon.step_s / 2 - line.slack_s
    guard = inside & (axon.middle_s - rise_s[np.clip(at, 0, k)] < guard_s)
    period_at = np.full(k, _NO_PULSES_S)
    known = line.interval >= 0
    period_at[line.interval[known]] = np.where(period_s[known] > 0, period_s[known], _NO_PULSES_S)
    spikes = np.zeros(len(at), dtype=np.intp)
    spikes[inside] = spikes_of(axon.length[inside], axon.step_s, period_at[at[inside]], board.axon_width_s)
    spikes[inside & (spikes == 0) & _fired_again(axon, board)] = 2
    counts = np.bincount(at[inside & ~guard], weights=spikes[inside & ~guard], minlength=k).astype(np.int32)
    bad = np.zeros(k, dtype=np.bool_)
    bad[at[inside & ((spikes == 0) | axon.odd)]] = True
    bad[at[guard]] = True  # it came from here or from the slot before
    bad[np.maximum(at[guard] - 1, 0)] = True
    faint = np.searchsorted(rise_s, axon.at_s(np.flatnonzero(axon.faint & ~_beside(axon))), side="right") - 1
    bad[faint[(faint >= 0) & (faint < k)]] = True
    stray = Stray(before=int((at < 0).sum()), guard=int(guard.sum()), after=int((at >= k).sum()))
    return counts, stray, bad


def _beside(axon: Envelope) -> BoolArray:
    """(intervals,) those next to a high one: of an edge that is cut off there."""
    beside = np.zeros(len(axon.faint) + 1, dtype=np.bool_)
    beside[axon.first - 1] = True  # -1 is the one too many
    beside[axon.stop] = True
    return beside[:-1]

"""From level changes as pigpiod samples them to the spikes of every slot.

Sync and axon are in the same samples, so that no clock has to agree with another. Every edge is known to one sample,
and a pulse of the axon is as wide as the one-shot makes it, or it is doubtful: two that touch look like one too wide.
What the daemon lost makes the slots not ok in which it may have been.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from drivers.decode.slots import align
from drivers.errors import CaptureError
from drivers.signals import Capture, Stray
from drivers.timing import length_ticks, seconds, slot_ticks

if TYPE_CHECKING:
    from drivers.pigpio.reports import Reports
    from drivers.settings import BoardSettings, SpikeSettings
    from drivers.signals import BoolArray, FloatArray, Frame

STEP_SAMPLES = 1.5  # an interval is known to a sample, and ticks to half of one
WIDTH_TOLERANCE = 0.1  # of the one-shot's width: what it changes with temperature and supply
HIGH_SHARE = 0.5


class LostShotError(CaptureError):
    """No slot of a shot can be told: it has to be played again."""


@dataclass(frozen=True)
class Hearing:
    """What sync and axon are on, and how they are sampled: pins, s between samples, the bench's settings."""

    sync_pin: int
    axon_pin: int
    sample_s: float
    tick_s: float
    spikes: SpikeSettings
    board: BoardSettings


@dataclass(frozen=True, eq=False)
class Highs:
    """When a line is high: `rise_s` and `fall_s` (n,), s; inf where the fall did not come."""

    rise_s: FloatArray
    fall_s: FloatArray

    @staticmethod
    def of(t_s: FloatArray, high: BoolArray, before: bool) -> Highs:
        """From levels (n,) after changes at times (n,), and the level before them."""
        was = np.append(before, high[:-1])
        rise, fall = t_s[high & ~was], t_s[~high & was]
        fall = fall[1:] if before and len(fall) else fall
        return Highs(rise, np.append(fall, [np.inf] * (len(rise) - len(fall))))


def count(shot: Frame, reports: Reports, before: int, since_tick: int, hearing: Hearing) -> Capture:
    """The capture of a shot: `reports` of it, the levels `before` them and the tick they are reckoned from.

    Raises LostShotError where no slot can be told, and CaptureError where the axon cannot be one.
    """
    t_s = (reports.ticks - np.uint32(since_tick)).astype(np.float64) * 1e-6
    sync = Highs.of(t_s, _level(reports.levels, hearing.sync_pin), bool(before >> hearing.sync_pin & 1))
    inverted = hearing.spikes.inverted
    axon_before = bool(before >> hearing.axon_pin & 1) ^ inverted
    axon_high = _level(reports.levels, hearing.axon_pin) ^ inverted
    axon = Highs.of(t_s, axon_high, axon_before)
    odd = _odd(axon, hearing)
    _check_axon(axon, odd, axon_before and not (~axon_high).any(), sync, hearing)
    if len(sync.rise_s) < 2:
        raise LostShotError(f"sync on GPIO {hearing.sync_pin} rose {len(sync.rise_s)} times")
    played = np.flatnonzero(shot.played)
    measured_s = np.diff(sync.rise_s)
    planned_s = seconds(length_ticks(shot, hearing.tick_s)[played], hearing.tick_s)
    step_s = STEP_SAMPLES * hearing.sample_s + hearing.spikes.edge_slack_s
    try:
        slots = align(measured_s, planned_s, hearing.spikes.slot_tolerance * planned_s + step_s)
    except CaptureError as error:
        raise LostShotError(str(error)) from error
    lead_s = slot_ticks(shot.timing, hearing.tick_s).lead * hearing.tick_s
    lead_good = np.abs(sync.fall_s[:-1] - sync.rise_s[:-1] - lead_s) <= hearing.spikes.slot_tolerance * lead_s + step_s
    gaps = _gaps(t_s, reports.after_gap)
    doubts = np.concatenate([np.stack([axon.rise_s[odd], axon.fall_s[odd]], axis=1), gaps])
    doubted = _touched(doubts, sync.rise_s)
    counts, stray = _counted(axon.rise_s, sync)
    known = slots.interval >= 0
    where, which = played[known], slots.interval[known]
    spikes = np.zeros(len(shot), dtype=np.int32)
    slot_s = np.zeros(len(shot))
    ok = ~shot.played
    spikes[where], slot_s[where] = counts[which], measured_s[which]
    ok[where] = slots.ok[known] & lead_good[which] & ~doubted[which]
    bench_s = float(planned_s.sum()) + lead_s
    notes = _notes(shot, ok, len(measured_s), len(gaps), int(odd.sum()))
    return Capture(shot, spikes, slot_s, ok, bench_s, stray, notes=notes)


def _level(words: NDArray[np.uint32], pin: int) -> BoolArray:
    high: BoolArray = (words >> np.uint32(pin)) & np.uint32(1) != 0
    return high


def _odd(axon: Highs, hearing: Hearing) -> BoolArray:
    """(n,) pulses that are not as wide as the one-shot makes them."""
    width_s = hearing.board.axon_width_s
    allowed_s = STEP_SAMPLES * hearing.sample_s + WIDTH_TOLERANCE * width_s
    return np.abs(axon.fall_s - axon.rise_s - width_s) > allowed_s


def _check_axon(axon: Highs, odd: BoolArray, always: bool, sync: Highs, hearing: Hearing) -> None:
    """Refuse an axon that rests on the wrong side."""
    span_s = float(sync.rise_s[-1] - sync.rise_s[0]) if len(sync.rise_s) else 0.0
    high_s = float(np.minimum(axon.fall_s - axon.rise_s, span_s)[odd].sum())
    if always or (odd.sum() > len(odd) / 2 and high_s > HIGH_SHARE * span_s > 0):
        rest = "low" if hearing.spikes.inverted else "high"
        raise CaptureError(
            f"the axon on GPIO {hearing.axon_pin} is {rest} {'all' if always else 'most of'} the time: it is stuck or "
            "not connected, it fires faster than the samples can tell, or the comparator's polarity is not "
            f"spikes.inverted = {str(hearing.spikes.inverted).lower()}"
        )


def _gaps(t_s: FloatArray, after_gap: BoolArray) -> NDArray[np.float64]:
    """(gaps, 2) between which times reports were lost."""
    at = np.flatnonzero(after_gap)
    return np.stack([np.append(-np.inf, t_s)[at], t_s[at]], axis=1)


def _touched(doubts: NDArray[np.float64], rise_s: FloatArray) -> BoolArray:
    """(intervals,) which intervals between sync edges a doubt (n, 2) touches."""
    change = np.zeros(len(rise_s) + 1, dtype=np.intp)
    first, last = (np.searchsorted(rise_s, doubts[:, column], side="right") - 1 for column in (0, 1))
    inside = last >= 0
    np.add.at(change, np.maximum(first[inside], 0), 1)
    np.add.at(change, last[inside] + 1, -1)
    return np.cumsum(change)[: len(rise_s) - 1] > 0


def _counted(spike_s: FloatArray, sync: Highs) -> tuple[NDArray[np.intp], Stray]:
    """Spikes in the sync-low time of each interval (k,), and those that belong to none."""
    until_rise = np.searchsorted(spike_s, sync.rise_s)
    until_fall = np.searchsorted(spike_s, sync.fall_s[:-1])
    guard = int((until_fall - until_rise[:-1]).sum())
    stray = Stray(before=int(until_rise[0]), guard=guard, after=len(spike_s) - int(until_rise[-1]))
    return until_rise[1:] - until_fall, stray


def _notes(shot: Frame, ok: BoolArray, intervals: int, gaps: int, odd: int) -> tuple[str, ...]:
    notes = []
    played = int(shot.played.sum())
    if intervals != played:
        notes.append(f"sync shows {intervals} slots, planned were {played}")
    if gaps:
        notes.append(f"pigpiod's reports have {gaps} gaps")
    if odd:
        notes.append(f"{odd} axon pulses are not as wide as board.axon_width_s says, or touch")
    bad = np.flatnonzero(~ok)
    if len(bad):
        notes.append(f"{len(bad)} slots late, missing or unreadable, first slot {int(bad[0])} of the shot")
    return tuple(notes)

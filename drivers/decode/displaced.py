"""Do the lines of a shot still belong together? Samples that were lost or came twice displace what follows them.

Nothing in a trace says so, but two things that no line does by itself show it. A late edge of sync makes one slot
longer and its neighbour shorter; where samples of sync are missing, every later edge is early. And in a network a spike
comes a comparator's delay after a pulse of its slot, always about as late; where samples of the axon are missing, every
later spike comes as much too early. Whatever happens to both lines alike is seen by the first.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from drivers.decode.levels import median_of_three
from drivers.signals import PROBE_LAYER
from drivers.timing import period_ticks, seconds, slot_ticks

if TYPE_CHECKING:
    from drivers.decode.schmitt import Pulses
    from drivers.decode.slots import Alignment
    from drivers.signals import BoolArray, FloatArray, Frame

IntArray = NDArray[np.intp]
_GUARD, _GUARD_SHARE = 2, 0.005  # pulses, and share of all, that rise in guards, where no neuron of a network fires
_NEAR = 3  # edges on either side, whose middle one counts: one that is late by itself is no step
_JITTER_S = 0.4e-6  # edges made by DMA wander by so much, and finer samples tell no more of what belongs together
_STEP_SAMPLES = 1.5  # an edge is known to a sample
_STEP_SIGMAS = 5.0  # slow edges in noise of 20 dB pass four in one slot of 16,000
_MAD_SIGMA = 1.4826  # the standard deviation of what is normal, of its median deviation
_SPIKES_LEAST = 20  # fewer say little of how late spikes usually are
_BODY = (0.05, 0.5, 0.75)  # quantiles of the lags: of what is late, few may be where nothing is displaced
_TAIL, _SURE = 12.5, 4.0  # times from the middle to the last: so late may a spike still come, and so late many do
_BODY_KNOWN = 4.0  # two standard deviations of that, by the root of how many spikes tell it, for lags with a long tail
_LAG_SAMPLES = 3.0  # what a lag is known to: of two lines, and of a pulse's slow edge
_SURE_SAMPLES = 1.5  # so near to the body is a spike in step beside one that is not
_SURE_RUN = 3  # so many slots in a row are not in step by chance
_ODD, _ODD_OF = 4, 10  # of so many slots with spikes in a row so many are out of step: then no spike is believed
_WINDOW, _WINDOW_LEAST = 24, 6  # spikes on either side whose lags are compared
_SHIFT_SAMPLES, _SHIFT_SIGMAS = 3.0, 6.0  # by so much lags move where samples are missing
_END_SIGMAS = 8.0  # and at either end, where the middle of six lags with a long tail strays further
_MEDIAN_SIGMA = 1.2533  # the standard deviation of a median, of that of a mean
_SILENT = 14.0  # spikes that were to be expected where none came: one in a million such stretches
_LOST = "samples of one line were lost or came twice"


@dataclass(frozen=True, eq=False)
class Lines:
    """What was seen of axon and sync: their pulses, and the time between two samples."""

    axon: Pulses
    sync: Pulses
    step_s: float


@dataclass(frozen=True, eq=False)
class Lags:
    """Of spikes in the slots of a network, in order of time: `slot` (n,), index of the slot; `lag_s` (n,), since the
    pulse that it can have come from; `most_s` (n,), how late that can be: until it can have come from the next one.
    """

    slot: IntArray
    lag_s: FloatArray
    most_s: FloatArray


def steps(measured_s: FloatArray, planned_s: FloatArray, step_s: float) -> BoolArray:
    """(k,) in which of the intervals between edges of sync, each with the length that was planned, time is missing or
    too much for good, so that no edge after it is where it was due.
    """
    found = np.zeros(len(measured_s), dtype=np.bool_)
    if len(measured_s) < 2 * _NEAR:
        return found
    off = planned_s * (measured_s.sum() / planned_s.sum())
    np.subtract(measured_s, off, out=off)
    edge = np.zeros(len(off) + 1)
    np.cumsum(off, out=edge[1:])
    del off
    edge = median_of_three(edge)  # the first and the last are as they were
    change = np.append(edge[2:], edge[-1])
    change[1:] -= edge[:-2]
    change[0] -= edge[0]
    del edge
    change -= np.median(change)
    np.abs(change, out=change)
    noise = _MAD_SIGMA * float(np.median(change))
    found[:] = change > max(_STEP_SAMPLES * step_s, _STEP_SIGMAS * noise)
    return found


def of_network(shot: Frame) -> bool:
    """Whether a neuron fires after pulses only; of a sweep that may find one which fires by itself, no one knows."""
    return bool(len(shot)) and int(shot.layer[0]) != PROBE_LAYER


def displaced(
    shot: Frame, lines: Lines, slots: Alignment, spikes: NDArray[np.integer], doubtful: BoolArray, tick_s: float
) -> tuple[BoolArray, str]:
    """Of a network's shot with so many `spikes` (slots,) and with played slots that are `doubtful` (played,) anyhow: in
    which played slots axon and sync may not belong together (played,), and why none can be believed, empty if some can.
    """
    played, known = np.flatnonzero(shot.played), slots.interval >= 0
    intervals = max(len(lines.sync) - 1, 0)
    of = np.full(intervals, -1, dtype=np.intp)
    of[slots.interval[known]] = played[known]
    seen, step_s = _lags(lines, of, shot, tick_s), max(lines.step_s, _JITTER_S)
    odd = _out_of_step(seen, step_s)
    at, guards = _in_guards(lines)
    beside = np.zeros(len(shot), dtype=np.bool_)
    near = of[np.concatenate([at[at < intervals], at[at > 0] - 1])] if intervals else of
    beside[near[near >= 0]] = True
    beside[played] |= doubtful
    beside |= _beside(seen, odd, beside, step_s)
    reason = (
        _too_many_in_guards(guards, len(lines.axon))
        or _all_out_of_step(seen, odd, step_s)
        or _silent(spikes[played[known]], shot.pulses[played[known]])
    )
    return beside[played], reason


def _in_guards(lines: Lines) -> tuple[IntArray, int]:
    """The intervals in whose guard a spike rises, which came from that slot or from the one before; how many spikes."""
    at = np.searchsorted(lines.sync.rise_s, lines.axon.rise_s, side="right") - 1
    guards = at[(at >= 0) & (lines.axon.rise_s < lines.sync.fall_s[np.maximum(at, 0)])]
    return guards, len(guards)


def _too_many_in_guards(count: int, pulses: int) -> str:
    if count < _GUARD or count <= _GUARD_SHARE * pulses:
        return ""
    return (
        f"{count} of {pulses} axon pulses rise while sync is high: samples of one line were lost or came twice, or the "
        "neuron fires by itself at this V_th"
    )


def _out_of_step(seen: Lags, step_s: float) -> BoolArray:
    """(n,) which spikes come sooner or later after their pulse than the others ever do. How late those may come is told
    badly by few of them, and by samples not to a half.
    """
    tail = _TAIL * (1 + _BODY_KNOWN / math.sqrt(max(len(seen.lag_s), 1)))
    return _off(seen, _LAG_SAMPLES * step_s, tail, step_s / 2)


def _beside(seen: Lags, odd: BoolArray, doubtful: BoolArray, step_s: float) -> BoolArray:
    """(slots,) those that cannot be trusted because of spikes out of step: on either side as far as the spikes of
    several slots in a row are surely in step. After the last of the `doubtful` (slots,) as well.
    """
    spoilt = np.zeros(len(doubtful), dtype=np.bool_)
    if not odd.any() and not doubtful.any():
        return spoilt
    firing, first = np.unique(seen.slot, return_index=True)
    if not len(firing):
        spoilt[int(np.flatnonzero(doubtful)[0]) :] = True
        return spoilt
    sure = np.logical_and.reduceat(~_off(seen, _SURE_SAMPLES * step_s, _SURE), first)
    begins = np.flatnonzero(np.convolve(sure, np.ones(_SURE_RUN), "valid") == _SURE_RUN)
    for at in np.flatnonzero(np.logical_or.reduceat(odd, first)).tolist():
        left, right = begins[begins + _SURE_RUN <= at], begins[begins > at]
        since = firing[left[-1] + _SURE_RUN - 1] if len(left) else 0
        until = firing[right[0]] if len(right) else len(spoilt) - 1
        spoilt[since : until + 1] = True
    if doubtful.any() and not (firing[begins] > (last := int(np.flatnonzero(doubtful)[-1]))).any():
        spoilt[last:] = True
    return spoilt


def _off(seen: Lags, slack_s: float, tail: float, least_s: float = 0.0) -> BoolArray:
    """(n,) which lags lie outside the body of all of them, with so much room; above, so many times what lies
    between its middle and its upper quarter, and that is no less than `least_s`.
    """
    if len(seen.lag_s) < _SPIKES_LEAST:
        return np.zeros(len(seen.lag_s), dtype=np.bool_)
    low, middle, high = np.quantile(seen.lag_s, _BODY)
    latest = np.minimum(middle + tail * max(high - middle, least_s), seen.most_s) + slack_s
    off: BoolArray = (seen.lag_s < low - slack_s) | (seen.lag_s > latest)
    return off


def _all_out_of_step(seen: Lags, odd: BoolArray, step_s: float) -> str:
    """Why none of the axon's spikes can be believed; empty if they can. Edges that are late by themselves spoil slots
    here and there, never many of those beside each other.
    """
    _, first = np.unique(seen.slot, return_index=True)
    slots = np.logical_or.reduceat(odd, first) if len(first) else odd
    if len(slots) >= _ODD_OF and np.convolve(slots, np.ones(_ODD_OF), "valid").max() >= _ODD:
        return f"{odd.sum()} of {len(odd)} spikes come when no pulse can have caused them: {_LOST}"
    if len(odd) >= _SPIKES_LEAST and _moves(seen.lag_s, step_s):
        return f"from one spike on all come later, or sooner, after their pulses than before: {_LOST}"
    return ""


@dataclass(frozen=True, eq=False)
class _Middles:
    """Of every `count` lags in a row their median, and their median deviation from it; s, (n − count + 1,)."""

    count: int
    middle_s: FloatArray
    spread_s: FloatArray

    @staticmethod
    def of(lag_s: FloatArray, count: int) -> _Middles:
        windows = np.lib.stride_tricks.sliding_window_view(lag_s, count)
        middle_s = np.median(windows, axis=1)
        return _Middles(count, middle_s, np.median(np.abs(windows - middle_s[:, None]), axis=1))

    def part(self, first: int, stop: int) -> _Middles:
        """Those that begin with some of the lags."""
        return _Middles(self.count, self.middle_s[first:stop], self.spread_s[first:stop])


def _moves(lag_s: FloatArray, step_s: float) -> bool:
    """Whether lags move at once and stay where they are, by more than a picture's parts differ in theirs."""
    most = min(_WINDOW, len(lag_s) // 2)
    middles = _Middles.of(lag_s, most)
    last = len(lag_s) - most
    usual_s = float(np.median(middles.spread_s))  # of few lags it may come out as nothing
    beside = [(middles.part(0, last - most + 1), middles.part(most, last + 1))]
    for few in range(_WINDOW_LEAST, most):  # at either end
        beside.append((_Middles.of(lag_s[:few], few), middles.part(few, few + 1)))
        beside.append((middles.part(last - few, last - few + 1), _Middles.of(lag_s[-few:], few)))
    return any(_moved(before, after, step_s, usual_s) for before, after in beside)


def _moved(before: _Middles, after: _Middles, step_s: float, usual_s: float) -> bool:
    """Whether somewhere the middle of the lags before differs from that of those after, by more than what they are
    known to: from their own spread, or from the `usual_s` one.
    """
    noise_s = [np.maximum(part.spread_s, usual_s) / math.sqrt(part.count) for part in (before, after)]
    sigmas = (_SHIFT_SIGMAS if before.count == after.count else _END_SIGMAS) * _MAD_SIGMA * _MEDIAN_SIGMA
    allowed_s = np.maximum(_SHIFT_SAMPLES * step_s, sigmas * np.hypot(*noise_s))
    return bool((np.abs(after.middle_s - before.middle_s) > allowed_s).any())


def _silent(spikes: NDArray[np.integer], pulses: NDArray[np.integer]) -> str:
    """Why the counts (slots,) of a network's shot, whose slots each had so many pulses (slots,), cannot be believed:
    none came for longer than what slots of as many pulses fire in this very shot allows. Empty if they can.
    """
    usual = np.bincount(pulses, weights=spikes) / np.maximum(np.bincount(pulses), 1)
    due = np.concatenate([[0.0], np.cumsum(usual[pulses])])
    fired = np.flatnonzero(spikes)
    stretches = due[np.append(fired, len(spikes))] - due[np.append(0, fired + 1)]
    if not len(fired) or stretches.max() < _SILENT:
        return ""
    return f"no spike for a stretch that was due {stretches.max():.0f}: the axon stuck low, or {_LOST}"


def _lags(lines: Lines, slot: IntArray, shot: Frame, tick_s: float) -> Lags:
    """Of the spikes in the intervals that are known to be `slot` (intervals,), −1 for the others. Pulses begin as sync
    falls, and the comparator is blanked while one lasts: in its middle, edges late or not, nobody's spike rises.
    """
    middle_s = slot_ticks(shot.timing, tick_s).width * tick_s / 2
    period_s = seconds(period_ticks(shot, tick_s), tick_s)
    fall_s = lines.sync.fall_s[: len(slot)]
    at = np.searchsorted(fall_s, lines.axon.rise_s, side="right") - 1
    inside = at >= 0
    inside[inside] = (slot[at[inside]] >= 0) & (lines.axon.rise_s[inside] < lines.sync.rise_s[at[inside] + 1])
    of, since = slot[at[inside]], lines.axon.rise_s[inside] - fall_s[at[inside]]
    some = shot.pulses[of] > 0
    of, since = of[some], since[some]
    number = np.clip((since - middle_s) // period_s[of], 0, shot.pulses[of] - 1)
    return Lags(of, since - number * period_s[of], period_s[of] + middle_s)

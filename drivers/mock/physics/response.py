"""The neuron's response to the board's lines: whose pulses reach it, and when its axon rises.

Computed lazily and exactly: a *segment* is the time between two resets, its spikes are a pure function of its pulses,
its key and V_th (physics.neuron). Segments that have ended are worked out for good; the one in hand is worked out again
whenever somebody looks, of one with very many pulses only what is new (physics.train). What is queued is worked out
some time ahead, many segments at once, and forgotten again where the queue or V_th changes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection
from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from drivers.edges import DENDRITE, RESET, Levels, Times
from drivers.mock.clock import at_one_time
from drivers.mock.physics.ahead import Ahead
from drivers.mock.physics.membrane import Segments
from drivers.mock.physics.neuron import Midway, NeuronModel, Trains, fire
from drivers.mock.physics.random import U64, sequence_keys
from drivers.mock.physics.train import go_on
from drivers.timing import seconds

if TYPE_CHECKING:
    from drivers.mock.timeline import Timeline
    from drivers.settings import BoardSettings

PART_PULSES = 1 << 11
REST_NS = 2_000_000
FORESIGHT_NS = 100_000_000
SOON_NS = 20_000_000  # what comes so soon is worked out before somebody has to wait for it
Found = tuple[Segments, NDArray[np.intp]]  # segments, and which of them each axon pulse is of


@dataclass(frozen=True)
class _Part:
    """What is left of a segment: its neuron (None: it begins here), the segment's key, the pulses before it."""

    midway: Midway | None
    key: U64
    pulses_before: int


class Response:
    """Segments of one neuron on `lines`, in order of time; whoever calls holds the board's lock. `threshold_v` is V_th
    as it is now, `faults` those of the board.
    """

    def __init__(
        self,
        model: NeuronModel,
        settings: BoardSettings,
        lines: Timeline,
        clock: Callable[[], int],
        *,
        seed: int,
        threshold_v: Callable[[], float],
        faults: Collection[str] = (),
        pulses_before: int = 0,
    ) -> None:
        self.model = model
        self._settings, self._faults, self._seed = settings, frozenset(faults), seed
        self._lines, self._clock, self._threshold_v = lines, clock, threshold_v
        self.pulses_total = pulses_before
        self.resets_total = 0
        self._closed: deque[Segments] = deque()  # in order of time
        self._open_ns = lines.end_ns  # where the segment in hand, or what is left of it, began
        self._part: _Part | None = None  # what that goes on with, if it is not the whole segment
        self._ahead: list[Ahead] = []  # runs of segments that follow each other, the first with the one in hand
        self._segments = 0
        self._planned_ns: Times = np.empty(0, dtype=np.int64)  # resets whose segments were given keys
        self._planned_keys: U64 = np.empty(0, dtype=np.uint64)

    @property
    def open_ns(self) -> int:
        """Where the segment in hand, or what is left of it, began."""
        return self._open_ns

    @property
    def settled_ns(self) -> int:
        """Up to which reset all is worked out; where the segment in hand began if nothing is."""
        return self._settled()

    # ---- what changes it ----------------------------------------------------------------------------------------

    def plan_keys(self, after_ns: int, until_ns: int, keys: U64) -> None:
        """Keys for the segments that the resets in (after, until] begin."""
        self._planned_ns = np.concatenate([self._planned_ns, self._reset_falls(after_ns, until_ns)])
        self._planned_keys = np.concatenate([self._planned_keys, keys])

    def forget_ahead(self, after_ns: int | None = None) -> None:
        """What was worked out ahead of a time, or all, comes otherwise."""
        self._ahead = [] if after_ns is None else [run for run in self._ahead if run.stop_ns <= after_ns]

    def begin_anew(self, at_ns: int) -> None:
        """Nothing is known of the segment in hand before a time."""
        self._open_ns, self._part, self._ahead = at_ns, None, []

    def forget(self, before_ns: int) -> int:
        """Drop segments that are over before a time; since when lines are still needed."""
        while self._closed and self._closed[0].end_ns < before_ns:
            self._closed.popleft()
        oldest = min(before_ns, self._open_ns)
        recent = self._planned_ns >= oldest
        self._planned_ns, self._planned_keys = self._planned_ns[recent], self._planned_keys[recent]
        return oldest

    # ---- what it shows ------------------------------------------------------------------------------------------

    def between(self, early_ns: int, until_ns: int) -> list[Segments]:
        """Segments that are not over by one time and have begun by another, those that are queued included."""
        recent = takewhile(lambda s: s.end_ns >= early_ns, reversed(self._closed))
        closed = [s for s in recent if s.start_ns[0] <= until_ns]
        return [*reversed(closed), *self._in_hand(until_ns)]

    def settled_until_ns(self, at_ns: int) -> int | None:
        """Until when after a time all is worked out, or will be together; None where no reset says so."""
        if self._settled() > at_ns + 1:
            return self._settled() - 1
        bounds, end_ns = self._queued(at_ns), self._lines.end_ns
        if self._part is not None and len(resets := self._reset_falls(self._open_ns, end_ns)):
            return max(at_ns, int(resets[0]) - 1)  # what follows is not worked out together with a part
        if len(bounds) and at_ns < bounds[-1] - 1 < end_ns:
            return int(bounds[-1]) - 1
        return None

    def unforeseen(self, now_ns: int) -> Callable[[], Ahead] | None:
        """What works out, without anybody's lock, what is queued and comes soon; None where nothing is to be done."""
        if self._settled() > now_ns + SOON_NS or not len(bounds := self._queued(now_ns)):
            return None
        asked, stop_ns = self._asked(bounds[:-1], int(bounds[-1])), int(bounds[-1])
        return lambda: Ahead(*asked(), stop_ns)

    def foreseen(self, ahead: Ahead) -> None:
        """That was worked out, and neither lines nor V_th have changed meanwhile."""
        if self._part is None and self._settled() == ahead.segments.start_ns[0]:
            self._ahead.append(ahead)

    # ---- segments -----------------------------------------------------------------------------------------------

    def close_until(self, at_ns: int, *, also_open: bool = False) -> None:
        """Work out, for good, every segment that has ended by at_ns."""
        resets = self._reset_falls(self._open_ns, at_ns)
        stop = at_ns if also_open else (int(resets[-1]) if len(resets) else None)
        if stop is not None and stop > self._open_ns:
            starts = np.concatenate([[self._open_ns], resets[resets < stop]])
            if self._part is not None and len(starts) > 1:
                self._close(starts[:1], int(starts[1]))
                starts = starts[1:]
            self._close(starts, stop)
            self.resets_total += len(resets)
        self._close_parts(at_ns)

    def _close(self, starts: Times, stop_ns: int) -> None:
        """Segments that begin at `starts` (n,), the first in hand; the last ends at stop_ns."""
        while len(starts):
            run = self._ahead.pop(0) if self._ahead else None
            count = len(starts) if run is None else min(int(np.searchsorted(starts, run.stop_ns)), len(run))
            until_ns = int(starts[count]) if count < len(starts) else stop_ns
            if run is not None and (known := run.part(0, count)).stop_ns == until_ns:
                done = known.segments
                self._ahead[:0] = [run.part(count, len(run))] if count < len(run) else []
            else:
                done, self._ahead = self._respond(starts[:count], until_ns)[0], []
            self._closed.append(done)
            self.pulses_total += len(done.trains.rise_s)
            self._segments += count
            self._open_ns, self._part, starts = until_ns, None, starts[count:]

    def _settled(self) -> int:
        """Up to which reset all is worked out; where the segment in hand began if nothing is."""
        return self._ahead[-1].stop_ns if self._ahead else self._open_ns

    def _queued(self, until_ns: int) -> Times:
        """When segments begin that are not worked out, and the last of them ends; empty where none is queued."""
        none = np.empty(0, dtype=np.int64)
        resets = none if self._part is not None else self._reset_falls(self._settled(), until_ns + FORESIGHT_NS)
        return np.append(self._settled(), resets) if len(resets) else none

    def _work_out(self, until_ns: int) -> None:
        """Have what is queued up to a time worked out, and some time on."""
        bounds = self._queued(until_ns)
        if self._settled() < until_ns and len(bounds):
            with at_one_time(self._clock):  # a neuron needs no time to work itself out
                found, of = self._respond(bounds[:-1], int(bounds[-1]))
            self._ahead.append(Ahead(found, of, int(bounds[-1])))

    def _close_parts(self, at_ns: int) -> None:
        """Of a segment in hand with very many pulses, or at rest for long, work out all but the latest for good."""
        first, last = (int(i) for i in np.searchsorted(self._lines.t, [self._open_ns, at_ns], side="right"))
        if last - first >= 2 * PART_PULSES:
            first = max(1, first)
            rises, _ = _edges(self._lines.t[first:last], self._lines.words[first - 1 : last], DENDRITE)
            for cut_ns in (rises[PART_PULSES::PART_PULSES] - 1).tolist():
                self._close_part(cut_ns)
        resting_ns = at_ns - max(self._open_ns, int(self._lines.t[max(0, last - 1)]))
        if resting_ns > REST_NS and not self._lines.at(at_ns) & (DENDRITE | RESET):
            self._close_part(at_ns)  # it may fire by itself all the while

    def _close_part(self, cut_ns: int) -> None:
        start = np.array([self._open_ns])
        part = _Part(None, self._keys(start), self.pulses_total) if self._part is None else self._part
        trains = self._trains(start, cut_ns)
        axon_ns, midway = self._go_on(part, trains, self._open_ns)
        done = Segments(start, trains, part.key, self._threshold_v(), part.pulses_before, axon_ns, part.midway)
        self._closed.append(done)
        self.pulses_total += len(trains.rise_s)
        self._open_ns, self._part, self._ahead = cut_ns, _Part(midway, part.key, part.pulses_before), []

    def _in_hand(self, until_ns: int) -> list[Segments]:
        until = max(until_ns, self._open_ns + 1)
        self._work_out(until)
        known = [run.begun(until) for run in self._ahead if run.segments.start_ns[0] <= until]
        begun_ns = self._settled()
        if begun_ns >= until:
            return known
        starts = np.concatenate([[begun_ns], self._reset_falls(begun_ns, until)])
        if self._part is not None and len(starts) > 1:
            return [self._respond(starts[:1], int(starts[1]))[0], self._beyond(starts[1:], until)]
        return [*known, self._respond(starts, until)[0]]

    def _beyond(self, starts: Times, until_ns: int) -> Segments:
        """Whole segments behind the one of which a part is in hand."""
        part, self._part = self._part, None
        self._segments += 1
        try:
            return self._respond(starts, until_ns)[0]
        finally:
            self._part = part
            self._segments -= 1

    def _reset_falls(self, after_ns: int, until_ns: int) -> Times:
        """When a reset pulse ends in (after, until]."""
        t, words = self._lines.t, self._lines.words
        first = max(1, int(np.searchsorted(t, after_ns, side="right")))
        last = int(np.searchsorted(t, until_ns, side="right"))
        reset = (words[first - 1 : last] & RESET) != 0
        falls: Times = t[first:last][reset[:-1] & ~reset[1:]]
        return falls

    def _respond(self, starts: Times, stop_ns: int) -> Found:
        """The segments that begin at `starts` (n,) and end where the next reset rises, or at stop_ns; which of them
        each axon pulse is of.
        """
        return self._asked(starts, stop_ns)()

    def _asked(self, starts: Times, stop_ns: int) -> Callable[[], Found]:
        """What gives the response, by itself: the board may change meanwhile."""
        trains, vth_v, pulses_before = self._trains(starts, stop_ns), self._threshold_v(), self.pulses_total
        if self._part is not None:
            part = self._part
            axon_ns, _ = self._go_on(part, trains, int(starts[0]))
            found = Segments(starts, trains, part.key, vth_v, part.pulses_before, axon_ns, part.midway)
            return lambda: (found, np.zeros(len(axon_ns), dtype=np.intp))
        keys, model, settings = self._keys(starts), self.model.aged(pulses_before), self._settings

        def respond() -> Found:
            firings = fire(model, settings, vth_v, trains, keys)
            axon_ns = starts[firings.segment] + np.round(firings.axon_s * 1e9).astype(np.int64)
            return Segments(starts, trains, keys, vth_v, pulses_before, axon_ns), firings.segment

        return respond

    def _go_on(self, part: _Part, trains: Trains, start_ns: int) -> tuple[Times, Midway]:
        model = self.model.aged(part.pulses_before)
        axon_s, midway = go_on(model, self._settings, self._threshold_v(), trains, part.key, part.midway)
        return start_ns + np.round(axon_s * 1e9).astype(np.int64), midway

    def _trains(self, starts: Times, stop_ns: int) -> Trains:
        """The pulses that reach the neuron in the segments that begin at `starts` (n,)."""
        first = max(1, int(np.searchsorted(self._lines.t, starts[0], side="right")))
        last = int(np.searchsorted(self._lines.t, stop_ns, side="right"))
        t, words = self._lines.t[first:last], self._lines.words[first - 1 : last]
        rises, falls = _edges(t, words, DENDRITE)
        if words[0] & DENDRITE:
            falls = falls[1:]  # of a pulse that began before
        if len(falls) < len(rises):
            falls = np.append(falls, stop_ns)
        reset_rises, _ = _edges(t, words, RESET)
        ends = np.append(starts[1:], stop_ns)
        following = np.searchsorted(reset_rises, starts, side="right")
        found = following < len(reset_rises)
        ends[found] = np.minimum(ends[found], reset_rises[following[found]])
        rises, falls = self._reaching(rises, falls)
        owner = np.searchsorted(starts, rises, side="right") - 1
        offsets = np.searchsorted(owner, np.arange(len(starts) + 1))
        base = starts[owner]
        since = (seconds(rises - base, 1e-9), seconds(falls - base, 1e-9))
        return Trains(offsets, *since, seconds(ends - starts, 1e-9))

    def _reaching(self, rises: Times, falls: Times) -> tuple[Times, Times]:
        """The pulses that find a closed switch; with the fault wrong_address the first select never closes its own."""
        if not self._settings.addresses or not len(rises):
            return rises, falls
        selects = self._lines.words[np.searchsorted(self._lines.t, rises, side="right") - 1] >> np.uint32(3)
        through = selects != 0
        if "wrong_address" in self._faults:
            through &= (selects & 1) == 0
        return rises[through], falls[through]

    def _keys(self, starts: Times) -> U64:
        before = sum(len(run) for run in self._ahead if run.stop_ns <= starts[0])
        keys = sequence_keys(self._seed, self._segments + before, len(starts))
        at = np.searchsorted(self._planned_ns, starts)
        planned = np.flatnonzero(np.append(self._planned_ns, -1)[at] == starts)
        keys[planned] = self._planned_keys[at[planned]]
        return keys


def _edges(t_ns: Times, words: Levels, bit: int) -> tuple[Times, Times]:
    """Rising and falling times of one line; words has one row more than t_ns, the state before it."""
    high = (words & bit) != 0
    return t_ns[~high[:-1] & high[1:]], t_ns[high[:-1] & ~high[1:]]

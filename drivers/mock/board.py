"""The board as its wires see it: line levels in, axon pulses and analogue voltages out.

Every fake of a real instrument stands in front of one Board, so that they all see the same neuron. Times are integer
nanoseconds of the board's clock. Line bits of a level word: dendrite 1, reset 2, sync 4, select k 8 << k.

The response is computed lazily and exactly: a *segment* is the time between two resets, its spikes are a pure function
of its pulses, its key and V_th (physics.neuron), and the segment in hand is worked out again whenever somebody
looks; of one with very many pulses only what is new (physics.train). What is queued is worked out some time ahead, many
segments at once, and forgotten again where the queue or V_th changes. Setting V_th begins a new segment. History is
bounded in time and in events; an instrument keeps a copy of what it recorded (drivers.mock.past).
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from itertools import takewhile

import numpy as np
from numpy.typing import NDArray

from drivers.device import DeviceFile
from drivers.edges import DENDRITE, RESET, Levels, Times
from drivers.errors import InputError, TwinError
from drivers.mock.ahead import Ahead
from drivers.mock.clock import TwinClock, at_one_time
from drivers.mock.misuse import Misuse
from drivers.mock.past import Past
from drivers.mock.physics.membrane import Segments
from drivers.mock.physics.neuron import Midway, Trains, fire, neuron_model
from drivers.mock.physics.random import U64, sequence_keys
from drivers.mock.physics.train import go_on
from drivers.mock.roughness import SMOOTH, Roughness
from drivers.mock.strict import check_levels
from drivers.mock.timeline import Timeline
from drivers.settings import BoardSettings
from drivers.timing import seconds

LONG_HISTORY_NS = 180_000_000_000
MANY_EVENTS = 2_000_000  # level changes that are kept at most
MANY_THRESHOLDS = 10_000
TIDY_EVENTS = 1 << 14
PART_PULSES = 1 << 11
REST_NS = 2_000_000
PARKED_V = 5.0
FORESIGHT_NS = 100_000_000
SOON_NS = 20_000_000  # what comes so soon is worked out before somebody has to wait for it
FAULTS = frozenset(
    {"stuck_axon_high", "stuck_axon_low", "sync_missing", "sync_axon_swapped", "inverted_comparator", "wrong_address"}
)


@dataclass(frozen=True)
class _Part:
    """What is left of a segment: its neuron (None: it begins here), the segment's key, the pulses before it."""

    midway: Midway | None
    key: U64
    pulses_before: int


class Board:
    """One neuron, its switches, its comparator; thread-safe.

    Without a `clock` its time is that of an unpaced TwinClock, which waits for a late host.
    Misuse is recorded in `misuse`, and raised as TwinError once it has happened: the lines do what they were told.
    """

    def __init__(
        self,
        device: DeviceFile,
        settings: BoardSettings,
        *,
        seed: int = 0,
        clock: Callable[[], int] | None = None,
        faults: Collection[str] = (),
        rough: Roughness = SMOOTH,
    ) -> None:
        unknown = set(faults) - FAULTS
        if unknown:
            raise InputError(f"unknown board fault {', '.join(sorted(unknown))}; known: {', '.join(sorted(FAULTS))}")
        self.settings = settings
        self.clock: Callable[[], int] = TwinClock() if clock is None else clock
        self.misuse = Misuse()
        self.pulses_total = 0
        self.resets_total = 0
        self.rough = rough
        self._model = neuron_model(device).model_copy(update=rough.at_the_node)
        self.seed = seed
        self._faults = frozenset(faults)
        self._lock = threading.RLock()
        now = self.clock()
        self._lines = Timeline(now, 0, np.uint32)  # every level change, past and queued
        self._vth: deque[tuple[int, float]] = deque([(now, PARKED_V)], maxlen=MANY_THRESHOLDS)
        self._remembered_ns = now - LONG_HISTORY_NS  # nothing happened before the board was there
        self._closed: deque[Segments] = deque()  # in order of time
        self._open_ns = now  # where the segment in hand, or what is left of it, began
        self._part: _Part | None = None  # what that goes on with, if it is not the whole segment
        self._ahead: list[Ahead] = []  # runs of segments that follow each other, the first with the one in hand
        self._segments = 0
        self._planned_ns: Times = np.empty(0, dtype=np.int64)  # resets whose segments were given keys
        self._planned_keys: U64 = np.empty(0, dtype=np.uint64)
        self._asked_ns = now  # when the last level was asked for, which may have come later
        # Changes with whatever makes another thing of what was queued; what is queued behind does not.
        self.revision = 0
        self._promised_ns = now  # until when it was said to be settled that nothing comes
        self._tidied = 0  # level changes taken since history was looked after

    # ---- inputs -------------------------------------------------------------------------------------------------

    @property
    def threshold_v(self) -> float:
        """V_th at the comparator."""
        return self._vth[-1][1]

    def set_threshold(self, volts: float) -> None:
        """Change V_th now; begins a new segment."""
        with self._lock:
            now = self.clock()
            self._close_until(now, also_open=True)
            self._ahead = []
            self.revision += 1
            self._vth.append((now, volts))

    def play(
        self, start_ns: int, t_ns: Times, levels: Levels, keys: U64 | None = None, late_ns: Times | None = None
    ) -> None:
        """From start_ns + t_ns[i] on the lines have levels[i]; raises TwinError on misuse, which has happened then.

        Equal times are taken in order. `keys` (resets in this sequence,) decide the draws of the segments that its
        resets begin; without them the board counts segments. `late_ns` (n,) is by how much each level really comes
        later; what is misuse is judged without it.
        """
        with self._lock:
            when = np.asarray(t_ns, dtype=np.int64) + start_ns
            if len(when) == 0:
                return
            before = self._lines.end_ns
            if when[0] < min(before, self._asked_ns):
                raise self.misused(f"lines are driven from {start_ns} ns while a queue runs until {before} ns")
            if (np.diff(when) < 0).any():
                raise self.misused("line levels must be in order of time")
            words = np.asarray(levels, dtype=np.uint32)
            last = self._lines.words[-1:].copy()
            self.revision += int(when[0]) <= self._promised_ns
            asked, self._asked_ns = when, int(when[-1])
            if late_ns is not None:
                when = np.maximum.accumulate(np.maximum(when + late_ns, before))
            self._lines.append(when, words)
            if keys is not None:
                self._planned_ns = np.concatenate([self._planned_ns, self._reset_falls(before, int(when[-1]))])
                self._planned_keys = np.concatenate([self._planned_keys, keys])
            self._tidy(len(when))
            self._check(np.concatenate([[min(before, int(asked[0]))], asked]), np.concatenate([last, words]))

    def play_next(self, latency_ns: int, t_ns: Times, levels: Levels) -> int:
        """Play so long from now, or after what is queued; returns when it starts. Raises what `play` raises.

        Nobody looks in between: whoever did would have what comes then worked out as rest, for good.
        """
        with self._lock:
            start_ns = max(self.clock() + latency_ns, self._lines.end_ns)
            self.play(start_ns, t_ns, levels)
            return start_ns

    def write(self, mask: int, high: bool, at_ns: int | None = None) -> None:
        """Set lines by hand, until what is queued changes them. Raises TwinError on misuse, as play does."""
        with self._lock:
            at = self.clock() if at_ns is None else at_ns
            i = int(np.searchsorted(self._lines.t, at, side="right"))
            before_ns, old = int(self._lines.t[max(i - 1, 0)]), self._lines.at(at)
            new = old | mask if high else old & ~mask
            self._lines.set(at, mask, high)
            self._ahead = []
            self.revision += 1
            self._tidy(1)
            self._check(np.array([before_ns, at]), np.array([old, new], dtype=np.uint32))

    def halt(self, at_ns: int | None = None) -> None:
        """Forget what is queued after at_ns (default now); the lines stay as they are then."""
        with self._lock:
            at = self.clock() if at_ns is None else at_ns
            self._lines.cut(at)
            self.revision += 1
            self._ahead = [run for run in self._ahead if run.stop_ns <= at]

    def misused(self, what: str) -> TwinError:
        """Record something that hardware would take in silence; returns it, so that it can be raised."""
        return self.misuse.record(TwinError(what))

    def _check(self, t_ns: Times, levels: Levels) -> None:
        try:
            check_levels(self.settings, t_ns, levels, known=1)
        except TwinError as error:
            self.misuse.record(error)
            raise

    # ---- outputs ------------------------------------------------------------------------------------------------

    def busy_until_ns(self) -> int:
        """When the last queued level change happens."""
        return self._lines.end_ns

    def settled_until_ns(self, at_ns: int) -> int:
        """Until when after a time what comes is settled while `revision` stays as it is: as far as it is worked out,
        else to before the last reset that is queued and ought to be, else as far as anything is queued. Where nothing
        is, some time on; what is queued then changes `revision`.
        """
        with self._lock:
            if self._settled() > at_ns + 1:
                return self._settled() - 1
            bounds, end_ns = self._queued(at_ns), self._lines.end_ns
            if self._part is not None and len(resets := self._reset_falls(self._open_ns, end_ns)):
                return max(at_ns, int(resets[0]) - 1)  # what follows is not worked out together with a part
            if len(bounds) and at_ns < bounds[-1] - 1 < end_ns:
                return int(bounds[-1]) - 1
            if at_ns < end_ns - 1:
                return min(end_ns - 1, at_ns + SOON_NS)
            self._promised_ns = max(self._promised_ns, at_ns + SOON_NS)
            return at_ns + SOON_NS

    def remembered_ns(self) -> int:
        """Since when the board's history can be asked for."""
        return self._remembered_ns

    def levels(self, at_ns: int | None = None) -> int:
        """The level word at a time (default now)."""
        with self._lock:
            return self._lines.at(self.clock() if at_ns is None else at_ns)

    def lines(self, t0_ns: int, t1_ns: int) -> tuple[Times, Levels]:
        """Level changes in [t0, t1): times and words; the first row is the state at t0."""
        with self._lock:
            return self._past(t0_ns, t1_ns, ()).lines(t0_ns, t1_ns)

    def axon(self, t0_ns: int, t1_ns: int) -> tuple[Times, Times]:
        """Axon pulses that rise in [t0, t1): when they rise and fall, as the comparator's output pin shows them."""
        return self.past(t0_ns, t1_ns).axon(t0_ns, t1_ns)

    def volts(self, signal: str, t_ns: Times) -> NDArray[np.float64]:
        """What a ×1 probe on `signal` sees at the times t_ns (n,), ascending; V, without the scope's noise."""
        if len(t_ns) == 0:
            return np.empty(0)
        return self.past(int(t_ns[0]), int(t_ns[-1]) + 1).volts(signal, t_ns)

    def past(self, t0_ns: int, t1_ns: int) -> Past:
        """All that happens in [t0, t1), for an instrument to keep; raises TwinError where it has been forgotten."""
        with self._lock:
            self._recall(t0_ns)
            self._close_until(min(t1_ns, self.clock()))
            early = t0_ns - round(self.settings.axon_width_s * 1e9)  # an axon pulse may have begun before
            recent = takewhile(lambda s: s.end_ns >= early, reversed(self._closed))
            closed = [s for s in recent if s.start_ns[0] <= t1_ns]
            return self._past(t0_ns, t1_ns, [*reversed(closed), *self._in_hand(t1_ns)])

    def _past(self, t0_ns: int, t1_ns: int, segments: Sequence[Segments]) -> Past:
        self._recall(t0_ns)
        t, words = self._lines.t, self._lines.words
        first = max(0, int(np.searchsorted(t, t0_ns, side="right")) - 1)
        window = slice(first, max(first + 1, int(np.searchsorted(t, t1_ns, side="left"))))
        vth = tuple(self._vth)
        return Past(
            self.settings,
            self._faults,
            self._model,
            t[window].copy(),
            words[window].copy(),
            tuple(segments),
            vth,
            self.rough,
        )

    # ---- the neuron ---------------------------------------------------------------------------------------------

    def _close_until(self, at_ns: int, *, also_open: bool = False) -> None:
        """Work out, for good, every segment that has ended by at_ns; the lock is held."""
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
        self._forget(at_ns - LONG_HISTORY_NS)

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
        """Have what is queued up to a time worked out, and some time on; the lock is held."""
        bounds = self._queued(until_ns)
        if self._settled() < until_ns and len(bounds):
            with at_one_time(self.clock):  # a neuron needs no time to work itself out
                found, of = self._respond(bounds[:-1], int(bounds[-1]))
            self._ahead.append(Ahead(found, of, int(bounds[-1])))

    def foresee(self) -> None:
        """Work out what is queued before anybody asks for it; time goes on meanwhile, and so may everybody else."""
        with self._lock:
            now = self.clock()
            bounds = self._queued(now)
            if self._settled() > now + SOON_NS or not len(bounds):
                return
            asked, revision = self._asked(bounds[:-1], int(bounds[-1])), self.revision
        found, of = asked()
        with self._lock:
            if self.revision == revision and self._part is None and self._settled() == bounds[0]:
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
        done = Segments(start, trains, part.key, self.threshold_v, part.pulses_before, axon_ns, part.midway)
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

    def _respond(self, starts: Times, stop_ns: int) -> tuple[Segments, NDArray[np.intp]]:
        """The segments that begin at `starts` (n,) and end where the next reset rises, or at stop_ns; which of them
        each axon pulse is of.
        """
        return self._asked(starts, stop_ns)()

    def _asked(self, starts: Times, stop_ns: int) -> Callable[[], tuple[Segments, NDArray[np.intp]]]:
        """What gives the response, by itself: the board may change meanwhile."""
        trains, vth_v, pulses_before = self._trains(starts, stop_ns), self.threshold_v, self.pulses_total
        if self._part is not None:
            part = self._part
            axon_ns, _ = self._go_on(part, trains, int(starts[0]))
            found = Segments(starts, trains, part.key, vth_v, part.pulses_before, axon_ns, part.midway)
            return lambda: (found, np.zeros(len(axon_ns), dtype=np.intp))
        keys, model, settings = self._keys(starts), self._model.aged(pulses_before), self.settings

        def respond() -> tuple[Segments, NDArray[np.intp]]:
            firings = fire(model, settings, vth_v, trains, keys)
            axon_ns = starts[firings.segment] + np.round(firings.axon_s * 1e9).astype(np.int64)
            return Segments(starts, trains, keys, vth_v, pulses_before, axon_ns), firings.segment

        return respond

    def _go_on(self, part: _Part, trains: Trains, start_ns: int) -> tuple[Times, Midway]:
        model = self._model.aged(part.pulses_before)
        axon_s, midway = go_on(model, self.settings, self.threshold_v, trains, part.key, part.midway)
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
        if not self.settings.addresses or not len(rises):
            return rises, falls
        selects = self._lines.words[np.searchsorted(self._lines.t, rises, side="right") - 1] >> np.uint32(3)
        through = selects != 0
        if "wrong_address" in self._faults:
            through &= (selects & 1) == 0
        return rises[through], falls[through]

    def _keys(self, starts: Times) -> U64:
        before = sum(len(run) for run in self._ahead if run.stop_ns <= starts[0])
        keys = sequence_keys(self.seed, self._segments + before, len(starts))
        at = np.searchsorted(self._planned_ns, starts)
        planned = np.flatnonzero(np.append(self._planned_ns, -1)[at] == starts)
        keys[planned] = self._planned_keys[at[planned]]
        return keys

    def _recall(self, t_ns: int) -> None:
        if t_ns < self._remembered_ns:
            raise TwinError(f"the simulated board has forgotten what was at {t_ns} ns")

    def _tidy(self, taken: int) -> None:
        """Look after history now and then, though nobody may look at the axon."""
        self._tidied += taken
        if self._tidied < TIDY_EVENTS:
            return
        self._tidied = 0
        self._close_until(self.clock())
        if len(self._lines) > MANY_EVENTS:
            oldest = int(self._lines.t[-MANY_EVENTS])
            if self._open_ns < oldest:  # so many edges without a reset and hardly a pulse: the neuron begins anew
                self._open_ns, self._part, self._ahead = oldest, None, []
                self.revision += 1
            self._forget(oldest)

    def _forget(self, before_ns: int) -> None:
        """Drop history before a time; asking for it from then on is an error."""
        self._remembered_ns = max(self._remembered_ns, before_ns)
        while self._closed and self._closed[0].end_ns < before_ns:
            self._closed.popleft()
        oldest = min(before_ns, self._open_ns)
        self._lines.forget(oldest)
        while len(self._vth) > 1 and self._vth[1][0] < oldest:
            self._vth.popleft()
        recent = self._planned_ns >= oldest
        self._planned_ns, self._planned_keys = self._planned_ns[recent], self._planned_keys[recent]


def _edges(t_ns: Times, words: Levels, bit: int) -> tuple[Times, Times]:
    """Rising and falling times of one line; words has one row more than t_ns, the state before it."""
    high = (words & bit) != 0
    return t_ns[~high[:-1] & high[1:]], t_ns[high[:-1] & ~high[1:]]

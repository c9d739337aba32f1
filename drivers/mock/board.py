"""The board as its wires see it: line levels in, axon pulses and analogue voltages out.

Every fake of a real instrument stands in front of one Board, so that they all see the same neuron. Times are integer
nanoseconds of the board's clock. Line bits of a level word: dendrite 1, reset 2, sync 4, select k 8 << k.

The response is computed lazily and exactly: a *segment* is the time between two resets, its spikes are a pure function
of its pulses, its key and V_th (drivers.mock.neuron), and the segment in hand is worked out again whenever somebody
looks. Setting V_th begins a new segment.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drivers.benchfile import BoardSettings
from drivers.device import DeviceFile
from drivers.edges import DENDRITE, RESET, SELECT0, SYNC, Levels, Times
from drivers.errors import InputError, TwinError
from drivers.mock.membrane import membrane_volts
from drivers.mock.neuron import Trains, fire, neuron_model
from drivers.mock.random import U64, sequence_keys
from drivers.mock.strict import check_levels
from drivers.timing import seconds

LOGIC_V = 3.3
LONG_HISTORY_NS, SHORT_HISTORY_NS = 180_000_000_000, 30_000_000_000
MANY_EVENTS = 2_000_000  # level changes; with more than that, only the short history is kept
PARKED_V = 5.0
FAULTS = frozenset(
    {"stuck_axon_high", "stuck_axon_low", "sync_missing", "sync_axon_swapped", "inverted_comparator", "wrong_address"}
)


@dataclass(frozen=True)
class Segments:
    """Some segments in order, all sensed with one V_th: when each began, its pulses, its key, its axon pulses."""

    start_ns: Times
    trains: Trains
    keys: U64
    vth_v: float
    pulses_before: int
    axon_ns: Times


class Board:
    """One neuron, its switches, its comparator; thread-safe."""

    def __init__(
        self,
        device: DeviceFile,
        settings: BoardSettings,
        *,
        seed: int = 0,
        clock: Callable[[], int] = time.monotonic_ns,
        faults: Collection[str] = (),
    ) -> None:
        unknown = set(faults) - FAULTS
        if unknown:
            raise InputError(f"unknown board fault {', '.join(sorted(unknown))}; known: {', '.join(sorted(FAULTS))}")
        self.settings = settings
        self.clock = clock
        self.pulses_total = 0
        self.resets_total = 0
        self._model = neuron_model(device)
        self._seed = seed
        self._faults = frozenset(faults)
        self._lock = threading.RLock()
        now = clock()
        self._t = np.array([now], dtype=np.int64)  # every level change, past and queued
        self._levels = np.zeros(1, dtype=np.uint32)
        self._vth_v = PARKED_V
        self._remembered_ns = now - LONG_HISTORY_NS  # nothing happened before the board was there
        self._closed: list[Segments] = []
        self._open_ns = now  # where the segment in hand began
        self._segments = 0
        self._planned_ns: Times = np.empty(0, dtype=np.int64)  # resets whose segments were given keys
        self._planned_keys: U64 = np.empty(0, dtype=np.uint64)

    # ---- inputs -------------------------------------------------------------------------------------------------

    @property
    def threshold_v(self) -> float:
        """V_th at the comparator."""
        return self._vth_v

    def set_threshold(self, volts: float) -> None:
        """Change V_th now; begins a new segment."""
        with self._lock:
            now = self.clock()
            self._close_until(now, also_open=True)
            self._vth_v = volts

    def play(self, start_ns: int, t_ns: Times, levels: Levels, keys: U64 | None = None) -> None:
        """From start_ns + t_ns[i] on the lines have levels[i]; raises TwinError on misuse.

        Equal times are taken in order. `keys` (resets in this sequence,) decide the draws of the segments that its
        resets begin; without them the board counts segments.
        """
        with self._lock:
            when = np.asarray(t_ns, dtype=np.int64) + start_ns
            if len(when) == 0:
                return
            if when[0] < self._t[-1]:
                raise TwinError(f"lines are driven from {start_ns} ns while a queue runs until {int(self._t[-1])} ns")
            if (np.diff(when) < 0).any():
                raise TwinError("line levels must be in order of time")
            words = np.asarray(levels, dtype=np.uint32)
            check_levels(
                self.settings, np.concatenate([self._t[-1:], when]), np.concatenate([self._levels[-1:], words])
            )
            before = int(self._t[-1])
            self._t = np.concatenate([self._t, when])
            self._levels = np.concatenate([self._levels, words])
            if keys is not None:
                self._planned_ns = np.concatenate([self._planned_ns, self._reset_falls(before, int(when[-1]))])
                self._planned_keys = np.concatenate([self._planned_keys, keys])

    def write(self, mask: int, high: bool, at_ns: int | None = None) -> None:
        """Set lines by hand; what is queued later stays as it is."""
        with self._lock:
            at = self.clock() if at_ns is None else at_ns
            old = self.levels(at)
            new = np.uint32(old | mask if high else old & ~mask)
            i = int(np.searchsorted(self._t, at, side="right"))
            window = slice(max(i - 1, 0), i)
            check_levels(
                self.settings,
                np.append(self._t[window], at).astype(np.int64),
                np.append(self._levels[window], new).astype(np.uint32),
            )
            self._t = np.insert(self._t, i, at)
            self._levels = np.insert(self._levels, i, new)

    def halt(self, at_ns: int | None = None) -> None:
        """Forget what is queued after at_ns (default now); the lines stay as they are then."""
        with self._lock:
            at = self.clock() if at_ns is None else at_ns
            keep = max(1, int(np.searchsorted(self._t, at, side="right")))
            self._t, self._levels = self._t[:keep], self._levels[:keep]

    # ---- outputs ------------------------------------------------------------------------------------------------

    def busy_until_ns(self) -> int:
        """When the last queued level change happens."""
        return int(self._t[-1])

    def levels(self, at_ns: int | None = None) -> int:
        """The level word at a time (default now)."""
        with self._lock:
            at = self.clock() if at_ns is None else at_ns
            return int(self._levels[max(0, int(np.searchsorted(self._t, at, side="right")) - 1)])

    def lines(self, t0_ns: int, t1_ns: int) -> tuple[Times, Levels]:
        """Level changes in [t0, t1): times and words; the first row is the state at t0."""
        with self._lock:
            self._recall(t0_ns)
            first = max(0, int(np.searchsorted(self._t, t0_ns, side="right")) - 1)
            last = int(np.searchsorted(self._t, t1_ns, side="left"))
            t = self._t[first:last].copy()
            if len(t):
                t[0] = max(int(t[0]), t0_ns)
            return t, self._levels[first:last].copy()

    def axon(self, t0_ns: int, t1_ns: int) -> tuple[Times, Times]:
        """Axon pulses that rise in [t0, t1): when they rise and fall, as the comparator's output pin shows them."""
        width = round(self.settings.axon_width_s * 1e9)
        rise = self._axon_rises(t0_ns, t1_ns)
        if "stuck_axon_low" in self._faults:
            return rise[:0], rise[:0]
        if "stuck_axon_high" in self._faults:
            return np.array([t0_ns]), np.array([t1_ns])
        if "inverted_comparator" in self._faults:
            falls = np.append(rise[1:], t1_ns) if len(rise) else rise
            return rise + width, falls
        return rise, rise + width

    def volts(self, signal: str, t_ns: Times) -> NDArray[np.float64]:
        """What a ×1 probe on `signal` sees at the times t_ns (n,), ascending; V, without the scope's noise."""
        if len(t_ns) == 0:
            return np.empty(0)
        if "sync_axon_swapped" in self._faults:
            signal = {"sync": "axon", "axon": "sync"}.get(signal, signal)
        if signal == "axon":
            return self._axon_volts(t_ns)
        if signal == "membrane":
            with self._lock:
                return membrane_volts(self._model, self.settings, self._segments_in(t_ns), t_ns)
        if signal == "vth":
            return np.full(len(t_ns), self._vth_v)
        return self._logic_volts(signal, t_ns)

    def _logic_volts(self, signal: str, t_ns: Times) -> NDArray[np.float64]:
        bits = {"dendrite": DENDRITE, "reset": RESET, "sync": SYNC}
        if signal.startswith("select") and signal[6:].isdigit():
            bits[signal] = SELECT0 << int(signal[6:])
        if signal not in bits:
            raise InputError(f"no signal {signal!r} on the board")
        if signal == "sync" and "sync_missing" in self._faults:
            return np.zeros(len(t_ns))
        t, levels = self.lines(int(t_ns[0]), int(t_ns[-1]) + 1)
        at = np.maximum(np.searchsorted(t, t_ns, side="right") - 1, 0)
        return np.where(levels[at] & bits[signal], LOGIC_V, 0.0)

    def _axon_volts(self, t_ns: Times) -> NDArray[np.float64]:
        if "stuck_axon_high" in self._faults:
            return np.full(len(t_ns), LOGIC_V)
        width = round(self.settings.axon_width_s * 1e9)
        rise = self._axon_rises(int(t_ns[0]) - width, int(t_ns[-1]) + 1)
        last = np.searchsorted(rise, t_ns, side="right") - 1
        high = (last >= 0) & (t_ns < rise[np.maximum(last, 0)] + width) if len(rise) else np.zeros(len(t_ns), np.bool_)
        if "stuck_axon_low" in self._faults:
            high[:] = False
        if "inverted_comparator" in self._faults:
            high = ~high
        return np.where(high, LOGIC_V, 0.0)

    # ---- the neuron ---------------------------------------------------------------------------------------------

    def _axon_rises(self, t0_ns: int, t1_ns: int) -> Times:
        with self._lock:
            self._recall(t0_ns)
            self._close_until(min(t1_ns, self.clock()))
            parts = [s.axon_ns for s in self._closed if len(s.axon_ns) and s.axon_ns[-1] >= t0_ns]
            parts.append(self._in_hand(t1_ns).axon_ns)
            rise = np.sort(np.concatenate(parts))
            return rise[np.searchsorted(rise, t0_ns) : np.searchsorted(rise, t1_ns)]

    def _segments_in(self, t_ns: Times) -> list[Segments]:
        """All segments, closed and in hand, that overlap the times; the lock is held."""
        self._recall(int(t_ns[0]))
        self._close_until(min(int(t_ns[-1]) + 1, self.clock()))
        ends = [s.start_ns[-1] + s.trains.end_s[-1] * 1e9 for s in self._closed]
        closed = [s for s, end in zip(self._closed, ends, strict=True) if end >= t_ns[0] and s.start_ns[0] <= t_ns[-1]]
        return [*closed, self._in_hand(int(t_ns[-1]) + 1)]

    def _close_until(self, at_ns: int, *, also_open: bool = False) -> None:
        """Work out, for good, every segment that has ended by at_ns; the lock is held."""
        resets = self._reset_falls(self._open_ns, at_ns)
        stop = at_ns if also_open else (int(resets[-1]) if len(resets) else None)
        if stop is None or stop <= self._open_ns:
            return
        starts = np.concatenate([[self._open_ns], resets[resets < stop]])
        done = self._respond(starts, stop)
        self._closed.append(done)
        self.pulses_total += len(done.trains.rise_s)
        self.resets_total += len(resets)
        self._segments += len(starts)
        self._open_ns = stop
        self._forget(at_ns - (LONG_HISTORY_NS if len(self._t) < MANY_EVENTS else SHORT_HISTORY_NS))

    def _in_hand(self, until_ns: int) -> Segments:
        until = max(until_ns, self._open_ns + 1)
        starts = np.concatenate([[self._open_ns], self._reset_falls(self._open_ns, until)])
        return self._respond(starts, until)

    def _reset_falls(self, after_ns: int, until_ns: int) -> Times:
        """When a reset pulse ends in (after, until]."""
        first = max(1, int(np.searchsorted(self._t, after_ns, side="right")))
        last = int(np.searchsorted(self._t, until_ns, side="right"))
        reset = (self._levels[first - 1 : last] & RESET) != 0
        falls: Times = self._t[first:last][reset[:-1] & ~reset[1:]]
        return falls

    def _respond(self, starts: Times, stop_ns: int) -> Segments:
        """The segments that begin at `starts` (n,) and end where the next reset rises, or at stop_ns."""
        first = max(1, int(np.searchsorted(self._t, starts[0], side="right")))
        last = int(np.searchsorted(self._t, stop_ns, side="right"))
        t, words = self._t[first:last], self._levels[first - 1 : last]
        rises, falls = _edges(t, words, DENDRITE)
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
        trains = Trains(offsets, seconds(rises - base, 1e-9), seconds(falls - base, 1e-9), seconds(ends - starts, 1e-9))
        keys = self._keys(starts)
        firings = fire(self._model.aged(self.pulses_total), self.settings, self._vth_v, trains, keys)
        axon = starts[firings.segment] + np.round(firings.axon_s * 1e9).astype(np.int64)
        return Segments(starts, trains, keys, self._vth_v, self.pulses_total, axon)

    def _reaching(self, rises: Times, falls: Times) -> tuple[Times, Times]:
        """The pulses that reach the neuron: with the fault wrong_address those through the first select do not."""
        if "wrong_address" not in self._faults or not len(rises):
            return rises, falls
        at = np.searchsorted(self._t, rises, side="right") - 1
        through = (self._levels[at] & SELECT0) == 0
        return rises[through], falls[through]

    def _keys(self, starts: Times) -> U64:
        keys = sequence_keys(self._seed, self._segments, len(starts))
        at = np.searchsorted(self._planned_ns, starts)
        planned = np.flatnonzero(np.append(self._planned_ns, -1)[at] == starts)
        keys[planned] = self._planned_keys[at[planned]]
        return keys

    def _recall(self, t_ns: int) -> None:
        if t_ns < self._remembered_ns:
            raise TwinError(f"the simulated board has forgotten what was at {t_ns} ns")

    def _forget(self, before_ns: int) -> None:
        """Drop history before a time; asking for it from then on is misuse."""
        self._remembered_ns = max(self._remembered_ns, before_ns)
        self._closed = [s for s in self._closed if s.start_ns[-1] >= before_ns]
        oldest = min(before_ns, self._open_ns)
        keep = max(0, int(np.searchsorted(self._t, oldest, side="right")) - 1)
        self._t, self._levels = self._t[keep:], self._levels[keep:]
        recent = self._planned_ns >= oldest
        self._planned_ns, self._planned_keys = self._planned_ns[recent], self._planned_keys[recent]


def _edges(t_ns: Times, words: Levels, bit: int) -> tuple[Times, Times]:
    """Rising and falling times of one line; words has one row more than t_ns, the state before it."""
    high = (words & bit) != 0
    return t_ns[~high[:-1] & high[1:]], t_ns[high[:-1] & ~high[1:]]

"""The board as its wires see it: line levels in, axon pulses and analogue voltages out.

Every fake of a real instrument stands in front of one Board, so that they all see the same neuron. Times are integer
nanoseconds of the board's clock. Line bits of a level word: dendrite 1, reset 2, sync 4, select k 8 << k.

What the neuron makes of the lines is worked out lazily, some time ahead, and forgotten again where what is queued or
V_th changes (physics.response); setting V_th begins a new segment. History is bounded in time and in events; an
instrument keeps a copy of what it recorded (drivers.mock.past).
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Collection, Sequence

import numpy as np
from numpy.typing import NDArray

from drivers.device import DeviceFile
from drivers.edges import Levels, Times
from drivers.errors import InputError, TwinError
from drivers.mock.clock import TwinClock
from drivers.mock.misuse import Misuse
from drivers.mock.past import Past
from drivers.mock.physics.membrane import Segments
from drivers.mock.physics.neuron import neuron_model
from drivers.mock.physics.random import U64
from drivers.mock.physics.response import SOON_NS, Response
from drivers.mock.roughness import SMOOTH, Roughness
from drivers.mock.strict import check_levels
from drivers.mock.timeline import Timeline
from drivers.settings import BoardSettings

LONG_HISTORY_NS = 180_000_000_000
MANY_EVENTS = 2_000_000  # level changes that are kept at most
MANY_THRESHOLDS = 10_000
TIDY_EVENTS = 1 << 14
PARKED_V = 5.0
FORESEEN_S = 0.05  # what is waited for at most, what is being worked out
FAULTS = frozenset(
    {"stuck_axon_high", "stuck_axon_low", "sync_missing", "sync_axon_swapped", "inverted_comparator", "wrong_address"}
)


class Board:
    """One neuron, its switches, its comparator; thread-safe.

    Without a `clock` its time is that of an unpaced TwinClock, which waits for a late host. `pulses_before` are those
    that the neuron has had.
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
        pulses_before: int = 0,
    ) -> None:
        unknown = set(faults) - FAULTS
        if unknown:
            raise InputError(f"unknown board fault {', '.join(sorted(unknown))}; known: {', '.join(sorted(FAULTS))}")
        self.settings = settings
        self.clock: Callable[[], int] = TwinClock() if clock is None else clock
        self.misuse = Misuse()
        self.rough = rough
        self.seed = seed
        self._faults = frozenset(faults)
        self._lock = threading.RLock()
        self._foreseeing = threading.Lock()  # while something is worked out without the other
        now = self.clock()
        self._lines = Timeline(now, 0, np.uint32)  # every level change, past and queued
        self._vth: deque[tuple[int, float]] = deque([(now, PARKED_V)], maxlen=MANY_THRESHOLDS)
        self._remembered_ns = now - LONG_HISTORY_NS  # nothing happened before the board was there
        self._neuron = Response(
            neuron_model(device).model_copy(update=rough.at_the_node),
            settings,
            self._lines,
            self.clock,
            seed=seed,
            threshold_v=lambda: self.threshold_v,
            faults=faults,
            pulses_before=pulses_before,
        )
        self._asked_ns = now  # when the last level was asked for, which may have come later
        # Changes with whatever makes another thing of what was queued; what is queued behind does not.
        self.revision = 0
        self._promised_ns = now  # until when it was said to be settled that nothing comes
        self._tidied = 0  # level changes taken since history was looked after

    # ---- inputs -------------------------------------------------------------------------------------------------

    @property
    def pulses_total(self) -> int:
        """Dendrite pulses that have reached the neuron, in all segments that have ended."""
        return self._neuron.pulses_total

    @property
    def resets_total(self) -> int:
        """Resets in the same."""
        return self._neuron.resets_total

    @property
    def threshold_v(self) -> float:
        """V_th at the comparator."""
        return self._vth[-1][1]

    def set_threshold(self, volts: float) -> None:
        """Change V_th now; begins a new segment."""
        with self._lock:
            now = self.clock()
            self._close_until(now, also_open=True)
            self._neuron.forget_ahead()
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
                self._neuron.plan_keys(before, int(when[-1]), keys)
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

    def play_at(self, start_ns: int, t_ns: Times, levels: Levels) -> bool:
        """Play from a time on that is still to come; False, and nothing, where it is not. Raises what `play` raises."""
        with self._lock:
            if self.clock() >= start_ns:
                return False
            self.play(start_ns, t_ns, levels)
            return True

    def write(self, mask: int, high: bool, at_ns: int | None = None) -> None:
        """Set lines by hand, until what is queued changes them. Raises TwinError on misuse, as play does."""
        with self._lock:
            at = self.clock() if at_ns is None else at_ns
            i = int(np.searchsorted(self._lines.t, at, side="right"))
            before_ns, old = int(self._lines.t[max(i - 1, 0)]), self._lines.at(at)
            new = old | mask if high else old & ~mask
            self._lines.set(at, mask, high)
            self._neuron.forget_ahead()
            self.revision += 1
            self._tidy(1)
            self._check(np.array([before_ns, at]), np.array([old, new], dtype=np.uint32))

    def halt(self, at_ns: int | None = None) -> None:
        """Forget what is queued after at_ns (default now); the lines stay as they are then."""
        with self._lock:
            at = self.clock() if at_ns is None else at_ns
            self._lines.cut(at)
            self.revision += 1
            self._neuron.forget_ahead(at)

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
            if (settled_ns := self._neuron.settled_until_ns(at_ns)) is not None:
                return settled_ns
            if at_ns < self._lines.end_ns - 1:
                return min(self._lines.end_ns - 1, at_ns + SOON_NS)
            self._promised_ns = max(self._promised_ns, at_ns + SOON_NS)
            return at_ns + SOON_NS

    def remembered_ns(self) -> int:
        """Since when the board's history can be asked for."""
        return self._remembered_ns

    def foresee(self) -> None:
        """Work out what is queued before anybody asks for it; time goes on meanwhile, and so may everybody else."""
        with self._lock:
            work_out, revision = self._neuron.unforeseen(self.clock()), self.revision
        if work_out is None:
            return
        with self._foreseeing:
            found = work_out()
            with self._lock:
                if self.revision == revision:
                    self._neuron.foreseen(found)

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
        if self._neuron.settled_ns < min(t1_ns, self.clock()) and self._foreseeing.acquire(timeout=FORESEEN_S):
            self._foreseeing.release()  # nobody has to work out once more what is being worked out
        with self._lock:
            self._recall(t0_ns)
            self._close_until(min(t1_ns, self.clock()))
            early = t0_ns - round(self.settings.axon_width_s * 1e9)  # an axon pulse may have begun before
            return self._past(t0_ns, t1_ns, self._neuron.between(early, t1_ns))

    def _past(self, t0_ns: int, t1_ns: int, segments: Sequence[Segments]) -> Past:
        self._recall(t0_ns)
        t, words = self._lines.t, self._lines.words
        first = max(0, int(np.searchsorted(t, t0_ns, side="right")) - 1)
        window = slice(first, max(first + 1, int(np.searchsorted(t, t1_ns, side="left"))))
        vth = tuple(self._vth)
        return Past(
            self.settings,
            self._faults,
            self._neuron.model,
            t[window].copy(),
            words[window].copy(),
            tuple(segments),
            vth,
            self.rough,
        )

    # ---- history ------------------------------------------------------------------------------------------------

    def _close_until(self, at_ns: int, *, also_open: bool = False) -> None:
        """Work out, for good, what has ended by a time, and forget what is too old; the lock is held."""
        self._neuron.close_until(at_ns, also_open=also_open)
        self._forget(at_ns - LONG_HISTORY_NS)

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
            if self._neuron.open_ns < oldest:  # so many edges without a reset and hardly a pulse
                self._neuron.begin_anew(oldest)
                self.revision += 1
            self._forget(oldest)

    def _forget(self, before_ns: int) -> None:
        """Drop history before a time; asking for it from then on is an error."""
        self._remembered_ns = max(self._remembered_ns, before_ns)
        oldest = self._neuron.forget(before_ns)
        self._lines.forget(oldest)
        while len(self._vth) > 1 and self._vth[1][0] < oldest:
            self._vth.popleft()

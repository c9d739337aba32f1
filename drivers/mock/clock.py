"""The time of a simulated bench: real time, less what is the simulation's own lateness and not the world's.

A host that is late is late on real hardware too. A twin that shares a busy machine with it must not add to that: where
it was kept from running, or waits for a host that was, its time stands still, and how long is told.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

HOLD_NS = 5_000_000_000  # the longest that time stands still at one point
LOOK_S = 0.005
STARVED_NS = 25_000_000  # a thread that wakes up later than this was kept from running


class TwinClock:
    """Nanoseconds that never go back; call it for the time.

    Not `paced` (tests): `hold` gives a time that is not passed until `go_on`, such as the end of all pulses that a
    host has queued so far, so that nothing depends on how fast this machine is. `paced` (serving): nothing is held,
    but while a watching thread was kept from running, time stood still.
    """

    def __init__(self, *, paced: bool = False, now_ns: Callable[[], int] = time.monotonic_ns) -> None:
        self._now_ns = now_ns
        self._paced = paced
        self._lock = threading.Lock()
        self._behind_ns = 0
        self._last_ns = now_ns()
        self._limit_ns: int | None = None
        self._held_ns = 0  # at this limit
        self._still = 0  # how many have asked for time to stand still
        self._closing = threading.Event()
        if paced:
            threading.Thread(target=self._watch, name="twin-clock", daemon=True).start()

    def __call__(self) -> int:
        """The time, ns."""
        with self._lock:
            if self._still:
                return self._last_ns
            now = self._now_ns() - self._behind_ns
            if self._limit_ns is not None and now > self._limit_ns:
                held = min(now - self._limit_ns, HOLD_NS - self._held_ns)
                self._held_ns += held
                self._behind_ns += held
                now -= held
            self._last_ns = max(self._last_ns, now)
            return self._last_ns

    @contextmanager
    def still(self) -> Iterator[None]:
        """Time stands still within, for everybody: what is done there is done at one time, however long it takes."""
        self()
        with self._lock:
            self._still += 1
        try:
            yield
        finally:
            with self._lock:
                self._still -= 1
                if not self._still:
                    self._behind_ns += max(0, self._now_ns() - self._behind_ns - self._last_ns)

    @property
    def late_s(self) -> float:
        """For how long time has stood still so far, s."""
        return self._behind_ns * 1e-9

    @property
    def held(self) -> bool:
        """Whether time stands still at the limit."""
        return self._limit_ns is not None and self() >= self._limit_ns

    def hold(self, at_ns: int) -> None:
        """Do not pass this time until `go_on`, or for HOLD_NS at most."""
        with self._lock:
            if not self._paced and at_ns != self._limit_ns:
                self._limit_ns, self._held_ns = at_ns, 0

    def go_on(self) -> None:
        """Let time pass."""
        with self._lock:
            self._limit_ns = None

    def close(self) -> None:
        """End the watching thread."""
        self._closing.set()

    def _watch(self) -> None:
        before = self._now_ns()
        while not self._closing.wait(LOOK_S):
            now = self._now_ns()
            if now - before > STARVED_NS:
                with self._lock:
                    self._behind_ns += now - before
            before = now


def at_one_time(clock: Callable[[], int]) -> AbstractContextManager[None]:
    """No time passes within on a simulated bench's clock: nobody sees a moment before what is played at it."""
    return clock.still() if isinstance(clock, TwinClock) else nullcontext()

"""Whose turn it is at an instrument with several VXI-11 links: the lock, and what ends a wait for it or for data.

Rules are those of the VXI-11 specification, revision 1.0 (1995).
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable

NO_ERROR, LOCKED_BY_ANOTHER, NO_LOCK_HELD, ABORTED = 0, 11, 12, 23


class Turns:
    """One lock for all links. Numbers are links; results are errors of the specification, 0 for none."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._holder: int | None = None
        self._waits = itertools.count(1)
        self._waiting: dict[int, int] = {}  # the wait in which a link is
        self._aborted: set[int] = set()  # waits
        self._closed = False

    def take(self, link: int, timeout_s: float) -> int:
        """Lock for a link, waiting for it at most so long; not twice for one link (rule B.6.72), nor after a wait."""
        with self._changed:
            if self._holder == link:
                return LOCKED_BY_ANOTHER
            error = self._wait(link, lambda: self._holder is None, timeout_s)
            if error == NO_ERROR:
                self._holder = link
        return LOCKED_BY_ANOTHER if error is None else error

    def give(self, link: int) -> int:
        """Unlock."""
        with self._changed:
            if self._holder != link:
                return NO_LOCK_HELD
            self._holder = None
            self._changed.notify_all()
        return NO_ERROR

    def allowed(self, link: int, timeout_s: float) -> int:
        """Whether a link may act now, or at least within some time."""
        with self._changed:
            error = self._wait(link, lambda: self._holder in (None, link), timeout_s)
        return LOCKED_BY_ANOTHER if error is None else error

    def idle(self, link: int, timeout_s: float) -> bool:
        """Let time pass for a link that waits for data; whether it has been aborted."""
        with self._changed:
            return self._wait(link, lambda: False, timeout_s) == ABORTED

    def in_progress(self, link: int) -> int | None:
        """The wait in which a link is, for `abort`; None if it waits for nothing (observation B.6.24)."""
        with self._changed:
            return self._waiting.get(link)

    def abort(self, wait: int) -> None:
        """End a wait; without effect if it has ended meanwhile."""
        with self._changed:
            if wait in self._waiting.values():
                self._aborted.add(wait)
                self._changed.notify_all()

    def close(self) -> None:
        """End all waits."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _wait(self, link: int, done: Callable[[], bool], timeout_s: float) -> int | None:
        """0 once it is done, ABORTED, or None when time is up."""
        wait = self._waiting[link] = next(self._waits)
        self._changed.wait_for(lambda: done() or wait in self._aborted or self._closed, timeout_s)
        del self._waiting[link]
        if wait in self._aborted:
            self._aborted.discard(wait)
            return ABORTED
        return NO_ERROR if done() else None

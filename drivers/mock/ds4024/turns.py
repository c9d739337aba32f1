"""Whose turn it is at an instrument with several VXI-11 links: the lock, and what ends a wait for it or for data."""

from __future__ import annotations

import threading
from collections.abc import Callable

NO_ERROR, LOCKED_BY_ANOTHER, NO_LOCK_HELD, ABORTED = 0, 11, 12, 23


class Turns:
    """One lock for all links. Numbers are links; results are errors of the VXI-11 specification, 0 for none."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._holder: int | None = None
        self._waiting: set[int] = set()
        self._aborted: set[int] = set()
        self._closed = False

    def take(self, link: int, timeout_s: float) -> int:
        """Lock for a link, waiting for it at most so long. A link that holds the lock does not get it twice."""
        with self._changed:
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

    def abort(self, link: int) -> None:
        """End what a link waits for; without effect if it waits for nothing."""
        with self._changed:
            if link in self._waiting:
                self._aborted.add(link)
                self._changed.notify_all()

    def close(self) -> None:
        """End all waits."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _wait(self, link: int, done: Callable[[], bool], timeout_s: float) -> int | None:
        """0 once it is done, ABORTED, or None when time is up."""
        self._waiting.add(link)
        self._changed.wait_for(lambda: done() or link in self._aborted or self._closed, timeout_s)
        self._waiting.discard(link)
        if link in self._aborted:
            self._aborted.discard(link)
            return ABORTED
        return NO_ERROR if done() else None

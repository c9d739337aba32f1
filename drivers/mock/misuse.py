"""What the simulated bench was made to do that hardware would take in silence: recorded and told, never a crash."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime

from drivers.errors import TwinError

REMEMBERED = 100


class Misuse:
    """A log of misuse; thread-safe. `tell` is called with every new entry's text."""

    def __init__(self) -> None:
        self.count = 0
        self.tell: Callable[[str], object] = len
        self._entries: deque[tuple[datetime, TwinError]] = deque(maxlen=REMEMBERED)
        self._lock = threading.Lock()

    def record(self, error: TwinError) -> TwinError:
        """Add an entry; returns it, so that it can be raised."""
        with self._lock:
            self.count += 1
            self._entries.append((datetime.now(UTC), error))
        self.tell(str(error))
        return error

    def entries(self) -> list[tuple[datetime, TwinError]]:
        """The latest entries with their times, oldest first."""
        with self._lock:
            return list(self._entries)

    def take(self) -> list[TwinError]:
        """The latest entries, and forget them."""
        with self._lock:
            taken = [error for _, error in self._entries]
            self._entries.clear()
        return taken

    def raise_first(self) -> None:
        """Raise the oldest entry that is remembered, if there is one."""
        for _, error in self.entries():
            raise error

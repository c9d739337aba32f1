"""How far a long work is, where nothing can be redrawn (a pipe, a log of cron): a line now and then."""

from __future__ import annotations

import time
from collections.abc import Callable

from hil.terminal.again import to_standard_error
from hil.terminal.amounts import span

FIRST_S, GROWS = 10.0, 1.5  # the first line after so long, each other after so many times as long: 16 in an hour


class Lines:
    """Told how much is done, says a line when one is due; nothing of work that is soon done."""

    def __init__(
        self, *, say: Callable[[str], None] = to_standard_error, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._say, self._clock = say, clock
        self.begin("", 0)

    def begin(self, what: str, total: int) -> None:
        """Another stretch of the work, of so many results."""
        self._what, self._total, self._began_s = what, total, self._clock()
        self._due_s = FIRST_S

    def tell(self, done: int, total: int | None = None) -> None:
        """So much is done, of all that there is."""
        total = self._total if total is None else total
        took_s = self._clock() - self._began_s
        if took_s < self._due_s or not 0 < done < total:
            return
        self._due_s = took_s * GROWS
        self._say(f"{self._what}: {done:,} of {total:,}, some {span(took_s * (total - done) / done)} left")

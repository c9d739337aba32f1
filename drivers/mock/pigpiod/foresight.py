"""What is to be seen of the pins in the time to come, worked out once for as long as it is settled.

The daemon looks at its samples a thousand times a second. What it will see of a queue that nobody touches is known
beforehand: it is worked out in long stretches, and a look is a matter of where it falls in one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drivers.mock.clock import at_one_time

Times = NDArray[np.int64]
Words = NDArray[np.int64]


@dataclass(frozen=True)
class Stretch:
    """Level changes in (since, until], the level before them, and which state of things they follow from."""

    since_ns: int
    until_ns: int
    before: int
    t_ns: Times
    words: Words
    revision: tuple[int, int]

    def holds(self, revision: tuple[int, int], t0_ns: int, t1_ns: int) -> bool:
        """Whether it tells of all from t0 to t1 as things are."""
        return self.revision == revision and self.since_ns <= t0_ns and t1_ns <= self.until_ns

    def level(self, at_ns: int) -> int:
        """The level at a time in it."""
        last = int(np.searchsorted(self.t_ns, at_ns, side="right")) - 1
        return self.before if last < 0 else int(self.words[last])

    def part(self, t0_ns: int, t1_ns: int) -> tuple[Times, Words]:
        """Level changes in (t0, t1]."""
        first, last = (int(i) for i in np.searchsorted(self.t_ns, [t0_ns, t1_ns], side="right"))
        return self.t_ns[first:last], self.words[first:last]


class Foresight:
    """The latest stretch. `revision` tells whether things are as they were, `settled_ns` until when after a time they
    are known then; `level` and `changes` work them out. No time passes on the clock while somebody waits for that.
    """

    def __init__(
        self,
        revision: Callable[[], tuple[int, int]],
        settled_ns: Callable[[int], int],
        level: Callable[[int], int],
        changes: Callable[[int, int], tuple[Times, Words]],
        clock: Callable[[], int],
    ) -> None:
        self._revision, self._settled_ns, self._level, self._changes = revision, settled_ns, level, changes
        self._clock = clock
        self._latest: Stretch | None = None

    def level(self, at_ns: int) -> int:
        """The level at a time."""
        latest = self._latest
        if latest is not None and latest.holds(self._revision(), at_ns, at_ns):
            return latest.level(at_ns)
        return self._level(at_ns)

    def look(self, t0_ns: int, t1_ns: int) -> Stretch:
        """What happens from t0 to t1, and perhaps before and after."""
        latest, revision = self._latest, self._revision()
        if latest is None or not latest.holds(revision, t0_ns, t1_ns):
            with at_one_time(self._clock):
                until_ns = max(t1_ns, self._settled_ns(t1_ns))
                before = self.level(t0_ns)
                latest = Stretch(t0_ns, until_ns, before, *self._changes(t0_ns, until_ns), revision)
            self._latest = latest
        return latest

    def extend(self, from_ns: int, soon_ns: int) -> None:
        """Have what comes soon worked out before somebody has to wait for it; nobody asks for before `from_ns`."""
        latest, revision = self._latest, self._revision()
        if latest is None or latest.until_ns >= soon_ns or not latest.holds(revision, from_ns, from_ns):
            return
        until_ns = self._settled_ns(latest.until_ns)
        if until_ns > latest.until_ns:
            parts = zip(latest.part(from_ns, latest.until_ns), self._changes(latest.until_ns, until_ns), strict=True)
            t, words = (np.concatenate(pair) for pair in parts)
            self._latest = Stretch(from_ns, until_ns, latest.level(from_ns), t, words, revision)

"""The first byte that differs, and who waits for whom while a tape is played."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from drivers.wire.tape import Event

_PATIENCE_S = 2.0  # that what came before on the tape may take; then it will not come


@dataclass(frozen=True)
class Difference:
    """Where the client said something else: on which link, after how many bytes to its other side, when on the tape."""

    link: str
    offset: int
    at_s: float
    expected: bytes
    got: bytes

    def __str__(self) -> str:
        return (
            f"{self.link}: byte {self.offset:,} to the other side ({self.at_s:.3f} s on the tape) is "
            f"{_shown(self.got)} where the tape has {_shown(self.expected)}"
        )


def _shown(data: bytes) -> str:
    return repr(data[:40])[1:] + ("…" if len(data) > 40 else "") if data else "nothing"


def first_difference(one: bytes, two: bytes) -> int:
    """Index of the first byte that differs, or where the shorter ends."""
    return next((i for i, (a, b) in enumerate(zip(one, two, strict=False)) if a != b), min(len(one), len(two)))


class Conversation:
    """What the players of one tape share: the first difference, and what has been said so far on every link.

    What came from one part after something was said to another is played back only once that has been said again.
    """

    def __init__(self, links: dict[str, list[Event]]) -> None:
        self._changed = threading.Condition()
        self._awaited = {link: [e.number for e in events if e.way == "to"] for link, events in links.items()}
        self.first: Difference | None = None
        self._over = False

    def over(self) -> None:
        """What is said from now on follows from what came out otherwise, and says nothing."""
        with self._changed:
            self._over = True
            self._changed.notify_all()

    def differs(self, difference: Difference) -> None:
        """Somebody said something else."""
        with self._changed:
            if not self._over and (self.first is None or difference.at_s < self.first.at_s):
                self.first = difference
            self._changed.notify_all()

    def said(self, link: str, number: int) -> None:
        """The tape's event `number` of a link has been said again."""
        with self._changed:
            awaited = self._awaited[link]
            while awaited and awaited[0] <= number:
                awaited.pop(0)
            self._changed.notify_all()

    def gone(self, link: str) -> None:
        """Nothing more will be said on a link."""
        with self._changed:
            self._awaited[link].clear()
            self._changed.notify_all()

    def turn(self, number: int) -> None:
        """Wait until everything has been said that comes before event `number`; not for ever."""
        until_s = time.monotonic() + _PATIENCE_S
        with self._changed:
            while any(awaited and awaited[0] < number for awaited in self._awaited.values()):
                if self.first is not None or self._over:
                    return
                left_s = until_s - time.monotonic()
                if left_s <= 0:
                    return
                self._changed.wait(left_s)

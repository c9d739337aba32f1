"""Slots that are played again, told as they are and in all at the end."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from drivers.signals import Retaken
from hil.store.notes import kind_of
from hil.store.retakes import cost_of
from hil.terminal.visible import visible

if TYPE_CHECKING:
    from drivers.signals import Frame


def to_standard_error(text: str) -> None:
    """A line of it."""
    print(visible(text), file=sys.stderr)


class Again:
    """Counts slots as they are played again, and tells every kind of reason once."""

    def __init__(self, say: Callable[[str], None] = to_standard_error) -> None:
        self._say = say
        self._told: set[str] = set()
        self.retaken = Retaken()

    def __call__(self, frame: Frame, why: str) -> None:
        """Some are about to be."""
        again = cost_of(frame)
        self.retaken += again
        if self.news(why):
            what = f"digit {frame.key.image}" if len(frame) and int(frame.layer[-1]) >= 0 else frame.key.purpose
            are = "is" if again.slots == 1 else "are"
            self._say(f"{what}: {_count(again.slots, 'slot')} {are} played again" + (f": {why}" if why else ""))

    def news(self, why: str) -> bool:
        """Whether nothing of this kind was told yet; it is from now on."""
        new = kind_of(why) not in self._told
        self._told.add(kind_of(why))
        return new

    def close(self) -> None:
        """Tell of all together, if there were any."""
        if self.retaken.shots:
            self._say(in_all(self.retaken))


def in_all(retaken: Retaken) -> str:
    """What was played again, as a line."""
    were = "was" if retaken.slots == 1 else "were"
    return (
        f"{_count(retaken.slots, 'slot')} {were} late or unreadable and played again in "
        f"{_count(retaken.shots, 'shot')}, {_count(retaken.pulses, 'pulse')}"
    )


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"

"""Glitch and noise filters on what is reported of a pin (`alertGlitchFilter`, `alertNoiseFilter` of pigpio.c v79)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

Change = tuple[int, bool]  # when, ns, and the level from then on


@dataclass
class Glitch:
    """A level is reported once it has been steady for so long."""

    steady_ns: int
    sample_ns: int
    reported: bool | None = None  # None: nothing has been seen yet
    _level: bool = False
    _since_ns: int = 0

    def run(self, level: bool, since_ns: int, changes: Iterable[Change], until_ns: int) -> list[Change]:
        """What is reported of the changes after `since_ns`, when the level was this, up to a time."""
        if self.reported is None:
            self.reported, self._level, self._since_ns = level, level, since_ns
        found: list[Change] = []
        for at_ns, new in changes:
            self._settle(at_ns - 1, found)
            if new != self._level:
                self._level, self._since_ns = new, at_ns
        self._settle(until_ns, found)
        return found

    def _settle(self, until_ns: int, found: list[Change]) -> None:
        """The level has been the same until now: report it if that is long enough."""
        due_ns = self._since_ns + -(-self.steady_ns // self.sample_ns) * self.sample_ns
        if self._level != self.reported and due_ns <= until_ns:
            self.reported = self._level
            found.append((due_ns, self._level))


@dataclass
class Noise:
    """After it was steady for so long a change opens the filter for a while; all else is held back."""

    steady_ns: int
    active_ns: int
    sample_ns: int
    quiet_since_ns: int
    reported: bool = False
    _level: bool = False
    _held: bool = False
    _until_ns: int = 0  # open until then
    _open: bool = False

    def run(self, level: bool, since_ns: int, changes: Iterable[Change], until_ns: int) -> list[Change]:
        """As `Glitch.run`."""
        found: list[Change] = []
        for at_ns, new in [(since_ns, level), *changes]:
            self._close(at_ns, found)
            if new != self._level and not self._open:
                quiet_ns, self.quiet_since_ns = at_ns - self.quiet_since_ns, at_ns
                if quiet_ns >= self.steady_ns:
                    self._held, self._open = self._level, True
                    self._until_ns = at_ns + max(1, -(-self.active_ns // self.sample_ns)) * self.sample_ns
            self._level = new
            self._report(at_ns, found)
        self._close(until_ns, found)
        return found

    def _close(self, at_ns: int, found: list[Change]) -> None:
        if self._open and at_ns >= self._until_ns:
            self._open, self.quiet_since_ns = False, self._until_ns
            self._report(self._until_ns, found)

    def _report(self, at_ns: int, found: list[Change]) -> None:
        shown = self._level if self._open else self._held
        if shown != self.reported:
            self.reported = shown
            found.append((at_ns, shown))

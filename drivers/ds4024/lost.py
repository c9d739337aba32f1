"""Shots in a row that were not recorded: how many may be played again, and when to look why there is no trigger."""

from __future__ import annotations

from drivers.checks import BUSY
from drivers.errors import CaptureError

LOST_MOST = 3  # shots in a row without a trigger, or without their end, before it is an error
LOOK_S = 0.5  # that may pass between the end of a shot and the command that ends its record; longer after each try
_LOOK_MORE, _LATE_LOOKS_MOST = 3.0, 3


class Lost:
    """What is known of the shots since the last one that was recorded. Raises CaptureError where it is too many."""

    def __init__(self) -> None:
        self._triggers = self._ends = 0
        self._late_looks = 0  # at what had gone already
        self._why = "check the sync line, its probe and its channel"

    def recorded(self) -> None:
        """A shot was there from its trigger to its end."""
        self._triggers = self._ends = self._late_looks = 0

    @property
    def looking(self) -> bool:
        """Whether the next shot is recorded without waiting for a trigger, to see why there is none."""
        return self._triggers == LOST_MOST - 1

    @property
    def look_s(self) -> float:
        """How late that record may be ended and still hold the shot."""
        return LOOK_S * _LOOK_MORE**self._late_looks

    def without_trigger(self, reason: str) -> str:
        """One more; the note that goes with it."""
        self._triggers += 1
        if self._triggers >= LOST_MOST:
            raise CaptureError(f"{self._triggers} shots in a row were not recorded: {self._why}")
        return reason

    def without_end(self, error: CaptureError) -> str:
        """One more whose record ended before it did; the note that goes with it."""
        self._ends += 1
        if self._ends >= LOST_MOST:
            raise error
        return str(error)

    def looked(self, why: str, passed_s: float) -> str:
        """A shot was looked at, so long after it was armed, and tells why, or nothing: it had left the memory, and the
        next one is looked at.
        """
        if why:
            self._why = why
            return self.without_trigger(why)
        self._late_looks += 1
        late = (
            f"the oscilloscope sees no trigger, and {BUSY} to see why: it looked {passed_s:.2g} s after the shot was "
            "armed; stop other programs on it, then try again"
        )
        if self._late_looks >= _LATE_LOOKS_MOST:
            raise CaptureError(late)
        return late

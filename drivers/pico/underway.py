"""The shots that a Pico has been told to play, each up to its end: when that comes, and what comes of it before."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from drivers.errors import BenchError, UnsafeError
from drivers.pico.counting import LINE, Counting
from drivers.pico.replies import latched
from drivers.signals import FloatArray
from drivers.timing import length_ticks, seconds

if TYPE_CHECKING:
    from drivers.pico.link import PicoLink
    from drivers.signals import Frame

POLL_S = 1e-3
LOOK_S = 5e-3  # between two looks at the time while a shot plays
TAIL_S = 0.06  # before the end of a shot, from when on its counts are asked for often, so that few are left then
FEW = 40  # slots, for which it is worth it
ONCE_S = 0.008  # what asking for so few takes
ARRIVES_S = 1e-3  # of it, to the Pico
LATE_S = 1.0  # a shot that has not ended so long after its time never will


@dataclass(frozen=True)
class Shot:
    """A shot that the Pico holds: its number there, how long it plays, when each slot is over from its start on
    (played,), and what has come of its counts.
    """

    frame: Frame
    number: int
    length_s: float
    over_s: FloatArray
    counting: Counting

    @classmethod
    def of(cls, link: PicoLink, frame: Frame, number: int, ticks: int, tick_s: float) -> Shot:
        """`ticks` long, each `tick_s`."""
        over_s = seconds(np.cumsum(length_ticks(frame, tick_s)[frame.played]), tick_s)
        return cls(frame, number, ticks * tick_s, over_s, Counting(link, number, len(over_s)))

    def worth_asking(self, left_s: float) -> bool:
        """Whether, so long before its end, it has counts that are better fetched now than then."""
        ready = int(np.searchsorted(self.over_s, self.length_s - left_s)) - self.counting.got
        return ready >= LINE or (ONCE_S < left_s < TAIL_S and ready >= FEW)


class Underway:
    """In the order in which they were started."""

    def __init__(self, link: PicoLink) -> None:
        self._link = link
        self._shots: deque[tuple[Shot, float]] = deque()  # and when the Pico said that it had been told
        self._ended_s = self._seen_s = 0.0  # the last that was waited for: as reckoned, and when it was seen

    def add(self, shot: Shot) -> None:
        """The Pico has just said that it plays this one, or that it follows."""
        self._shots.append((shot, time.monotonic()))

    def forget(self) -> None:
        """Nothing plays any more."""
        self._shots.clear()

    def wait(self, *, counts: bool) -> None:
        """Return when the oldest has ended; of one whose `counts` can be told before, they are fetched meanwhile.

        Raises ConnectionLostError, UnsafeError, BenchError.
        """
        if not self._shots:
            raise BenchError("no shot was started: start before wait")
        shot, told_s = self._shots.popleft()
        ends_s = max(told_s, self._ended_s) + shot.length_s
        due_s = max(told_s, self._seen_s) + shot.length_s  # at the latest: it began when the one before ended
        while (left_s := ends_s - ARRIVES_S - time.monotonic()) > 0 and not shot.counting.complete:
            if self._link.lost is not None:
                raise self._link.lost
            if counts and shot.worth_asking(left_s):
                ends_s = self._fetch(shot, ends_s)
            else:
                time.sleep(min(left_s, LOOK_S))
        while not (self._complete(shot) if counts else self._ended(shot)):
            if time.monotonic() > due_s + LATE_S:
                raise BenchError(
                    f"shot {shot.number} did not end: the Pico's sequencer has stalled; unplug it and retry"
                )
            if not counts:
                time.sleep(POLL_S)
        self._seen_s = time.monotonic()
        self._ended_s = min(ends_s, self._seen_s)

    def _fetch(self, shot: Shot, ends_s: float) -> float:
        """A piece of its counts. Returns when it ends: how many slots are over says how far it is."""
        asked_s = time.monotonic()
        self._complete(shot)
        if not 0 < shot.counting.over < len(shot.over_s):
            return min(ends_s, time.monotonic()) if shot.counting.complete else ends_s
        return (asked_s + time.monotonic()) / 2 + shot.length_s - float(shot.over_s[shot.counting.over - 1])

    def _complete(self, shot: Shot) -> bool:
        """Fetch a piece of the counts; whether that was the last, which comes when the shot has ended."""
        if shot.counting.complete:
            return True
        try:
            shot.counting.fetch()
        except UnsafeError:
            raise
        except BenchError:
            self._ended(shot)  # which says why
            raise
        return shot.counting.complete

    def _ended(self, shot: Shot) -> bool:
        state = self._link.ask("beat")
        later = {following.number for following, _ in self._shots}
        if state.number("done") in {shot.number} | later or state.number("playing") in later:
            return True
        if state["latch"] != "none":
            raise latched(state["latch"])
        if state.number("playing") != shot.number:
            raise BenchError(f"shot {shot.number} was stopped before its end")
        return False

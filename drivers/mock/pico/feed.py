"""The way of slot words into the sequencer: DMA keeps its FIFO full, from one shot's words to the next one's."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from drivers.edges import Times

FIFO_WORDS = 8


@dataclass(frozen=True, eq=False)
class Fed:
    """A shot: when the sequencer takes each of its words, ns; its last edge; from when on another may begin."""

    taken_ns: Times
    end_ns: int
    free_ns: int

    def taken(self, at_ns: int) -> int:
        """Words that the sequencer has taken."""
        return int(np.searchsorted(self.taken_ns, at_ns, side="right"))


class Feed:
    """The shot that plays and the one after it or before it; more do not matter."""

    def __init__(self) -> None:
        self._shots: deque[Fed] = deque(maxlen=2)

    def add(self, shot: Fed) -> None:
        """Its words follow those that are there."""
        self._shots.append(shot)

    def clear(self) -> None:
        """The FIFO is emptied."""
        self._shots.clear()

    @property
    def end_ns(self) -> int:
        """When the last shot ends, 0 without one."""
        return self._shots[-1].end_ns if self._shots else 0

    @property
    def free_ns(self) -> int:
        """From when on the next may begin."""
        return self._shots[-1].free_ns if self._shots else 0

    def level(self, at_ns: int) -> int:
        """Words in the FIFO."""
        moved = sum(self._moved(shot, at_ns) for shot in self._shots)
        return moved - sum(shot.taken(at_ns) for shot in self._shots)

    def left(self, shot: Fed, at_ns: int) -> int:
        """Words of a shot that are still in memory; none of one that was long ago."""
        return len(shot.taken_ns) - self._moved(shot, at_ns) if shot in self._shots else 0

    def _moved(self, shot: Fed, at_ns: int) -> int:
        room = FIFO_WORDS + sum(other.taken(at_ns) for other in self._shots)
        for other in self._shots:
            if other is shot:
                break
            room -= len(other.taken_ns)
        return min(max(0, room), len(shot.taken_ns))

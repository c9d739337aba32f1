"""What a Pico has counted and stamped of a shot, piece by piece as it sends it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from drivers.errors import BenchError, CaptureError
from drivers.pico.packing import unpack_counts, unpack_varints
from drivers.signals import FloatArray, IntArray, Stray
from drivers.timing import seconds

if TYPE_CHECKING:
    from drivers.pico.link import PicoLink

LINE = 400  # slots in a reply


class Counting:
    """The counts of one shot of so many played slots. Of one that still plays firmware since 1.6.0 tells those of the
    slots that are over; they count for nothing before the last has come, which is refused where an edge of sync was
    missing or made up.
    """

    def __init__(self, link: PicoLink, number: int, played: int) -> None:
        self._link = link
        self._number = number
        self._played = played
        self._counts: list[NDArray[np.int32]] = []
        self._refused: CaptureError | None = None
        self.got = 0  # slots
        self.over = 0  # slots that were over when last asked, as far as is known
        self.stray = Stray()
        self.elapsed_s = 0.0

    @property
    def complete(self) -> bool:
        """Nothing more will come."""
        return self.got == self._played or self._refused is not None

    def fetch(self) -> None:
        """Ask for the next piece; raises BenchError where the Pico has no such shot."""
        try:
            reply = self._link.ask("counts", self._number, self.got)
        except CaptureError as error:
            self._refused = error
            return
        self.over = reply.number("over") if "over" in reply else 0
        if reply.number("slots") == 0 and "data" not in reply:  # none is over yet
            return
        counts = unpack_counts(reply["data"], reply.number("slots"))
        if self.got + len(counts) > self._played:
            raise BenchError(f"the Pico sent counts of {self.got + len(counts)} slots, and {self._played} were played")
        self._counts.append(counts)
        self.got += len(counts)
        self.stray = Stray(*(reply.number(name) for name in ("before", "guard", "after")))
        self.elapsed_s = reply.number("elapsed_ms") * 1e-3

    def result(self) -> IntArray:
        """(played,) counts, of a shot that has ended; raises CaptureError."""
        while not self.complete:
            before = self.got
            self.fetch()
            if self.got == before and not self.complete:
                raise BenchError(f"the Pico tells no counts of shot {self._number} from slot {before} on")
        if self._refused is not None:
            raise self._refused
        return np.concatenate(self._counts)


def stamps(link: PicoLink, number: int, what: str, clock_hz: int) -> FloatArray:
    """(edges,) times of one line, s since the Pico began to listen; `what` is `axon` or `sync`."""
    rounds: list[NDArray[np.int64]] = []
    begin, total = 0, 1
    while begin < total:
        reply = link.ask("stamps", number, what, begin)
        steps = unpack_varints(reply["data"])
        rounds.append(np.cumsum(steps))
        begin, total = begin + len(steps), reply.number("of")
        if len(steps) == 0:
            break
    together = np.concatenate(rounds) if rounds else np.empty(0, dtype=np.int64)
    wraps = np.cumsum(np.diff(together, prepend=together[:1]) < 0)
    return seconds(together + (wraps << 32), 3 / clock_hz)

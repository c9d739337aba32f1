"""What a DS4024's reading thread gives, block by block, and how fast: between `:WAV:BEG` and `:WAV:END`.

The thread copies memory into a buffer of a million bytes, which `:WAV:DATA?` empties; what a full one has no room for
is copied later. STATus? and DATA? in turn until IDLE and everything has arrived is what published drivers of the series
do (QCoDeS, dvorak's DS4014 driver, libsigrok rigol-ds), and asking often slows the copy. Where the rate is known nobody
asks: what is due is fetched in two parts or more, and what the first one holds tells when the next is due.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from drivers.errors import CaptureError

if TYPE_CHECKING:
    from drivers.ds4024.link import ScopeLink

BLOCK_MOST = 1_000_000  # bytes: more has not been seen
_BUFFERED_MOST = 900_000  # by then it is fetched
_TELLING = 50_000  # bytes: less says more of commands than of the link
_SURE = 200_000  # bytes: by so many the time that a query takes does not matter
_EARLY = 0.75  # of the time that an answer takes: it is answered later than it is asked
_UNSURE_SHARE = 0.5  # of the time that all should take: then a rate is looked at that is not sure
_LOOKS = 3  # at how much has been copied, until that tells the rate
_REST_MOST_S = 5.0
_EMPTY_MOST = 20  # blocks in a row without data, after which a window is given up


class Rate:
    """How fast memory comes, measured while it is read: `copied` into the instrument's buffer, and in all."""

    def __init__(self, bytes_per_s: float | None = None) -> None:
        self.copied = self.bytes_per_s = bytes_per_s
        self.sure = bytes_per_s is not None  # seen in the middle of enough

    def due_s(self, count: int) -> float:
        """After how long so many bytes are there; 0 where that is not known."""
        return count / self.copied if self.copied else 0.0

    def saw(self, count: int, after_s: float, *, more: bool) -> None:
        """So many bytes had been copied after a time, and `more` were to come: at least, where none were."""
        if not count or after_s <= 0:
            return
        if more and count < BLOCK_MOST:  # a full buffer waits
            self.copied, self.sure = count / after_s, count >= _SURE
        elif count >= _TELLING and (self.copied is None or count / after_s > self.copied):
            self.copied = count / after_s

    def handed(self, count: int, handed_s: float) -> None:
        """So many bytes took so long to be handed over out of the buffer."""
        if self.copied is not None and count >= _TELLING:
            self.bytes_per_s = count / (count / self.copied + max(handed_s, 0.0))


def collect(link: ScopeLink, wanted: int, rate: Rate) -> bytes:
    """Everything that the reading thread gives, which has just begun: all that is wanted, or until it is idle and has
    nothing more. Raises CaptureError, ConnectionLostError.
    """
    reading = _Reading(link, wanted, rate, link.took_s.get("scope_ask_s", 0.0))
    if rate.sure:
        reading.fetch_what_is_due()
    if reading.left > 0:
        reading.fetch_until_idle()
    rate.handed(len(reading.data), reading.handed_s)
    return bytes(reading.data)


@dataclass
class _Reading:
    """What has come so far of the bytes that are wanted; `answer_s` is how long an answer takes."""

    link: ScopeLink
    wanted: int
    rate: Rate
    answer_s: float
    began_s: float = field(default_factory=time.monotonic)
    data: bytearray = field(default_factory=bytearray)
    handed_s: float = 0.0

    @property
    def left(self) -> int:
        """Bytes that have not come."""
        return self.wanted - len(self.data)

    def fetch_what_is_due(self) -> None:
        """When it is due, until there is nothing."""
        while self.left > 0:
            self._rest(self._due_s() - _EARLY * self.answer_s)
            asked_s = time.monotonic() - self.began_s
            if not (count := self._fetch()):
                return
            if len(self.data) >= _SURE:
                more = self.left > 0 and count < BLOCK_MOST
                self.rate.saw(len(self.data), asked_s + self.answer_s, more=more)

    def fetch_until_idle(self) -> None:
        """Whatever there is, as the status says; once more when it is idle."""
        empty = 0
        state, ready = _status(self.link) if self.rate.sure else self._first_status()
        while empty < _EMPTY_MOST and self.left >= 0:
            count = self._fetch() if ready or state == "IDLE" else 0
            empty = 0 if count else empty + 1
            if state == "IDLE" and (self.left <= 0 or not count):
                return
            if state == "READ":
                self._rest(max(self._due_s(), time.monotonic() - self.began_s + self.link.pace.poll_s))
            state, ready = _status(self.link)

    def _fetch(self) -> int:
        """One block; how many bytes it has."""
        asked_s = time.monotonic()
        block = self.link.block(":WAV:DATA?", BLOCK_MOST)
        self.handed_s += max(0.0, time.monotonic() - asked_s - self.answer_s)  # beside what any answer takes
        self.data += block
        return len(block)

    def _due_s(self) -> float:
        """After how long the next part is there."""
        parts = max(2 if self.wanted >= 2 * _SURE else 1, math.ceil(self.wanted / _BUFFERED_MOST))
        return self.rate.due_s(min(self.wanted, len(self.data) + math.ceil(self.wanted / parts)))

    def _rest(self, until_s: float) -> None:
        """Leave it alone until so long after it began, but not for very long."""
        self.link.sleep(max(0.0, min(self.began_s + until_s - time.monotonic(), _REST_MOST_S)))

    def _first_status(self) -> tuple[str, int]:
        """The status once about half has been copied, which tells the rate: before the first DATA? the number in it is
        what has been copied, whether or not it is what is buffered.
        """
        for _ in range(_LOOKS):
            self._rest(_UNSURE_SHARE * self.rate.due_s(min(self.wanted, BLOCK_MOST)) or self.link.pace.poll_s)
            state, ready = _status(self.link)
            self.rate.saw(min(ready, self.wanted), time.monotonic() - self.began_s, more=state == "READ")
            if state == "IDLE" or self.rate.sure or not 0 < ready < BLOCK_MOST:
                break
        return state, ready


def _status(link: ScopeLink) -> tuple[str, int]:
    """`:WAVeform:STATus?`: READ or IDLE, and a number of samples."""
    reply = link.ask(":WAV:STAT?")
    state, _, ready = reply.partition(",")
    if state not in ("READ", "IDLE") or not ready.isdigit():
        raise CaptureError(f"the oscilloscope answers :WAV:STAT? with {reply!r}")
    return state, int(ready)

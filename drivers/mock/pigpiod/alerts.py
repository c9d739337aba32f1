"""The reports that the daemon's clients get of what it samples of its pins (`alertEmit` of pigpio.c v79).

One thread wakes every millisecond and writes the reports of all clients to blocking sockets: a client that does not
read holds up everybody's reports, and what is older than the ring of samples when it goes on is lost without a sign.
Commands are answered by other threads all the same.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from drivers.mock.pigpiod.pipe import Pipe
from drivers.mock.pigpiod.protocol import REPORT_BYTES, Code, Refused
from drivers.mock.pigpiod.samples import SAMPLE_US, Samples

if TYPE_CHECKING:
    from drivers.mock.pigpiod.foresight import Stretch
    from drivers.mock.pigpiod.samples import Times, Words
    from drivers.mock.pigpiod.scripts.run import Script
    from drivers.mock.pigpiod.serial import SerialReader

HANDLES = 32
RING_NS = 120_000_000
ALIVE_US = 60_000_000
ALIVE, EVENT, WATCHDOG = 1 << 6, 1 << 7, 1 << 5  # flags of a report; the latter two carry a number
MOST_REPORTS = 341  # in one write: PIPE_BUF / 12
LOSES_EACH_NS = 150_000_000  # of time in which levels change, with a fault
FAULTS = frozenset({"lost_reports", "lost_samples"})
_REPORT = np.dtype([("seqno", "<u2"), ("flags", "<u2"), ("tick", "<u4"), ("level", "<u4")])
_NONE = np.empty(0, dtype=_REPORT)


class Listener(Protocol):
    """Something in the daemon that watches pins as a client does."""

    @property
    def mask(self) -> int:
        """Which pins it listens to."""

    def hear(self, before: int, t_ns: Times, words: Words, now_us: int) -> None:
        """Level changes of all pins, and that until now there were no more."""


@dataclass
class Handle:
    """One notification: where its reports go (neither: to a pipe, where none are made), and which pins it watches."""

    connection: socket.socket | None
    pipe: Pipe | None = None
    bits: int = 0
    events: int = 0
    sequence: int = 0
    reported_us: int = 0
    broken: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)


class Alerts:
    """The handles, and what they have been told. All but `deliver` is called with the daemon's lock held.

    `sample_us` is `pigpiod -s`; `jitter_s` by how much a sample is off, rms. `pipes` is the folder of the named pipes,
    /dev of the real one. Faults: `lost_reports` (a batch never arrives, and the sequence shows it), `lost_samples` (a
    ring of samples is lost, and nothing shows it).
    """

    def __init__(
        self,
        now_ns: int,
        *,
        sample_us: int = SAMPLE_US,
        jitter_s: float = 0.0,
        seed: int = 0,
        faults: Collection[str] = (),
        pipes: Path | None = None,
    ) -> None:
        self.handles: dict[int, Handle] = {}
        self._pipes = pipes
        self._closing: list[Pipe] = []  # what has been collected for them may still be on its way
        self.samples = Samples(sample_us, jitter_s, seed)
        self._faults, self._whole_ns = frozenset(faults) & FAULTS, 0  # time without a loss
        self._blind_until_ns = 0
        self._known = 0  # the level that clients have been told of
        self._unseen = True  # nobody listened when levels were looked at last: what they were is not known
        self.serial: dict[int, SerialReader] = {}  # by pin
        self.scripts: dict[int, Script] = {}
        self.seen_ns = self._whole(now_ns)
        self.lost_ns = 0  # how much was not sampled because somebody did not read
        self.events = 0  # that were triggered since the last look
        self._guards: dict[int, tuple[int, int]] = {}  # watchdogs: pin → longest silence, when it was heard last; µs
        self._writing_ns: int | None = None  # since when reports are being written

    def begin(self, levels: Callable[[int], int]) -> None:
        """Somebody is about to listen: what changes is what differs from the levels at the last look."""
        if self._unseen:
            self._begin(levels(self.seen_ns))
            self._unseen = False

    def _begin(self, level: int) -> None:
        self._known = level
        self.samples.begin(level)

    def _whole(self, ns: int) -> int:
        return ns - ns % self.samples.step_ns

    def open(self, connection: socket.socket | None, now_us: int) -> int:
        """A new handle at this time, not wrapped as ticks are; raises Refused when there are too many."""
        number = next((n for n in range(HANDLES) if n not in self.handles), None)
        if number is None:
            raise Refused(Code.NO_HANDLE)
        pipe = Pipe(self._pipes / f"pigpio{number}") if connection is None and self._pipes is not None else None
        self.handles[number] = Handle(connection, pipe, reported_us=now_us)
        return number

    def watch(self, number: int, bits: int) -> None:
        """Which pins a handle watches; raises Refused if there is none."""
        if number not in self.handles:
            raise Refused(Code.BAD_HANDLE)
        self.handles[number].bits = bits

    def close(self, number: int) -> None:
        """Let go of a handle; raises Refused if there is none."""
        handle = self.handles.pop(number, None)
        if handle is None:
            raise Refused(Code.BAD_HANDLE)
        if handle.pipe is not None:
            self._closing.append(handle.pipe)

    def close_pipes(self) -> None:
        """Remove the pipes that are left."""
        for pipe in (*self._closing, *(handle.pipe for handle in self.handles.values())):
            if pipe is not None:
                pipe.close()

    def guard(self, pin: int, silence_us: int, now_us: int) -> None:
        """Report it when a pin has not changed for so long; 0 ends that."""
        self._guards.pop(pin, None)
        if silence_us:
            self._guards[pin] = (silence_us, now_us)

    def reads_serial(self, pin: int) -> bool:
        """Whether bit-banged serial data are read off this pin."""
        return pin in self.serial

    @property
    def listening(self) -> bool:
        """Whether anybody may have to be told of anything."""
        return bool(self.handles or self.serial or self.scripts)

    def _listeners(self) -> Iterator[Listener]:
        return chain(self.serial.values(), self.scripts.values())

    def _watched(self) -> int:
        """The pins that anybody watches."""
        watched = 0
        for listener in self._listeners():
            watched |= listener.mask
        for handle in self.handles.values():
            watched |= handle.bits
        return watched

    def leave(self, connection: socket.socket) -> None:
        """Let go of the handles of a connection that has ended."""
        for number in [n for n, handle in self.handles.items() if handle.connection is connection]:
            del self.handles[number]

    def collect(
        self, now_ns: int, levels: Callable[[int], int], look: Callable[[int, int], Stretch]
    ) -> list[tuple[Handle, bytes]]:
        """What every client is to be told of the time up to now: `levels` tells those at a time, `look` what happens
        from one time to another.
        """
        while self._closing:
            self._closing.pop().close()
        blocked_ns = 0 if self._writing_ns is None else now_ns - self._writing_ns
        self._writing_ns = None
        now_ns = self._whole(now_ns)
        if now_ns <= self.seen_ns or self._nobody_listens(now_ns):
            return []
        if blocked_ns > RING_NS:  # this machine's own lateness loses nothing
            self.lost_ns += max(0, now_ns - RING_NS - self.seen_ns)
            self.seen_ns = max(self.seen_ns, now_ns - RING_NS)
        took_ns = now_ns - self.seen_ns
        before, (ticks, words) = self._known, self._sampled(now_ns, levels, look)
        self._whole_ns += took_ns if len(words) and now_ns >= self._blind_until_ns else 0
        hit = self._hit(now_ns, len(words))
        if hit == "lost_samples":
            ticks, words = ticks[:0], words[:0]
        elif len(words):
            self._known = int(words[-1])
        silent = self._silent(before, ticks, words, now_ns // 1000)
        events, self.events = self.events, 0
        for listener in self._listeners():
            listener.hear(before, ticks, words, now_ns // 1000)
        for script in self.scripts.values():
            script.trigger(events)
        found = []
        for handle in self.handles.values():
            flags = [WATCHDOG | pin for pin in silent if handle.bits >> pin & 1]
            flags += [EVENT | event for event in range(32) if events & handle.events & 1 << event]
            reports = _reports(handle, before, ticks, words, now_ns, flags)
            goes = handle.connection is not None or handle.pipe is not None
            if len(reports) and goes and not handle.broken and hit != "lost_reports":
                found.append((handle, reports.tobytes()))
        self._writing_ns = now_ns if found else None
        return found

    def _nobody_listens(self, now_ns: int) -> bool:
        """Whether there is nobody to look for; then levels need not be worked out."""
        if self.listening or self._guards:
            return False
        self.seen_ns, self.events, self._unseen = now_ns, 0, True
        return True

    def _silent(self, before: int, ticks_ns: Times, words: Words, now_us: int) -> list[int]:
        """Pins whose watchdog is due."""
        due = []
        for pin, (silence_us, since_us) in self._guards.items():
            level = np.concatenate([[before], words]) >> pin & 1
            heard = ticks_ns[level[1:] != level[:-1]]
            last = max(since_us, int(heard[-1]) // 1000) if len(heard) else since_us
            if now_us - last >= silence_us:
                due.append(pin)
                last = now_us
            self._guards[pin] = (silence_us, last)
        return due

    def _sampled(
        self, now_ns: int, levels: Callable[[int], int], look: Callable[[int, int], Stretch]
    ) -> tuple[Times, Words]:
        """What samples up to now show, when (ns) and what."""
        since_ns, self.seen_ns = self.seen_ns, now_ns
        if not self._watched():
            self._begin(levels(now_ns))
            return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
        return self.samples.shown(since_ns, now_ns, look, self._known)

    def _hit(self, now_ns: int, changes: int) -> str:
        """The fault that hits this batch of changes; empty if none does."""
        if not self._faults or not changes:
            return ""
        if self._whole_ns >= LOSES_EACH_NS:
            self._whole_ns = 0
            self._blind_until_ns = now_ns + (RING_NS if "lost_samples" in self._faults else 0)
            return next(iter(sorted(self._faults)))
        return "lost_samples" if now_ns < self._blind_until_ns else ""

    def needed_ns(self, now_ns: int) -> int:
        """Since when levels are still to be looked at."""
        blocked = self._writing_ns is not None and now_ns - self._writing_ns > RING_NS
        return now_ns - 2 * RING_NS if blocked else min(self.seen_ns, now_ns)


def deliver(handle: Handle, reports: bytes) -> None:
    """Write reports as the daemon does: in pieces, each blocking until the client has taken it; a pipe never blocks."""
    piece = MOST_REPORTS * REPORT_BYTES
    if handle.pipe is not None:
        for at in range(0, len(reports), piece):
            handle.pipe.write(reports[at : at + piece])
        return
    assert handle.connection is not None  # noqa: S101 (asked before)
    with contextlib.suppress(OSError):  # its own thread notices that the client has gone
        for at in range(0, len(reports), piece):
            with handle.lock:
                handle.connection.sendall(reports[at : at + piece])
        return
    handle.broken = True


def _reports(
    handle: Handle, before: int, ticks_ns: Times, words: Words, now_ns: int, flags: list[int]
) -> NDArray[np.void]:
    """Level changes that a handle watches, then watchdogs and events, or a sign of life where long nothing came."""
    now_us = now_ns // 1000
    watched = words & handle.bits
    changed = np.ones(len(words), dtype=np.bool_)
    if len(words):
        changed[0] = watched[0] != before & handle.bits
        np.not_equal(watched[1:], watched[:-1], out=changed[1:])
    count = int(np.count_nonzero(changed))
    if count == 0 and not flags:
        if now_us - handle.reported_us <= ALIVE_US:
            return _NONE
        flags = [ALIVE]
    reports = np.zeros(count + len(flags), dtype=_REPORT)
    reports["tick"][:count] = (ticks_ns[changed] // 1000) & 0xFFFF_FFFF
    reports["level"][:count] = words[changed] & 0xFFFF_FFFF
    if flags:
        reports["flags"][count:] = flags
        reports["tick"][count:] = now_us & 0xFFFF_FFFF
        reports["level"][count:] = (int(words[-1]) if len(words) else before) & 0xFFFF_FFFF
    reports["seqno"] = np.arange(handle.sequence, handle.sequence + len(reports)) & 0xFFFF
    handle.sequence += len(reports)
    handle.reported_us = now_us
    return reports

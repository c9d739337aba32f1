"""What the daemon samples of its pins, and the reports that its clients get of it (`alertEmit` of pigpio.c v79).

Levels are looked at every 5 µs unless `pigpiod -s` says otherwise, so that a pulse shorter than that may be missed. One
thread wakes every millisecond and writes the reports of all clients to blocking sockets: a client that does not read
holds up everybody's reports, and what is older than the ring of samples when it goes on is lost without a sign.
Commands are answered by other threads all the same. Ticks are those of the samples: that the real daemon puts them
right every 25 samples is not modelled.
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

from drivers.mock.pigpiod.filters import Glitch, Noise
from drivers.mock.pigpiod.pipe import Pipe
from drivers.mock.pigpiod.protocol import REPORT_BYTES, Code, Refused

if TYPE_CHECKING:
    from drivers.mock.pigpiod.header import Times, Words
    from drivers.mock.pigpiod.scripts.run import Script
    from drivers.mock.pigpiod.serial import SerialReader

HANDLES = 32
SAMPLES_US = (1, 2, 4, 5, 8, 10)  # what -s may be
SAMPLE_US = 5
RING_NS = 120_000_000
ALIVE_US = 60_000_000
ALIVE, EVENT, WATCHDOG = 1 << 6, 1 << 7, 1 << 5  # flags of a report; the latter two carry a number
MOST_REPORTS = 341  # in one write: PIPE_BUF / 12
OFF_MOST = 0.25  # of a sample: a level that lasts two of them is never missed (pigpio.h v79, gpioCfgClock)
LOSES_EACH_NS = 150_000_000  # of time in which levels change, with a fault
FAULTS = frozenset({"lost_reports", "lost_samples"})
_REPORT = np.dtype([("seqno", "<u2"), ("flags", "<u2"), ("tick", "<u4"), ("level", "<u4")])


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

    `sample_us` is `pigpiod -s`; `jitter_s` by how much a sample is off, rms: the pacing catches up with what contention
    delays, so that two samples stay less than one and a half apart, and what lasts two is never missed. `pipes` is the
    folder of the named pipes, /dev of the real one. Faults: `lost_reports` (a batch never arrives, and the sequence
    shows it), `lost_samples` (a ring of samples is lost, and nothing shows it).
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
        self._sample_ns, self._jitter_ns = sample_us * 1000, jitter_s * 1e9
        self._rng = np.random.default_rng([seed, 0x5A3B])
        self._faults, self._whole_ns = frozenset(faults) & FAULTS, 0  # time without a loss
        self._blind_until_ns = 0
        self._known = 0  # the level that clients have been told of
        self._raw = 0  # the same before filters
        self._unseen = True  # nobody listened when levels were looked at last: what they were is not known
        self._filters: dict[tuple[int, bool], Glitch | Noise] = {}  # pin, whether of noise
        self.serial: dict[int, SerialReader] = {}  # by pin
        self.scripts: dict[int, Script] = {}
        self.seen_ns = now_ns
        self.lost_ns = 0  # how much was not sampled because somebody did not read
        self.events = 0  # that were triggered since the last look
        self._guards: dict[int, tuple[int, int]] = {}  # watchdogs: pin → longest silence, when it was heard last; µs
        self._writing_ns: int | None = None  # since when reports are being written

    def begin(self, levels: Callable[[int], int]) -> None:
        """Somebody is about to listen: what changes is what differs from the levels at the last look."""
        if self._unseen:
            self._known = self._raw = levels(self.seen_ns)
            self._unseen = False

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

    def filter_glitches(self, pin: int, steady_us: int) -> None:
        """Report a level of this pin only once it has been steady for so long; 0 ends that."""
        self._filters.pop((pin, False), None)
        if steady_us:
            self._filters[pin, False] = Glitch(steady_us * 1000, self._sample_ns)

    def filter_noise(self, pin: int, steady_us: int, active_us: int, now_ns: int) -> None:
        """Report this pin for a while after a change that a steady level came before; 0 ends that."""
        self._filters.pop((pin, True), None)
        if steady_us:
            self._filters[pin, True] = Noise(steady_us * 1000, active_us * 1000, self._sample_ns, now_ns)

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
        self, now_ns: int, levels: Callable[[int], int], changes: Callable[[int, int], tuple[Times, Words]]
    ) -> list[tuple[Handle, bytes]]:
        """What every client is to be told of the time up to now."""
        while self._closing:
            self._closing.pop().close()
        blocked_ns = 0 if self._writing_ns is None else now_ns - self._writing_ns
        self._writing_ns = None
        now_ns -= now_ns % self._sample_ns
        if now_ns <= self.seen_ns or self._nobody_listens(now_ns):
            return []
        if blocked_ns > RING_NS:  # this machine's own lateness loses nothing
            self.lost_ns += max(0, now_ns - RING_NS - self.seen_ns)
            self.seen_ns = max(self.seen_ns, now_ns - RING_NS)
        took_ns = now_ns - self.seen_ns
        before, (ticks, words) = self._sampled(now_ns, levels, changes)
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
        self, now_ns: int, levels: Callable[[int], int], changes: Callable[[int, int], tuple[Times, Words]]
    ) -> tuple[int, tuple[Times, Words]]:
        """The level known so far, and what samples up to now show, when (ns) and what."""
        since_ns, self.seen_ns = self.seen_ns, now_ns
        if not self._watched():
            self._known = self._raw = levels(now_ns)
            return self._known, (np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64))
        t, words = changes(since_ns, now_ns)
        if self._jitter_ns:
            most = OFF_MOST * self._sample_ns
            off = np.clip(self._rng.normal(0.0, self._jitter_ns, len(t)), -most, most).astype(np.int64)
            t = np.clip(np.maximum.accumulate(t + off), since_ns + 1, now_ns)
        at_first = levels(since_ns)
        if at_first != self._raw:  # what was between has not been seen
            t, words = np.append(since_ns, t), np.append(at_first, words)
        t, words = sampled(t, words, self._sample_ns)
        before, self._raw = self._raw, int(words[-1]) if len(words) else self._raw
        if self._filters:
            t, words = self._filtered(before, since_ns, now_ns, t, words)
        return self._known, (t, words)

    def _filtered(self, before: int, since_ns: int, now_ns: int, t: Times, words: Words) -> tuple[Times, Words]:
        """Samples with what the filters make of their pins; `before` was the level until the first."""
        shown: dict[int, list[tuple[int, bool]]] = {}
        for pin in sorted({pin for pin, _ in self._filters}):
            level = bool(before >> pin & 1)
            bits = (words >> pin & 1).astype(bool).tolist()
            changes = list(zip(t.tolist(), bits, strict=True))
            started = bool(self._known >> pin & 1)
            for of_noise in (False, True):
                stage = self._filters.get((pin, of_noise))
                if stage is not None:
                    found = stage.run(level, since_ns, changes, now_ns)
                    level, changes = bool(stage.reported) if not found else not found[0][1], found
            shown[pin] = [(since_ns, started), *changes]
        when = np.unique(
            np.concatenate([t, *(np.array([at for at, _ in rows], dtype=np.int64) for rows in shown.values())])
        )
        when = when[when > since_ns]
        words = np.append(before, words)[np.searchsorted(t, when, side="right")].astype(np.int64)
        for pin, rows in shown.items():
            at = np.array([row[0] for row in rows])
            bits = np.array([row[1] for row in rows], dtype=np.int64)
            words = words & ~(1 << pin) | bits[np.searchsorted(at, when, side="right") - 1] << pin
        changed = words != np.append(self._known, words[:-1])
        return when[changed], words[changed]

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


def sampled(t_ns: Times, words: Words, sample_ns: int = SAMPLE_US * 1000) -> tuple[Times, Words]:
    """Level changes as they are seen every `sample_ns`: when (ns) and what, the last of each interval."""
    if not len(t_ns):
        return t_ns, words
    at = -(-t_ns // sample_ns) * sample_ns
    last = np.append(at[1:] != at[:-1], True)
    return at[last], words[last]


def _reports(
    handle: Handle, before: int, ticks_ns: Times, words: Words, now_ns: int, flags: list[int]
) -> NDArray[np.void]:
    """Level changes that a handle watches, then watchdogs and events, or a sign of life where long nothing came."""
    watched = words & handle.bits
    changed = watched != np.concatenate([[before & handle.bits], watched[:-1]])
    count, now_us = int(changed.sum()), now_ns // 1000
    if count == 0 and not flags:
        if now_us - handle.reported_us <= ALIVE_US:
            return np.empty(0, dtype=_REPORT)
        flags = [ALIVE]
    reports = np.zeros(count + len(flags), dtype=_REPORT)
    level = int(words[-1]) if len(words) else before
    reports["tick"][:count] = (ticks_ns[changed] // 1000) & 0xFFFF_FFFF
    reports["level"][:count] = words[changed] & 0xFFFF_FFFF
    reports["flags"][count:] = flags
    reports["tick"][count:] = now_us & 0xFFFF_FFFF
    reports["level"][count:] = level & 0xFFFF_FFFF
    reports["seqno"] = (handle.sequence + np.arange(len(reports))) & 0xFFFF
    handle.sequence += len(reports)
    handle.reported_us = now_us
    return reports

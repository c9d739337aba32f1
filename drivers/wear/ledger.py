"""What a device has had, written ahead: a shot's pulses and resets are on the disk before the shot leaves.

The ledger is a text file that only grows: a line for every change, with the totals after it and a checksum; the last
whole line holds. A line is written and forced out (fsync(2)) in a thread, while earlier shots play; the bench waits
only for the line of the shot that it is about to start. What was promised and never started is taken back when playing
ends. So a program that is killed leaves a ledger that overstates by what was queued, and never one that understates.
"""

from __future__ import annotations

import errno
import os
import zlib
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from drivers.durable import write_durably
from drivers.errors import InputError

LONGEST = 1 << 16  # bytes; a longer ledger begins anew with its last line when it is opened


@dataclass(frozen=True)
class Wear:
    """Dendrite pulses and resets that a device has had, and how long it was played."""

    pulses: int = 0
    resets: int = 0
    played_s: float = 0.0

    def plus(self, pulses: int, resets: int, played_s: float = 0.0) -> Wear:
        """With so many more."""
        return Wear(self.pulses + pulses, self.resets + resets, self.played_s + played_s)


def to_line(wear: Wear) -> str:
    """`pulses resets played_s checksum`, ended by a newline."""
    text = f"{wear.pulses} {wear.resets} {wear.played_s!r}"
    return f"{text} {zlib.crc32(text.encode()):08x}\n"


def from_line(line: str) -> Wear | None:
    """Back from `to_line`; None for a line that is torn or was changed."""
    text, _, check = line.rstrip("\n").rpartition(" ")
    if not line.endswith("\n") or f"{zlib.crc32(text.encode()):08x}" != check:
        return None
    pulses, resets, played_s = text.split(" ")
    return Wear(int(pulses), int(resets), float(played_s))


def read_ledger(path: Path) -> Wear | None:
    """The totals of the last whole line, None when there is no such file; raises InputError when no line is whole."""
    try:
        lines = path.read_text(encoding="ascii", errors="replace").splitlines(keepends=True)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise InputError(f"ledger {path}: {error.strerror or error}") from error
    for line in reversed(lines):
        wear = from_line(line)
        if wear is not None:
            return wear
    raise InputError(f"ledger {path}: no line of it is whole; restore it from a backup, its device's wear is not known")


class Ledger:
    """An open ledger; `wear` are the totals as promised so far. Close it to have the last line on the disk.

    Shots are promised, started and played in one order.
    """

    def __init__(self, path: Path, had: Wear) -> None:
        """Go on with the ledger at `path`, or begin one with what the device `had`; raises InputError."""
        self.path = path
        found = read_ledger(path)
        self.wear = found if found is not None else had
        if found is None or path.stat().st_size > LONGEST or not path.read_bytes().endswith(b"\n"):
            write_durably(path, to_line(self.wear), "ledger")
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="ledger")
        self._promised: deque[tuple[int, int, Future[None]]] = deque()  # not started yet
        self._closed = False

    def promise(self, pulses: int, resets: int) -> None:
        """A shot is going to be played: its cost is on its way to the disk."""
        self.wear = self.wear.plus(pulses, resets)
        self._promised.append((pulses, resets, self._write()))

    def started(self) -> None:
        """The oldest promised shot leaves now; returns when its cost is on the disk. Raises InputError when not."""
        _, _, written = self._promised[0]
        try:
            written.result()
        except OSError as error:
            raise InputError(
                f"ledger {self.path}: {error.strerror or error}; nothing is played that cannot be counted"
            ) from error
        self._promised.popleft()

    def played(self, seconds: float) -> None:
        """So long was played; written with the next line."""
        self.wear = self.wear.plus(0, 0, seconds)

    def settle(self) -> None:
        """Nothing more is played: take back what was promised and never started, on the disk when this returns."""
        for pulses, resets, _ in self._promised:
            self.wear = self.wear.plus(-pulses, -resets)
        self._promised.clear()
        try:
            self._write().result()
        except OSError as error:
            raise InputError(f"ledger {self.path}: {error.strerror or error}") from error

    def _write(self) -> Future[None]:
        line = to_line(self.wear).encode()

        def write() -> None:
            if os.write(self._file, line) < len(line):  # a disk that is almost full takes a part without an error
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(self._file)

        return self._writer.submit(write)

    def close(self) -> None:
        """Settle and let go of the file; may be called twice."""
        if self._closed:
            return
        self._closed = True
        try:
            self.settle()
        finally:
            self._writer.shutdown()
            os.close(self._file)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

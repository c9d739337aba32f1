"""The tape: one file of JSON lines, written as things happen, so that what a crash leaves is whole up to its last line.

The first line is the head. Then each line has `t`, s since the beginning, and either a `link` (such as `pico 1`, the
first connection to the Pico) with bytes `to` or `from` the other side in base64 or its `end`, or a `bench` call with
what it was given, gave back or raised.
"""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from drivers.errors import InputError

VERSION = 1
MAGIC = '{"hil_wire":'
LINE_MOST = 1 << 28


class Tape:
    """A tape being written; every thread may write on it."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._began = time.monotonic()
        self._links: dict[str, int] = {}
        self.trouble: OSError | None = None

    def link(self, kind: str) -> str:
        """The name of a new connection to pigpiod, scope or pico."""
        with self._lock:
            self._links[kind] = self._links.get(kind, 0) + 1
            return f"{kind} {self._links[kind]}"

    def write(self, **event: Any) -> None:
        """One event; a full disk ends the tape and not what it is a tape of."""
        line = json.dumps({"t": round(time.monotonic() - self._began, 6), **event})
        with self._lock:
            if self.trouble is not None:
                return
            try:
                self._file.write(line + "\n")
                self._file.flush()
            except (OSError, ValueError) as error:
                self.trouble = error if isinstance(error, OSError) else OSError(str(error))

    def data(self, link: str, way: str, data: bytes) -> None:
        """Bytes `to` or `from` the other side."""
        if data:
            self.write(link=link, **{way: base64.b64encode(data).decode("ascii")})


_running: Tape | None = None


def running() -> Tape | None:
    """The tape that everything is to be written on, if there is one."""
    return _running


@contextmanager
def recording(path: Path, about: dict[str, Any]) -> Iterator[Tape]:
    """Keep all that links and benches do within on a new file; raises InputError where it cannot be written."""
    global _running  # noqa: PLW0603 (links are opened deep within parts, by nobody who knows of tapes)
    try:
        file = path.open("x", encoding="utf-8")
    except OSError as error:
        raise InputError(f"--record-wire {path}: {error.strerror or error}; give the name of a new file") from error
    with file:
        file.write(json.dumps({"hil_wire": VERSION, **about}) + "\n")
        _running = Tape(file)
        try:
            yield _running
        finally:
            tape, _running = _running, None
            if tape.trouble is not None:
                raise InputError(
                    f"--record-wire {path}: {tape.trouble.strerror or tape.trouble}; the tape is not whole"
                )


@dataclass(frozen=True)
class Event:
    """Bytes on a link: `number` in the order of the whole tape, `way` to, from or end."""

    number: int
    at_s: float
    way: str
    data: bytes = b""


@dataclass(frozen=True)
class Recorded:
    """A tape as read: its head, the events of each link in the order links were opened, and the calls of the bench."""

    head: dict[str, Any]
    links: dict[str, list[Event]] = field(default_factory=dict)
    calls: list[dict[str, Any]] = field(default_factory=list)

    def of(self, kind: str) -> list[tuple[str, list[Event]]]:
        """The connections to one part, in order."""
        return [(name, events) for name, events in self.links.items() if name.split(" ")[0] == kind]


def read_tape(path: Path) -> Recorded:
    """Read a tape; raises InputError that names the line."""
    try:
        with path.open(encoding="utf-8") as file:
            first = file.readline(LINE_MOST)
            if not first.startswith(MAGIC):
                raise InputError(f"{path} is no tape of `--record-wire`")
            head = json.loads(first)
            if head["hil_wire"] != VERSION:
                raise InputError(f"{path} is a tape of version {head['hil_wire']}; this version reads {VERSION}")
            found = Recorded(head)
            for number, line in enumerate(file, start=2):
                if not line.endswith("\n"):
                    break  # what a crash left
                _take(found, number, json.loads(line))
    except InputError:
        raise
    except OSError as error:
        raise InputError(f"tape {path}: {error.strerror or error}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path} is no tape that can be read: {' '.join(str(error).split())}") from error
    return found


def _take(found: Recorded, number: int, line: dict[str, Any]) -> None:
    if "bench" in line:
        found.calls.append(line)
        return
    events = found.links.setdefault(line["link"], [])
    way = next(way for way in ("to", "from", "end", "open") if way in line)
    if way != "open":
        data = base64.b64decode(line[way], validate=True) if way != "end" else b""
        events.append(Event(number, float(line["t"]), way, data))

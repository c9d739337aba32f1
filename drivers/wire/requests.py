"""The other side of the Pico's serial port, from a tape: request by request.

Requests are numbered and beats come when they come, so that bytes alone say little: a request is the one on the tape
when verb and arguments are, and gets the reply on the tape under its own number. A beat gets the reply that the tape
has for that time. What the tape has garbled or unanswered stays so.
"""

from __future__ import annotations

import contextlib
import os
import pty
import select
import threading
import tty
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from drivers.wire.difference import Conversation, Difference, first_difference
from drivers.wire.tape import Event
from firmware import protocol

_LOOK_S = 0.05


@dataclass
class _Exchange:
    """One line to the Pico and everything that came until the next."""

    line: bytes
    offset: int
    event: Event
    reply: bytes = b""

    @property
    def content(self) -> bytes:
        """The request without what depends on its number."""
        return content(self.line)

    @property
    def is_beat(self) -> bool:
        return self.content == b"beat"


@dataclass
class _Connection:
    """A connection on the tape: requests in order, and for each beat how many of them came before it."""

    link: str
    requests: list[_Exchange] = field(default_factory=list)
    beats: list[tuple[int, _Exchange]] = field(default_factory=list)
    ends: bool = False
    ends_in_beat: bool = False


def content(line: bytes) -> bytes:
    """Verb and arguments of a request line; of one that is none, all of it."""
    try:
        _, verb, args = protocol.parse_request(line.rstrip(b"\r\n"))
    except protocol.ProtocolError:
        return line
    kept = [arg for i, arg in enumerate(args) if not (verb == "data" and i == 3)]  # a checksum over the number too
    return " ".join([verb, *kept]).encode()


def connection_of(link: str, events: list[Event]) -> _Connection:
    """The exchanges of a link."""
    found, pending, offset = _Connection(link), b"", 0
    last: _Exchange | None = None
    asked: list[_Exchange] = []  # one after the other, before anything came
    came = b""
    for event in events:
        if event.way == "end":
            found.ends = True
            found.ends_in_beat = last is not None and last.is_beat
        elif event.way == "from" and last is not None:
            came = _answer(asked, came + event.data)
        elif event.way == "to":
            if came and last is not None:
                last.reply += came
            asked = [exchange for exchange in asked if not exchange.reply] or asked[-1:]
            pending, came = pending + event.data, b""
            while b"\n" in pending:
                line, _, pending = pending.partition(b"\n")
                if line and (last is None or line != last.line or last.reply):  # else the same, asked once more
                    last = _Exchange(line, offset, event)
                    asked.append(last)
                    if last.is_beat:
                        found.beats.append((len(found.requests), last))
                    else:
                        found.requests.append(last)
                offset += len(line) + 1
    if came and last is not None:
        last.reply += came
    return found


def _answer(asked: list[_Exchange], came: bytes) -> bytes:
    """Give each line that came to the request that it answers, by its number; one that names none to the first that
    has no reply. Returns what is no whole line yet.
    """
    while b"\n" in came:
        line, _, came = came.partition(b"\n")
        number = number_of(line)
        named = [exchange for exchange in asked if number is not None and number_of(exchange.line) == number]
        waiting = [exchange for exchange in asked if not exchange.reply]
        (named or waiting or asked)[0 if named or waiting else -1].reply += line + b"\n"
    return came


def number_of(line: bytes) -> int | None:
    """The number of a request or reply line; None where it has none."""
    words = line.split(b" ", 2)
    word = words[1] if words[0] in (b"OK", b"ERR") and len(words) > 1 else words[0]
    return int(word) if word.isdigit() else None


def renumbered(reply: bytes, was: int | None, number: int) -> bytes:
    """The reply lines to request `was` under another number. Those to another one came late, and are left out; what is
    no reply stays as it is.
    """
    made = []
    for line in reply.splitlines(keepends=True):
        try:
            text = protocol.unseal(line.rstrip(b"\r\n"))
            kind, _, rest = text.split(" ", 2) if text.count(" ") > 1 else (*text.split(" "), "")
        except (protocol.ProtocolError, ValueError):
            made.append(line)
            continue
        if number_of(line) == was:
            made.append(protocol.seal(" ".join([kind, str(number), *([rest] if rest else [])])))
    return b"".join(made)


class LinePlayer:
    """A pseudo-terminal that answers as the Pico on the tape did; `port` is what to open."""

    def __init__(self, links: list[tuple[str, list[Event]]], conversation: Conversation) -> None:
        self._connections = [connection_of(link, events) for link, events in links]
        self._conversation = conversation
        self._master, self._slave = pty.openpty()
        tty.setraw(self._slave)
        self.port: str = os.ttyname(self._slave)
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._play, name="wire replay of the Pico", daemon=True)
        self._at = 0  # requests answered on this connection
        self._before: tuple[bytes, _Exchange] | None = None  # the last request, and what it is on the tape
        for link, _ in links:
            conversation.gone(link)  # nobody waits for what is said at no certain time

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        self._thread.join()
        self._unplug()

    def _unplug(self) -> None:
        for end in ("_master", "_slave"):
            if getattr(self, end) >= 0:
                os.close(getattr(self, end))
                setattr(self, end, -1)

    def _play(self) -> None:
        pending = b""
        while not self._closing.is_set() and self._master >= 0:
            if not select.select([self._master], [], [], _LOOK_S)[0]:
                continue
            try:
                pending += os.read(self._master, 65_536)
            except OSError:
                return
            while b"\n" in pending and self._master >= 0:
                line, _, pending = pending.partition(b"\n")
                if line:
                    self._heard(line)

    def _heard(self, line: bytes) -> None:
        while self._connections and self._is_over(self._connections[0], line):
            self._connections.pop(0)
            self._at, self._before = 0, None
        if not self._connections:
            return
        here = self._connections[0]
        if content(line) == b"beat":
            self._beat(here, line)
        else:
            self._request(here, line)

    def _is_over(self, here: _Connection, line: bytes) -> bool:
        """Whether this line belongs to a later connection: all was said on this one, and there is another."""
        return self._at >= len(here.requests) and len(self._connections) > 1 and content(line) != b"beat"

    def _beat(self, here: _Connection, line: bytes) -> None:
        if here.ends and here.ends_in_beat and self._at >= len(here.requests):
            self._unplug()
            return
        now = [exchange for before, exchange in here.beats if before == self._at]
        known = [exchange for before, exchange in here.beats if before <= self._at] or [e for _, e in here.beats]
        chosen = now[0] if now else known[-1] if known else None
        if now and len(now) > 1:
            here.beats.remove((self._at, now[0]))
        if chosen is not None:
            self._send(chosen, line)

    def _request(self, here: _Connection, line: bytes) -> None:
        if self._before is not None and self._before[0] == line:
            following = here.requests[self._at].line if self._at < len(here.requests) else b""
            if content(following) != content(line):  # asked again because this machine is slow: carried out once
                self._send(self._before[1], line)
                return
        if self._at >= len(here.requests):
            last = here.requests[-1] if here.requests else None
            offset, at_s = (last.offset + len(last.line) + 1, last.event.at_s) if last else (0, 0.0)
            self._conversation.differs(Difference(here.link, offset, at_s, b"", line))
            return
        expected = here.requests[self._at]
        if content(line) != expected.content:
            at = first_difference(content(line), expected.content)
            self._conversation.differs(
                Difference(
                    here.link, expected.offset + at, expected.event.at_s, expected.content[at:], content(line)[at:]
                )
            )
            self._unplug()
            return
        self._at += 1
        self._before = (line, expected)
        self._send(expected, line)
        if here.ends and not here.ends_in_beat and self._at >= len(here.requests):
            self._unplug()

    def _send(self, exchange: _Exchange, line: bytes) -> None:
        number = number_of(line)
        made = exchange.reply if number is None else renumbered(exchange.reply, number_of(exchange.line), number)
        while made and self._master >= 0:
            with contextlib.suppress(BlockingIOError):
                made = made[os.write(self._master, made) :]

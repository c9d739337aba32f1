"""The other side of pigpiod's and the oscilloscope's sockets, from a tape: byte by byte."""

from __future__ import annotations

import contextlib
import socket
import threading
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from drivers.wire.difference import Conversation, Difference, first_difference
from drivers.wire.tape import Event

_COMMAND_BYTES = 16  # pigpio.h, cmdCmd_t
_ROOM = 64  # bytes of what was said that a difference shows


@dataclass
class Exchange:
    """One message to the other side, everything that it answered, and whether it then ended the connection."""

    said: bytes
    number: int
    at_s: float
    replies: list[Event] = field(default_factory=list)
    ends: bool = False


def exchanges_of(events: list[Event]) -> list[Exchange]:
    """The exchanges of a connection; the first says nothing, and holds what came before anything was said."""
    found = [Exchange(b"", 0, 0.0)]
    for event in events:
        if event.way == "to":
            found.append(Exchange(event.data, event.number, event.at_s))
        elif event.way == "from":
            found[-1].replies.append(event)
        else:
            found[-1].ends = True
    return found


class SocketPlayer:
    """Listens on a port of this machine; the n-th connection is answered as the n-th on the tape was."""

    def __init__(self, links: list[tuple[str, list[Event]]], conversation: Conversation) -> None:
        self._links, self._conversation = links, conversation
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self._threads: list[threading.Thread] = []
        self._open: list[socket.socket] = []
        self._accepting = threading.Thread(target=self._accept, name="wire replay", daemon=True)

    def __enter__(self) -> Self:
        self._accepting.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._accepting.join()
        for connection in self._open:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for connection in self._open:
            connection.close()

    def _accept(self) -> None:
        for link, events in self._links:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            self._open.append(connection)
            thread = threading.Thread(target=self._play, args=(connection, link, events), name=link, daemon=True)
            self._threads.append(thread)
            thread.start()
        with contextlib.suppress(OSError):  # one connection more than there were
            connection, _ = self._listening.accept()
            self._open.append(connection)
            last = self._links[-1][1][-1].at_s if self._links and self._links[-1][1] else 0.0
            self._conversation.differs(Difference("another connection", 0, last, b"", b"a connection more"))
            connection.shutdown(socket.SHUT_RDWR)

    def _play(self, connection: socket.socket, link: str, events: list[Event]) -> None:
        try:
            if self._answer(connection, link, events):
                self._drain(connection, link, events)
        except OSError:
            pass  # the client went, and says itself why
        finally:
            self._conversation.gone(link)
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def _answer(self, connection: socket.socket, link: str, events: list[Event]) -> bool:
        """True where all was said and answered as on the tape, and the other side did not end it."""
        exchanges = exchanges_of(events)
        at = 0
        for event in exchanges[0].replies:  # of a link that begins with the other side
            self._reply(connection, event)
        while at + 1 < len(exchanges):
            expected = exchanges[at + 1]
            got = self._message(connection, link, expected.said)
            if got != expected.said:
                after = _resumes(exchanges, at, got)
                if after is None:
                    self._differs(link, exchanges, at + 1, got)
                    return False
                at, expected = after - 1, exchanges[after]
            at += 1
            self._conversation.said(link, expected.number)
            for event in expected.replies:
                self._reply(connection, event)
            if expected.ends:
                return False
        return True

    def _reply(self, connection: socket.socket, event: Event) -> None:
        self._conversation.turn(event.number)
        connection.sendall(event.data)

    def _message(self, connection: socket.socket, link: str, expected: bytes) -> bytes:
        """What the client says next: of pigpiod a command of 16 bytes and what belongs to it, else a line."""
        if link.startswith("pigpiod"):
            head = _exactly(connection, _COMMAND_BYTES)
            more = len(expected) - _COMMAND_BYTES if head == expected[:_COMMAND_BYTES] else 0
            return head + _exactly(connection, more)
        said = b""
        while not said.endswith(b"\n"):
            piece = connection.recv(1)
            if not piece:
                break
            said += piece
        return said

    def _differs(self, link: str, exchanges: list[Exchange], index: int, got: bytes) -> None:
        expected = exchanges[index]
        at = first_difference(got, expected.said)
        offset = sum(len(exchange.said) for exchange in exchanges[:index]) + at
        self._conversation.differs(
            Difference(link, offset, expected.at_s, expected.said[at : at + _ROOM], got[at : at + _ROOM])
        )

    def _drain(self, connection: socket.socket, link: str, events: list[Event]) -> None:
        """Nothing more may be said, but for what was asked last: a client that waits asks once more, or less."""
        exchanges = exchanges_of(events)
        last = exchanges[-1]
        while got := self._message(connection, link, last.said):
            if got != last.said or not last.replies:
                offset = sum(len(exchange.said) for exchange in exchanges)
                self._conversation.differs(Difference(link, offset, last.at_s, b"", got[:_ROOM]))
                return
            for event in last.replies:
                connection.sendall(event.data)


def _resumes(exchanges: list[Exchange], at: int, got: bytes) -> int | None:
    """Where a client that waits goes on, which asks the same again as often as it has time for; None if it does not."""
    before = exchanges[at]
    if got == before.said and before.replies and not before.ends:
        return at  # once more than on the tape
    after = at + 1
    while after < len(exchanges) and exchanges[after].said == before.said:
        after += 1
    found = after > at + 1 and after < len(exchanges) and exchanges[after].said == got
    return after if found else None


def _exactly(connection: socket.socket, count: int) -> bytes:
    """So many bytes, or fewer where the client goes."""
    data = b""
    while len(data) < count:
        piece = connection.recv(count - len(data))
        if not piece:
            break
        data += piece
    return data

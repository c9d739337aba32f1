"""A VXI-11 core server: instrument messages over ONC-RPC, for one simulated instrument.

Follows the VXI-11 specification, revision 1.0 (July 1995; procedures, flags, error numbers; rules are named where they
decide), with its lock and its abort channel, which has a port of its own. There is no interrupt channel, and a message
that the instrument has begun to carry out is not aborted. Listens on a loopback port;
`TCPIP0::127.0.0.1,PORT::inst0::INSTR` reaches it without a portmapper.
"""

from __future__ import annotations

import itertools
import socket
import threading
from dataclasses import dataclass, field
from typing import Protocol

from drivers.mock.ds4024.rpc import MOST_RECORD, Call, LinkClosedError, answer, marked, opaque, receive_record, words
from drivers.mock.ds4024.turns import ABORTED, Turns
from drivers.mock.loopback import LoopbackServer

CORE_PROGRAM, CORE_VERSION = 0x0607AF, 1
CREATE_LINK, DEVICE_WRITE, DEVICE_READ, DEVICE_READSTB, DEVICE_CLEAR, DESTROY_LINK = 10, 11, 12, 13, 15, 23
DEVICE_LOCK, DEVICE_UNLOCK = 18, 19
ABORT_PROGRAM, ABORT_VERSION, DEVICE_ABORT = 0x0607B0, 1, 1
DEVICE_TRIGGER, DEVICE_REMOTE, DEVICE_LOCAL, DEVICE_ENABLE_SRQ, DEVICE_DOCMD = 14, 16, 17, 20, 22
CREATE_INTR_CHAN, DESTROY_INTR_CHAN = 25, 26
NO_ERROR, NOT_ACCESSIBLE, BAD_LINK, PARAMETER, NO_CHANNEL, UNSUPPORTED, NO_RESOURCES = 0, 3, 4, 5, 6, 8, 9
IO_TIMEOUT = 15
NOT_SUPPORTED = (DEVICE_TRIGGER, DEVICE_REMOTE, DEVICE_LOCAL, DEVICE_DOCMD)
ALSO_RETURNED = {DEVICE_WRITE: 1, DEVICE_READ: 2, DEVICE_READSTB: 1, DEVICE_DOCMD: 1}  # words beside the error
INTERRUPTS = (0x0607B1, 1)  # program and version
DEVICE = b"inst0"  # the only one
MOST_LINKS = 64  # at a time; assumed
FLAG_WAIT_LOCK, FLAG_END, FLAG_TERM_CHAR = 1, 8, 128
REASON_COUNT, REASON_CHAR, REASON_END = 1, 2, 4


@dataclass(frozen=True)
class Reply:
    """What an instrument answers; as a fault the connection breaks after `breaks_after` bytes of it."""

    data: bytes
    breaks_after: int | None = None


class Instrument(Protocol):
    """What stands behind a message-based server."""

    def opened(self) -> None:
        """A connection has been opened."""
        ...

    def message(self, text: bytes) -> Reply | None:
        """Execute one complete message; the reply, if it has one. Raises LinkClosedError."""
        ...

    def clear(self) -> None:
        """Device clear."""
        ...

    def overrun(self) -> None:
        """More came than a message may be long; it has been dropped."""
        ...

    def status_byte(self) -> int:
        """IEEE 488.2 status byte."""
        ...


@dataclass
class Link:
    """One VXI-11 link: whose it is, what was written without END, and what is still to be read."""

    owner: socket.socket
    incoming: bytearray = field(default_factory=bytearray)
    outgoing: bytes = b""
    breaks_after: int | None = None


class Vxi11Server:
    """Serves one instrument until `close`; every connection has a thread of its own.

    `piece_bytes` is the max_recv_size that is announced and the most that one device_read returns.
    """

    def __init__(self, instrument: Instrument, *, port: int = 0, piece_bytes: int = 1 << 20) -> None:
        self._instrument = instrument
        self._piece = piece_bytes
        self._links: dict[int, Link] = {}
        self._opening = threading.Lock()
        self._numbers = itertools.count(1)
        self._turns = Turns()
        self._server = LoopbackServer(self._serve, port)
        self._aborts = LoopbackServer(self._serve_aborts)

    @property
    def port(self) -> int:
        """The TCP port."""
        return self._server.port

    @property
    def abort_port(self) -> int:
        """The TCP port of the abort channel, which every new link is told."""
        return self._aborts.port

    def close(self) -> None:
        """Stop listening and drop every connection."""
        self._turns.close()
        self._server.close()
        self._aborts.close()

    def _serve(self, sock: socket.socket) -> None:
        """Links live as long as the connection over which they were made, at most."""
        try:
            while (record := receive_record(sock)) is not None:
                reply = answer(record, CORE_PROGRAM, CORE_VERSION, lambda n, call: self._procedure(n, call, sock))
                if reply is None:
                    return
                sock.sendall(marked(reply))
        finally:
            with self._opening:
                gone = [number for number, link in self._links.items() if link.owner is sock]
                for number in gone:
                    del self._links[number]
            for number in gone:
                self._turns.give(number)

    def _serve_aborts(self, sock: socket.socket) -> None:
        """What is aborted is answered after the answer to device_abort (rule B.6.107)."""
        waits: list[int] = []
        while (record := receive_record(sock)) is not None:
            reply = answer(record, ABORT_PROGRAM, ABORT_VERSION, lambda n, call: self._abort(n, call, waits))
            if reply is None:
                return
            sock.sendall(marked(reply))
            while waits:
                self._turns.abort(waits.pop())

    def _abort(self, procedure: int, call: Call, waits: list[int]) -> bytes | None:
        """Find what a link waits for, whoever has the lock (rule B.6.109)."""
        if procedure == 0:
            return b""
        if procedure != DEVICE_ABORT:
            return None
        number = call.word()
        if number not in self._links:
            return words(BAD_LINK)
        if (wait := self._turns.in_progress(number)) is not None:
            waits.append(wait)
        return words(NO_ERROR)

    def _procedure(self, procedure: int, call: Call, sock: socket.socket) -> bytes | None:
        if procedure == 0:
            return b""
        if procedure == CREATE_LINK:
            return self._create_link(call, sock)
        if procedure == CREATE_INTR_CHAN:
            return _no_interrupts(call)
        if procedure == DESTROY_INTR_CHAN:
            return words(NO_CHANNEL)  # rule B.6.92
        handler = {
            DEVICE_WRITE: self._write,
            DEVICE_READ: self._read,
            DEVICE_READSTB: self._read_status,
            DEVICE_CLEAR: self._clear,
            DEVICE_LOCK: self._lock,
            DEVICE_UNLOCK: self._unlock,
            **dict.fromkeys(NOT_SUPPORTED, lambda *_: _refused(procedure, UNSUPPORTED)),
            DEVICE_ENABLE_SRQ: _enable_service,
            DESTROY_LINK: self._destroy_link,
        }.get(procedure)
        if handler is None:
            return None
        number = call.word()
        link = self._links.get(number)
        if link is None or link.owner is not sock:  # a server is one connection's (figure B.11), and has its links
            return _refused(procedure, BAD_LINK)
        return handler(number, link, call)

    def _create_link(self, call: Call, sock: socket.socket) -> bytes:
        _client, lock, lock_timeout_ms = (call.word() for _ in range(3))
        if call.opaque().lower() != DEVICE:
            return words(NOT_ACCESSIBLE, 0, 0, 0)
        number = next(self._numbers)
        error = self._turns.take(number, lock_timeout_ms * 1e-3) if lock else NO_ERROR
        if error:  # and there has been no link that anybody could abort (observation B.6.2)
            return words(error, 0, 0, 0)
        with self._opening:
            if len(self._links) >= MOST_LINKS:
                self._turns.give(number)
                return words(NO_RESOURCES, 0, 0, 0)
            self._instrument.opened()
            self._links[number] = Link(sock)
        return words(NO_ERROR, number, self.abort_port, self._piece)

    def _lock(self, number: int, _link: Link, call: Call) -> bytes:
        flags, timeout_ms = call.word(), call.word()
        return words(self._turns.take(number, timeout_ms * 1e-3 if flags & FLAG_WAIT_LOCK else 0.0))

    def _unlock(self, number: int, _link: Link, _call: Call) -> bytes:
        return words(self._turns.give(number))

    def _locked_out(self, number: int, flags: int, timeout_ms: int) -> int:
        """The error of a link that may not act because another has locked the instrument; 0 if it may."""
        return self._turns.allowed(number, timeout_ms * 1e-3 if flags & FLAG_WAIT_LOCK else 0.0)

    def _write(self, number: int, link: Link, call: Call) -> bytes:
        _io_timeout, lock_timeout_ms, flags = (call.word() for _ in range(3))
        data = call.opaque()
        if len(data) > self._piece:  # rule B.6.16
            return words(PARAMETER, 0)
        if error := self._locked_out(number, flags, lock_timeout_ms):
            return words(error, 0)
        if not data:  # the instrument does nothing (observation B.6.6)
            return words(NO_ERROR, 0)
        if len(link.incoming) + len(data) > MOST_RECORD:
            link.incoming.clear()
            return words(NO_RESOURCES, 0)
        link.incoming += data
        if flags & FLAG_END:
            message, link.incoming = bytes(link.incoming), bytearray()
            reply = self._instrument.message(message) or Reply(b"")
            link.outgoing, link.breaks_after = reply.data, reply.breaks_after
        return words(NO_ERROR, len(data))

    def _read(self, number: int, link: Link, call: Call) -> bytes:
        size, io_timeout_ms, lock_timeout_ms, flags, term_char = (call.word() for _ in range(5))
        error = self._locked_out(number, flags, lock_timeout_ms)
        if not error and not size:  # rule B.6.23, 1 b
            return words(NO_ERROR, REASON_COUNT) + opaque(b"")
        if not error and not link.outgoing:
            error = ABORTED if self._turns.idle(number, io_timeout_ms * 1e-3) else IO_TIMEOUT
        if error:
            return words(error, 0) + opaque(b"")
        piece = link.outgoing[: min(size, self._piece)]
        reason = REASON_COUNT if len(piece) == size else 0
        if flags & FLAG_TERM_CHAR and (at := piece.find(bytes([term_char & 0xFF]))) >= 0:
            piece = piece[: at + 1]
            reason = REASON_CHAR
        if link.breaks_after is not None:
            link.breaks_after -= len(piece)
            if link.breaks_after < 0:
                raise LinkClosedError
        link.outgoing = link.outgoing[len(piece) :]
        if not link.outgoing:
            reason |= REASON_END
        return words(NO_ERROR, reason) + opaque(piece)

    def _read_status(self, number: int, _link: Link, call: Call) -> bytes:
        flags, lock_timeout_ms = call.word(), call.word()
        if error := self._locked_out(number, flags, lock_timeout_ms):
            return words(error, 0)
        return words(NO_ERROR, self._instrument.status_byte())

    def _clear(self, number: int, link: Link, call: Call) -> bytes:
        flags, lock_timeout_ms = call.word(), call.word()
        if error := self._locked_out(number, flags, lock_timeout_ms):
            return words(error)
        link.incoming.clear()
        link.outgoing = b""
        self._instrument.clear()
        return words(NO_ERROR)

    def _destroy_link(self, number: int, _link: Link, _call: Call) -> bytes:
        with self._opening:
            self._links.pop(number, None)
        self._turns.give(number)
        return words(NO_ERROR)


def _refused(procedure: int, error: int) -> bytes:
    """An error with what a procedure returns beside it, empty."""
    return words(error, *[0] * ALSO_RETURNED.get(procedure, 0))


def _enable_service(_number: int, _link: Link, _call: Call) -> bytes:
    """Taken with or without the lock (rule B.6.95); without an interrupt channel nothing is sent (rule B.6.110)."""
    return words(NO_ERROR)


def _no_interrupts(call: Call) -> bytes:
    """That no interrupt channel can be established, or that what is asked for is none (rules B.6.83 to B.6.88)."""
    _host, _port, program, version, family = (call.word() for _ in range(5))
    known = (program, version) == INTERRUPTS and family in (0, 1)
    return words(NO_CHANNEL if known else UNSUPPORTED)

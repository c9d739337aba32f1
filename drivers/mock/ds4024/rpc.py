"""ONC-RPC as its servers need it: records, calls and replies (RFC 5531 version 2, record marking; RFC 4506, XDR)."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass

MOST_RECORD = 1 << 21  # bytes of a request; whoever sends more is cut off
_PROGRAM_UNAVAILABLE, _PROGRAM_MISMATCH, _PROCEDURE_UNAVAILABLE, _GARBAGE_ARGS = 1, 2, 3, 4
_WORD = 4


class LinkClosedError(Exception):
    """The instrument drops the connection."""


@dataclass
class Call:
    """An RPC call's argument words, read one by one."""

    data: bytes
    at: int = 0

    def word(self) -> int:
        """One unsigned 32-bit word."""
        (value,) = struct.unpack_from(">I", self.data, self.at)
        self.at += _WORD
        return int(value)

    def opaque(self) -> bytes:
        """Counted bytes, padded to four."""
        length = self.word()
        if self.at + length > len(self.data):
            raise struct.error("opaque data longer than the record")
        value = self.data[self.at : self.at + length]
        self.at += length + -length % _WORD
        return value


def words(*values: int) -> bytes:
    """XDR unsigned words."""
    return struct.pack(f">{len(values)}I", *values)


def opaque(data: bytes) -> bytes:
    """XDR counted bytes."""
    return words(len(data)) + data + bytes(-len(data) % _WORD)


def answer(record: bytes, program: int, version: int, procedure: Callable[[int, Call], bytes | None]) -> bytes | None:
    """The reply to a call of a program; None where the connection is to be dropped.

    `procedure(number, call)` returns its results, or None if there is no such procedure.
    """
    try:
        call = Call(record)
        xid, kind, rpc_version, asked, asked_version, number = (call.word() for _ in range(6))
        for _ in ("credentials", "verifier"):
            call.word()
            call.opaque()
    except struct.error:
        return None
    if kind != 0:
        return None
    if rpc_version != 2:
        return words(xid, 1, 1, 0, 2, 2)  # denied: RPC version mismatch, 2…2
    accepted = words(xid, 1, 0, 0, 0)
    if asked != program:
        return accepted + words(_PROGRAM_UNAVAILABLE)
    if asked_version != version:
        return accepted + words(_PROGRAM_MISMATCH, version, version)
    try:
        result = procedure(number, call)
    except struct.error:
        return accepted + words(_GARBAGE_ARGS)
    except LinkClosedError:
        return None
    return accepted + (words(_PROCEDURE_UNAVAILABLE) if result is None else words(0) + result)


def marked(reply: bytes) -> bytes:
    """A reply as the one fragment of a record."""
    return words(0x8000_0000 | len(reply)) + reply


def receive_record(sock: socket.socket) -> bytes | None:
    """One RPC record, of one or more fragments; None when the other side has closed, or sends too much."""
    record = b""
    while True:
        header = _exactly(sock, _WORD)
        if header is None:
            return None
        (mark,) = struct.unpack(">I", header)
        if len(record) + (mark & 0x7FFF_FFFF) > MOST_RECORD:
            return None
        fragment = _exactly(sock, mark & 0x7FFF_FFFF)
        if fragment is None:
            return None
        record += fragment
        if mark & 0x8000_0000:
            return record


def _exactly(sock: socket.socket, count: int) -> bytes | None:
    data = bytearray()
    while len(data) < count:
        piece = sock.recv(count - len(data))
        if not piece:
            return None
        data += piece
    return bytes(data)

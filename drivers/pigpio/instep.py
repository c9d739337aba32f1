"""The command socket of pigpio's client, kept in step: whole replies, each to the command that it names.

The client (pigpio 1.78) takes whatever 16 bytes come next for the reply to what it has just sent. The daemon sends the
number of the command back with every reply (pigpio.c v79), and nothing without being asked.
"""

from __future__ import annotations

import select
import socket
from typing import Any

REPLY_BYTES = 16
STALE_MOST = 16  # replies to something else before ours


class OutOfStepError(OSError):
    """What came belongs to other commands."""


class ClosedError(ConnectionResetError):
    """The daemon closed the connection."""


class InStep:
    """Stands in for the socket. What was left over before a command is sent is stale, and dropped."""

    def __init__(self, plain: socket.socket) -> None:
        self._plain = plain
        self._asked = b""

    def send(self, data: bytes) -> int:
        """A whole command."""
        self.sendall(data)
        return len(data)

    def sendall(self, data: bytes) -> None:
        """A whole command with its extension."""
        while select.select([self._plain], [], [], 0)[0] and self._plain.recv(4096):
            pass
        self._asked = bytes(data[:4])
        self._plain.sendall(data)

    def recv(self, count: int) -> bytes:
        """The whole reply to the last command, or what follows it; raises OSError where none comes that is."""
        if count != REPLY_BYTES:
            return self._plain.recv(count)
        for _ in range(STALE_MOST):
            reply = self._whole()
            if reply[:4] == self._asked:
                return reply
        raise OutOfStepError("its replies belong to other commands")

    def _whole(self) -> bytes:
        reply = b""
        while len(reply) < REPLY_BYTES:
            got = self._plain.recv(REPLY_BYTES - len(reply))
            if not got:
                raise ClosedError("the daemon closed the connection")
            reply += got
        return reply

    def __getattr__(self, name: str) -> Any:
        return getattr(self._plain, name)

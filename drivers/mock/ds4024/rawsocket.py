"""The raw-socket front end of a message-based instrument: lines in, replies out, no framing of their own."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from drivers.mock.ds4024.rpc import LinkClosedError
from drivers.mock.loopback import LoopbackServer

if TYPE_CHECKING:
    from drivers.mock.ds4024.vxi11 import Instrument

_PIECE = 1 << 16
MOST_PENDING = 1 << 16  # bytes of a line without its end; assumed


class RawSocketServer:
    """Serves one instrument on a loopback port; `TCPIP0::127.0.0.1::PORT::SOCKET`, newline both ways."""

    def __init__(self, instrument: Instrument, *, port: int = 0) -> None:
        self._instrument = instrument
        self._server = LoopbackServer(self._serve, port)

    @property
    def port(self) -> int:
        """The TCP port."""
        return self._server.port

    def close(self) -> None:
        """Stop listening and drop every connection."""
        self._server.close()

    def _serve(self, sock: socket.socket) -> None:
        self._instrument.opened()
        pending = b""
        while piece := sock.recv(_PIECE):
            if hasattr(socket, "TCP_QUICKACK"):  # else a client that sends two short lines waits 40 ms for the first
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
            *lines, pending = (pending + piece).split(b"\n")
            if len(pending) > MOST_PENDING:
                self._instrument.overrun()
                pending = b""
            for line in lines:
                if not self._execute(sock, line):
                    return

    def _execute(self, sock: socket.socket, line: bytes) -> bool:
        """Execute one line; false when the connection breaks."""
        try:
            reply = self._instrument.message(line)
        except LinkClosedError:
            return False
        if reply is not None:
            sock.sendall(reply.data[: reply.breaks_after])
        return reply is None or reply.breaks_after is None

"""A portmapper (RFC 1833, version 2) that knows one program: with it clients find VXI-11 by address alone."""

from __future__ import annotations

import contextlib
import socket
import threading

from drivers.mock.ds4024.rpc import Call, answer, marked, receive_record, words
from drivers.mock.loopback import LOOPBACK, LoopbackServer

PROGRAM, VERSION = 100_000, 2
PORT = 111
NULL, GET_PORT, DUMP = 0, 3, 4
TCP = 6
_MOST_DATAGRAM = 9_000
_LOOK_S = 0.1


class Portmapper:
    """Serves TCP and UDP on one port until `close`; `program` of `version` is at `program_port`, by TCP."""

    def __init__(self, program: int, version: int, program_port: int, *, port: int = PORT) -> None:
        self._mapping = (program, version, TCP, program_port)
        self._tcp = LoopbackServer(self._serve, port)
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._udp.bind((LOOPBACK, self.port))
        self._udp.settimeout(_LOOK_S)
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._serve_datagrams, name="portmapper", daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        """The port."""
        return self._tcp.port

    def close(self) -> None:
        """Stop serving."""
        self._closing.set()
        self._tcp.close()
        self._thread.join()
        self._udp.close()

    def _serve(self, sock: socket.socket) -> None:
        while (record := receive_record(sock)) is not None:
            reply = answer(record, PROGRAM, VERSION, self._procedure)
            if reply is None:
                return
            sock.sendall(marked(reply))

    def _serve_datagrams(self) -> None:
        while not self._closing.is_set():
            with contextlib.suppress(TimeoutError):
                record, sender = self._udp.recvfrom(_MOST_DATAGRAM)
                reply = answer(record, PROGRAM, VERSION, self._procedure)
                if reply is not None:
                    self._udp.sendto(reply, sender)

    def _procedure(self, number: int, call: Call) -> bytes | None:
        if number == NULL:
            return b""
        if number == GET_PORT:
            asked = (call.word(), call.word(), call.word())
            return words(self._mapping[3] if asked == self._mapping[:3] else 0)
        if number == DUMP:
            return words(1, *self._mapping, 0)
        return None

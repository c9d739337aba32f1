"""A TCP server on the loopback interface, as the simulated instruments and the status of the twin need it."""

from __future__ import annotations

import socket
import socketserver
import threading
from collections.abc import Callable

from drivers.errors import InputError

LOOPBACK = "127.0.0.1"
LAST_PORT = 65_535


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 100


class LoopbackServer:
    """Accepts connections on a port of the loopback interface (0: a free one), each served in a thread of its own."""

    def __init__(self, serve: Callable[[socket.socket], None], port: int = 0) -> None:
        sockets: set[socket.socket] = set()

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                sockets.add(self.request)
                try:
                    serve(self.request)
                except OSError:  # the other side has gone; its connection is over
                    pass
                finally:
                    sockets.discard(self.request)

        self._sockets = sockets
        self._server = _Server((LOOPBACK, port), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        """The TCP port."""
        return int(self._server.server_address[1])

    def close(self) -> None:
        """Stop listening and drop every connection."""
        self._server.shutdown()
        for sock in list(self._sockets):
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:  # it was closed meanwhile
                continue
        self._server.server_close()
        self._thread.join()


def check_free(port: int, what: str, *, udp: bool = False) -> None:
    """Raise InputError naming `what` and the port if it cannot be listened on."""
    if not 0 <= port <= LAST_PORT:
        raise InputError(f"{what} {port}: allowed 1…{LAST_PORT}, or 0 for a free one")
    kinds = [socket.SOCK_STREAM, *([socket.SOCK_DGRAM] if udp else [])]
    for kind in kinds:
        with socket.socket(socket.AF_INET, kind) as probe:
            if kind == socket.SOCK_STREAM:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((LOOPBACK, port))
                if kind == socket.SOCK_STREAM:
                    probe.listen(1)
            except PermissionError as error:
                raise InputError(
                    f"{what} {port}: ports below 1024 are for root only; use sudo, or leave it out"
                ) from error
            except OSError as error:
                reason = getattr(error, "strerror", None) or error
                raise InputError(f"{what} {port}: {reason}; end what listens there, or name another port") from error

"""The daemon's TCP server: connections, notifications, and the ways it can fail."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import threading
import time
from collections.abc import Collection
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from drivers.errors import InputError
from drivers.mock.pigpiod import protocol
from drivers.mock.pigpiod.alerts import FAULTS as ALERT_FAULTS
from drivers.mock.pigpiod.alerts import deliver
from drivers.mock.pigpiod.daemon import SLOWNESS, Daemon
from drivers.mock.pigpiod.others import wait_s
from drivers.mock.pigpiod.samples import SAMPLE_US, SAMPLES_US
from drivers.mock.roughness import Pauses

if TYPE_CHECKING:
    from drivers.mock.board import Board
    from drivers.settings import Wiring

HOST = "127.0.0.1"
HOUSEKEEPING_S = 0.005
SOON_NS = 8_000_000  # what is to be seen so soon is worked out while time goes on
ALERT_S = 0.001  # the daemon looks at its samples some thousand times a second
FAULTS = frozenset({"dies_in_shot", "out_of_control_blocks", "connection_refused", *SLOWNESS, *ALERT_FAULTS})


class PigpiodServer:
    """A pigpiod on loopback in front of a board; a context manager.

    Faults: `dies_in_shot` (no command after the first wave that drives a line is answered), `out_of_control_blocks`
    (another program's waves hold most of the memory), `doubled_clock`, `slow_clock` (all waves ×2, ×1.13 too long),
    `connection_refused`, `lost_reports` and `lost_samples` (see `alerts`). `axon_pin` is the GPIO that the axon is
    wired to, `sample_us` how often pins are sampled (`pigpiod -s`), `pipes` where named pipes are made (none without),
    `jumpers` pairs of free pins that are wired together.
    Misuse is recorded by the board and the daemon goes on as the real one does; leaving the context raises the first.
    `latency_s` is how long every answer takes.
    """

    def __init__(
        self,
        board: Board,
        wiring: Wiring,
        *,
        port: int = 0,
        faults: Collection[str] = (),
        latency_s: float = 0.0,
        axon_pin: int | None = None,
        sample_us: int = SAMPLE_US,
        pipes: Path | None = None,
        jumpers: Collection[tuple[int, int]] = (),
    ) -> None:
        unknown = set(faults) - FAULTS
        if unknown:
            raise InputError(f"unknown pigpiod fault {', '.join(sorted(unknown))}; known: {', '.join(sorted(FAULTS))}")
        if sample_us not in SAMPLES_US:
            raise InputError(f"pigpiod samples every {', '.join(map(str, SAMPLES_US))} µs, not every {sample_us}")
        self._faults = frozenset(faults)
        self._daemon = Daemon(
            board, wiring, self._faults, axon_pin=axon_pin, sample_us=sample_us, pipes=pipes, jumpers=jumpers
        )
        self._latency_s = latency_s
        self._pauses = Pauses(board.rough, board.seed)
        self._connections: set[socket.socket] = set()
        self._gone = threading.Event()
        self._board = board
        self._misuse = board.misuse
        self._tcp = _Tcp((HOST, port), self)
        self.host: str = HOST
        self.port: int = self._tcp.server_address[1]
        self._threads: list[threading.Thread] = []
        if "connection_refused" in self._faults:
            self._tcp.server_close()

    def __enter__(self) -> PigpiodServer:
        if "connection_refused" not in self._faults:
            work = (partial(self._tcp.serve_forever, HOUSEKEEPING_S), self._keep_house, self._alert)
            self._threads = [threading.Thread(target=run, name="pigpiod", daemon=True) for run in work]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        self.close()
        if kind is None or issubclass(kind, ConnectionError):
            self._misuse.raise_first()

    def close(self) -> None:
        """Stop serving; idempotent."""
        self._die()
        for thread in self._threads:
            thread.join()
        self._daemon.alerts.close_pipes()

    def drive(self, pin: int, level: int | None) -> None:
        """Drive one of the Pi's inputs from outside; None lets go."""
        with self._daemon.lock:
            self._daemon.pins.drive(pin, level)

    def serve(self, connection: socket.socket) -> None:
        """Answer one connection until it ends."""
        with self._daemon.lock:
            self._connections.add(connection)
        try:
            while not self._gone.is_set() and self._answer(connection):
                pass
        except OSError:
            return  # the client has gone
        finally:
            with self._daemon.lock:
                self._connections.discard(connection)
                self._daemon.alerts.leave(connection)

    def _answer(self, connection: socket.socket) -> bool:
        message = _receive(connection, protocol.MESSAGE_BYTES)
        if message is None:
            return False
        cmd, p1, p2, size = protocol.unpack(message)
        if size >= protocol.MOST_EXTENSION:
            return False
        extension = _receive(connection, size) if size else b""
        if extension is None:
            return False
        with self._daemon.lock:
            if "dies_in_shot" in self._faults and self._daemon.in_shot:
                self._die()
                return False
            result = self._daemon.answer(cmd, p1, p2, extension, connection)
        if (waits_s := wait_s(cmd, p1, p2, result)) and self._gone.wait(waits_s):
            return False
        if takes_s := self._latency_s + self._pauses.next_s():
            time.sleep(takes_s)
        connection.sendall(protocol.reply(cmd, p1, p2, result))
        return True

    def _keep_house(self) -> None:
        """Keep endless waves going, forget levels that nobody will ask for, and have the neuron worked out in time."""
        while not self._gone.wait(HOUSEKEEPING_S):
            with self._daemon.lock:
                now = self._daemon.player.pump()
                self._daemon.pins.forget(self._daemon.alerts.needed_ns(now))
            self._board.foresee()

    def _alert(self) -> None:
        """Report level changes; a client that does not read stops this thread, and no other."""
        daemon = self._daemon
        while not self._gone.is_set():
            time.sleep(ALERT_S if daemon.alerts.listening else HOUSEKEEPING_S)  # cheaper than waiting for an event
            with daemon.lock, daemon.at_leisure():
                found = daemon.alerts.collect(daemon.clock(), daemon.pins.seen_levels, daemon.pins.seen)
            for handle, reports in found:
                deliver(handle, reports)
            if daemon.alerts.listening:
                with daemon.lock:
                    daemon.pins.foresee(daemon.alerts.seen_ns, daemon.clock() + SOON_NS)

    def _die(self) -> None:
        """Close everything, as a killed daemon does; what was queued goes on playing."""
        with self._daemon.lock:
            if self._gone.is_set():
                return
            self._gone.set()
            self._daemon.scripts.stop_all()
            if self._threads:
                self._tcp.shutdown()
            self._tcp.server_close()
            for connection in self._connections:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)


class _Tcp(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 100  # as the daemon's

    def __init__(self, address: tuple[str, int], owner: PigpiodServer) -> None:
        self.owner = owner
        super().__init__(address, _Connection)


class _Connection(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        owner = self.server.owner  # type: ignore[attr-defined]
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        owner.serve(self.request)


def _receive(connection: socket.socket, size: int) -> bytes | None:
    """Exactly so many bytes; None if the client has gone first."""
    data = bytearray()
    while len(data) < size:
        part = connection.recv(size - len(data))
        if not part:
            return None
        data += part
    return bytes(data)

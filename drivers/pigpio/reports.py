"""pigpiod's in-band notifications: level changes as a stream of 12-byte records, read by a thread of its own.

A connection that asks NOIB gets a handle, and from then on carries reports: uint16 sequence, uint16 flags, uint32 tick
in µs, uint32 levels of GPIO 0-31 (pigpio.h v79, gpioReport_t). The daemon's sampling thread blocks while nobody reads
them, and loses samples without a sign when that lasts longer than its ring of 120 ms: so they are read at once,
whatever else this program does. pigpio's own client unpacks one at a time, which is too slow for 60,000 a second.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from drivers.errors import ConnectionLostError
from drivers.pigpio.instep import REPLY_BYTES
from drivers.wire.taps import tapped_socket

if TYPE_CHECKING:
    from drivers.settings import PigpioSettings

REPORT = np.dtype([("sequence", "<u2"), ("flags", "<u2"), ("tick", "<u4"), ("levels", "<u4")])
_FLAGS = 0xFF  # all that there are: what a report is, and of which pin (pigpio.h v79, PI_NTFY_FLAGS_*)
_ASTRAY = 16  # more reports that do not follow the last than such that do: what is lost is lost in a row
_NOIB = 99
_BUFFER_BYTES = 4 << 20  # of the socket: some seconds of reports, should this process be kept from running
_PIECE_BYTES = 1 << 18
_TIMEOUT_S = 5.0


@dataclass(frozen=True, eq=False)
class Reports:
    """Level changes in order: ticks (n,) uint32 µs, level words (n,) uint32, and which ones do not follow the last."""

    ticks: NDArray[np.uint32]
    levels: NDArray[np.uint32]
    after_gap: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.ticks)

    def part(self, where: slice | NDArray[np.bool_]) -> Reports:
        """Some of them."""
        return Reports(self.ticks[where], self.levels[where], self.after_gap[where])


class ReportStream:
    """One notification of a daemon, from its opening to its end; `take` gives what came since the last time."""

    def __init__(self, settings: PigpioSettings) -> None:
        """Open it; it reports nothing until the daemon is told which pins to watch. Raises ConnectionLostError."""
        host, port = settings.address()
        self.where = f"{host}:{port}"
        self._came = threading.Condition()
        self._pieces: list[bytes] = []
        self._bytes = 0  # of the pieces
        self._next: int | None = None  # sequence number of the next report
        self._astray = 0  # by how many more did not follow the last, of late
        self._lost = False
        try:
            self._socket = tapped_socket(socket.create_connection((host, port), _TIMEOUT_S), "pigpiod")
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)
            self._socket.sendall(struct.pack("<4I", _NOIB, 0, 0, 0))
            self._reply = self._answer()
        except OSError as error:
            raise ConnectionLostError(f"pigpiod at {self.where} sends no reports: {error.strerror or error}") from error
        self.handle: int = struct.unpack("<3Ii", self._reply)[3]
        if self.handle < 0:
            self._socket.close()
            raise ConnectionLostError(f"pigpiod at {self.where} has no notification left ({self.handle}): restart it")
        self._socket.settimeout(None)
        self._thread = threading.Thread(target=self._read, name="pigpio reports", daemon=True)
        self._thread.start()

    def _answer(self) -> bytes:
        """The whole reply that has the handle of the notification."""
        reply = b""
        while len(reply) < REPLY_BYTES:
            part = self._socket.recv(REPLY_BYTES - len(reply))
            if not part:
                self._socket.close()
                raise ConnectionLostError(f"pigpiod at {self.where} closed the connection: it has too many clients")
            reply += part
        return reply

    def _read(self) -> None:
        """The thread: take what comes, until the connection ends."""
        with contextlib.suppress(OSError):
            while piece := self._socket.recv(_PIECE_BYTES):
                with self._came:
                    self._pieces.append(piece)
                    self._bytes += len(piece)
                    self._came.notify_all()
        with self._came:
            self._lost = True
            self._came.notify_all()

    def wait(self, patience_s: float) -> bool:
        """Wait until a report can be taken; False where none came. Raises ConnectionLostError."""
        until_s = time.monotonic() + patience_s
        with self._came:
            while self._bytes < REPORT.itemsize:
                if self._lost:
                    raise ConnectionLostError(
                        f"pigpiod at {self.where} stopped reporting levels: check it with `systemctl status pigpiod`"
                    )
                left_s = until_s - time.monotonic()
                if left_s <= 0:
                    return False
                self._came.wait(left_s)
        return True

    def take(self) -> Reports:
        """All that has come and was not taken yet; keep-alive reports are left out.

        Raises ConnectionLostError where what came is no sequence of reports.
        """
        with self._came:
            data = b"".join(self._pieces)
            if self._next is None and self._reply.startswith(data[:REPLY_BYTES]):
                data = data[REPLY_BYTES:]  # the reply once more: the first report has number 0
            whole = len(data) - len(data) % REPORT.itemsize
            self._pieces = [data[whole:]]
            self._bytes = len(data) - whole
        found = np.frombuffer(data[:whole], dtype=REPORT)
        gaps = np.zeros(len(found), dtype=np.bool_)
        if len(found):
            expected = np.append(found["sequence"][0] if self._next is None else self._next, found["sequence"][:-1] + 1)
            gaps = found["sequence"] != (expected & 0xFFFF)
            self._next = (int(found["sequence"][-1]) + 1) & 0xFFFF
            self._astray = max(0, self._astray + 2 * int(gaps.sum()) - len(gaps))
            if (found["flags"] & ~np.uint16(_FLAGS)).any() or self._astray >= _ASTRAY:
                raise ConnectionLostError(
                    f"what pigpiod at {self.where} reports is out of step: bytes of it were lost or came twice; try "
                    "again, and check what lies between this computer and the daemon"
                )
        changes = found["flags"] == 0
        # A gap before a report that is left out belongs to the next that is not.
        passed = np.cumsum(gaps)
        after_gap = np.diff(passed[changes], prepend=0) > 0
        return Reports(found["tick"][changes], found["levels"][changes], after_gap)

    def close(self) -> None:
        """End the connection, which ends the notification; idempotent."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._socket.close()


def gathered(parts: list[Reports]) -> Reports:
    """Several in a row as one."""
    if not parts:
        return Reports(np.empty(0, np.uint32), np.empty(0, np.uint32), np.empty(0, np.bool_))
    return Reports(
        *(np.concatenate([getattr(part, name) for part in parts]) for name in ("ticks", "levels", "after_gap"))
    )

"""The connection to pigpiod: pigpio's own client, with bounded waiting and every failure named."""

from __future__ import annotations

import atexit
import socket
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from drivers.errors import BenchError, ConnectionLostError
from drivers.pigpio.instep import InStep

if TYPE_CHECKING:
    from drivers.settings import PigpioSettings

_TICK_COMMAND = 16
_ADVICE = "start it with `sudo systemctl start pigpiod` (a Raspberry Pi 5 cannot run it: use pulse_source = pico there)"
_MEMORY_ADVICE = ": another program's waves fill its memory; stop that program or restart pigpiod"


@dataclass(frozen=True)
class Clock:
    """What time it is and how to wait for it: replaced where a twin's time is not the machine's."""

    now_s: Callable[[], float] = time.monotonic
    wait: Callable[[threading.Event, float], bool] = threading.Event.wait


class PigpioLink:
    """pigpio.pi with two differences: no call waits for ever, and a failed call is a BenchError.

    The client itself never notices that the daemon died: its notify thread spins and the next call raises
    struct.error (pigpio 1.78). Here that becomes a ConnectionLostError, and the thread ends.
    """

    def __init__(self, settings: PigpioSettings, *, timeout_s: float = 5.0) -> None:
        import pigpio

        host, port = settings.address()
        self.where = f"{host}:{port}"
        self._pigpio = pigpio
        self._lock = threading.RLock()
        memory_full = (pigpio.PI_TOO_MANY_CBS, pigpio.PI_TOO_MANY_OOL, pigpio.PI_NO_WAVEFORM_ID)
        self._advice = {pigpio.error_text(code): _MEMORY_ADVICE for code in memory_full}
        self._probe(host, port, timeout_s)
        self._pi: Any = pigpio.pi(host, port, show_errors=False)
        if not self._pi.connected:
            self._pi = None
            raise ConnectionLostError(f"pigpiod at {self.where} closed the connection at once: it has too many clients")
        self._pi.sl.s.settimeout(timeout_s)
        self._pi.sl.s = InStep(self._pi.sl.s)

    def _probe(self, host: str, port: int, timeout_s: float) -> None:
        """Ask for the tick on a connection of our own: of something else than pigpiod the client waits for ever."""
        try:
            with socket.create_connection((host, port), timeout_s) as probe:
                probe.sendall(struct.pack("<4I", _TICK_COMMAND, 0, 0, 0))
                reply = probe.recv(16)
        except OSError as error:
            raise ConnectionLostError(f"no pigpiod at {self.where}: {error.strerror or error}; {_ADVICE}") from error
        if len(reply) != 16 or struct.unpack("<I", reply[:4])[0] != _TICK_COMMAND:
            raise ConnectionLostError(f"what listens at {self.where} is not pigpiod; check pigpio.host and pigpio.port")

    @property
    def lost(self) -> bool:
        """True once the daemon has gone or the link was closed."""
        return self._pi is None

    def call(self, method: str, *arguments: Any) -> int:
        """Call a method of pigpio.pi; raises ConnectionLostError if the daemon is gone, BenchError if it refuses."""
        with self._lock:
            if self._pi is None:
                raise ConnectionLostError(f"the connection to pigpiod at {self.where} is closed")
            try:
                return int(getattr(self._pi, method)(*arguments))
            except self._pigpio.error as error:
                raise BenchError(
                    f"pigpiod refused {method}: {error.value}{self._advice.get(error.value, '')}"
                ) from error
            except (OSError, struct.error) as error:
                self.close()
                raise ConnectionLostError(
                    f"pigpiod at {self.where} stopped answering in {method}: what it had queued ends with all lines "
                    f"low within 2 s; check it with `systemctl status pigpiod`"
                ) from error

    def close(self) -> None:
        """End the connection and the client's notify thread; idempotent."""
        with self._lock:
            pi, self._pi = self._pi, None
            if pi is None:
                return
            atexit.unregister(pi.stop)
            try:
                pi.stop()
            except OSError:
                pi.stop()  # the first call ended the thread but could not tell the daemon; this one closes the socket

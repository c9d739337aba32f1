"""The connection to pigpiod: pigpio's own client, with bounded waiting and every failure named."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from drivers.errors import BenchError, ConnectionLostError
from drivers.pigpio.instep import REPLY_BYTES, ClosedError, InStep, OutOfStepError
from drivers.wire.taps import tapped_socket

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
    """pigpio.pi, but no call waits for ever, a failed one is a BenchError, and there is no notify thread.

    The client itself never notices that the daemon died: its notify thread spins and the next call raises
    struct.error (pigpio 1.78). And it opens that thread's connection by two questions of which it takes any 16 bytes
    for the answers: out of step, it would end another program's notification. Nothing here is called back, so there
    is only the command connection, kept in step from its first byte.
    """

    def __init__(self, settings: PigpioSettings, *, timeout_s: float = 5.0) -> None:
        import pigpio

        host, port = settings.address()
        self.where = f"{host}:{port}"
        self._pigpio = pigpio
        self._lock = threading.RLock()
        memory_full = (pigpio.PI_TOO_MANY_CBS, pigpio.PI_TOO_MANY_OOL, pigpio.PI_NO_WAVEFORM_ID)
        self._advice = {pigpio.error_text(code): _MEMORY_ADVICE for code in memory_full}
        self._pi: Any = _client(self._connect(host, port, timeout_s))

    def _connect(self, host: str, port: int, timeout_s: float) -> InStep:
        """A connection on which a pigpiod has told its tick; of something else the client would wait for ever."""
        try:
            plain = tapped_socket(socket.create_connection((host, port), timeout_s), "pigpiod")
        except OSError as error:
            raise self._absent(error) from error
        connection = InStep(plain)
        try:
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.sendall(struct.pack("<4I", _TICK_COMMAND, 0, 0, 0))
            connection.recv(REPLY_BYTES)
        except OSError as error:
            plain.close()
            raise self._absent(error) from error
        return connection

    def _absent(self, error: OSError) -> ConnectionLostError:
        """What an attempt to connect ended in."""
        if isinstance(error, OutOfStepError):
            return ConnectionLostError(
                f"what listens at {self.where} is not pigpiod; check pigpio.host and pigpio.port"
            )
        if isinstance(error, ClosedError):
            return ConnectionLostError(
                f"what listens at {self.where} closed the connection at once: it is not pigpiod, or has too many "
                "clients; check pigpio.host and pigpio.port"
            )
        return ConnectionLostError(f"no pigpiod at {self.where}: {error.strerror or error}; {_ADVICE}")

    @property
    def lost(self) -> bool:
        """True once the daemon has gone or the link was closed."""
        return self._pi is None

    def call(self, method: str, *arguments: Any) -> int:
        """Call a method of pigpio.pi; raises ConnectionLostError if the daemon is gone, BenchError if it refuses."""
        return self._guarded(method, lambda pi: getattr(pi, method)(*arguments))

    def _guarded(self, method: str, work: Callable[[Any], Any]) -> int:
        with self._lock:
            if self._pi is None:
                raise ConnectionLostError(f"the connection to pigpiod at {self.where} is closed")
            try:
                return int(work(self._pi))
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

    def add_wave(self, pulses: bytes) -> int:
        """`wave_add_generic` of pulses that are packed already: on, off and delay, 4 bytes each, little-endian.

        pigpio's own packs one at a time, which takes a fifth of the time that they play (pigpio.py 1.78). Raises as
        `call` does.
        """
        ours = self._pigpio
        return self._guarded(
            "wave_add_generic",
            lambda pi: ours._u2i(ours._pigpio_command_ext(pi.sl, ours._PI_CMD_WVAG, 0, 0, len(pulses), [pulses])),
        )

    def close(self) -> None:
        """End the connection; idempotent."""
        with self._lock:
            pi, self._pi = self._pi, None
            if pi is not None:
                pi.stop()


def _client(connection: InStep) -> Any:
    """A pigpio.pi on a connection that is open; its own constructor opens two (pigpio.py 1.78, pi.__init__)."""
    import pigpio

    pi = pigpio.pi.__new__(pigpio.pi)
    pi.connected, pi._notify = True, None
    pi.sl = pigpio._socklock()
    pi.sl.s = connection
    return pi

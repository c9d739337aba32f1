"""The connection to a RIGOL DS4024 through PyVISA: paced commands, settings that are read back, exact-length blocks.

Never device clear and never `*CLS`: on this series either may hang all communication until the connection is opened
anew (QCoDeS `Rigol_DS4000.py`). Blocks are read by their announced length, which keeps in step on VXI-11 and raw
sockets and avoids two faults of pyvisa-py 0.8 (pyvisa/pyvisa-py issues 575 and 608).
"""

from __future__ import annotations

import math
import struct
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

from drivers.ds4024.address import USB_ADVICE, canonical, check_host
from drivers.errors import BenchError, ConnectionLostError, HilError, InputError
from drivers.wire.taps import tapped_session

if TYPE_CHECKING:
    from types import TracebackType

T = TypeVar("T")

_OPEN_TIMEOUT_MS = 5_000  # pyvisa-py 0.8 otherwise gives a TCP connection some 100 ms
_CHUNK = 20_480
_HEADER_MARGIN = 64  # bytes of a block that are not data


@dataclass(frozen=True)
class Pace:
    """How long to wait, s: after a command, around memory reads, for a mode to settle, between polls, after a change of
    memory depth, and before arming again.

    The defaults are what published drivers of the series have found necessary (DSRemote, libsigrok rigol-ds).
    """

    command_s: float = 0.010
    memory_s: float = 0.020
    settle_s: float = 0.050
    poll_s: float = 0.050
    depth_s: float = 2.0
    rearm_s: float = 0.5


class ScopeLink:
    """One VISA session with the instrument; it can be closed and opened again. Raises ConnectionLostError."""

    def __init__(
        self,
        resource: str,
        timeout_s: float,
        pace: Pace,
        *,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.resource = canonical(resource)
        self.pace = pace
        self.sleep = sleep
        self._timeout_ms = round(timeout_s * 1e3)
        self._session: Any = None
        self._usb = self.resource.startswith("USB")
        self._socket = self.resource.endswith("SOCKET")
        self._free_s = 0.0  # when it may be spoken to again
        self._took: dict[str, list[float]] = {"scope_write_s": [0, 0.0], "scope_ask_s": [0, 0.0]}  # how often, s

    def open(self) -> None:
        """Open the session; nothing is sent."""
        import pyvisa

        self.close()
        check_host(self.resource)
        manager = pyvisa.ResourceManager("@py")  # one for the whole process; closing it would close every session
        try:
            session = manager.open_resource(
                self.resource,
                open_timeout=_OPEN_TIMEOUT_MS,
                timeout=self._timeout_ms,
                write_termination="\n",
                read_termination="\n" if self._socket else None,
                chunk_size=_CHUNK,
            )
            self._session = tapped_session(session, "scope")
        except _broken() as error:
            self.close()
            if self._usb and isinstance(error, ValueError):  # PyUSB or libusb is missing, or nobody has that serial
                raise InputError(f"scope.resource = {self.resource!r} cannot be used: {USB_ADVICE}") from error
            then = f"; {USB_ADVICE}" if self._usb else ""
            raise ConnectionLostError(
                f"cannot open the oscilloscope at {self.resource}: {_reason(error)}{then}"
            ) from error
        except Exception as error:
            self.close()
            if type(error) is not Exception:
                raise
            # pyvisa-py raises a bare Exception where an instrument refuses a link.
            raise ConnectionLostError(
                f"the oscilloscope at {self.resource} refuses: {error}; check that it is on and on the network, and "
                "that no other program talks to it"
            ) from error

    def close(self) -> None:
        """Close the session; idempotent, and never fails because the other side has gone."""
        session, self._session = self._session, None
        if session is None:
            return
        with suppress(*_broken()):  # broken is closed, too
            session.close()

    def __enter__(self) -> ScopeLink:
        self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # ---- messages -----------------------------------------------------------------------------------------------

    @property
    def took_s(self) -> dict[str, float]:
        """What a command with the pause after it and a query have taken on average, s."""
        return {name: total / count for name, (count, total) in self._took.items() if count}

    def _timed(self, what: str, took_s: float) -> None:
        self._took[what][0] += 1
        self._took[what][1] += took_s

    def rest(self, pause_s: float) -> None:
        """Leave it alone for so long from now on: the next message waits, and whoever has something else to do does
        that meanwhile.
        """
        self._free_s = max(self._free_s, time.monotonic() + pause_s)

    def write(self, command: str, *, pause: bool = True) -> None:
        """Send a command; without a pause after it where what follows tells whether it was taken."""
        self._wait()
        began_s = time.monotonic()
        self._guarded(command, lambda session: session.write(command))
        if pause:
            self._timed("scope_write_s", time.monotonic() - began_s + self.pace.command_s)
            self.rest(self.pace.command_s)

    def _wait(self) -> None:
        if (left_s := self._free_s - time.monotonic()) > 0:
            self.sleep(left_s)

    def ask(self, query: str) -> str:
        """Send a query and return its reply, stripped."""

        def exchange(session: Any) -> str:
            session.write(query)
            return str(session.read()).strip()

        self._wait()
        began_s = time.monotonic()
        reply = self._guarded(query, exchange)
        self._timed("scope_ask_s", time.monotonic() - began_s)
        return reply

    def number(self, query: str) -> float:
        """Send a query whose reply is a number; raises BenchError where it is not."""
        return as_number(query, self.ask(query))

    def settle(self, command: str) -> None:
        """Send a setting and wait until it has been carried out."""
        self.write(command)
        self.ask("*OPC?")

    def block(self, query: str, most: int) -> bytes:
        """Send a query and return the definite-length block that answers it; `most` bounds its length."""
        self._wait()
        return self._guarded(query, lambda session: self._read_block(session, query, most))

    def _read_block(self, session: Any, query: str, most: int) -> bytes:
        session.write(query)
        if self._usb:  # RIGOL restarts a USB transfer that is asked for in pieces
            return _from_message(session.read_raw(most + _HEADER_MARGIN), query)
        termination, session.read_termination = session.read_termination, None
        try:
            intro = self._exactly(session, 2)
            if intro[:1] != b"#" or not intro[1:].isdigit() or intro == b"#0":
                raise ConnectionLostError(f"the oscilloscope answers {query} with {intro!r}, which begins no block")
            digits = self._exactly(session, int(intro[1:]))
            if not digits.isdigit() or int(digits) > most:
                raise ConnectionLostError(f"the oscilloscope announces a block of {digits!r} bytes, at most {most}")
            data = self._exactly(session, int(digits) + 1)
        finally:
            session.read_termination = termination
        if data[-1:] != b"\n":
            raise ConnectionLostError(f"the block that answers {query} ends with {data[-1:]!r}: out of step")
        return data[:-1]

    def _exactly(self, session: Any, count: int) -> bytes:
        data: bytes = session.read_bytes(count, chunk_size=_CHUNK)
        return data

    def _guarded(self, message: str, work: Callable[[Any], T]) -> T:
        if self._session is None:
            raise ConnectionLostError(f"the oscilloscope at {self.resource} is not connected: {message} was not sent")
        try:
            return work(self._session)
        except HilError:
            raise
        except _broken() as error:
            raise ConnectionLostError(
                f"the oscilloscope at {self.resource} does not answer {message}: {_reason(error)}; check that it is on "
                "and on the network, and that no other program talks to it"
            ) from error


@cache
def _broken() -> tuple[type[Exception], ...]:
    """What pyvisa-py 0.8 raises where a connection breaks or its bytes are not what they should be.

    Beside VISA's own errors and those of sockets these are the ones of its RPC and XDR layers, which unpack what came.
    """
    from pyvisa.errors import Error
    from pyvisa_py.protocols.rpc import RPCError
    from pyvisa_py.protocols.vxi11 import Vxi11Error
    from pyvisa_py.protocols.xdrlib import Error as XdrError

    return (Error, OSError, EOFError, RPCError, Vxi11Error, XdrError, struct.error, ValueError, LookupError)


def as_number(query: str, reply: str) -> float:
    """The finite number that answers a query; raises BenchError."""
    try:
        found = float(reply)
    except ValueError:
        found = math.nan
    if not math.isfinite(found):
        raise BenchError(f"the oscilloscope answers {query} with {reply!r}, which is no number")
    return found


def _from_message(message: bytes, query: str) -> bytes:
    """The data of a definite-length block read in one piece."""
    digits = int(message[1:2]) if message[:1] == b"#" and message[1:2].isdigit() else 0
    count = message[2 : 2 + digits]
    if not digits or not count.isdigit():
        raise ConnectionLostError(f"the oscilloscope answers {query} with {message[:2]!r}…, which begins no block")
    return message[2 + digits : 2 + digits + int(count)]


def _reason(error: BaseException) -> str:
    return getattr(error, "description", None) or getattr(error, "strerror", None) or str(error) or type(error).__name__

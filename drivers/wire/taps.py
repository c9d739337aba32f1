"""What stands between a client library and its socket, serial port or VISA session while a tape runs."""

from __future__ import annotations

from typing import Any

from drivers.wire.tape import Tape, running


def tapped_socket(plain: Any, kind: str) -> Any:
    """The socket, or one that writes on the tape as well."""
    tape = running()
    return plain if tape is None else _Socket(plain, tape, kind)


def tapped_serial(port: Any, kind: str) -> Any:
    """The serial port, or one that writes on the tape as well."""
    tape = running()
    return port if tape is None else _Serial(port, tape, kind)


def tapped_session(session: Any, kind: str) -> Any:
    """The VISA session, or one that writes its messages on the tape as well."""
    tape = running()
    return session if tape is None else _Session(session, tape, kind)


class _Tap:
    """Hands everything on to what it taps."""

    _own: tuple[str, ...] = ("_tapped", "_tape", "_link")

    def __init__(self, tapped: Any, tape: Tape, kind: str) -> None:
        self._tapped, self._tape = tapped, tape
        self._link = tape.link(kind)
        tape.write(link=self._link, open=1)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tapped, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in self._own:
            object.__setattr__(self, name, value)
        else:
            setattr(self._tapped, name, value)

    def _sent(self, data: bytes) -> None:
        self._tape.data(self._link, "to", bytes(data))

    def _got(self, data: bytes) -> bytes:
        self._tape.data(self._link, "from", data)
        return data

    def _ended(self) -> None:
        self._tape.write(link=self._link, end=1)


class _Socket(_Tap):
    _own = (*_Tap._own, "_shut")
    _shut = False  # by the client itself: what it then no longer gets was not ended by the other side

    def shutdown(self, how: int) -> None:
        self._shut = True
        self._tapped.shutdown(how)

    def sendall(self, data: bytes) -> None:
        self._sent(data)
        try:
            self._tapped.sendall(data)
        except ConnectionError:
            self._ended()
            raise

    def recv(self, count: int, *flags: int) -> bytes:
        try:
            data = bytes(self._tapped.recv(count, *flags))
        except ConnectionError:
            self._ended()
            raise
        if not data and not self._shut:
            self._ended()
        return self._got(data)


class _Serial(_Tap):
    def write(self, data: bytes) -> Any:
        self._sent(data)
        try:
            return self._tapped.write(data)
        except OSError:  # pyserial's own errors are, too
            self._ended()
            raise

    def read(self, size: int = 1) -> bytes:
        try:
            return self._got(bytes(self._tapped.read(size)))
        except OSError:
            self._ended()
            raise


class _Session(_Tap):
    """Messages rather than packets: what VXI-11 or USB wraps them in is the library's affair."""

    def write(self, message: str) -> Any:
        self._sent(message.encode("latin-1") + b"\n")
        return self._tapped.write(message)

    def read(self) -> str:
        reply = str(self._read(self._tapped.read))
        self._got(reply.rstrip("\r\n").encode("latin-1") + b"\n")
        return reply

    def read_bytes(self, count: int, **more: Any) -> bytes:
        return self._got(bytes(self._read(self._tapped.read_bytes, count, **more)))

    def read_raw(self, size: int | None = None) -> bytes:
        data = self._got(bytes(self._read(self._tapped.read_raw, size)))
        if not data.endswith(b"\n"):
            self._got(b"\n")
        return data

    def _read(self, how: Any, *args: Any, **more: Any) -> Any:
        try:
            return how(*args, **more)
        except Exception as error:
            if not _patience(error):
                self._ended()
            raise


def _patience(error: Exception) -> bool:
    """Whether nothing came in time, which says nothing of the connection."""
    from pyvisa.constants import StatusCode
    from pyvisa.errors import VisaIOError

    return isinstance(error, VisaIOError) and error.error_code == StatusCode.error_timeout

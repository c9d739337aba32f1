"""The serial line to the Pico: numbered requests, checked replies, bounded waiting, and a heartbeat."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from drivers.errors import (
    BenchError,
    ConnectionLostError,
    EmergencyStopError,
    InputError,
    LimitError,
)
from drivers.pico.finding import refusal
from drivers.pico.replies import ERRORS, Fields, latched
from drivers.wire.taps import tapped_serial
from firmware import protocol

BEAT_S = 0.25
FRESH_S = 0.02  # for so long what a reply says of the latch is believed
SILENT, GARBLED = 2, 3  # how often a request is sent that is not answered, or not legibly
GREETINGS = 8  # the same for the first request: a Pico that has just been plugged in takes up to 2.5 s to begin


def _reply_s() -> float:
    """How long an answer is waited for, s: twice this and a beat, and a lost board is noticed within a second.

    The longest request takes some 0.1 s. A simulated Pico may get no processor for longer on a busy machine:
    HIL_PICO_REPLY_S has it waited for. Raises InputError.
    """
    named = os.environ.get("HIL_PICO_REPLY_S", "0.35")
    try:
        seconds = float(named)
    except ValueError:
        seconds = 0.0
    if not 0.1 <= seconds <= 60:
        raise InputError(f"HIL_PICO_REPLY_S = {named!r}: seconds, from 0.1 to 60")
    return seconds


REPLY_S = _reply_s()


@dataclass
class _Posted:
    """A shot that is being sent: the number it is expected to get, its lines with their numbers, and what came of it:
    number and ticks, or why not.
    """

    expected: int
    begin: tuple[int, bytes]
    lines: list[tuple[int, bytes]]
    pieces: Sequence[bytes]
    repeated: int  # requests until then
    came: tuple[int, int] | Exception | None = None


class PicoLink:
    """One Pico. Every method raises ConnectionLostError once the board is lost or has rebooted.

    `reply_s` is how long an answer is waited for, s, where it is not as long as for every Pico.
    """

    def __init__(self, port: str, reply_s: float | None = None) -> None:
        import serial

        self.port = port
        self._stated_s = reply_s
        self._lock = threading.RLock()
        self._number = 0
        self._pending = b""
        self._beat_s = BEAT_S
        self._boot = ""
        self._asked_s = time.monotonic()  # last
        self._repeated = 0  # requests
        self._posted: _Posted | None = None
        self._last_shot = 0  # the number of the last that the Pico has begun, as far as it has said
        self._latch: tuple[str, float] = ("", -1.0)  # what a reply said of it last, and when
        self._lost: ConnectionLostError | None = None
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        try:
            opened = serial.Serial(port, 115_200, timeout=0, write_timeout=self._reply_s, exclusive=True)
        except serial.SerialException as error:
            raise ConnectionLostError(f"the Pico at {port} cannot be opened: {refusal(error)}") from error
        self._serial: Any = tapped_serial(opened, "pico")

    @property
    def _reply_s(self) -> float:
        return REPLY_S if self._stated_s is None else self._stated_s

    # ---- requests -----------------------------------------------------------------------------------------------

    def greet(self) -> Fields:
        """The fields of `id`, also of a firmware that is only just starting."""
        return self._ask("id", [], most_silent=GREETINGS)

    def ask(self, verb: str, *args: object) -> Fields:
        """The fields of the reply; raises what the Pico's error means."""
        return self._ask(verb, [str(a) for a in args])

    def post_shot(self, args: tuple[object, ...], pieces: Sequence[bytes]) -> None:
        """Have a shot begun and its packed runs sent, each piece at most protocol.CHUNK bytes: all at once, by the
        number that it is expected to get, so that no reply has to be waited for. `play_shot` says what came of it.
        """
        with self._lock:
            self.settle_shot()
            self._posted = None
            if self._lost is not None:
                raise self._lost
            expected = self._last_shot % protocol.MAX_NUMBER + 1
            begin = self._line_of("load", lambda _: [str(a) for a in args])
            lines = [self._data_line(expected, piece, runs) for piece, runs in enumerate(pieces)]
            self._send(b"".join(line for _, line in (begin, *lines)))
            self._posted = _Posted(expected, begin, lines, pieces, self._repeated)

    def play_shot(self) -> tuple[int, int]:
        """Play what was posted, or have it follow what plays; returns its number and how many ticks it takes.

        Raises what the Pico's refusals mean, of the shot as well.
        """
        with self._lock:
            posted = self._posted
            if posted is None:
                raise BenchError("no shot was sent: load before start")
            ahead = None
            if posted.came is None and self._lost is None:
                ahead = self._line_of("play", lambda _: [str(posted.expected)])
                self._send(ahead[1])
            self.settle_shot()
            self._posted = None
            if isinstance(posted.came, Exception):
                raise posted.came
            assert posted.came is not None  # noqa: S101 (it has been settled)
            number, ticks = posted.came
            if ahead is None or number != posted.expected:
                self.ask("play", number)
            else:
                self._settle("play", *ahead, sent=posted.repeated == self._repeated)
            return number, ticks

    def settle_shot(self) -> None:
        """Wait for what the Pico says of the shot that was posted, if one is: whatever is asked then comes after it."""
        with self._lock:
            posted = self._posted
            if posted is not None and posted.came is None:
                posted.came = BenchError("a shot was sent and not answered")
                try:
                    posted.came = self._came_of(posted)
                except (BenchError, LimitError) as error:
                    posted.came = error

    def _came_of(self, posted: _Posted) -> tuple[int, int]:
        reply = self._settle("load", *posted.begin, sent=True)
        number = self._last_shot = reply.number("shot")
        for piece, runs in enumerate(posted.pieces):
            if number == posted.expected:  # what was answered before something was repeated has been skipped
                sent = posted.repeated == self._repeated
                reply = self._settle("data", *posted.lines[piece], sent=sent)
            else:  # somebody else has begun one
                reply = self._settle("data", *self._data_line(number, piece, runs))
        return number, reply.number("ticks")

    def _data_line(self, shot: int, piece: int, runs: bytes) -> tuple[int, bytes]:
        return self._line_of("data", lambda number: protocol.data_args(number, shot, piece, runs))

    def _line_of(self, verb: str, args: Callable[[int], list[str]]) -> tuple[int, bytes]:
        """The number of a request, which its arguments may need, and its line."""
        self._number = self._number % protocol.MAX_NUMBER + 1
        return self._number, protocol.request(self._number, verb, args(self._number))

    def _ask(self, verb: str, args: list[str], most_silent: int = SILENT) -> Fields:
        with self._lock:
            self.settle_shot()
            return self._settle(verb, *self._line_of(verb, lambda _: args), most_silent=most_silent)

    def _settle(self, verb: str, number: int, line: bytes, *, sent: bool = False, most_silent: int = SILENT) -> Fields:
        """Send a request, and the very same line again while it is not answered legibly: it is carried out once."""
        if self._lost is not None:
            raise self._lost
        self._asked_s = time.monotonic()
        silent = garbled = 0
        while garbled < GARBLED and silent < most_silent:
            if not sent:
                self._send(line)
            self._repeated += silent + garbled > 0
            sent = False
            reply = self._reply(number)
            if reply is None:
                silent += 1
                continue
            fields, code, text = reply
            if code == "":
                self._see(fields)
                return Fields(verb, fields)
            if code != "checksum":
                raise self._error(verb, code, text)
            garbled += 1
        if silent == most_silent:
            raise self._lose(f"the Pico at {self.port} does not answer ({verb}): check its USB cable")
        raise BenchError(f"lines to or from the Pico at {self.port} are garbled ({verb}): check its USB cable")

    def _send(self, line: bytes) -> None:
        import serial

        try:
            self._serial.write(line)
        except (serial.SerialException, OSError) as error:
            raise self._lose(f"the Pico at {self.port} is gone ({error}): plug it in again") from error

    def _reply(self, number: int) -> tuple[dict[str, str], str, str] | None:
        """Fields, error code and text of the reply; code `checksum` where a line was garbled, None for none in time."""
        until = time.monotonic() + self._reply_s
        while (line := self._line(until)) is not None:
            try:
                got, fields, code, text = protocol.parse_reply(line)
            except protocol.ProtocolError as error:
                if line[:3] in (b"OK ", b"ERR"):
                    return {}, "checksum", error.text  # no use to wait for another
                continue  # a banner or the end of something older
            if got == number or (got == 0 and code == "checksum"):
                return fields, code, text
        return None

    def _line(self, until: float) -> bytes | None:
        import serial

        last = False
        while b"\n" not in self._pending:
            left = until - time.monotonic()
            if last:
                return None
            last = left <= 0  # what came while this computer was kept from looking is there all the same
            try:
                self._serial.timeout = max(0.0, left)
                got = self._serial.read(1)
                self._pending += got + self._serial.read(self._serial.in_waiting)
            except (serial.SerialException, OSError) as error:
                raise self._lose(f"the Pico at {self.port} is gone ({error}): plug it in again") from error
        line, _, self._pending = self._pending.partition(b"\n")
        return line.rstrip(b"\r")

    # ---- what can go wrong --------------------------------------------------------------------------------------

    def _error(self, verb: str, code: str, text: str) -> BenchError | LimitError:
        """What an ERR reply means; a board that has rebooted has forgotten everything, and this is why."""
        if code in ("state", "latched", "capture") and self._boot and verb != "beat":
            reason = self.ask("beat")["latch"]
            if reason != "none" and not (code == "latched" and "estop is low" in text):
                return latched(reason)
        if code == "latched" and "estop is low" in text:
            return EmergencyStopError("the emergency stop at the Pico is pressed or its wire is broken: release it")
        return ERRORS.get(code, BenchError)(f"the Pico refuses {verb}: {text} ({protocol.CODES[code]})")

    def _see(self, fields: dict[str, str]) -> None:
        if "latch" in fields:
            self._latch = fields["latch"], time.monotonic()
        if fields.get("last", "").isdigit():
            self._last_shot = int(fields["last"])
        boot = fields.get("boot", "")
        if boot and self._boot and boot != self._boot:
            raise self._lose(
                f"the Pico at {self.port} has rebooted: it is safe and has forgotten the shot; start again"
            )
        self._boot = boot or self._boot

    def _lose(self, why: str) -> ConnectionLostError:
        if self._lost is None:
            self._lost = ConnectionLostError(why)
        return self._lost

    # ---- life ---------------------------------------------------------------------------------------------------

    def check_latch(self) -> None:
        """Raise UnsafeError where the Pico has made the board safe by itself, as far as a reply has just said.

        Of a shot that is being sent the replies will say it.
        """
        if self._posted is not None and self._posted.came is None and self._lost is None:
            return
        reason, said_s = self._latch
        if self._lost is not None or time.monotonic() - said_s > FRESH_S:
            reason = self.ask("beat")["latch"]
        if reason != "none":
            raise latched(reason)

    @property
    def lost(self) -> ConnectionLostError | None:
        """Why the board is lost, None while it is there."""
        return self._lost

    def begin(self, beat_s: float = BEAT_S) -> None:
        """End whatever line was half sent, and begin the heartbeat."""
        self._beat_s = min(beat_s, BEAT_S)
        self._send(b"\n")
        self._thread = threading.Thread(target=self._beat, name="pico-heartbeat", daemon=True)
        self._thread.start()

    def _beat(self) -> None:
        wait_s = self._beat_s
        while not self._closing.wait(wait_s):
            wait_s = self._asked_s + self._beat_s - time.monotonic()
            if wait_s > 0:  # whatever was asked was a beat
                continue
            wait_s = self._beat_s
            try:
                self.ask("beat")
            except (BenchError, LimitError):
                if self._lost is not None:
                    return

    def close(self) -> None:
        """End the heartbeat and let go of the port; idempotent."""
        self._closing.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout=2 * self._reply_s)
        with self._lock:  # a beat that is still awaited holds it, no longer than its tries last
            self._lost = self._lost or ConnectionLostError(f"the connection to the Pico at {self.port} is closed")
            self._serial.close()

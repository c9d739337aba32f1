"""A Pico on USB: the unmodified firmware in a MicroPython process, behind a pseudo-terminal, on the simulated board.

The firmware runs from a folder that stands for the Pico's flash, so that `mpremote` can look at it and change it. What
it asks of `machine` and `rp2` comes over a loopback socket to `Chip`.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import termios
import threading
import time
from collections.abc import Callable, Collection
from importlib.resources import files
from pathlib import Path
from typing import IO, Literal

from drivers.errors import InputError, TwinError
from drivers.mock.board import Board
from drivers.mock.pico.chip import FORCED, TIMED_OUT, Chip
from drivers.mock.pico.soldered import Pins
from drivers.mock.pico.terminals import read, running_s, terminal, unread, write
from drivers.mock.roughness import Pauses
from drivers.settings import Wiring
from firmware.protocol import FILES, FIRMWARE

FAULTS = frozenset({"unplugged", "reboot", "garbled_line", "stale_firmware"})
WIRING = Wiring(dendrite=2, reset=3, sync=4, select=(5, 6, 7, 8))
STRIKES_S = 0.005  # after the first shot began, for the faults that come in a shot
USB_BYTES_PER_S = 100e3  # micropython/micropython#17398
USB_LATENCY_S = 1e-3
STANDINS = Path(__file__).parent / "standins"
POWER_ON, WATCHDOG = 1, 3  # causes of a reset, as machine.reset_cause()
INTERRUPT = b"\x03"  # on a Pico's USB this byte is Ctrl-C for a program that has not switched that off
RAW, FRIENDLY = b"\x01", b"\x02"  # what puts the REPL into these modes
USB_FIFO = 256  # bytes that wait for a host that does not read
LOOK_S = 0.0005
AHEAD_S = 0.002
IDLE_S = 0.1  # until it is seen that all is over where nothing plays
WATCH_S = 0.02


def micropython() -> str | None:
    """The interpreter, beside this Python or on the path."""
    beside = Path(sys.executable).parent / "micropython"
    return str(beside) if beside.exists() else shutil.which("micropython")


class PicoServer:
    """Serves one Pico; `port` is what pyserial opens.

    `sync_input` is the GPIO that sync is wired to where the Pico only listens; then it drives no lines. `profile`
    "realistic" moves bytes as fast as a Pico's USB. Misuse of the board is collected in `errors` and raised on exit.
    """

    def __init__(
        self,
        board: Board,
        *,
        faults: Collection[str] = (),
        profile: Literal["fast", "realistic"] = "fast",
        pins: Pins | None = None,
        dac: Literal["mcp4728", "mcp4725", "none"] = "mcp4728",
        vdd_v: float = 3.3,
        interpreter: str | None = None,
    ) -> None:
        unknown = set(faults) - FAULTS
        if unknown:
            raise InputError(f"unknown Pico fault {', '.join(sorted(unknown))}; known: {', '.join(sorted(FAULTS))}")
        self.faults = set(faults)
        self.pins = pins if pins is not None else Pins(WIRING)
        self.chip = Chip(board, self.pins, dac, vdd_v, lambda: self.reset(WATCHDOG, FORCED))
        self.chip.on_play = self._on_play
        self.chip.interrupt = self._interrupt
        self.errors = self.chip.errors
        self.flash = Path(tempfile.mkdtemp(prefix="pico-flash-"))
        self._interpreter = interpreter or micropython() or sys.executable
        self._slow = profile == "realistic"
        self._pauses = Pauses(board.rough, board.seed)
        self._lock = threading.RLock()
        self._wire: IO[bytes] | None = None  # to the stand-ins that run now
        self._wire_lock = threading.Lock()
        self._asking: socket.socket | None = None  # what the stand-ins that run now ask by
        self._answering = False
        self._raw = False  # the REPL is in its raw mode
        self._closing = threading.Event()
        self._plugged = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._inner = -1  # the terminal that the firmware sits on
        self._strike: threading.Timer | None = None
        self._copy_firmware()

    # ---- life ---------------------------------------------------------------------------------------------------

    def __enter__(self) -> PicoServer:
        self._master, self._slave = terminal(interrupts=False)
        self.port = os.ttyname(self._slave)
        self._link = socket.create_server(("127.0.0.1", 0))
        self._plugged.set()
        self._start()
        self._threads = [_thread(work, f"pico-{work.__name__}") for work in (self._serve_chip, self._watch, self._look)]
        self._pump = _thread(self._to_firmware, "pico-to-firmware")
        return self

    def __exit__(self, *exc: object) -> None:
        self._closing.set()
        if self._strike is not None:
            self._strike.cancel()
        self.unplug()
        for thread in self._threads:
            thread.join(timeout=5)
        self._link.close()
        shutil.rmtree(self.flash, ignore_errors=True)
        if self.errors and exc[0] is None:
            raise self.errors[0]

    def wait_until_up(self, timeout_s: float = 60.0) -> None:
        """Return when the firmware serves; raises TwinError when it does not in time."""
        until = time.monotonic() + timeout_s
        while self.chip.watchdog_s is None:  # the first thing that its command loop sets
            if time.monotonic() > until:
                raise TwinError(f"the simulated Pico's firmware did not come up within {timeout_s:g} s")
            time.sleep(0.01)

    def reset(self, cause: int = POWER_ON, reason: int = 0) -> None:
        """The chip begins anew from what is in its flash; the lines are low at once."""
        with self._lock:
            self._kill()
            self._raw = False
            self.chip.power_on(cause, reason)
            if not self._closing.is_set() and self._plugged.is_set():
                self._start()

    def unplug(self) -> None:
        """The USB cable is pulled: the Pico has no power, the host's port is gone."""
        if not self._plugged.is_set():
            return
        self._plugged.clear()
        self.reset()
        self._pump.join(timeout=5)
        os.close(self._slave)
        os.close(self._master)

    def hang(self) -> None:
        """The interpreter stops dead, as in an endless loop with interrupts off."""
        with self._lock:
            if self._process is not None:
                self._process.send_signal(signal.SIGSTOP)

    def _copy_firmware(self) -> None:
        for name in FILES:
            text = (files("firmware") / name).read_text(encoding="utf-8")
            if name == "protocol.py" and "stale_firmware" in self.faults:
                text = text.replace("\nVERSION = 1\n", "\nVERSION = 0\n").replace(f'"{FIRMWARE}"', '"0.9.0"')
            (self.flash / name).write_text(text, encoding="utf-8")

    def _soft_reset(self, *, asked: bool) -> None:
        """The interpreter begins anew: asked by Ctrl-D, which it says, or by Ctrl-C while it began.

        In the raw REPL, to which it goes back, main.py does not run; in the other it does (MicroPython:
        ports/rp2/main.c).
        """
        with self._lock:
            self._kill()
            self.chip.power_on(POWER_ON)
            self._start(repl=self._raw or not asked)
            if asked:
                write(self._master, b"MPY: soft reboot\r\n")
            if asked and self._raw:
                write(self._inner, RAW)

    def _start(self, *, repl: bool = False) -> None:
        environment = {
            **os.environ,
            "MICROPYPATH": str(STANDINS),
            "PYTHONPATH": str(STANDINS),
            "HIL_PICO_LINK": str(self._link.getsockname()[1]),
            "HIL_PICO_REPL": "1" if repl else "",
        }
        real = "micropython" in Path(self._interpreter).name
        boot = ["-i", str(STANDINS / "micropython_boot.py")] if real else [str(STANDINS / "cpython_boot.py")]
        self._inner, slave = terminal(interrupts=True)
        out = os.open(os.ttyname(slave), os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK)  # a file of its own: input blocks
        _thread(functools.partial(self._to_host, self._inner), "pico-to-host")
        self._process = subprocess.Popen(
            [self._interpreter, *boot],
            stdin=slave,
            stdout=out,
            stderr=out,
            cwd=self.flash,
            env=environment,
            start_new_session=True,
        )
        os.close(slave)
        os.close(out)

    def _kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
            self._inner = -1

    # ---- faults -------------------------------------------------------------------------------------------------

    def _on_play(self) -> None:
        """Faults that come in the middle of the first shot."""
        strike = {"unplugged": self.unplug, "reboot": self.reset}
        for fault in self.faults & set(strike):
            self.faults.discard(fault)
            self._strike = threading.Timer(STRIKES_S, strike[fault])
            self._strike.start()

    def _garble(self, data: bytes) -> bytes:
        """One digit of the first counts, once."""
        at = data.find(b" data=")
        if "garbled_line" not in self.faults or at < 0 or len(data) <= at + 7:
            return data
        self.faults.discard("garbled_line")
        wrong = b"B" if data[at + 6 : at + 7] != b"B" else b"C"
        return data[: at + 6] + wrong + data[at + 7 :]

    # ---- threads ------------------------------------------------------------------------------------------------

    def _serve_chip(self) -> None:
        """One connection of the stand-ins after the other."""
        self._link.settimeout(0.1)
        while not self._closing.is_set():
            try:
                connection, _ = self._link.accept()
            except TimeoutError:
                continue
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _interrupt(self, what: str, number: int) -> None:
        with self._wire_lock, contextlib.suppress(OSError, ValueError):
            if self._wire is not None:
                self._wire.write(json.dumps({"interrupt": [what, number]}).encode() + b"\n")
                self._wire.flush()

    def _look(self) -> None:
        """Let the chip interrupt when what plays has ended, and the board work out what plays before it is asked."""
        while not self._closing.wait(AHEAD_S):
            if self.chip.plays.wait(IDLE_S):
                self.chip.look()
                self.chip.board.foresee()

    def _answer(self, connection: socket.socket) -> None:
        with contextlib.suppress(ConnectionError), connection, connection.makefile("rwb") as stream:
            self._wire, self._asking, self._answering = stream, connection, False  # type: ignore[assignment]
            while line := stream.readline():
                self._answering = True
                request = json.loads(line)
                if "bytes" in request:
                    request["fifo"] = stream.read(request.pop("bytes"))
                answer = self.chip.answer(request)
                words = answer["value"].pop("fifo", None) if isinstance(answer.get("value"), dict) else None
                if words is not None:
                    answer["bytes"] = len(words)
                with self._wire_lock:
                    stream.write(json.dumps(answer).encode() + b"\n" + (words or b""))
                    stream.flush()
                self._answering = False

    def _to_firmware(self) -> None:
        while self._plugged.is_set():
            data = read(self._master)
            self._carry(data)
            if not data:
                continue
            self._await_start()
            with self._lock, contextlib.suppress(OSError, termios.error):  # what ends meanwhile takes no more
                if self._process is not None and self._inner >= 0:
                    self._deliver(self._process, data)

    def _deliver(self, process: subprocess.Popen[bytes], data: bytes) -> None:
        # What comes while a program still ends is for the REPL that follows.
        self._raw = data.rfind(RAW) > data.rfind(FRIENDLY) or (self._raw and FRIENDLY not in data)
        reads_repl = not termios.tcgetattr(self._inner)[3] & termios.ISIG
        if INTERRUPT in data and not reads_repl and self.chip.interrupt_byte == INTERRUPT[0]:
            process.send_signal(signal.SIGINT)
            data = data.replace(INTERRUPT, b"")
        write(self._inner, data)

    def _await_start(self) -> None:
        """USB is there before anything can be interrupted by it."""
        until = time.monotonic() + 1.0
        while self.chip.interrupt_byte is None and self._process is not None and time.monotonic() < until:
            time.sleep(LOOK_S)

    def _to_host(self, inner: int) -> None:
        """All that one process says; its terminal is closed when it has ended."""
        with contextlib.suppress(OSError):
            while self._plugged.is_set():
                if unread(self._slave) >= USB_FIFO:
                    time.sleep(LOOK_S)
                    continue
                data = read(inner, USB_FIFO)
                self._carry(data)
                write(self._master, self._garble(data))
        with self._lock:
            if self._inner == inner:
                self._inner = -1
            os.close(inner)

    def _carry(self, data: bytes) -> None:
        """What USB takes to carry it."""
        if self._slow and data:
            time.sleep(USB_LATENCY_S + self._pauses.transfer_s() + len(data) / USB_BYTES_PER_S)

    def _owes(self) -> bool:
        """Whether the firmware waits for an answer of the chip, which is ours to give."""
        with contextlib.suppress(OSError, ValueError):  # it has just been closed
            return self._answering or (self._asking is not None and unread(self._asking.fileno()) > 0)
        return False

    def _watch(self) -> None:
        """The chip's watchdog, and the soft reset that mpremote asks for, which ends a MicroPython process."""
        fed_ns, unfed_s, looked_s, ran_s = self.chip.fed_ns, 0.0, time.monotonic(), 0.0
        while not self._closing.wait(WATCH_S):
            now_s = time.monotonic()
            # A machine that keeps us from looking or answering, or the firmware from running, keeps it from feeding
            # too: that is no hang of a Pico's.
            passed_s = 0.0 if self._owes() else min(now_s - looked_s, 2 * WATCH_S)
            if (runs := running_s(self._process)) is not None:
                passed_s, ran_s = min(passed_s, max(0.0, runs - ran_s)), runs
            unfed_s += passed_s
            looked_s = now_s
            if self.chip.fed_ns != fed_ns:
                fed_ns, unfed_s = self.chip.fed_ns, 0.0
            limit_s = self.chip.watchdog_s
            if limit_s is not None and unfed_s > limit_s:
                self.reset(WATCHDOG, TIMED_OUT)
                unfed_s = 0.0
            with self._lock:
                ended = None if self._process is None else self._process.poll()
                if ended is not None and not self._closing.is_set():  # not 0: by Ctrl-C while it began
                    self._soft_reset(asked=ended == 0)


def _thread(work: Callable[[], None], name: str) -> threading.Thread:
    thread = threading.Thread(target=work, name=name, daemon=True)
    thread.start()
    return thread

"""The simulated DS4024 behind its connectors: one message in, at most one reply out."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np

from drivers.errors import TwinError
from drivers.mock.clock import at_one_time
from drivers.mock.defects import DEFECTS
from drivers.mock.ds4024.acquisition import Acquisition, Probes, Record, SignalSource
from drivers.mock.ds4024.front import SOURCES, SWEEPS, FrontPanel
from drivers.mock.ds4024.measure import EDGES, INVALID, LEVELS, TIMES, measure
from drivers.mock.ds4024.memory import block
from drivers.mock.ds4024.scpi import (
    ILLEGAL_VALUE,
    INPUT_OVERRUN,
    UNDEFINED_HEADER,
    Commands,
    Header,
    ScpiError,
    Status,
    Syntax,
    units,
)
from drivers.mock.ds4024.screen import bmp, picture
from drivers.mock.ds4024.vxi11 import Reply
from drivers.mock.ds4024.waveform import Waveform
from drivers.mock.misuse import Misuse
from drivers.mock.probe import REFERENCE
from drivers.mock.roughness import SMOOTH, Pauses, Roughness

if TYPE_CHECKING:
    from drivers.mock.ds4024.faults import Faults
    from drivers.mock.ds4024.memory import Codes

FIRMWARE, OLD_FIRMWARE = "00.02.03", "00.02.02"
SERIAL = "DS4A000000001"
LOGGED = 100_000  # messages that `log` remembers


@dataclass(frozen=True)
class Profile:
    """How fast the instrument is: seconds that a command takes, bytes a second out of memory (None: unlimited)."""

    command_s: float
    bytes_per_s: float | None


PROFILES = {
    "fast": Profile(0.0, None),
    # 0.05-0.5 MB/s and 1.8 s for a frame of some 100 commands are reported for the series (libsigrok PR 71).
    "realistic": Profile(0.020, 0.3e6),
}


class DS4024:
    """The instrument behind its connectors: one message in, at most one reply out."""

    def __init__(
        self,
        source: SignalSource,
        *,
        channels: Mapping[str, int],
        probe: float,
        faults: Faults,
        profile: Profile,
        clock: Callable[[], int],
        seed: int,
    ) -> None:
        self.log: deque[str] = deque(maxlen=LOGGED)
        self.misuse: Misuse = getattr(source, "misuse", None) or Misuse()
        self._clock, self._faults, self._profile, self._seed = clock, faults, profile, seed
        attenuation = probe * (10 if faults.on("x10_probe") else 1)
        gain = {"axon": 4.0} if faults.on("clipped_channel") else {}
        rough: Roughness = getattr(source, "rough", SMOOTH)
        self._pauses = Pauses(rough, seed)
        defects = tuple(name for name in DEFECTS if faults.on(name))
        self._probes = Probes(
            source,
            {n: name for name, n in channels.items()},
            attenuation,
            gain,
            rough,
            defects,
        )
        self._acquisition = Acquisition(self._probes)
        self._acquisition.run(clock())
        self._front = FrontPanel(fixed_auto=faults.on("auto_depth"), coarse=faults.on("coarse_time_base"))
        self._waveform = Waveform(
            self._record, self._codes, lambda: self._acquisition.running, clock, faults, profile.bytes_per_s
        )
        self._status = Status()
        self._hung = False
        self._lock = threading.Lock()
        self._commands = Commands(
            queries={
                "*IDN": self._identity,
                "*OPC": lambda: "1",
                "*ESR": self._status.read_events,
                "*TST": lambda: "0",
                "*OPT": lambda: "0",
                "DISPlay:DATA": self._screen,
                "SYSTem:DATE": lambda: f"{datetime.now():%Y,%m,%d}",
                "SYSTem:TIME": lambda: f"{datetime.now():%H,%M,%S}",
                "SYSTem:AUToscale": lambda: "1",
                "*STB": lambda: str(self._status.byte()),
                "*ESE": lambda: str(self._status.enabled),
                "*SRE": lambda: str(self._status.service),
                "SYSTem:ERRor[:NEXT]": self._status.next_error,
                "SYSTem:VERSion": lambda: "1999.0",
                "TRIGger:STATus": self._trigger_status,
                "TRIGger:SWEep": lambda: self._front.sweep,
            },
            actions={
                "*OPC": lambda: None,
                "*WAI": lambda: None,
                "*CLS": self._clear_status,
                "*RST": self._reset,
                "RUN": self._run,
                "STOP": lambda: self._acquisition.stop(self._clock(), self._front.setup),
                "SINGle": self._single,
                "TFORce": self._acquisition.force,
                "CLEar": lambda: None,
            },
            settings={
                "*ESE": self._enable_events,
                "*SRE": self._enable_service,
                "TRIGger:SWEep": self._set_sweep,
            },
        )
        self._measures = frozenset(f"MEASure:{item}" for item in (*LEVELS, *TIMES, *EDGES))
        self._syntax = Syntax(
            [*self._commands.patterns, *self._front.patterns, *self._waveform.commands.patterns, *self._measures]
        )

    # ---- messages -----------------------------------------------------------------------------------------------

    def opened(self) -> None:
        """A connection has been opened, which ends a hang."""
        self._hung = False

    def message(self, text: bytes) -> Reply | None:
        """Execute one message; the reply ends with a newline. Unknown queries get no reply at all."""
        if takes_s := self._profile.command_s + self._pauses.next_s():
            time.sleep(takes_s)
        with self._lock, at_one_time(self._clock):  # what a simulation takes to work samples out, no instrument does
            line = text.decode("ascii", errors="replace").strip()
            self.log.append(line)
            if self._hung or not line:
                return None
            replies = [reply for unit in units(line) if (reply := self._execute(unit)) is not None]
            if not replies:
                return None
            return self._finished(replies[0] if len(replies) == 1 else b";".join(map(_bytes, replies)))

    def _execute(self, unit: str) -> str | bytes | None:
        """One command or query of a message."""
        header = self._syntax.parse(unit)
        try:
            self._acquisition.advance(self._clock(), self._front.setup)
            reply = self._dispatch(header)
        except ScpiError as error:
            self._status.error(error.entry)
            return None
        return None if header.query and self._faults.strikes("no_reply") else reply

    def _dispatch(self, header: Header) -> str | bytes | None:
        pattern = header.pattern
        if pattern is None:
            raise ScpiError(UNDEFINED_HEADER)
        if pattern in self._measures and header.query:
            return self._measure(pattern.partition(":")[2], header.argument)
        if pattern.startswith("WAVeform"):
            return self._waveform.commands.execute(header)
        if pattern in self._front.patterns:
            return self._front.handle(header, self._acquisition.running)
        return self._commands.execute(header)

    def _finished(self, reply: str | bytes) -> Reply:
        if isinstance(reply, str):
            return Reply(reply.encode("ascii") + b"\n")
        if len(reply) > 16 and self._faults.strikes("truncated_block"):
            return Reply(reply[: 11 + (len(reply) - 11) // 2])
        if len(reply) > 16 and self._faults.strikes("disconnect_mid_block"):
            return Reply(reply + b"\n", breaks_after=len(reply) // 2)
        return Reply(reply + b"\n")

    def clear(self) -> None:
        """Device clear."""
        self.log.append("device clear")
        self._hung = self._hung or self._faults.strikes("hangs_on_clear")

    def overrun(self) -> None:
        """A message too long for the input buffer was dropped."""
        with self._lock:
            self._status.error(INPUT_OVERRUN)

    def status_byte(self) -> int:
        """IEEE 488.2 status byte."""
        return self._status.byte()

    # ---- common commands ----------------------------------------------------------------------------------------

    def _identity(self) -> str:
        firmware = OLD_FIRMWARE if self._faults.on("old_firmware") else FIRMWARE
        return f"RIGOL TECHNOLOGIES,DS4024,{SERIAL},{firmware}"

    def _enable_events(self, text: str) -> None:
        self._status.enabled = _byte(text)

    def _enable_service(self, text: str) -> None:
        self._status.service = _byte(text)

    def _clear_status(self) -> None:
        self._status.clear()
        self._hung = self._hung or self._faults.strikes("hangs_on_clear")

    def _reset(self) -> None:
        self._front.reset()
        self._run()

    # ---- acquisition --------------------------------------------------------------------------------------------

    def _run(self) -> None:
        self._acquisition.run(self._clock())
        self._waveform.forget_reading()

    def _single(self) -> None:
        if self._front.simple("TRIGger:MODE") != "EDGE":
            self.misuse.record(TwinError("the simulated DS4024 triggers on edges only; it does so now"))
        if self._front.simple("ACQuire:TYPE") != "NORM":
            self.misuse.record(TwinError("the simulated DS4024 takes plain samples only; it does so now"))
        self._acquisition.single(self._clock())
        self._waveform.forget_reading()
        if self._faults.strikes("single_without_trigger"):
            self._acquisition.halt_empty()
        elif self._faults.strikes("lost_trigger"):
            self._acquisition.deaf = True

    def _trigger_status(self) -> str:
        status = self._acquisition.status(self._clock(), self._front.setup)
        return "WAIT" if status == "TD" and self._faults.on("missed_td") else status

    def _set_sweep(self, text: str) -> None:
        self._front.sweep = SWEEPS.parse(text)
        if self._front.sweep == "SING":
            self._single()

    # ---- data ---------------------------------------------------------------------------------------------------

    def _record(self) -> Record | None:
        if self._acquisition.running:
            return self._acquisition.latest(self._clock(), self._front.setup)
        return self._acquisition.record

    def _codes(self, record: Record, channel: int, first: int, count: int) -> Codes:
        codes = record.codes(self._probes, channel, first, count, self._seed)
        if self._faults.on("old_firmware"):
            codes[511::512] = codes[510::512][: len(codes[511::512])]
            codes[::4096] ^= 0x40
        return codes

    def _screen(self) -> bytes:
        """`:DISPlay:DATA?`: what the screen shows, as a BMP in a block."""
        record = self._record()
        shown: dict[int, Codes] = {}
        if record is not None:
            on = [number for number, view in record.channels.items() if view.display]
            shown = {n: record.codes(self._probes, n, 0, record.points, self._seed) for n in on}
        return block(bmp(picture(shown)))

    def _measure(self, item: str, argument: str) -> str:
        channel = int(SOURCES.parse(argument or "CHAN1")[-1])
        record = self._record()
        if record is None:
            return f"{INVALID:.6e}"
        view = record.channels[channel]
        codes = record.codes(self._probes, channel, 0, record.points, self._seed)
        volts = (codes.astype(np.float64) - view.y_origin - REFERENCE) * view.y_increment
        return f"{measure(item, volts, 1 / record.horizontal.rate_hz, view.scale / 4):.6e}"


def _bytes(reply: str | bytes) -> bytes:
    return reply if isinstance(reply, bytes) else reply.encode("ascii")


def _byte(text: str) -> int:
    if not text.isdigit() or int(text) > 255:
        raise ScpiError(ILLEGAL_VALUE)
    return int(text)

"""The threshold sources mcp4728 and mcp4725: a DAC on the Pi's I²C bus, through smbus2."""

from __future__ import annotations

import math
import time
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from drivers.checks import Check
from drivers.errors import BenchError, ConnectionLostError, InputError
from drivers.parts.kind import Opening, PartKind
from drivers.settings import ThresholdSettings

if TYPE_CHECKING:
    from drivers.settings import Limits

CODES = 4096
INTERNAL_REFERENCE_V = 2.048  # MCP4728: Microchip DS22187E
READY = 0x80  # RDY/BSY in the first byte of a reply: 0 while the EEPROM is written, 50 ms at most (both data sheets)
STORING_MOST_S, STORING_POLL_S = 0.5, 0.01
_ROUNDING = 1e-9  # of a code


class I2cBus(Protocol):
    """What is used of smbus2.SMBus."""

    def i2c_rdwr(self, *messages: Any) -> None:
        """Transfer messages; raises OSError when nobody answers."""

    def close(self) -> None:
        """Let go of the bus."""


@dataclass(frozen=True)
class Mcp4728:
    """Channel A of an MCP4728 on its internal 2.048 V reference (Microchip DS22187E); gain 1 or 2."""

    gain: int
    name: str = "MCP4728"
    reply_bytes: int = 24

    @property
    def full_scale_v(self) -> float:
        """Volts of code 4096, which is one step above what it can make."""
        return INTERNAL_REFERENCE_V * self.gain

    def message(self, code: int) -> bytes:
        """Multi-write of channel A's input register with UDAC = 0, so that the output follows; not of the EEPROM."""
        return bytes([0x40, *self._word(code).to_bytes(2, "big")])

    def store_message(self, code: int) -> bytes:
        """Single write of channel A's input register and EEPROM, the output following."""
        return bytes([0x58, *self._word(code).to_bytes(2, "big")])

    def now(self, reply: bytes) -> float | None:
        """Volts in channel A's input register, None if it is set up otherwise than by `message`."""
        return self._volts(reply[0:3])

    def answered(self, reply: bytes) -> bool:
        """Whether it is one that answered: it names the channel of every register."""
        return all(reply[3 * i] >> 4 & 3 == i // 2 for i in range(8))

    def power_up(self, reply: bytes) -> float | None:
        """Volts in channel A's EEPROM, None if it is set up otherwise."""
        return self._volts(reply[3:6])

    def _word(self, code: int) -> int:
        return 0x8000 | (0x1000 if self.gain == 2 else 0) | code

    def _volts(self, register: bytes) -> float | None:
        word = int.from_bytes(register[1:3], "big")
        code = word & 0x0FFF
        channel = register[0] >> 4 & 3
        return self.full_scale_v * code / CODES if (channel, word) == (0, self._word(code)) else None


@dataclass(frozen=True)
class Mcp4725:
    """An MCP4725, whose reference is its supply (Microchip DS22039D): V_th is only as good as `vdd_v`."""

    vdd_v: float
    name: str = "MCP4725"
    reply_bytes: int = 5

    @property
    def full_scale_v(self) -> float:
        """Volts of code 4096, which is one step above what it can make."""
        return self.vdd_v

    def message(self, code: int) -> bytes:
        """Fast write of the DAC register, powered up; not of the EEPROM."""
        return code.to_bytes(2, "big")

    def store_message(self, code: int) -> bytes:
        """Write of DAC register and EEPROM, powered up."""
        return bytes([0x60, code >> 4, (code & 15) << 4])

    def now(self, reply: bytes) -> float | None:
        """Volts in the DAC register, None if it is powered down."""
        code = int.from_bytes(reply[1:3], "big") >> 4
        return self.vdd_v * code / CODES if reply[0] >> 1 & 3 == 0 else None

    def answered(self, reply: bytes) -> bool:
        """Whether somebody answered; registers of an MCP4725 have no names. Setting it tells more."""
        return any(byte != 0xFF for byte in reply)

    def power_up(self, reply: bytes) -> float | None:
        """Volts in the EEPROM, None if it is powered down."""
        word = int.from_bytes(reply[3:5], "big")
        return self.vdd_v * (word & 0x0FFF) / CODES if word >> 13 & 3 == 0 else None


Dac = Mcp4728 | Mcp4725  # V = full_scale_v · code / 4096


class DacThreshold:
    """V_th from a DAC on I²C; see `drivers.bench.ThresholdSource`. Parked by `prepare`, and from then on when closed.

    Every setting is read back. The EEPROM, which wears and takes 50 ms, is written by `store_park` only. `bus` is an
    open smbus2.SMBus; without one the bus of the settings is opened. Raises InputError if the DAC cannot make the
    bench's limits, ConnectionLostError if it does not answer.
    """

    def __init__(self, settings: ThresholdSettings, limits: Limits, *, bus: I2cBus | None = None) -> None:
        self._dac = _dac(settings, limits)
        self._limits = limits
        self._address = settings.address
        self._where = f"{self._dac.name} at 0x{settings.address:02x} on I²C bus {settings.i2c_bus}"
        self._prepared = self._closed = False
        self._bus = _open_bus(settings.i2c_bus) if bus is None else bus

    @property
    def identity(self) -> dict[str, str]:
        """Which chip makes V_th, and where."""
        return {"threshold": self._where}

    def prepare(self) -> None:
        """Park V_th; raises ConnectionLostError, BenchError."""
        self.park()

    @property
    def step_v(self) -> float:
        """The DAC's step, V."""
        return self._dac.full_scale_v / CODES

    def set_threshold(self, volts: float) -> float:
        """Set V_th to the nearest step within the limits; returns the volts really made. Raises InputError outside."""
        low, high = self._limits.vth_min_v, self._limits.vth_max_v
        if not low <= volts <= high:
            raise InputError(f"V_th = {volts:g} V cannot be made: allowed {low:g}…{high:g} V")
        least = math.ceil(low / self.step_v - _ROUNDING)
        return self._make(min(max(round(volts / self.step_v), least), self._most))

    def park(self) -> None:
        """Go to the highest step within the limits, where the neuron never fires."""
        self._make(self._most)

    def checks(self) -> list[Check]:
        """What the DAC makes now, which nobody need have set yet, and when it is powered up. Only reads."""
        reply = self._read()
        now, power_up = self._dac.now(reply), self._dac.power_up(reply)
        described = ["another reference or powered down" if v is None else f"{v:.4g} V" for v in (now, power_up)]
        low = power_up is None or power_up < self._limits.vth_max_v - self.step_v
        known = self._dac.answered(reply)
        return [
            Check(
                "threshold DAC",
                known,
                f"{self._where}: {described[0]} now, {described[1]} at power-up",
                "until the host has started the comparator sees the power-up value: run `hil bench park-dac` once"
                if low and known
                else f"not an {self._dac.name}: check threshold.source and address"
                if not known
                else "",
            )
        ]

    def power_up_v(self) -> float | None:
        """What the EEPROM makes at power-up, V; None where it is set up otherwise or powered down."""
        return self._dac.power_up(self._read())

    def store_park(self) -> float:
        """Write the parked V_th to the EEPROM, so that it is there from power-up on; returns the volts read back.

        Raises BenchError where the EEPROM is not ready in time or holds something else afterwards.
        """
        from smbus2 import i2c_msg

        volts = self.step_v * self._most
        self._transfer(i2c_msg.write(self._address, self._dac.store_message(self._most)))
        deadline = time.monotonic() + STORING_MOST_S
        while not (reply := self._read())[0] & READY:
            if time.monotonic() > deadline:
                raise BenchError(f"{self._where} has not written its EEPROM in {STORING_MOST_S:g} s; power it anew")
            time.sleep(STORING_POLL_S)
        found = self._dac.power_up(reply)
        if found != volts:
            shown = "something else" if found is None else f"{found:.4g} V"
            raise BenchError(f"the EEPROM of the {self._where} holds {shown} instead of {volts:.4g} V: is it worn out?")
        return volts

    def close(self) -> None:
        """Park what was ever set, and let go of the bus; idempotent."""
        if self._closed:
            return
        try:
            if self._prepared:
                self.park()
        finally:
            self._closed = True
            self._bus.close()

    @property
    def _most(self) -> int:
        return math.floor(self._limits.vth_max_v / self.step_v + _ROUNDING)

    def _make(self, code: int) -> float:
        from smbus2 import i2c_msg

        self._prepared = True
        volts = self.step_v * code
        self._transfer(i2c_msg.write(self._address, self._dac.message(code)))
        found = self._dac.now(self._read())
        if found != volts:
            shown = "something else" if found is None else f"{found:.4g} V"
            raise BenchError(f"{self._where} holds {shown} instead of {volts:.4g} V: is it the right chip and address?")
        return volts

    def _read(self) -> bytes:
        from smbus2 import i2c_msg

        message = i2c_msg.read(self._address, self._dac.reply_bytes)
        self._transfer(message)
        return bytes(message)

    def _transfer(self, message: Any) -> None:
        if self._closed:
            raise BenchError("the threshold source is closed")
        try:
            self._bus.i2c_rdwr(message)
        except OSError as error:
            raise ConnectionLostError(
                f"no answer from the {self._where} ({error.strerror or error}): check its wires, supply and address "
                "with `i2cdetect -y`"
            ) from error


def _dac(settings: ThresholdSettings, limits: Limits) -> Dac:
    if settings.source == "mcp4725":
        dac: Dac = Mcp4725(settings.vdd_v)
    elif settings.source == "mcp4728":
        one = Mcp4728(gain=1)
        dac = one if limits.vth_max_v <= one.full_scale_v * (CODES - 1) / CODES else Mcp4728(gain=2)
    else:
        raise InputError(f"threshold.source = {settings.source} is not a DAC on I²C; use mcp4728 or mcp4725")
    most_v = min(dac.full_scale_v * (CODES - 1) / CODES, settings.vdd_v)
    if limits.vth_max_v > most_v * (1 + _ROUNDING):
        raise InputError(
            f"limits.vth_max_v = {limits.vth_max_v:g} V cannot be made by an {dac.name} on threshold.vdd_v = "
            f"{settings.vdd_v:g} V: at most {most_v:.4g} V"
        )
    return dac


def _open_bus(number: int) -> I2cBus:
    from smbus2 import SMBus

    try:
        bus: I2cBus = SMBus(number)
    except OSError as error:
        raise ConnectionLostError(
            f"I²C bus {number} cannot be opened ({error.strerror}): enable it with raspi-config and join group i2c"
        ) from error
    return bus


def _open_part(opening: Opening, settings: ThresholdSettings) -> DacThreshold:
    return DacThreshold(settings, opening.file.limits)


def _check(opening: Opening, settings: ThresholdSettings) -> list[Check]:
    with closing(_open_part(opening, settings)) as dac:
        return dac.checks()


PART = PartKind(
    _open_part,
    _check,
    ThresholdSettings,
    "threshold",
    advice="check i2c_bus, address and wiring",
    claims=lambda settings: [f"I²C bus {settings.i2c_bus}"],
)

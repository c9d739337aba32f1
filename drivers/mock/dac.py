"""Threshold DACs on a simulated I²C bus, byte by byte: Microchip MCP4728 (DS22187E) and MCP4725 (DS22039D)."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

from drivers.errors import TwinError

I2C_M_RD = 1  # flag of a reading message, linux/i2c.h
REFERENCE_V = 2.048
POWERED = 0
READY = 0x80
BUSY_READS = 2  # how many reads find the EEPROM still being written


class I2cDevice(Protocol):
    """Something that answers at an address."""

    def write(self, data: bytes) -> None:
        """A write to its address."""

    def read(self, count: int) -> bytes:
        """A read from its address; so many bytes."""
        ...


class MockI2cBus:
    """The bus as smbus2.SMBus shows it, for messages made with smbus2.i2c_msg."""

    def __init__(self, devices: Mapping[int, I2cDevice]) -> None:
        self.devices = dict(devices)
        self._open = True

    def i2c_rdwr(self, *messages: Any) -> None:
        """Carry out messages in order; raises OSError where the kernel would."""
        if not self._open:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        for message in messages:
            device = self.devices.get(message.addr)
            if device is None:
                raise OSError(errno.EREMOTEIO, os.strerror(errno.EREMOTEIO))
            if message.flags & I2C_M_RD:
                for i, byte in enumerate(device.read(message.len)):
                    message.buf[i] = bytes([byte])
            else:
                device.write(bytes(message))

    def close(self) -> None:
        """Let go of the bus."""
        self._open = False


@dataclass
class Register:
    """One channel's settings."""

    code: int = 0
    power_down: int = POWERED
    internal: bool = True
    gain: int = 1

    def word(self) -> int:
        """As the MCP4728 sends it."""
        return self.internal << 15 | self.power_down << 13 | (self.gain == 2) << 12 | self.code

    @staticmethod
    def of(word: int) -> Register:
        """From two bytes of a write command."""
        return Register(word & 0xFFF, word >> 13 & 3, bool(word >> 15), 2 if word >> 12 & 1 else 1)


class _Storing:
    """The EEPROM while it is written: the old value is read, RDY is 0, and nothing else is taken."""

    def __init__(self) -> None:
        self._reads_left = 0
        self._finish: Callable[[], object] = lambda: None

    def begin(self, finish: Callable[[], object]) -> None:
        """Writing starts; `finish` puts the new value there."""
        self._reads_left, self._finish = BUSY_READS, finish

    def ready(self) -> int:
        """The RDY bit of a read that comes now."""
        if self._reads_left:
            self._reads_left -= 1
            if self._reads_left:
                return 0
            self._finish()
        return READY

    def check(self, chip: str) -> None:
        """Raise TwinError while the EEPROM is being written."""
        if self._reads_left:
            raise TwinError(f"{chip}: a command while its EEPROM is being written is ignored")


@dataclass
class MockMcp4728:
    """Four channels; `on_change` is told channel A's volts. LDAC is tied high: outputs follow only where UDAC is 0.

    Leaves the factory with all codes 0. Truncated and undefined commands raise TwinError, and so does any command while
    the EEPROM is being written; the chip ignores them.
    """

    on_change: Callable[[float], None]
    vdd_v: float = 3.3
    eeprom_writes: int = 0
    inputs: list[Register] = field(default_factory=lambda: [Register() for _ in range(4)])
    eeprom: list[Register] = field(default_factory=lambda: [Register() for _ in range(4)])

    def __post_init__(self) -> None:
        self.inputs = [Register(**vars(r)) for r in self.eeprom]
        self._storing = _Storing()
        self._update()

    def write(self, data: bytes) -> None:
        """A write to its address."""
        self._storing.check("MCP4728")
        if data and data[0] >> 3 == 0b01000:
            self._multi_write(data)
        elif data and data[0] >> 6 == 0b00:
            self._fast_write(data)
        elif len(data) == 3 and data[0] >> 3 == 0b01011:
            self._single_write(data)
        elif len(data) == 1 and data[0] >> 5 == 0b100:
            for channel, register in enumerate(self.inputs):
                register.internal = bool(data[0] >> (3 - channel) & 1)
            self._update()
        elif len(data) == 1 and data[0] >> 5 == 0b110:
            for channel, register in enumerate(self.inputs):
                register.gain = 2 if data[0] >> (3 - channel) & 1 else 1
            self._update()
        else:
            raise TwinError(f"MCP4728: {data.hex(' ') or 'nothing'} is no complete command")

    def read(self, count: int) -> bytes:
        """Input register and EEPROM of each channel, three bytes each; then ones, as nobody drives the bus."""
        reply, ready = bytearray(), self._storing.ready()
        for channel, pair in enumerate(zip(self.inputs, self.eeprom, strict=True)):
            for register in pair:
                reply += bytes([ready | 0x40 | channel << 4, *register.word().to_bytes(2, "big")])
        return bytes(reply[:count]).ljust(count, b"\xff")

    def volts(self) -> float:
        """Channel A's output."""
        return self._volts

    def _multi_write(self, data: bytes) -> None:
        if len(data) % 3 or any(group >> 3 != 0b01000 for group in data[::3]):
            raise TwinError(f"MCP4728: truncated multi-write {data.hex(' ')}")
        for i in range(0, len(data), 3):
            self.inputs[data[i] >> 1 & 3] = Register.of(int.from_bytes(data[i + 1 : i + 3], "big"))
            if not data[i] & 1:
                self._update()

    def _fast_write(self, data: bytes) -> None:
        if len(data) % 2 or len(data) > 8:
            raise TwinError(f"MCP4728: truncated fast write {data.hex(' ')}")
        for channel in range(len(data) // 2):
            word = int.from_bytes(data[2 * channel : 2 * channel + 2], "big")
            self.inputs[channel].code, self.inputs[channel].power_down = word & 0xFFF, word >> 12 & 3

    def _single_write(self, data: bytes) -> None:
        channel, word = data[0] >> 1 & 3, int.from_bytes(data[1:3], "big")
        self.inputs[channel] = Register.of(word)
        self._storing.begin(partial(self.eeprom.__setitem__, channel, Register.of(word)))
        self.eeprom_writes += 1
        if not data[0] & 1:
            self._update()

    def _update(self) -> None:
        a = self.inputs[0]
        full_v = REFERENCE_V * a.gain if a.internal else self.vdd_v
        self._volts = min(full_v * a.code / 4096, self.vdd_v) if a.power_down == POWERED else 0.0
        self.on_change(self._volts)


@dataclass
class MockMcp4725:
    """One channel referred to its supply; `on_change` is told its volts. Undefined commands raise TwinError."""

    on_change: Callable[[float], None]
    vdd_v: float = 3.3
    eeprom_writes: int = 0
    power_up_code: int = 0

    def __post_init__(self) -> None:
        self._storing = _Storing()
        self._set(self.power_up_code, POWERED)

    def write(self, data: bytes) -> None:
        """A write to its address."""
        self._storing.check("MCP4725")
        if len(data) >= 2 and len(data) % 2 == 0 and all(byte >> 6 == 0 for byte in data[::2]):
            word = int.from_bytes(data[-2:], "big")
            self._set(word & 0xFFF, word >> 12 & 3)
        elif len(data) == 3 and data[0] >> 5 in (0b010, 0b011):
            self._set(int.from_bytes(data[1:3], "big") >> 4, data[0] >> 1 & 3)
            if data[0] >> 5 == 0b011:
                self._storing.begin(partial(setattr, self, "power_up_code", self._code))
                self.eeprom_writes += 1
        else:
            raise TwinError(f"MCP4725: {data.hex(' ') or 'nothing'} is no complete command")

    def read(self, count: int) -> bytes:
        """Status, DAC register, EEPROM; then ones, as nobody drives the bus."""
        status = bytes([self._storing.ready() | 0x40 | self._power_down << 1])
        reply = status + (self._code << 4).to_bytes(2, "big") + self.power_up_code.to_bytes(2, "big")
        return reply[:count].ljust(count, b"\xff")

    def _set(self, code: int, power_down: int) -> None:
        self._code, self._power_down = code, power_down
        self.on_change(self.vdd_v * code / 4096 if power_down == POWERED else 0.0)

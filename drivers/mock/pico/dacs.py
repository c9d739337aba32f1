"""The two threshold DACs as I²C sees them (Microchip MCP4728 and MCP4725 data sheets)."""

from __future__ import annotations

from collections.abc import Callable

from drivers.errors import TwinError


class Mcp4728:
    """Four channels; channel A is V_th. EEPROM values are for power-up and stay as they are."""

    reference_v = 2.048

    def __init__(self, changed: Callable[[float], None], power_up_code: int = 4000) -> None:
        self._changed = changed
        self._registers = [(0x80 | power_up_code >> 8, power_up_code & 0xFF)] * 4
        self._eeprom = list(self._registers)

    def write(self, data: bytes) -> None:
        """Multi-write: three bytes a channel."""
        if len(data) % 3 or any(first & 0xF8 != 0x40 for first in data[::3]):
            raise TwinError(f"MCP4728: the twin knows multi-write only, not {data.hex(' ')}")
        for first, high, low in zip(data[::3], data[1::3], data[2::3], strict=True):
            channel = first >> 1 & 3
            self._registers[channel] = (high, low)
            if channel == 0 and not first & 1:
                self._changed(self._volts(high, low))

    def read(self, count: int) -> bytes:
        """Register and EEPROM of every channel, three bytes each."""
        out = bytearray()
        for channel in range(4):
            for high, low in (self._registers[channel], self._eeprom[channel]):
                out += bytes([0xC0 | channel << 4, high, low])
        return bytes(out[:count])

    def _volts(self, high: int, low: int) -> float:
        if high & 0x60:
            return 0.0  # powered down: pulled to ground
        if not high & 0x80:
            raise TwinError("MCP4728: channel A with its supply as reference")
        return ((high & 0x0F) << 8 | low) / 4096 * self.reference_v * (2 if high & 0x10 else 1)


class Mcp4725:
    """One channel, its supply as reference."""

    def __init__(self, changed: Callable[[float], None], vdd_v: float = 3.3, power_up_code: int = 2482) -> None:
        self._changed = changed
        self._vdd_v = vdd_v
        self._code = self._eeprom = power_up_code
        self._down = 0

    def write(self, data: bytes) -> None:
        """Fast write: two bytes."""
        if len(data) != 2 or data[0] & 0xC0:
            raise TwinError(f"MCP4725: the twin knows fast write only, not {data.hex(' ')}")
        self._down = data[0] >> 4 & 3
        self._code = (data[0] & 0x0F) << 8 | data[1]
        self._changed(0.0 if self._down else self._code / 4096 * self._vdd_v)

    def read(self, count: int) -> bytes:
        """Status, register, EEPROM."""
        return bytes(
            [
                0xC0 | self._down << 1,
                self._code >> 4,
                (self._code & 15) << 4,
                self._down << 5 | self._eeprom >> 8,
                self._eeprom & 0xFF,
            ]
        )[:count]

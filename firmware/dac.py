"""The threshold DAC on I²C: microvolts to codes, and the chips that may be fitted. Codes are read back.

Integers throughout: code = V · 4096 / V_ref to the nearest (Microchip MCP4728, MCP4725 data sheets). The EEPROM is
written on request only: that takes 25 to 50 ms and wears it out.
"""

import time

STORING_MS = 60  # both data sheets: 50 ms at most
READY = 0x80


class DacError(Exception):
    """The DAC does not answer, or holds something else than was written."""


class Mcp4728:
    """Channel A with the internal reference, 2.048 V, gain 1: 0.5 mV a step whatever the supply does."""

    name = "mcp4728"
    reference_uv = 2_048_000

    def __init__(self, i2c, address: int, vdd_uv: int):  # noqa: ARG002 (its reference is its own)
        self.i2c = i2c
        self.address = address

    def write(self, code: int) -> None:
        """Multi-write of channel A, internal reference, powered, gain 1, output updated at once."""
        self.i2c.writeto(self.address, bytes([0x40, 0x80 | code >> 8, code & 0xFF]))

    def read(self) -> int:
        """The code in channel A's register; -1 where its reference, gain or power-down bits are not as written."""
        data = self.i2c.readfrom(self.address, 24)
        return self._code(data[1], data[2])

    def store(self, code: int) -> None:
        """Single write of channel A: register and EEPROM."""
        self.i2c.writeto(self.address, bytes([0x58, 0x80 | code >> 8, code & 0xFF]))

    def stored(self) -> int:
        """The code in the EEPROM; -1 where it is set up otherwise, -2 while it is being written."""
        data = self.i2c.readfrom(self.address, 24)
        return self._code(data[4], data[5]) if data[0] & READY else -2

    def _code(self, high: int, low: int) -> int:
        return (high & 0x0F) << 8 | low if high & 0xF0 == 0x80 else -1


class Mcp4725:
    """One channel whose reference is its supply: 0.8 mV a step at 3.3 V, and as quiet as that is."""

    name = "mcp4725"

    def __init__(self, i2c, address: int, vdd_uv: int):
        self.i2c = i2c
        self.address = address
        self.reference_uv = vdd_uv

    def write(self, code: int) -> None:
        """Fast write, powered."""
        self.i2c.writeto(self.address, bytes([code >> 8, code & 0xFF]))

    def read(self) -> int:
        """The code in the DAC register; -1 where it is powered down."""
        data = self.i2c.readfrom(self.address, 3)
        if data[0] & 0x06:
            return -1
        return data[1] << 4 | data[2] >> 4

    def store(self, code: int) -> None:
        """Write register and EEPROM, powered."""
        self.i2c.writeto(self.address, bytes([0x60, code >> 4, (code & 15) << 4]))

    def stored(self) -> int:
        """The code in the EEPROM; -1 where it is powered down, -2 while it is being written."""
        data = self.i2c.readfrom(self.address, 5)
        if not data[0] & READY:
            return -2
        return -1 if data[3] & 0x60 else (data[3] & 0x0F) << 8 | data[4]


CHIPS = {"mcp4728": Mcp4728, "mcp4725": Mcp4725}


class Threshold:
    """V_th: set, read back, parked."""

    def __init__(self, chip, least_uv: int, most_uv: int):
        self.chip = chip
        self.least_uv = least_uv
        self.most_uv = most_uv

    def code(self, microvolts: int) -> int:
        """The nearest code."""
        return min(4095, (microvolts * 4096 + self.chip.reference_uv // 2) // self.chip.reference_uv)

    def microvolts(self, code: int) -> int:
        """What a code makes, to the nearest microvolt."""
        return (code * self.chip.reference_uv + 2048) // 4096

    def set(self, microvolts: int) -> int:
        """Write and verify; returns the code. Raises DacError."""
        code = self.code(microvolts)
        try:
            self.chip.write(code)
            found = self.chip.read()
        except OSError as error:
            raise DacError("%s at 0x%02x does not answer: %s" % (self.chip.name, self.chip.address, error))
        if found != code:
            raise DacError("%s holds code %d, not %d" % (self.chip.name, found, code))
        return code

    def get(self) -> int:
        """The code that the chip holds now. Raises DacError."""
        try:
            return self.chip.read()
        except OSError as error:
            raise DacError("%s at 0x%02x does not answer: %s" % (self.chip.name, self.chip.address, error))

    def park(self) -> int:
        """Go where the neuron never fires, the configured maximum. Raises DacError."""
        return self.set(self.most_uv)

    def stored(self) -> int:
        """The code that the EEPROM holds, -1 where that is no V_th. Raises DacError."""
        try:
            return self.chip.stored()
        except OSError as error:
            raise DacError("%s at 0x%02x does not answer: %s" % (self.chip.name, self.chip.address, error))

    def store(self) -> int:
        """Write the parked V_th to the EEPROM and read it back; returns the code. Raises DacError."""
        code = self.park()
        try:
            self.chip.store(code)
            found = -2
            for _ in range(5):
                time.sleep_ms(STORING_MS)
                found = self.chip.stored()
                if found != -2:
                    break
        except OSError as error:
            raise DacError("%s at 0x%02x does not answer: %s" % (self.chip.name, self.chip.address, error))
        if found != code:
            raise DacError("the EEPROM of the %s holds code %d, not %d" % (self.chip.name, found, code))
        return code

"""The threshold DAC on I²C: microvolts to codes, and the chips that may be fitted. Codes are read back.

Integers throughout: code = V · 4096 / V_ref to the nearest (Microchip MCP4728, MCP4725 data sheets). The EEPROM is left
alone: writing it takes 25 to 50 ms and wears it out.
"""


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
        if data[1] & 0xF0 != 0x80:
            return -1
        return (data[1] & 0x0F) << 8 | data[2]


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

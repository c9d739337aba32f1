"""Stand-in for MicroPython's `machine` on an RP2040: what the firmware uses, carried out by the simulated chip."""

import time

from link import chip

WDT_RESET = 3
PWRON_RESET = 1
FEED_MS = 20  # the chip is told no more often


def freq(hz: "int | None" = None):
    """Read or set the system clock."""
    return chip.ask("freq", hz=hz)


def unique_id() -> bytes:
    """Eight bytes."""
    return bytes(chip.ask("uid"))


def reset_cause() -> int:
    """Why the chip began."""
    return chip.ask("cause")


def reset() -> None:
    """Begin anew."""
    chip.ask("reset")
    time.sleep(10)  # the end comes from outside


class Pin:
    """A GPIO number or "LED"."""

    IN, OUT = 0, 1
    PULL_UP, PULL_DOWN = 1, 2

    def __init__(self, number, mode=None, pull=None, *, value=None) -> None:
        self.number = number
        if mode is not None:
            chip.ask("pin", pin=number, mode=mode, pull=pull, value=value)

    def value(self, level=None):
        """Read or write."""
        if level is None:
            return chip.ask("read", pin=self.number)
        if self.number != "LED":
            chip.ask("write", pin=self.number, level=level)
        return None


class I2C:
    """The controller; what is on the bus is the chip's business."""

    def __init__(self, number, *, sda, scl, freq) -> None:
        chip.ask("i2c", sda=sda.number, scl=scl.number, hz=freq)

    def writeto(self, address: int, data: bytes) -> int:
        """Raises OSError where nobody acknowledges."""
        return chip.ask("i2c_write", address=address, data=list(data))

    def readfrom(self, address: int, count: int) -> bytes:
        """Raises OSError where nobody acknowledges."""
        return bytes(chip.ask("i2c_read", address=address, count=count))


class ADC:
    """One channel; CORE_TEMP is the chip's own temperature."""

    CORE_TEMP = 4

    def __init__(self, channel) -> None:
        self.channel = channel

    def read_u16(self) -> int:
        """Twelve bits, stretched to sixteen."""
        return chip.ask("adc", channel=self.channel)


class WDT:
    """Cannot be stopped, but through its register."""

    def __init__(self, *, timeout: int) -> None:
        chip.ask("wdt", timeout_ms=timeout)
        self.fed = time.ticks_ms()

    def feed(self) -> None:
        """Before the time is up."""
        now = time.ticks_ms()
        if time.ticks_diff(now, self.fed) >= FEED_MS:
            self.fed = now
            chip.ask("feed")


class _Registers:
    def __setitem__(self, address: int, word: int) -> None:
        chip.ask("register", address=address, word=word)


mem32 = _Registers()

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
    """Begin anew, by the watchdog's force bit."""
    chip.ask("reset")
    time.sleep(10)  # the end comes from outside


def disable_irq() -> bool:
    """Nothing interrupts until `enable_irq`; what is asked meanwhile is microseconds on a Pico, and one moment here."""
    before = chip.masked
    chip.masked = True
    if not before:
        chip.ask("mask", on=True)
    return before


def enable_irq(state: bool) -> None:
    """As it was before."""
    if chip.masked and not state:
        chip.ask("mask", on=False)
    chip.masked = state
    chip.handle()


class Pin:
    """A GPIO number or "LED"."""

    IN, OUT = 0, 1
    PULL_UP, PULL_DOWN = 1, 2
    IRQ_FALLING, IRQ_RISING = 4, 8

    def __init__(self, number, mode=None, pull=None, *, value=None) -> None:
        self.number = number
        if mode is not None:
            self.init(mode, pull, value=value)

    def init(self, mode, pull=None, *, value=None) -> None:
        """Without a pull named there is none afterwards, as an output too."""
        chip.ask("pin", pin=self.number, mode=mode, pull=pull, value=value)

    def irq(self, handler=None, trigger=IRQ_FALLING, hard=False) -> None:
        """Have a falling edge call the handler."""
        if handler is not None and (trigger != Pin.IRQ_FALLING or not hard):
            raise ValueError("the twin knows hard interrupts at falling edges only")
        chip.handlers[("pin", self.number)] = None if handler is None else lambda: handler(self)
        chip.ask("pin_irq", pin=self.number, on=handler is not None)

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


class Timer:
    """Periodic; its callback comes between two bytecodes, here while the firmware waits."""

    ONE_SHOT, PERIODIC = 0, 1

    def __init__(self, *, period: int, mode: int, callback) -> None:
        if mode != Timer.PERIODIC:
            raise ValueError("the twin knows periodic timers only")
        self.period = period
        self.callback = callback
        self.due = time.ticks_ms() + period
        chip.timers.append(self)

    def left(self) -> int:
        """Milliseconds until it is due."""
        return self.due - time.ticks_ms()

    def run(self) -> None:
        """Call back if it is due."""
        if self.left() <= 0:
            self.due = time.ticks_ms() + self.period
            self.callback(self)

    def deinit(self) -> None:
        """No more."""
        if self in chip.timers:
            chip.timers.remove(self)


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
    def __getitem__(self, address: int) -> int:
        return chip.ask("read_register", address=address)

    def __setitem__(self, address: int, word: int) -> None:
        chip.ask("register", address=address, word=word)


mem32 = _Registers()

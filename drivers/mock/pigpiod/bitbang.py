"""Buses that pigpiod makes of pins in software, where nobody else is on them (`bbI2C…`, `bbSPI…` of pigpio.c v79).

They answer by the levels of their pins: with a pull-up nobody acknowledges. Their edges are not shown, they would be
software's; that a line of the board is used for it is misuse.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from drivers.mock.pigpiod.buses import check, misused, number
from drivers.mock.pigpiod.header import INPUT, OUTPUT
from drivers.mock.pigpiod.protocol import GPIOS, PERMITTED, USER_GPIOS, Code, Command, Refused
from drivers.mock.pigpiod.pwm import Pwm, Use, leave

if TYPE_CHECKING:
    from drivers.mock.pigpiod.alerts import Alerts
    from drivers.mock.pigpiod.header import Pins
    from drivers.mock.pigpiod.waves.player import Player

I2C_HZ, SPI_HZ = range(50, 500_001), range(50, 250_001)
SELECTED_HIGH, SENT_LAST_FIRST = 1 << 2, 1 << 14  # flags of SPI
END, ESCAPE, START, STOP, ADDRESS, FLAGS, READ, WRITE = range(8)
MOST_READ = 32_767


@dataclass(frozen=True)
class I2c:
    """A bit-banged bus, and the modes its pins had before."""

    sda: int
    scl: int
    modes: tuple[int, int]


@dataclass(frozen=True)
class Spi:
    """A bit-banged bus, by its chip select."""

    cs: int
    wires: tuple[int, int, int]  # MISO, MOSI, SCLK
    mode: int
    modes: tuple[int, int, int]
    flags: int


class Banged:
    """What is open."""

    def __init__(self) -> None:
        self.taken: dict[int, str] = {}  # pins, and as what
        self.i2c: dict[int, I2c] = {}
        self.spi: dict[int, Spi] = {}


class Machine(Protocol):
    """What these commands work on: the daemon's state."""

    clock: Callable[[], int]
    pins: Pins
    player: Player
    pwm: Pwm
    alerts: Alerts
    banged: Banged


class _Segments:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self.at = 0
        self._two_bytes = False

    def __bool__(self) -> bool:
        return self.at < len(self._data)

    def byte(self) -> int:
        self.at += 1
        return self._data[self.at - 1]

    def escape(self, on: bool) -> None:
        self._two_bytes = on

    def number(self) -> int:
        size = 2 if self._two_bytes else 1
        self._two_bytes = False
        if self.at + size > len(self._data):
            raise Refused(Code.BAD_I2C_CMD)
        self.at += size
        return int.from_bytes(self._data[self.at - size : self.at], "little")

    def skip(self, count: int) -> None:
        if self.at + count > len(self._data):
            raise Refused(Code.BAD_I2C_WLEN)
        self.at += count


def zip_i2c(data: bytes, level: int) -> bytes:
    """What is read; `level` is that of the released data line: high acknowledges nothing, low everything."""
    segments, read = _Segments(data), bytearray()
    while segments:
        command = segments.byte()
        if command == END:
            break
        if command == ESCAPE:
            segments.escape(True)
            continue
        if command == ADDRESS:
            segments.number()
        elif command == FLAGS:
            segments.escape(True)
            segments.number()
        elif command == READ:
            read += bytes([0xFF * level]) * _answered(segments.number(), level, Code.I2C_READ_FAILED)
            if len(read) > MOST_READ:
                raise Refused(Code.BAD_I2C_RLEN)
        elif command == WRITE:
            segments.skip(_answered(segments.number(), level, Code.I2C_WRITE_FAILED))
        elif command not in (START, STOP):
            raise Refused(Code.BAD_I2C_CMD)
        segments.escape(False)
    return bytes(read)


def _answered(count: int, level: int, code: Code) -> int:
    """How many bytes follow, where the address was acknowledged."""
    if count == 0:
        raise Refused(Code.BAD_I2C_CMD)
    if level:
        raise Refused(code)
    return count


def _free(daemon: Machine, pin: int) -> bool:
    return pin not in daemon.banged.taken and not daemon.alerts.reads_serial(pin)


def _open_i2c(daemon: Machine, sda: int, scl: int, extension: bytes) -> int:
    check(
        (max(sda, scl) >= USER_GPIOS, Code.BAD_USER_GPIO),
        (number(extension) not in I2C_HZ, Code.BAD_I2C_BAUD),
        (not _free(daemon, sda) or not _free(daemon, scl) or sda == scl, Code.GPIO_IN_USE),
    )
    modes = (daemon.pins.modes[sda], daemon.pins.modes[scl])
    daemon.banged.i2c[sda] = I2c(sda, scl, modes)
    daemon.banged.taken |= {sda: "sda", scl: "scl"}
    for pin in (sda, scl):
        misused(daemon.pins, pin, "bit-banged I²C")
        daemon.pins.set_mode(pin, INPUT)
    return 0


def _i2c(daemon: Machine, sda: int) -> I2c:
    check((sda >= USER_GPIOS, Code.BAD_USER_GPIO), (sda not in daemon.banged.i2c, Code.NOT_I2C_GPIO))
    return daemon.banged.i2c[sda]


def _close_i2c(daemon: Machine, sda: int, _p2: int, _: bytes) -> int:
    bus = _i2c(daemon, sda)
    for pin, mode in zip((bus.sda, bus.scl), bus.modes, strict=True):
        daemon.pins.set_mode(pin, mode)
        del daemon.banged.taken[pin]
    del daemon.banged.i2c[sda]
    return 0


def _zip(daemon: Machine, sda: int, _p2: int, extension: bytes) -> bytes:
    bus = _i2c(daemon, sda)
    check((not extension, Code.BAD_POINTER))
    return zip_i2c(extension, daemon.pins.level(bus.sda))


def _open_spi(daemon: Machine, cs: int, _p2: int, extension: bytes) -> int:
    miso, mosi, sclk, hz, flags = (number(extension, k) for k in range(5))
    wires = (miso, mosi, sclk)
    pins = (cs, *wires)
    check(
        (any(pin < GPIOS and not PERMITTED >> pin & 1 for pin in pins), Code.NOT_PERMITTED),
        (max(pins) >= USER_GPIOS, Code.BAD_USER_GPIO),
        (hz not in SPI_HZ, Code.BAD_SPI_BAUD),
    )
    roles = tuple(daemon.banged.taken.get(pin, "") for pin in wires)
    fresh = len(set(pins)) == 4 and all(_free(daemon, pin) for pin in wires)
    check((not _free(daemon, cs) or not (fresh or roles == ("miso", "mosi", "sclk")), Code.GPIO_IN_USE))
    modes = (daemon.pins.modes[miso], daemon.pins.modes[mosi], daemon.pins.modes[sclk])
    if not fresh:
        modes = next(bus.modes for bus in daemon.banged.spi.values() if bus.wires == wires)
    daemon.banged.spi[cs] = Spi(cs, wires, daemon.pins.modes[cs], modes, flags)
    daemon.banged.taken |= {cs: "cs", miso: "miso", mosi: "mosi", sclk: "sclk"}
    for pin in pins:
        misused(daemon.pins, pin, "bit-banged SPI")
    _drive(daemon, cs, int(not flags & SELECTED_HIGH))
    if fresh:
        daemon.pins.set_mode(miso, INPUT)
        daemon.pins.set_mode(sclk, OUTPUT)
        _drive(daemon, mosi, 0)
    return 0


def _drive(daemon: Machine, pin: int, level: int) -> None:
    leave(daemon, pin, Use.LEVEL)
    daemon.pins.write(1 << pin, level, daemon.clock())
    daemon.pins.set_mode(pin, OUTPUT)


def _spi(daemon: Machine, cs: int) -> Spi:
    check((cs >= USER_GPIOS, Code.BAD_USER_GPIO), (cs not in daemon.banged.spi, Code.NOT_SPI_GPIO))
    return daemon.banged.spi[cs]


def _close_spi(daemon: Machine, cs: int, _p2: int, _: bytes) -> int:
    bus = _spi(daemon, cs)
    del daemon.banged.spi[cs], daemon.banged.taken[cs]
    daemon.pins.set_mode(cs, bus.mode)
    if not any(other.wires == bus.wires for other in daemon.banged.spi.values()):
        for pin, mode in zip(bus.wires, bus.modes, strict=True):
            daemon.pins.set_mode(pin, mode)
            del daemon.banged.taken[pin]
    return 0


def _transfer_spi(daemon: Machine, cs: int, _p2: int, extension: bytes) -> bytes:
    bus = _spi(daemon, cs)
    check((not extension, Code.BAD_POINTER))
    miso, mosi, _ = bus.wires
    last = extension[-1] >> 7 if bus.flags & SENT_LAST_FIRST else extension[-1]
    daemon.pins.write(1 << mosi, last & 1, daemon.clock())
    return (b"\xff" if daemon.pins.level(miso) else b"\0") * len(extension)


COMMANDS: dict[int, Callable[[Machine, int, int, bytes], int | bytes]] = {
    Command.BI2CO: _open_i2c,
    Command.BI2CC: _close_i2c,
    Command.BI2CZ: _zip,
    Command.BSPIO: _open_spi,
    Command.BSPIC: _close_spi,
    Command.BSPIX: _transfer_spi,
}

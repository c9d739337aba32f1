"""Commands of pigpiod for buses, serial ports, files and programs, as of a Pi to which none of them is connected.

Results are those of pigpio.c v79: no I²C bus (−74), no serial port (−72), no permitted file (−137). The SPI controller
is the chip's own: it opens, and reads zeros.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from drivers.mock.pigpiod.protocol import Code, Command, Refused

if TYPE_CHECKING:
    from drivers.mock.pigpiod.header import Pins

SPI_SLOTS = 32
SPI_HZ, SPI_CHANNELS, SPI_FLAGS = (32_000, 125_000_000), (2, 3), 1 << 22  # without and with the auxiliary controller
SPI_PINS, SPI_AUXILIARY_PINS, SPI_MODE, SPI_AUXILIARY_MODE = (7, 8, 9, 10, 11), (16, 17, 18, 19, 20, 21), 4, 3
AUXILIARY = 1 << 8
SERIAL_HZ = frozenset(
    {50, 75, 110, 134, 150, 200, 300, 600, 1200, 1800, 2400, 4800, 9600, 19_200, 38_400, 57_600, 115_200, 230_400}
)
HIGHEST_I2C = 0x7F
FILE_MODES = range(1, 32)
NO_SUCH_PROGRAM = 127 << 8
IDLE_BSC = 0x12  # both buffers of the I²C and SPI slave are empty: BCM2835 ARM Peripherals, chapter 11


class Buses:
    """What is open."""

    def __init__(self) -> None:
        self.spi: set[int] = set()


class Machine(Protocol):
    """What these commands work on: the daemon's state."""

    pins: Pins
    buses: Buses


def number(extension: bytes, at: int = 0) -> int:
    """A number in a message."""
    return int.from_bytes(extension[4 * at : 4 * at + 4], "little")


def _open_i2c(_daemon: Machine, _bus: int, address: int, extension: bytes) -> int:
    check((address > HIGHEST_I2C, Code.BAD_I2C_ADDR), (number(extension) != 0, Code.BAD_FLAGS))
    raise Refused(Code.BAD_I2C_BUS)


def _open_serial(_daemon: Machine, hz: int, flags: int, extension: bytes) -> int:
    check(
        (not extension.startswith((b"/dev/tty", b"/dev/serial")), Code.BAD_SER_DEVICE),
        (hz not in SERIAL_HZ, Code.BAD_SER_SPEED),
        (flags != 0, Code.BAD_FLAGS),
    )
    raise Refused(Code.SER_OPEN_FAILED)


def _open_file(_daemon: Machine, mode: int, _p2: int, _: bytes) -> int:
    check((mode not in FILE_MODES or not mode & 3, Code.BAD_FILE_MODE))
    raise Refused(Code.NO_FILE_ACCESS)


def _shell(_daemon: Machine, _p1: int, _p2: int, extension: bytes) -> int:
    name = extension.partition(b"\0")[0]
    check((not all(c.isalnum() or c in "_-" for c in name.decode("latin-1")), Code.BAD_SCRIPT_NAME))
    return NO_SUCH_PROGRAM


def _slave(_daemon: Machine, control: int, _p2: int, extension: bytes) -> bytes:
    return struct.pack("<I", (min(len(extension), 16) << 16 | IDLE_BSC) if control else 0)


def misused(pins: Pins, pin: int, what: str) -> None:
    """Tell of a line of the board that is taken for something else."""
    if pins.wired >> pin & 1:
        pins.misused(f"{what} on GPIO {pin}, a line of the board")


def check(*wrong: tuple[bool, Code]) -> None:
    """Refuse with the code of the first thing that is wrong."""
    for is_wrong, code in wrong:
        if is_wrong:
            raise Refused(code)


# ---- the chip's SPI -------------------------------------------------------------------------------------------------


def _open_spi(daemon: Machine, channel: int, hz: int, extension: bytes) -> int:
    flags = number(extension)
    auxiliary = bool(flags & AUXILIARY)
    check(
        (channel >= SPI_CHANNELS[auxiliary], Code.BAD_SPI_CHANNEL),
        (not SPI_HZ[0] <= hz <= SPI_HZ[1], Code.BAD_SPI_SPEED),
        (flags > SPI_FLAGS, Code.BAD_FLAGS),
    )
    handle = next((n for n in range(SPI_SLOTS) if n not in daemon.buses.spi), None)
    if handle is None:
        raise Refused(Code.NO_HANDLE)
    daemon.buses.spi.add(handle)
    for pin in SPI_AUXILIARY_PINS if auxiliary else SPI_PINS:
        misused(daemon.pins, pin, "SPI")
        daemon.pins.set_mode(pin, SPI_AUXILIARY_MODE if auxiliary else SPI_MODE)
    return handle


def _of_spi(
    act: Callable[[Machine, int, int, bytes], int | bytes],
) -> Callable[[Machine, int, int, bytes], int | bytes]:
    def handler(daemon: Machine, handle: int, size: int, extension: bytes) -> int | bytes:
        check((handle not in daemon.buses.spi, Code.BAD_HANDLE))
        return act(daemon, handle, size, extension)

    return handler


def _close_spi(daemon: Machine, handle: int, _p2: int, _: bytes) -> int:
    daemon.buses.spi.remove(handle)
    return 0


def _read_spi(_daemon: Machine, _handle: int, size: int, _: bytes) -> bytes:
    return bytes(min(size, 65_535))


_ON_NO_HANDLE = (
    *range(Command.I2CC, Command.I2CPK + 1),
    Command.I2CZ,
    *range(Command.SERC, Command.SERDA + 1),
    Command.FC,
    Command.FR,
    Command.FW,
    Command.FS,
)


def _no_handle(_daemon: Machine, _p1: int, _p2: int, _: bytes) -> int:
    raise Refused(Code.BAD_HANDLE)


def _no_files(_daemon: Machine, _p1: int, _p2: int, _: bytes) -> int:
    raise Refused(Code.NO_FILE_ACCESS)


COMMANDS: dict[int, Callable[[Machine, int, int, bytes], int | bytes]] = {
    **dict.fromkeys(_ON_NO_HANDLE, _no_handle),
    Command.I2CO: _open_i2c,
    Command.SERO: _open_serial,
    Command.FO: _open_file,
    Command.FL: _no_files,
    Command.SHELL: _shell,
    Command.BSCX: _slave,
    Command.SPIO: _open_spi,
    Command.SPIC: _of_spi(_close_spi),
    Command.SPIR: _of_spi(_read_spi),
    Command.SPIW: _of_spi(lambda _d, _h, _2, x: len(x)),
    Command.SPIX: _of_spi(lambda _d, _h, _2, x: bytes(len(x))),
}

"""pigpiod's commands for levels of pins: modes, pulls, reading and writing, triggers (pigpio.c v79)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from drivers.mock.pigpiod.header import OUTPUT
from drivers.mock.pigpiod.protocol import GPIOS, PERMITTED, USER_GPIOS, Code, Command, Refused
from drivers.mock.pigpiod.pwm import Pwm, Use, leave

if TYPE_CHECKING:
    from drivers.mock.pigpiod.header import Pins
    from drivers.mock.pigpiod.waves.player import Player

MODES = 8
LONGEST_TRIGGER_US = 100


class Machine(Protocol):
    """What these commands work on: the daemon's state."""

    clock: Callable[[], int]
    pins: Pins
    player: Player
    pwm: Pwm


def _permitted(pin: int) -> None:
    if pin < GPIOS and not PERMITTED >> pin & 1:
        raise Refused(Code.NOT_PERMITTED)


def _gpio(pin: int) -> None:
    if pin >= GPIOS:
        raise Refused(Code.BAD_GPIO)


def _user_gpio(pin: int) -> None:
    if pin >= USER_GPIOS:
        raise Refused(Code.BAD_USER_GPIO)


def _set_mode(daemon: Machine, pin: int, mode: int, _: bytes) -> int:
    _permitted(pin)
    _gpio(pin)
    if mode >= MODES:
        raise Refused(Code.BAD_MODE)
    if mode != daemon.pins.modes[pin]:
        leave(daemon, pin, Use.NOTHING)
    daemon.pins.set_mode(pin, mode)
    return 0


def _get_mode(daemon: Machine, pin: int, _p2: int, _: bytes) -> int:
    _gpio(pin)
    return daemon.pins.modes[pin]


def _pull(daemon: Machine, pin: int, pull: int, _: bytes) -> int:
    _permitted(pin)
    _gpio(pin)
    if pull > 2:
        raise Refused(Code.BAD_PUD)
    daemon.pins.set_pull(pin, pull)
    return 0


def _read(daemon: Machine, pin: int, _p2: int, _: bytes) -> int:
    _gpio(pin)
    return daemon.pins.level(pin)


def _write(daemon: Machine, pin: int, level: int, _: bytes) -> int:
    _permitted(pin)
    _gpio(pin)
    if level > 1:
        raise Refused(Code.BAD_LEVEL)
    leave(daemon, pin, Use.LEVEL)
    daemon.pins.write(1 << pin, level, daemon.clock())
    daemon.pins.set_mode(pin, OUTPUT)
    return 0


def _bank(level: int) -> Callable[[Machine, int, int, bytes], int]:
    def handler(daemon: Machine, mask: int, _p2: int, _: bytes) -> int:
        daemon.pins.write(mask & PERMITTED, level, daemon.clock())
        if mask & ~PERMITTED:
            raise Refused(Code.SOME_PERMITTED)
        return 0

    return handler


def _trigger(daemon: Machine, pin: int, length_us: int, extension: bytes) -> int:
    _permitted(pin)
    _user_gpio(pin)
    level = int.from_bytes(extension[:4], "little")
    if level > 1:
        raise Refused(Code.BAD_LEVEL)
    if not 1 <= length_us <= LONGEST_TRIGGER_US:
        raise Refused(Code.BAD_PULSELEN)
    now = daemon.clock()
    daemon.pins.write(1 << pin, level, now)
    daemon.pins.write(1 << pin, 1 - level, now + length_us * 1000)
    return 0


COMMANDS: dict[int, Callable[[Machine, int, int, bytes], int]] = {
    Command.MODES: _set_mode,
    Command.MODEG: _get_mode,
    Command.PUD: _pull,
    Command.READ: _read,
    Command.WRITE: _write,
    Command.BR1: lambda d, _1, _2, _x: d.pins.seen_levels(d.clock()),
    Command.BC1: _bank(0),
    Command.BS1: _bank(1),
    Command.TRIG: _trigger,
}

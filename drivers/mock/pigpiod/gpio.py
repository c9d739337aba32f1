"""pigpiod's commands for single pins: modes, pulls, levels, PWM, triggers."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from drivers.mock.pigpiod.header import OUTPUT
from drivers.mock.pigpiod.protocol import GPIOS, HARDWARE_PWM_MODES, PERMITTED, USER_GPIOS, Code, Command, Refused

if TYPE_CHECKING:
    from drivers.mock.pigpiod.header import Pins
    from drivers.mock.pigpiod.player import Player

MODES = 8
PWM_HZ = (8000, 4000, 2000, 1600, 1000, 800, 500, 400, 320, 250, 200, 160, 100, 80, 50, 40, 20, 10)  # at -s 5
PWM_STEPS = (25, 50, 100, 125, 200, 250, 400, 500, 625, 800, 1000, 1250, 2000, 2500, 4000, 5000, 10_000, 20_000)
DEFAULT_HZ, DEFAULT_RANGE = 800, 255
LONGEST_TRIGGER_US = 100
LONGEST_FILTER_US = 300_000
HARDWARE_PWM_HZ = 125_000_000
HARDWARE_PWM_RANGE = 1_000_000


class Pwm:
    """Software PWM settings of each pin. A pin with any duty reads high; its pulses are not simulated."""

    def __init__(self) -> None:
        self.duty: dict[int, int] = {}
        self.range = [DEFAULT_RANGE] * USER_GPIOS
        self.hz = [DEFAULT_HZ] * USER_GPIOS


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
    daemon.pwm.duty.pop(pin, None)
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
    daemon.pwm.duty.pop(pin, None)
    _output(daemon, pin, level)
    return 0


def _output(daemon: Machine, pin: int, level: int) -> None:
    daemon.pins.write(1 << pin, level, daemon.clock())
    daemon.pins.set_mode(pin, OUTPUT)


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
    if not 1 <= length_us <= LONGEST_TRIGGER_US:
        raise Refused(Code.BAD_PULSELEN)
    if level > 1:
        raise Refused(Code.BAD_LEVEL)
    now = daemon.clock()
    daemon.pins.write(1 << pin, level, now)
    daemon.pins.write(1 << pin, 1 - level, now + length_us * 1000)
    return 0


def _set_pwm(daemon: Machine, pin: int, duty: int, _: bytes) -> int:
    _permitted(pin)
    _user_gpio(pin)
    if duty > daemon.pwm.range[pin]:
        raise Refused(Code.BAD_DUTYCYCLE)
    if duty and daemon.pins.wired >> pin & 1:
        daemon.pins.misused(f"PWM on GPIO {pin}, a line of the board")
    daemon.pwm.duty[pin] = duty
    _output(daemon, pin, int(duty > 0))
    return 0


def _get_duty(daemon: Machine, pin: int, _p2: int, _: bytes) -> int:
    _user_gpio(pin)
    if pin not in daemon.pwm.duty:
        raise Refused(Code.NOT_PWM_GPIO)
    return daemon.pwm.duty[pin]


def _set_range(daemon: Machine, pin: int, steps: int, _: bytes) -> int:
    _permitted(pin)
    _user_gpio(pin)
    if not 25 <= steps <= 40_000:
        raise Refused(Code.BAD_DUTYRANGE)
    if pin in daemon.pwm.duty:
        daemon.pwm.duty[pin] = steps * daemon.pwm.duty[pin] // daemon.pwm.range[pin]
    daemon.pwm.range[pin] = steps
    return _real_range(daemon, pin, 0, b"")


def _get_range(daemon: Machine, pin: int, _p2: int, _: bytes) -> int:
    _user_gpio(pin)
    return daemon.pwm.range[pin]


def _real_range(daemon: Machine, pin: int, _p2: int, _: bytes) -> int:
    _user_gpio(pin)
    return PWM_STEPS[PWM_HZ.index(daemon.pwm.hz[pin])]


def _set_frequency(daemon: Machine, pin: int, hz: int, _: bytes) -> int:
    _permitted(pin)
    _user_gpio(pin)
    daemon.pwm.hz[pin] = min(PWM_HZ, key=lambda possible: abs(possible - hz))
    return daemon.pwm.hz[pin]


def _get_frequency(daemon: Machine, pin: int, _p2: int, _: bytes) -> int:
    _user_gpio(pin)
    return daemon.pwm.hz[pin]


def _hardware_pwm(daemon: Machine, pin: int, hz: int, extension: bytes) -> int:
    _permitted(pin)
    duty = int.from_bytes(extension[:4], "little")
    if pin not in HARDWARE_PWM_MODES:
        raise Refused(Code.NOT_HPWM_GPIO)
    if hz > HARDWARE_PWM_HZ:
        raise Refused(Code.BAD_HPWM_FREQ)
    if duty > HARDWARE_PWM_RANGE:
        raise Refused(Code.BAD_HPWM_DUTY)
    if hz == 0:
        _output(daemon, pin, 0)
        return 0
    if daemon.player.busy() or daemon.pins.wired >> pin & 1:
        daemon.pins.misused(f"hardware PWM on GPIO {pin} takes the clock that waves need, and stops those that play")
        daemon.player.stop()
    daemon.pins.set_mode(pin, HARDWARE_PWM_MODES[pin])
    return 0


def _glitch_filter(_daemon: Machine, pin: int, steady_us: int, _: bytes) -> int:
    """Accepted and checked; the twin's inputs have no glitches."""
    _user_gpio(pin)
    if steady_us > LONGEST_FILTER_US:
        raise Refused(Code.BAD_FILTER)
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
    Command.PWM: _set_pwm,
    Command.GDC: _get_duty,
    Command.PRS: _set_range,
    Command.PRG: _get_range,
    Command.PRRG: _real_range,
    Command.PFS: _set_frequency,
    Command.PFG: _get_frequency,
    Command.HP: _hardware_pwm,
    Command.FG: _glitch_filter,
}

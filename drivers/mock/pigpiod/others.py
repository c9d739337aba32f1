"""Commands of pigpiod that a bench does not use but other programs do, as far as a daemon without hardware goes.

Results and limits are those of pigpio.c v79; what needs a bus, a serial port or a file is refused as on a Pi that has
none: I²C −74, serial −72, files −137.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from drivers.mock.pigpiod.header import OUTPUT
from drivers.mock.pigpiod.protocol import PERMITTED, USER_GPIOS, Code, Command, Refused

if TYPE_CHECKING:
    from drivers.mock.pigpiod.alerts import Alerts
    from drivers.mock.pigpiod.gpio import Pwm
    from drivers.mock.pigpiod.header import Pins

SERVO_US = (500, 2500)
LONGEST_WATCHDOG_MS = 60_000
LONGEST_FILTER_US, LONGEST_NOISE_US = 300_000, 1_000_000
EVENTS = 32
PADS, STRONGEST_MA = 3, 16


class Others:
    """What these commands remember."""

    def __init__(self) -> None:
        self.servo_us: dict[int, int] = {}
        self.pads_ma = [8] * PADS


class Machine(Protocol):
    """What these commands work on: the daemon's state."""

    clock: Callable[[], int]
    pins: Pins
    pwm: Pwm
    others: Others
    alerts: Alerts


def _user(pin: int) -> None:
    if pin < USER_GPIOS and not PERMITTED >> pin & 1:
        raise Refused(Code.NOT_PERMITTED)
    if pin >= USER_GPIOS:
        raise Refused(Code.BAD_USER_GPIO)


def _servo(daemon: Machine, pin: int, width_us: int, _: bytes) -> int:
    _user(pin)
    low, high = SERVO_US
    if width_us and not low <= width_us <= high:
        raise Refused(Code.BAD_PULSEWIDTH)
    if width_us and daemon.pins.wired >> pin & 1:
        daemon.pins.misused(f"servo pulses on GPIO {pin}, a line of the board")
    daemon.pwm.duty.pop(pin, None)
    daemon.others.servo_us[pin] = width_us
    daemon.pins.set_mode(pin, OUTPUT)
    return 0


def _servo_width(daemon: Machine, pin: int, _p2: int, _: bytes) -> int:
    if pin >= USER_GPIOS:
        raise Refused(Code.BAD_USER_GPIO)
    if pin not in daemon.others.servo_us:
        raise Refused(Code.NOT_SERVO_GPIO)
    return daemon.others.servo_us[pin]


def _watchdog(daemon: Machine, pin: int, timeout_ms: int, _: bytes) -> int:
    if pin >= USER_GPIOS:
        raise Refused(Code.BAD_USER_GPIO)
    if timeout_ms > LONGEST_WATCHDOG_MS:
        raise Refused(Code.BAD_WDOG_TIMEOUT)
    daemon.alerts.guard(pin, timeout_ms * 1000, daemon.clock() // 1000)
    return 0


def _noise_filter(_daemon: Machine, pin: int, steady_us: int, extension: bytes) -> int:
    if pin >= USER_GPIOS:
        raise Refused(Code.BAD_USER_GPIO)
    active_us = int.from_bytes(extension[:4], "little")
    if steady_us > LONGEST_FILTER_US or active_us > LONGEST_NOISE_US:
        raise Refused(Code.BAD_FILTER)
    return 0


def _pad(daemon: Machine, pad: int, _p2: int, _: bytes) -> int:
    if pad >= PADS:
        raise Refused(Code.BAD_PAD)
    return daemon.others.pads_ma[pad]


def _set_pad(daemon: Machine, pad: int, strength_ma: int, _: bytes) -> int:
    if pad >= PADS:
        raise Refused(Code.BAD_PAD)
    if not 1 <= strength_ma <= STRONGEST_MA:
        raise Refused(Code.BAD_STRENGTH)
    daemon.others.pads_ma[pad] = (strength_ma + 1) // 2 * 2  # in steps of 2 mA
    return 0


def _watch_events(daemon: Machine, handle: int, bits: int, _: bytes) -> int:
    if handle not in daemon.alerts.handles:
        raise Refused(Code.BAD_HANDLE)
    daemon.alerts.handles[handle].events = bits
    return 0


def _event(daemon: Machine, event: int, _p2: int, _: bytes) -> int:
    if event >= EVENTS:
        raise Refused(Code.BAD_EVENT_ID)
    daemon.alerts.events |= 1 << event
    return 0


def _high_bank(_daemon: Machine, mask: int, _p2: int, _: bytes) -> int:
    """None of GPIO 32-53 may be written on a Pi 4."""
    if mask:
        raise Refused(Code.SOME_PERMITTED)
    return 0


def _refused(code: Code) -> Callable[[Machine, int, int, bytes], int]:
    def handler(_daemon: Machine, _p1: int, _p2: int, _: bytes) -> int:
        raise Refused(code)

    return handler


COMMANDS: dict[int, Callable[[Machine, int, int, bytes], int]] = {
    Command.SERVO: _servo,
    Command.GPW: _servo_width,
    Command.WDOG: _watchdog,
    Command.FN: _noise_filter,
    Command.PADG: _pad,
    Command.PADS: _set_pad,
    Command.EVM: _watch_events,
    Command.EVT: _event,
    Command.BR2: lambda _d, _1, _2, _x: 0,
    Command.BC2: _high_bank,
    Command.BS2: _high_bank,
    Command.I2CO: _refused(Code.BAD_I2C_BUS),
    Command.SERO: _refused(Code.SER_OPEN_FAILED),
    Command.FO: _refused(Code.NO_FILE_ACCESS),
}

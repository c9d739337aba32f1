"""Commands of pigpiod that a bench does not use but other programs do: watchdogs, filters, events, pads, delays.

Results and limits are those of pigpio.c v79.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from drivers.mock.pigpiod.protocol import GPIOS, USER_GPIOS, Code, Command, Refused

if TYPE_CHECKING:
    from drivers.mock.pigpiod.alerts import Alerts
    from drivers.mock.pigpiod.header import Pins

LONGEST_WATCHDOG_MS = 60_000
LONGEST_FILTER_US, LONGEST_NOISE_US = 300_000, 1_000_000
LONGEST_WAIT_US, LONGEST_WAIT_MS = 1_000_000, 60_000
EVENTS = 32
PADS, STRONGEST_MA = 3, 16
CUSTOM_BYTES = 65_535


class Others:
    """What these commands remember."""

    def __init__(self) -> None:
        self.pads_ma = [8] * PADS
        self.internals = 0


class Machine(Protocol):
    """What these commands work on: the daemon's state."""

    clock: Callable[[], int]
    pins: Pins
    others: Others
    alerts: Alerts


def _user(pin: int) -> None:
    if pin >= USER_GPIOS:
        raise Refused(Code.BAD_USER_GPIO)


def _watchdog(daemon: Machine, pin: int, timeout_ms: int, _: bytes) -> int:
    _user(pin)
    if timeout_ms > LONGEST_WATCHDOG_MS:
        raise Refused(Code.BAD_WDOG_TIMEOUT)
    daemon.alerts.guard(pin, timeout_ms * 1000, daemon.clock() // 1000)
    return 0


def _glitch_filter(daemon: Machine, pin: int, steady_us: int, _: bytes) -> int:
    _user(pin)
    if steady_us > LONGEST_FILTER_US:
        raise Refused(Code.BAD_FILTER)
    daemon.alerts.samples.filter_glitches(pin, steady_us)
    return 0


def _noise_filter(daemon: Machine, pin: int, steady_us: int, extension: bytes) -> int:
    _user(pin)
    active_us = int.from_bytes(extension[:4], "little")
    if steady_us > LONGEST_FILTER_US or active_us > LONGEST_NOISE_US:
        raise Refused(Code.BAD_FILTER)
    daemon.alerts.samples.filter_noise(pin, steady_us, active_us, daemon.clock())
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


def _high_levels(daemon: Machine, _p1: int, _p2: int, _: bytes) -> int:
    return sum(daemon.pins.level(pin) << pin - USER_GPIOS for pin in range(USER_GPIOS, GPIOS))


def _wait(most: int, code: Code) -> Callable[[Machine, int, int, bytes], int]:
    """The answer to a request to wait; whoever serves the client does the waiting (`wait_s`)."""

    def handler(_daemon: Machine, length: int, _p2: int, _: bytes) -> int:
        if length > most:
            raise Refused(code)
        return 0

    return handler


def wait_s(cmd: int, p1: int, p2: int, result: int | bytes) -> float:
    """How long a client that has got this result is to wait for it, s: the daemon is busy with it until then."""
    if result != 0:
        return 0.0
    return {Command.MICS: p1 * 1e-6, Command.MILS: p1 * 1e-3, Command.TRIG: p2 * 1e-6}.get(Command(cmd), 0.0)


def _internals(daemon: Machine, value: int, _p2: int, _: bytes) -> int:
    daemon.others.internals = value
    return 0


def _custom(_daemon: Machine, p1: int, p2: int, extension: bytes) -> int:
    """What the daemon has where nobody has put anything: the largest number."""
    return max(p1, p2, max(extension, default=0))


def _custom_bytes(_daemon: Machine, _p1: int, most: int, extension: bytes) -> bytes:
    """Likewise: the bytes in reverse."""
    return extension[: min(most, CUSTOM_BYTES)][::-1]


COMMANDS: dict[int, Callable[[Machine, int, int, bytes], int | bytes]] = {
    Command.WDOG: _watchdog,
    Command.FG: _glitch_filter,
    Command.FN: _noise_filter,
    Command.PADG: _pad,
    Command.PADS: _set_pad,
    Command.EVM: _watch_events,
    Command.EVT: _event,
    Command.BR2: _high_levels,
    Command.BC2: _high_bank,
    Command.BS2: _high_bank,
    Command.MICS: _wait(LONGEST_WAIT_US, Code.BAD_MICS_DELAY),
    Command.MILS: _wait(LONGEST_WAIT_MS, Code.BAD_MILS_DELAY),
    Command.CGI: lambda d, _1, _2, _x: d.others.internals,
    Command.CSI: _internals,
    Command.CF1: _custom,
    Command.CF2: _custom_bytes,
    Command.HELP: lambda _d, _1, _2, _x: 0,
}

"""pigpiod's commands for pulses on single pins: software PWM, servos, hardware PWM and clocks (pigpio.c v79).

Software PWM and servo pulses are edges on the pins. Hardware PWM and clocks are settings that can be read back: they
have no edges here, as their pins are samples' aliases at best.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import TYPE_CHECKING, Protocol

from drivers.mock.pigpiod.header import OUTPUT
from drivers.mock.pigpiod.protocol import GPIOS, HARDWARE_PWM_MODES, PERMITTED, USER_GPIOS, Code, Command, Refused

if TYPE_CHECKING:
    from drivers.mock.pigpiod.header import Pins
    from drivers.mock.pigpiod.waves.player import Player

CYCLE_SAMPLES = 25  # periods are whole cycles of the sampling loop
STEPS = (25, 50, 100, 125, 200, 250, 400, 500, 625, 800, 1000, 1250, 2000, 2500, 4000, 5000, 10_000, 20_000)
DEFAULT_STEPS, DEFAULT_RANGE = 250, 255
RANGES = range(25, 40_001)
SERVO_US = range(500, 2501)
SERVO_PERIOD_US = 20_000
HARDWARE_PWM_HZ = 187_500_000  # of a BCM2711
HARDWARE_RANGE = 1_000_000
PLLD_HZ, OSCILLATOR_HZ = 750_000_000, 54_000_000
CLOCK_HZ = (13_184, 375_000_000)
CLOCK_PINS = {4: (0, 4), 5: (1, 4), 6: (2, 4), 20: (0, 2), 21: (1, 2)}  # which clock, which function
MASH_HZ = 23_800_000  # below it a clock may be divided by fractions
PASSWORD = 0x5A


class Use(Enum):
    """What a pin was last used for."""

    NOTHING = 0
    LEVEL = 1
    PWM = 2
    SERVO = 3
    HARDWARE_PWM = 4
    CLOCK = 5


class Pwm:
    """Settings of each pin. `sample_us` is the loop that software PWM is made by."""

    def __init__(self, sample_us: int) -> None:
        self.sample_us = sample_us
        self.hertz = tuple(int(1e6 / (sample_us * steps) + 0.5) for steps in STEPS)
        self.use = [Use.NOTHING] * GPIOS
        self.width = [0] * GPIOS  # duty, or µs of a servo's pulse
        self.range = [DEFAULT_RANGE] * GPIOS
        self.steps = [DEFAULT_STEPS] * GPIOS
        self.hardware = dict.fromkeys((0, 1), (0, 0, 0))  # Hz, duty, real range
        self.clock_hz = dict.fromkeys(range(3), 0)


class Machine(Protocol):
    """What these commands work on: the daemon's state."""

    clock: Callable[[], int]
    pins: Pins
    player: Player
    pwm: Pwm


def leave(daemon: Machine, pin: int, use: Use) -> None:
    """A pin is used for something else: what pulses it had end, low."""
    before, daemon.pwm.use[pin] = daemon.pwm.use[pin], use
    if before is not use and before in (Use.PWM, Use.SERVO) and daemon.pwm.width[pin]:
        daemon.pwm.width[pin] = 0
        _show(daemon, pin)


def _show(daemon: Machine, pin: int) -> None:
    """The pulses of a pin, as it is set."""
    pwm, width = daemon.pwm, daemon.pwm.width[pin]
    steps = SERVO_PERIOD_US // pwm.sample_us if pwm.use[pin] is Use.SERVO else pwm.steps[pin]
    high = width * steps // (SERVO_PERIOD_US if pwm.use[pin] is Use.SERVO else pwm.range[pin])
    if high and pwm.use[pin] in (Use.PWM, Use.SERVO):
        daemon.pins.begin_train(pin, steps * pwm.sample_us * 1000, high * pwm.sample_us * 1000)
        return
    daemon.pins.end_train(pin)
    if pin < USER_GPIOS:
        daemon.pins.write(1 << pin, 0, daemon.clock())


def _user(pin: int, *, permitted: bool = False) -> None:
    if permitted and pin < GPIOS and not PERMITTED >> pin & 1:
        raise Refused(Code.NOT_PERMITTED)
    if pin >= USER_GPIOS:
        raise Refused(Code.BAD_USER_GPIO)


def _pulses(daemon: Machine, pin: int, width: int, use: Use, what: str) -> int:
    if width and daemon.pins.wired >> pin & 1:
        daemon.pins.misused(f"{what} on GPIO {pin}, a line of the board")
    leave(daemon, pin, use)
    daemon.pwm.width[pin] = width
    daemon.pins.set_mode(pin, OUTPUT)
    _show(daemon, pin)
    return 0


def _set_pwm(daemon: Machine, pin: int, duty: int, _: bytes) -> int:
    _user(pin, permitted=True)
    if duty > daemon.pwm.range[pin]:
        raise Refused(Code.BAD_DUTYCYCLE)
    return _pulses(daemon, pin, duty, Use.PWM, "PWM")


def _servo(daemon: Machine, pin: int, width_us: int, _: bytes) -> int:
    _user(pin, permitted=True)
    if width_us and width_us not in SERVO_US:
        raise Refused(Code.BAD_PULSEWIDTH)
    return _pulses(daemon, pin, width_us, Use.SERVO, "servo pulses")


def _servo_width(daemon: Machine, pin: int, _p2: int, _: bytes) -> int:
    _user(pin)
    if daemon.pwm.use[pin] is not Use.SERVO:
        raise Refused(Code.NOT_SERVO_GPIO)
    return daemon.pwm.width[pin]


def _channel(pin: int) -> int:
    return pin & 1  # GPIO 12 and 18 are channel 0, 13 and 19 channel 1


def _duty(daemon: Machine, pin: int, _p2: int, _: bytes) -> int:
    _user(pin)
    use = daemon.pwm.use[pin]
    if use is Use.PWM:
        return daemon.pwm.width[pin]
    if use is Use.HARDWARE_PWM:
        return daemon.pwm.hardware[_channel(pin)][1]
    if use is Use.CLOCK:
        return HARDWARE_RANGE // 2
    raise Refused(Code.NOT_PWM_GPIO)


def _set_range(daemon: Machine, pin: int, most: int, _: bytes) -> int:
    _user(pin, permitted=True)
    if most not in RANGES:
        raise Refused(Code.BAD_DUTYRANGE)
    pwm = daemon.pwm
    if pwm.use[pin] is Use.PWM and pwm.width[pin]:
        pwm.width[pin] = most * pwm.width[pin] // pwm.range[pin]
        pwm.range[pin] = most
        _show(daemon, pin)
    pwm.range[pin] = most
    return pwm.steps[pin]


def _range(daemon: Machine, pin: int, _p2: int, _: bytes) -> int:
    _user(pin)
    hardware = daemon.pwm.use[pin] in (Use.HARDWARE_PWM, Use.CLOCK)
    return HARDWARE_RANGE if hardware else daemon.pwm.range[pin]


def _real_range(daemon: Machine, pin: int, _p2: int, _: bytes) -> int:
    _user(pin)
    use = daemon.pwm.use[pin]
    if use is Use.HARDWARE_PWM:
        return daemon.pwm.hardware[_channel(pin)][2]
    return HARDWARE_RANGE if use is Use.CLOCK else daemon.pwm.steps[pin]


def _set_frequency(daemon: Machine, pin: int, hz: int, _: bytes) -> int:
    _user(pin, permitted=True)
    pwm = daemon.pwm
    nearest = min(range(len(STEPS)), key=lambda i: abs(pwm.hertz[i] - hz))
    pwm.steps[pin] = STEPS[nearest]
    if pwm.use[pin] is Use.PWM and pwm.width[pin]:
        _show(daemon, pin)
    return pwm.hertz[nearest]


def _frequency(daemon: Machine, pin: int, _p2: int, _: bytes) -> int:
    _user(pin)
    use = daemon.pwm.use[pin]
    if use is Use.HARDWARE_PWM:
        return daemon.pwm.hardware[_channel(pin)][0]
    if use is Use.CLOCK:
        return daemon.pwm.clock_hz[CLOCK_PINS[pin][0]]
    return daemon.pwm.hertz[STEPS.index(daemon.pwm.steps[pin])]


def _hardware_pwm(daemon: Machine, pin: int, hz: int, extension: bytes) -> int:
    if pin < GPIOS and not PERMITTED >> pin & 1:
        raise Refused(Code.NOT_PERMITTED)
    if pin >= GPIOS:
        raise Refused(Code.BAD_GPIO)
    duty = int.from_bytes(extension[:4], "little")
    if pin not in HARDWARE_PWM_MODES:
        raise Refused(Code.NOT_HPWM_GPIO)
    if duty > HARDWARE_RANGE:
        raise Refused(Code.BAD_HPWM_DUTY)
    if hz > HARDWARE_PWM_HZ:
        raise Refused(Code.BAD_HPWM_FREQ)
    pwm = daemon.pwm
    if hz == 0:
        if pwm.use[pin] is Use.HARDWARE_PWM:
            pwm.use[pin] = Use.NOTHING
        return 0
    real = int(PLLD_HZ / (2.0 * hz) + 0.5)
    pwm.hardware[_channel(pin)] = (int(PLLD_HZ / (2.0 * real) + 0.5), duty, real)
    if daemon.player.busy() or daemon.pins.wired >> pin & 1:
        daemon.pins.misused(f"hardware PWM on GPIO {pin} takes the clock that waves need, and stops those that play")
        daemon.player.stop()
    if pwm.use[pin] is not Use.HARDWARE_PWM:
        leave(daemon, pin, Use.HARDWARE_PWM)
        daemon.pins.set_mode(pin, HARDWARE_PWM_MODES[pin])
    return 0


def _hardware_clock(daemon: Machine, pin: int, hz: int, _: bytes) -> int:
    password, pin = pin >> 24, pin & 0xFF_FFFF
    if pin < GPIOS and not PERMITTED >> pin & 1:
        raise Refused(Code.NOT_PERMITTED)
    if pin >= GPIOS:
        raise Refused(Code.BAD_GPIO)
    if pin not in CLOCK_PINS:
        raise Refused(Code.NOT_HCLK_GPIO)
    if hz and not CLOCK_HZ[0] <= hz <= CLOCK_HZ[1]:
        raise Refused(Code.BAD_HCLK_FREQ)
    clock, mode = CLOCK_PINS[pin]
    if clock == 1 and password != PASSWORD:
        raise Refused(Code.BAD_HCLK_PASS)
    if hz == 0:
        if daemon.pwm.use[pin] is Use.CLOCK:
            daemon.pwm.use[pin] = Use.NOTHING
        return 0
    daemon.pwm.clock_hz[clock] = _divided_hz(hz)
    leave(daemon, pin, Use.CLOCK)
    daemon.pins.set_mode(pin, mode)
    return 0


def _divided_hz(hz: int) -> int:
    """The nearest that a divider of either source gives; the later source where both are as near."""
    best: tuple[float, float] | None = None
    for source in (OSCILLATOR_HZ, PLLD_HZ):
        parts = 4096 if hz < MASH_HZ else 1
        divider = int((source / hz + 0.5 / parts) * parts) / parts
        if 2 <= divider < 4096:
            off = abs(hz - source / divider)
            if best is None or off <= best[0]:
                best = (off, source / divider)
    if best is None:
        raise Refused(Code.BAD_HCLK_FREQ)
    return int(best[1] + 0.5)


COMMANDS: dict[int, Callable[[Machine, int, int, bytes], int]] = {
    Command.PWM: _set_pwm,
    Command.GDC: _duty,
    Command.PRS: _set_range,
    Command.PRG: _range,
    Command.PRRG: _real_range,
    Command.PFS: _set_frequency,
    Command.PFG: _frequency,
    Command.SERVO: _servo,
    Command.GPW: _servo_width,
    Command.HP: _hardware_pwm,
    Command.HC: _hardware_clock,
}

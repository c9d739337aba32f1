"""Start-up checks of a pigpio pulse source: daemon, version, model, pins and the wave clock."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from drivers.checks import Check, each
from drivers.errors import ConnectionLostError
from drivers.pigpio.link import Clock, PigpioLink
from drivers.pins import WAVE_PINS, free_output, pi_output_fault

if TYPE_CHECKING:
    from drivers.settings import PigpioSettings, Wiring

PLAYED = "wave clock (plays 1 s of silence)"
VERSION = 79  # the first and last with everything used here
LEAD_IN_US = 20  # before the first wave, pigpio.c v79
SELF_TEST_S = 1.0
CLOCK_TOLERANCE = 0.01
CLOCK_TRIES = 3
TICKS = 1 << 32  # the daemon's tick, µs, wraps
KNOWN_CLOCK_FAULTS = (
    (
        2.0,
        "half speed, joan2937/pigpio#331: start pigpiod with -t0, or change the HDMI settings",
    ),
    (
        1.13,
        "13 % slow, joan2937/pigpio#137: update the Pi's firmware, or use a Pico as pulse source",
    ),
)
ALTERNATE_FUNCTION = 2  # modes from here on: the pin belongs to a peripheral


def pigpio_checks(settings: PigpioSettings, wiring: Wiring, *, clock: Clock | None = None) -> list[Check]:
    """All start-up checks on a connection of their own; an unreachable daemon is a failed check, not an error."""
    try:
        link = PigpioLink(settings)
    except ConnectionLostError as error:
        what, _, advice = str(error).partition("; ")
        return [Check("pigpiod", False, what, advice)]
    try:
        return link_checks(link, wiring, Clock() if clock is None else clock)
    finally:
        link.close()


def link_checks(link: PigpioLink, wiring: Wiring, clock: Clock) -> list[Check]:
    """The start-up checks on an open link; nothing may be playing. The last plays a second of silence, and says so."""
    works = (
        lambda: _version(link),
        lambda: _model(link),
        lambda: _pins(link, wiring),
        lambda: _wave_clock(link, clock),
    )
    return list(each("pigpiod", works, "restart pigpiod, then hil doctor"))


def _version(link: PigpioLink) -> Check:
    found = link.call("get_pigpio_version")
    return Check(
        "pigpiod",
        found >= VERSION,
        f"version {found} at {link.where}",
        "" if found >= VERSION else f"install pigpio {VERSION}: older daemons cannot pad waves",
    )


def _model(link: PigpioLink) -> Check:
    from gpiozero import PinUnknownPi
    from gpiozero.pins.pi import PiBoardInfo

    revision = link.call("get_hardware_revision")
    try:
        model = PiBoardInfo.from_revision(revision).model
    except PinUnknownPi:
        return Check("Raspberry Pi", False, f"unknown revision {revision:x}", "use a Raspberry Pi 1 to 4")
    return Check("Raspberry Pi", True, f"{model}, revision {revision:x}")


def _pins(link: PigpioLink, wiring: Wiring) -> Check:
    lines = wiring.lines()
    taken = {line.pin for line in lines}
    wrong = []
    for line in lines:
        if line.pin not in WAVE_PINS:
            wrong.append(f"{line.name} on GPIO {line.pin}: pigpiod may drive GPIO 2-27 only")
        elif (fault := pi_output_fault(line.pin)) is not None:
            wrong.append(f"{line.name} on GPIO {line.pin}: {fault}, which closes the switch")
        elif link.call("get_mode", line.pin) >= ALTERNATE_FUNCTION:
            wrong.append(f"{line.name} on GPIO {line.pin}: taken by a peripheral (SPI, UART …)")
    if not wrong:
        return Check("pins", True, ", ".join(f"{line.name} {line.pin}" for line in lines))
    return Check(
        "pins", False, "; ".join(wrong), f"move it, for example to GPIO {free_output(taken)}, and change [wiring]"
    )


def _wave_clock(link: PigpioLink, clock: Clock) -> Check:
    """Time a wave of silence by the daemon's own tick (the idea is joan2937/pigpio#331's; needs no pin)."""
    ratio = measure_clock(link, clock)
    detail = f"{ratio:.3f} × nominal over {SELF_TEST_S:g} s"
    if abs(ratio - 1) <= CLOCK_TOLERANCE:
        return Check(PLAYED, True, detail)
    for fault, advice in KNOWN_CLOCK_FAULTS:
        if abs(ratio / fault - 1) <= 2 * CLOCK_TOLERANCE:
            return Check(PLAYED, False, detail, advice)
    return Check(PLAYED, False, detail, "pulses would not be as wide as planned: restart pigpiod")


def measure_clock(link: PigpioLink, clock: Clock) -> float:
    """How long a wave of silence takes, relative to what was asked; raises BenchError if it never ends.

    Its end lies between two looks. Of a host that looks too seldom the narrowest of some tries is taken, and of that
    what is nearest to 1.
    """
    tries = [_silence(link, clock)]
    while tries[-1][1] - tries[-1][0] > CLOCK_TOLERANCE and len(tries) < CLOCK_TRIES:
        tries.append(_silence(link, clock))
    low, high = min(tries, key=lambda bounds: bounds[1] - bounds[0])
    return min(max(1.0, low), high)


def _silence(link: PigpioLink, clock: Clock) -> tuple[float, float]:
    """Bounds of the same, from one wave."""
    import pigpio

    link.call("wave_add_new")
    link.call("wave_add_generic", [pigpio.pulse(0, 0, round(SELF_TEST_S * 1e6 / 10))] * 10)
    wid = link.call("wave_create")
    start = link.call("get_current_tick")
    link.call("wave_send_once", wid)
    sent = playing = link.call("get_current_tick")
    never = threading.Event()
    clock.wait(never, SELF_TEST_S * 0.95)
    until_s = clock.now_s() + 3 * SELF_TEST_S
    while clock.now_s() < until_s:
        before = link.call("get_current_tick")
        if not link.call("wave_tx_busy"):
            break
        playing = before
        clock.wait(never, 0.001)
    ended = link.call("get_current_tick")
    link.call("wave_tx_stop")
    link.call("wave_delete", wid)
    asked_us = SELF_TEST_S * 1e6
    return ((playing - sent) % TICKS - LEAD_IN_US) / asked_us, ((ended - start) % TICKS - LEAD_IN_US) / asked_us

"""Which pins may be outputs that have to be low from power-on: a MAX313 closes, and a supply relay pulls, on a high.

A pin is nobody's until a program has set it up, and what it does until then is the chip's business: pulled up, pulled
down, or taken by a peripheral. A 10 kΩ resistor to ground outweighs a pull-up of 50 kΩ only down to 0.55 V, which a
logic gate calls low and a transistor may not; so such pins are refused rather than excused.
"""

from __future__ import annotations

from collections.abc import Collection

PULLED_UP_AT_BOOT = range(9)  # GPIO 0-8: BCM2835 ARM Peripherals, table 6-31; 2 and 3 have 1.8 kΩ on the board too
SERIAL_PINS = (14, 15)  # TXD idles high and sends while booting, RXD is pulled up, where the serial port is enabled
HEADER_PINS = range(28)  # of a Raspberry Pi, BCM numbers
WAVE_PINS = range(2, 28)  # the pigpio daemon's permission mask on a Pi 4, 0x0FFFFFFC
I2C_PINS = {0: (0, 1), 1: (2, 3)}  # by bus: SDA, SCL
PICO_OWN_PINS = (23, 24, 25)  # regulator mode, VBUS sense, LED: Pico datasheet
PICO_USB_FIX_PIN = 15  # moved for about 1 ms by the USB enumeration fix of RP2040 B0 and B1: datasheet, RP2040-E5


def pi_output_fault(pin: int) -> str | None:
    """Why a Pi's GPIO cannot be an output that is low from power-on, and which can; None where it can."""
    if pin in PULLED_UP_AT_BOOT:
        return "GPIO 0-8 are pulled up at boot"
    if pin in SERIAL_PINS:
        return "GPIO 14 and 15 are the serial port's, high at boot where it is enabled"
    return None


def pico_output_fault(pin: int) -> str | None:
    """The same for a Pico, whose pins are pulled down until the firmware has set them up."""
    if pin in PICO_OWN_PINS:
        return "GPIO 23-25 are the Pico's own (regulator, VBUS, LED)"
    if pin == PICO_USB_FIX_PIN:
        return "GPIO 15 is moved by the chip itself when USB starts (RP2040-E5)"
    return None


def free_output(taken: Collection[int]) -> int:
    """A Pi's pin that may be such an output and is not taken; a header has more of them than a bench has lines."""
    return next(pin for pin in HEADER_PINS if pi_output_fault(pin) is None and pin not in taken)

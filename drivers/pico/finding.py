"""Where the Pico is, and why its port does not open."""

from __future__ import annotations

import errno

from drivers.errors import ConnectionLostError, InputError

USB_VENDOR = 0x2E8A  # Raspberry Pi
USB_PRODUCT = 0x0005  # MicroPython on an RP2040 or RP2350


def find_port() -> str:
    """The serial port of the one Pico on USB; raises ConnectionLostError if there is none, InputError if several."""
    from serial.tools import list_ports

    found = [p for p in list_ports.comports() if (p.vid, p.pid) == (USB_VENDOR, USB_PRODUCT)]
    if not found:
        raise ConnectionLostError(
            f"no Pico with MicroPython on USB ({USB_VENDOR:04X}:{USB_PRODUCT:04X}): plug it in, or name its port as "
            "pico.port in the bench file"
        )
    if len(found) > 1:
        listed = ", ".join(f"{p.device} (serial {p.serial_number})" for p in found)
        raise InputError(f"several Picos on USB: {listed}; name one as pico.port in the bench file")
    return str(found[0].device)


def refusal(error: Exception) -> str:
    """Why a port does not open, and what to do."""
    number = getattr(error, "errno", None)
    if number in (errno.EACCES, errno.EPERM):
        return "this user may not; join the group with `sudo usermod -aG dialout $USER`, then log in again"
    if number == errno.ENOENT:
        return "it is not there; plug it in, or check pico.port"
    if number in (errno.EBUSY, errno.EAGAIN) or "lock" in str(error):
        return "another program uses it; stop that"
    return f"{error}; is it plugged in, and used by no other program?"

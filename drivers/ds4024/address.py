"""Where an oscilloscope is: its VISA resource in one spelling, checked before anything is opened."""

from __future__ import annotations

import re
import socket

from drivers.errors import ConnectionLostError, InputError

USB_ADVICE = (
    "a USB oscilloscope needs libusb (`sudo apt install libusb-1.0-0`), PyUSB (`pip install '.[usb]'`) and a udev rule "
    'that lets this user at it: SUBSYSTEM=="usb", ATTR{idVendor}=="1ab1", MODE="0666" in '
    "/etc/udev/rules.d/99-rigol.rules"
)
_CLASSES = ("INSTR", "SOCKET")


def canonical(resource: str) -> str:
    """The resource as PyVISA spells it, whatever the case it was written in; raises InputError that says how to."""
    from pyvisa import rname

    words = resource.strip().split("::")
    words[0] = words[0].upper()
    if words[-1].upper() in _CLASSES:
        words[-1] = words[-1].upper()
    try:
        found = str(rname.parse_resource_name("::".join(words)))
    except rname.InvalidResourceName as error:
        better = f"TCPIP0::{resource}::INSTR" if re.fullmatch(r"[\w.-]+", resource) else "TCPIP0::ADDRESS::INSTR"
        raise InputError(
            f"scope.resource = {resource!r} is no VISA resource: write {better}, or USB0::0x1AB1::0x04B1::SERIAL::INSTR"
        ) from error
    if not found.startswith(("TCPIP", "USB")):
        raise InputError(f"scope.resource = {resource!r} cannot be used: a DS4024 is on TCPIP or USB")
    return found


def instrument(resource: str) -> str:
    """What tells one instrument from another, however its connection is spelled: the host, or the USB identity."""
    words = canonical(resource).split("::")
    return f"lan {words[1]}".lower() if words[0].startswith("TCPIP") else "::".join(words[1:4]).lower()


def check_host(resource: str) -> None:
    """Raise ConnectionLostError for a host that nobody knows: pyvisa-py 0.8 calls it a bad file descriptor."""
    words = resource.split("::")
    if not words[0].startswith("TCPIP"):
        return
    host = words[1].partition(",")[0]
    try:
        socket.getaddrinfo(host, None)
    except (OSError, UnicodeError) as error:
        raise ConnectionLostError(
            f"no host {host!r} is known (scope.resource = {resource!r}): check its spelling, or give its IP address, "
            "which the oscilloscope shows under Utility, IO Setting"
        ) from error

"""Begin as a Pico does, in a MicroPython of this machine: its flash is all there is of files, `sys`, `os`, `select` and
`micropython` have what they have on a Pico, and then main.py runs, unless HIL_PICO_REPL is set.
"""

import os
import select
import sys

import flash
import machine  # noqa: F401 (has to be found before the files of this machine are gone)
import micropython
import rp2  # noqa: F401
from link import chip


class Module:
    """One that stands in for another: some names of the old, some new ones."""

    def __init__(self, old, names: "tuple[str, ...]", **new: object) -> None:
        for name in names:
            if hasattr(old, name):
                setattr(self, name, getattr(old, name))
        for name, value in new.items():
            setattr(self, name, value)


def uname() -> "tuple[str, ...]":
    """As on a Pico, but that it says what it is."""
    return ("rp2", "rp2", RELEASE, "twin", MACHINE)


RELEASE = "%d.%d.%d" % sys.implementation[1][:3]
MACHINE = "Raspberry Pi Pico with RP2040, twin in " + sys.implementation._machine
OF_OS = ("chdir", "getcwd", "ilistdir", "listdir", "mkdir", "remove", "rename", "rmdir", "stat", "statvfs", "unlink")
OF_SYS = ("argv", "byteorder", "exit", "maxsize", "modules", "path", "print_exception", "stderr", "version")
OF_MICROPYTHON = ("const", "heap_lock", "heap_unlock", "mem_info", "opt_level", "qstr_info", "schedule", "stack_use")

chip.connect()
import usb  # noqa: E402 (is connected)

repl = os.getenv("HIL_PICO_REPL")
drive = flash.Flash()
os.umount("/")
os.mount(drive, "/")
os.chdir("/")
sys.path[:] = ["", "/lib"]
fake_sys = Module(
    sys,
    OF_SYS,
    platform="rp2",
    stdin=usb.Input(sys.stdin.buffer),
    stdout=usb.Output(sys.stdout.buffer),
    implementation=Module(
        sys.implementation,
        ("name", "version", "_mpy", "_build"),
        _machine=MACHINE,
    ),
)
fake_os = Module(os, OF_OS + ("urandom",), uname=uname, sync=lambda: None)
fake_micropython = Module(micropython, OF_MICROPYTHON, kbd_intr=lambda byte: chip.ask("interrupt_byte", byte=byte))
for name, module in (
    ("sys", fake_sys),
    ("os", fake_os),
    ("vfs", fake_os),
    ("select", usb),
    ("micropython", fake_micropython),
):
    sys.modules[name] = module
    sys.modules["u" + name] = module
chip.ask("interrupt_byte", byte=3)  # from here on a program may be interrupted: no file of this machine is in reach
if not repl and "main.py" in os.listdir("/"):
    with open("/main.py") as file:
        text = file.read()
    del os, select, sys, micropython, flash, drive
    exec(text, {"__name__": "__main__"})  # noqa: S102 (as MicroPython does)

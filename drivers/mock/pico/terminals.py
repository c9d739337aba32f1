"""Pseudo-terminals of this machine that stand for a Pico's USB, and what the system tells of a process on one."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import time
from pathlib import Path


def running_s(process: subprocess.Popen[bytes] | None) -> float | None:
    """For how long a process that is ready to run has had a processor, s; None where it sleeps or is stopped.

    None too where the system does not tell. Linux: the state in /proc/PID/stat, the first field of /proc/PID/schedstat.
    """
    if process is None:
        return None
    try:
        state = Path(f"/proc/{process.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]
        ran_ns = int(Path(f"/proc/{process.pid}/schedstat").read_text(encoding="ascii").split()[0])
    except (OSError, IndexError, ValueError):  # another system, or it has ended
        return None
    return ran_ns * 1e-9 if state == "R" else None


def terminal(*, interrupts: bool) -> tuple[int, int]:
    """A pseudo-terminal that passes every byte; `interrupts` is what MicroPython takes away while it reads a REPL."""
    master, slave = pty.openpty()
    settings = termios.tcgetattr(slave)
    settings[0] = settings[1] = 0
    settings[2] = settings[2] & ~(termios.CSIZE | termios.PARENB) | termios.CS8
    settings[3] = termios.ISIG | termios.NOFLSH if interrupts else 0
    settings[6][termios.VMIN], settings[6][termios.VTIME] = 1, 0
    for name in ("VINTR", "VQUIT", "VSUSP"):
        settings[6][getattr(termios, name)] = b"\x00"
    termios.tcsetattr(slave, termios.TCSANOW, settings)
    return master, slave


def read(terminal: int, most: int = 1024) -> bytes:
    """What is there; raises OSError when whoever is behind the terminal has ended."""
    return os.read(terminal, most) if select.select([terminal], [], [], 0.05)[0] else b""


def unread(terminal: int) -> int:
    """Bytes that wait to be read from it."""
    return int(struct.unpack("i", fcntl.ioctl(terminal, termios.FIONREAD, b"\0\0\0\0"))[0])


def write(terminal: int, data: bytes) -> None:
    """Write all; what nobody takes within a second is lost, as on USB."""
    until = time.monotonic() + 1.0
    while data and time.monotonic() < until:
        if select.select([], [terminal], [], 0.05)[1]:
            data = data[os.write(terminal, data[:512]) :]

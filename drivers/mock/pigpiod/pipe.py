"""A named pipe that reports are written to, as `gpioNotifyOpen` of pigpio.c v79 makes one in /dev."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


class Pipe:
    """A pipe that is there while it is open. What finds no room in it is dropped: the sequence of reports shows it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.unlink(missing_ok=True)
        os.mkfifo(path)
        self._number: int | None = os.open(path, os.O_RDWR | os.O_NONBLOCK)

    def write(self, reports: bytes) -> None:
        """Write reports, at most as many as are written in one piece."""
        if self._number is not None:
            with contextlib.suppress(BlockingIOError):
                os.write(self._number, reports)

    def close(self) -> None:
        """Close and remove it; idempotent."""
        number, self._number = self._number, None
        if number is not None:
            self._path.unlink(missing_ok=True)
            os.close(number)

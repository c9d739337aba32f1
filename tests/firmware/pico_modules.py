"""The firmware's modules in CPython, with the twin's stand-ins for `machine` and `rp2`."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import drivers.mock.pico
import firmware
from firmware.protocol import FILES

FIRMWARE = Path(str(firmware.__file__)).parent
STANDINS = Path(str(drivers.mock.pico.__file__)).parent / "standins"
NAMES = [name.removesuffix(".py") for name in FILES if name != "main.py"]
NAMES += ["machine", "micropython", "rp2", "link", "pio_assembler"]


def load() -> Any:
    """Fresh modules, as after a reset of the chip; nothing of them stays behind in sys.modules."""
    sys.path[:0] = [str(FIRMWARE), str(STANDINS)]
    try:
        return SimpleNamespace(**{name: importlib.import_module(name) for name in NAMES})
    finally:
        del sys.path[:2]
        for name in NAMES:
            sys.modules.pop(name, None)

"""Where a command plays: the first line of every command that does."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from drivers.benchfile import BenchFile
    from drivers.device import DeviceFile


def tell_where(file: BenchFile, device: DeviceFile) -> None:
    """Name the bench and the device on standard error, before anything is played."""
    kind = "simulated" if file.kind == "mock" else f"{file.pulse_source} pulses, {file.axon_reader} counting"
    print(f"on bench {file.name!r} ({kind}), device {device.id!r}", file=sys.stderr)

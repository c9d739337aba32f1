"""Where a command plays: the first line of every command that does."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from drivers.benchfile import BenchFile
    from drivers.device import DeviceFile


def tell_where(file: BenchFile, device: DeviceFile) -> None:
    """Name the bench and the device on standard error, before anything is played."""
    print(f"on bench {file.name!r} ({_parts(file)}), device {device.id!r}", file=sys.stderr)


def _parts(file: BenchFile) -> str:
    if file.kind == "mock":
        return "simulated"
    counter, *auditor = file.readers
    audits = f", {auditor[0]} auditing {every(file)}" if auditor else ""
    return f"{file.pulse_source} pulses, {counter} counting{audits}"


def every(file: BenchFile) -> str:
    """How often the second of two readers looks."""
    return "every shot" if file.audits_every == 1 else f"one shot in {file.audits_every}"

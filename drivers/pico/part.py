"""The Pico as a part of a bench: pulse source, axon reader and threshold source, whichever the bench file says."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from drivers.benchfile import PicoSettings
from drivers.parts.kind import Opening, PartKind
from drivers.pico.device import Pico
from drivers.pico.link import find_port

if TYPE_CHECKING:
    from drivers.checks import Check

TICK_S = 40e-9  # the firmware runs its PIO at 25 MHz


def _open(opening: Opening, _settings: PicoSettings) -> Pico:
    return Pico(opening.file)


def _check(opening: Opening, _settings: PicoSettings) -> Iterator[Check]:
    with closing(Pico(opening.file)) as pico:
        pico.prepare()
        yield from pico.checks()


def _claims(settings: PicoSettings) -> list[str]:
    return [f"serial port {Path(settings.port or find_port()).resolve()}"]


PART = PartKind(_open, _check, PicoSettings, "pico", tick_s=TICK_S, advice="see firmware/README.md", claims=_claims)

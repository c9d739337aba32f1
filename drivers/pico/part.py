"""The Pico as a part of a bench: pulse source, axon reader and threshold source, whichever the bench file says."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from drivers.checks import Check
from drivers.parts.kind import Opening, PartKind
from drivers.pico.device import Pico
from drivers.pico.link import NOT_OURS_TO_CLEAR, find_port, latched
from drivers.settings import PicoSettings

TICK_S = 40e-9  # the firmware runs its PIO at 25 MHz


def _open(opening: Opening, _settings: PicoSettings) -> Pico:
    return Pico(opening.file)


def _check(opening: Opening, _settings: PicoSettings) -> Iterator[Check]:
    with closing(Pico(opening.file)) as pico:
        reason = pico.latch
        if reason in NOT_OURS_TO_CLEAR:
            yield Check("Pico latch", False, str(latched(reason)), "find out why, then `hil bench clear`")
            return
        pico.prepare()
        yield Check("Pico (taken over: lines low, V_th parked)", True, f"was latched: {reason or 'no'}")
        yield from pico.checks()


def _claims(settings: PicoSettings) -> list[str]:
    return [f"serial port {Path(settings.port or find_port()).resolve()}"]


PART = PartKind(
    _open, _check, PicoSettings, "pico", tick_s=TICK_S, advice="see firmware/README.md", claims=_claims, latches=True
)

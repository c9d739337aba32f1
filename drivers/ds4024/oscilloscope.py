"""The RIGOL DS4024 as a part of a bench: how it is opened, looked at by `hil doctor`, and planned with."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from drivers.checks import Check
from drivers.ds4024.address import instrument
from drivers.ds4024.known import Known, kept
from drivers.ds4024.reader import ScopeReader
from drivers.ds4024.strategy import Strategy
from drivers.errors import InputError
from drivers.parts.kind import Opening, PartKind
from drivers.parts.pace import Pace
from drivers.settings import ScopeSettings
from drivers.wear.passport import passport_folder

if TYPE_CHECKING:
    from drivers.benchfile import BenchFile
    from drivers.signals import Frame

FIRST_S = 0.11  # to set all of it for the first record, which nothing plays meanwhile


def _open(opening: Opening, settings: ScopeSettings) -> ScopeReader:
    file = opening.file
    folder: Path | None = None
    with suppress(InputError):  # nobody has made a place for passports: to look at a bench needs none
        folder = passport_folder(file.passports)
    return ScopeReader(settings, file.spikes, file.board, file.tick_s, slot=file.slot, folder=folder)


def _check(opening: Opening, settings: ScopeSettings) -> list[Check]:
    with closing(_open(opening, settings)) as scope:
        return scope.checks()


def _pace(file: BenchFile, settings: ScopeSettings) -> Pace:
    known = Known()
    with suppress(InputError):  # nobody has made a place for what is known
        known = kept(passport_folder(file.passports), resource=settings.resource)
    strategy = Strategy(settings, file.board, file.tick_s, known)

    seen: list[Frame] = []

    def cost(shot: Frame) -> Mapping[str, float]:
        seen[1:] = [shot]
        plan = strategy.plan(shot, sparse=strategy.sparsely(shot))
        told = len(seen) > 1 or known.ratio_now(datetime.now(UTC)) is not None  # else the first shot tells it
        return strategy.cost(shot, plan, clocks=told).parts()

    def captured(shot: Frame) -> float:
        return strategy.captured(shot, strategy.plan(shot, sparse=strategy.sparsely(shot)))

    return Pace(
        longest_s=strategy.longest_s(file.slot),
        cost=cost,
        once={"arming": FIRST_S},
        helps=strategy.helps(pigpio=file.pulse_source == "pigpio"),
        bytes=captured,
    )


PART = PartKind(
    _open,
    _check,
    ScopeSettings,
    "scope",
    claims=lambda settings: [f"oscilloscope {instrument(settings.resource)}"],
    pace=_pace,
)

"""The Pico as a part of a bench: pulse source, axon reader and threshold source, whichever the bench file says."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from drivers.checks import Check
from drivers.parts.kind import Opening, PartKind
from drivers.parts.pace import Pace
from drivers.pico.device import Pico
from drivers.pico.finding import find_port
from drivers.pico.replies import NOT_OURS_TO_CLEAR, latched
from drivers.settings import PicoSettings
from drivers.timing import length_ticks

if TYPE_CHECKING:
    from drivers.benchfile import BenchFile
    from drivers.signals import Frame

START_S = 0.006  # between shots that somebody else counts, the next one being there; its own follow by DMA
FIRST_S = 0.03  # to send a shot over USB while nothing plays
LAST_S = 0.105  # to fetch what the last shot came to
TOLD_S = 0.012  # the same, all but the last slots having been told while it played
REQUEST_S = 0.0065  # PROTOCOL.md: a request on the chip
COUNTS_A_REPLY, STAMPS_A_REPLY = 400, 300
SLOT_S = 20e-6  # of a count and a stamp by USB
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


def _pace(file: BenchFile, _settings: PicoSettings) -> Pace:
    """What it plays and counts follows without a pause; what pigpio plays it has to be asked for, slot by slot."""
    plays, counts = file.pulse_source == "pico", "pico" in file.readers
    asked = counts and not plays

    def cost(shot: Frame) -> Mapping[str, float]:
        slots = int(shot.played.sum())
        found = {"starting": START_S} if plays and not counts else {}
        if asked:
            requests = 1 + math.ceil(slots / COUNTS_A_REPLY) + math.ceil(slots / STAMPS_A_REPLY)
            reading_s = requests * REQUEST_S + slots * SLOT_S
            plays_s = float(length_ticks(shot, file.tick_s).sum()) * file.tick_s
            found |= {"arming": REQUEST_S, "reading": max(0.0, reading_s - plays_s)}  # while the next one plays
        return found

    by_gpio = 'count with the Pi itself: axon_reader = "gpio", and pigpiod -s 1'
    helps = (
        {"reading": f"{by_gpio}; or play with the Pico too", "arming": by_gpio, "starting": by_gpio} if asked else {}
    )
    once = ({"starting": FIRST_S} if plays else {}) | ({"reading": LAST_S if asked else TOLD_S} if counts else {})
    return Pace(Pico.most_slots, cost=cost, once=once, helps=helps)


PART = PartKind(
    _open,
    _check,
    PicoSettings,
    "pico",
    tick_s=TICK_S,
    advice="see firmware/README.md",
    claims=_claims,
    latches=True,
    pace=_pace,
)

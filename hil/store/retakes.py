"""A shot whose late or unreadable slots are taken again, until every slot has one trusted measurement."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from drivers.errors import CaptureError
from drivers.signals import BoolArray, Capture, Frame, FrameKey, IntArray, Retaken, Stray

if TYPE_CHECKING:
    from hil.store.rows import ShotRow
    from hil.store.runfile import RunFile

MOST_ATTEMPTS = 3  # a slot that is late or unreadable so often in a row is no accident


@dataclass
class Shot:
    """The captures of one shot: the first attempt over all its slots, then those of the slots taken again.

    `waiting` counts slots that are being taken again.
    """

    captures: list[Capture]
    waiting: int = 0

    @property
    def ok(self) -> BoolArray:
        """(slots,) which slots have a trusted measurement."""
        ok = self.captures[0].ok.copy()
        for again in self.captures[1:]:
            ok[self._where(again)] |= again.ok & self._taken(again)
        return ok

    @property
    def complete(self) -> bool:
        """Whether all slots have one."""
        return self.waiting == 0 and bool(self.ok.all())

    def merged(self) -> Capture:
        """All attempts as one capture: counts and lengths of the trusted measurement of each slot, costs added up."""
        first = self.captures[0]
        if len(self.captures) == 1:
            return first
        spikes, slot_s = first.spikes.copy(), first.slot_s.copy()
        for again in self.captures[1:]:
            where, good = self._where(again), again.ok & self._taken(again)
            spikes[where] = np.where(good, again.spikes, spikes[where])
            slot_s[where] = np.where(good, again.slot_s, slot_s[where])
        strays = [capture.stray for capture in self.captures]
        return replace(
            first,
            spikes=spikes,
            slot_s=slot_s,
            ok=self.ok,
            bench_s=sum(capture.bench_s for capture in self.captures),
            stray=Stray(sum(s.before for s in strays), sum(s.guard for s in strays), sum(s.after for s in strays)),
            notes=tuple(note for capture in self.captures for note in capture.notes),
            retaken=sum((cost_of(again.frame) for again in self.captures[1:]), Retaken()),
        )

    @property
    def why(self) -> str:
        """What the last attempt that says something says."""
        return next((capture.notes[-1] for capture in reversed(self.captures) if capture.notes), "")

    @property
    def attempts(self) -> IntArray:
        """(slots,) how often each slot has been taken."""
        attempts = np.ones(len(self.captures[0].frame), dtype=np.int32)
        for again in self.captures[1:]:
            attempts[self._where(again)] += self._taken(again)
        return attempts

    def _taken(self, again: Capture) -> BoolArray:
        """Which slots of a later attempt were taken in it; those between get no pulses, though they have some."""
        taken: BoolArray = again.frame.played | ~self.captures[0].frame.played[self._where(again)]
        return taken

    def _where(self, capture: Capture) -> slice:
        start = capture.frame.first_slot - self.captures[0].frame.first_slot
        return slice(start, start + len(capture.frame))


def with_retakes(rows: Sequence[ShotRow], attempt: int) -> Iterator[list[ShotRow]]:
    """Each recorded shot of a frame's own attempt, followed by those that took slots of it again, as these came.

    `rows` are all shots of the frame in the order of slots.
    """
    for first in (row for row in rows if row.attempt == attempt):
        again = [row for row in rows if row.attempt > attempt and first.first_slot <= row.first_slot < first.stop]
        yield [first, *sorted(again, key=lambda row: (row.attempt, row.first_slot))]


def measured_shots(run: RunFile, key: FrameKey, layer: int) -> Iterator[tuple[ShotRow, Shot]]:
    """The shots of one frame as recorded, each with its retakes and the row of its first attempt, in order of slots."""
    for rows in with_retakes(run.shots_of(key, layer), key.attempt):
        yield rows[0], Shot([run.load(row.id) for row in rows])


def cost_of(frame: Frame) -> Retaken:
    """What slots that are played again cost: one shot at least."""
    resets = int(frame.played.sum())
    return Retaken(1, resets, frame.total_pulses, resets)


def slots_again(shot: Shot) -> Iterator[Frame]:
    """The slots that have to be taken again, as frames of the next attempt; raises CaptureError after three attempts.

    One frame holds all of them, however far apart: what lies between gets no pulses this time, and so takes no time.
    The attempt of a slot depends on that slot's own history only, so that an interrupted run goes on as it would have:
    slots of which a stop left some with fewer attempts than others are frames of their own.
    """
    frame, attempts = shot.captures[0].frame, shot.attempts
    for had in np.unique(attempts[~shot.ok]).tolist():
        bad = ~shot.ok & (attempts == had)
        a, b = (int(at) for at in np.flatnonzero(bad)[[0, -1]] + (0, 1))
        if had >= MOST_ATTEMPTS:
            why = f" ({shot.why})" if shot.why else ""
            look = "look at its traces with `hil report`, and at the bench with" if shot.captures[-1].traces else "run"
            raise CaptureError(
                f"{name(frame.part(a, b))} was late, missing or unreadable in {had} attempts{why}; {look} `hil doctor`"
            )
        part = frame.part(a, b)
        key = replace(frame.key, attempt=frame.key.attempt + had)
        yield replace(part, key=key, pulses=np.where(bad[a:b], part.pulses, 0))


def name(frame: Frame) -> str:
    """A frame for a message."""
    return (
        f"{frame.key.purpose}, image {frame.key.image}, layer {int(frame.layer[0])}, "
        f"slots {frame.first_slot}…{frame.first_slot + len(frame) - 1}"
    )

"""Following a run file while it is written: what has come since it was last looked at.

Nothing is held between two looks, so that the process that writes can neither be slowed nor kept from tidying up.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from types import UnionType
from typing import TYPE_CHECKING, Any

from drivers.errors import RunFileError
from hil.store.rows import digest
from hil.store.suspicion import from_json, texts

if TYPE_CHECKING:
    from hil.store.runfile import RunFile

_SHOTS = (
    "SELECT id, purpose, image, noise, attempt, layer, first_slot, slots, taken_utc, bench_s, total_pulses, "
    "total_spikes, bad_slots, stray_before + stray_guard + stray_after, notes FROM shots WHERE id > ? AND damaged = 0 "
    "ORDER BY id"
)
_RESULTS = "SELECT rowid, noise, image, label, answer, detail, digest FROM results WHERE rowid > ? ORDER BY rowid"
_EVENTS = "SELECT id, at_utc, kind, text FROM events WHERE id > ? ORDER BY id"
_TAKEN_BACK = ("damage", "set aside")  # events after which shots and results are not those that were read


@dataclass(frozen=True)
class ShotCost:
    """One recorded shot without its slots."""

    id: int
    purpose: str
    image: int
    noise: int
    attempt: int
    layer: int
    first_slot: int
    slots: int
    taken_utc: str
    bench_s: float
    pulses: int
    spikes: int
    bad_slots: int
    stray: int
    notes: tuple[str, ...]


@dataclass(frozen=True)
class News:
    """What is new; `afresh` says that it is everything, because something read before has been taken back."""

    shots: list[ShotCost]
    results: list[dict[str, Any]]
    events: list[tuple[str, str, str]]
    afresh: bool

    def __bool__(self) -> bool:
        return bool(self.shots or self.results or self.events)


@dataclass
class Tail:
    """How far a run file has been read."""

    shot: int = 0
    result: int = 0
    event: int = 0

    def read(self, run: RunFile) -> News:
        """Everything since the last call, or since the beginning; raises RunFileError."""
        began = self.event == 0
        events = run.query(_EVENTS, (self.event,))
        afresh = began or any(kind in _TAKEN_BACK for _, _, kind, _ in events)
        if afresh and not began:
            self.shot = self.result = self.event = 0
            events = run.query(_EVENTS, (0,))
        shots = [_cost(run, row) for row in run.query(_SHOTS, (self.shot,))]
        results = run.query(_RESULTS, (self.result,))
        self.event = events[-1][0] if events else self.event
        self.shot = shots[-1].id if shots else self.shot
        self.result = results[-1][0] if results else self.result
        sound = [run.result_of(row[5]) for row in results if digest(row[1:-1]) == row[-1]]
        texts(run.path, "a part of an event", (part for row in events for part in row[1:]))
        return News(
            shots,
            [detail for detail in sound if detail is not None],
            [(at, kind, text) for _, at, kind, text in events],
            afresh,
        )


def _cost(run: RunFile, row: tuple[Any, ...]) -> ShotCost:
    """One shot's; raises RunFileError where a column holds something else than it should."""
    *cost, notes = row
    found = from_json(run.path, "notes", notes)
    for field, value in zip(fields(ShotCost), cost, strict=False):
        kinds: type | UnionType = {"int": int, "str": str, "float": int | float}[str(field.type)]
        if not isinstance(value, kinds) or (isinstance(value, int) and abs(value) >= 1 << 62):
            raise RunFileError(f"run file {run.path} is damaged: shot {cost[0]} has {field.name} = {value!r:.50}")
    return ShotCost(*(*cost, tuple(map(str, found)) if isinstance(found, list) else ()))

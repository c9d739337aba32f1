"""How a bench keeps pace: the bounds that its parts set to a shot, what a shot takes beside playing, and what helps.

`hil plan` works a run out by this before a part is opened, and after a run it says what would help most. The seconds
of parts are those of the twin with realistic latencies, until a bench has said otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from drivers.parts import table
from drivers.timing import LONGEST_SHOT_S

if TYPE_CHECKING:
    from drivers.benchfile import BenchFile
    from drivers.signals import Frame

ROLES: tuple[table.Role, ...] = ("pulse_source", "axon_reader")
Cost = Callable[["Frame"], Mapping[str, float]]
FEWER_PULSES = (
    "fewer pulses: hil run --play pooled, --helpings, or another --full-scale (hil evaluate says at what cost)"
)

LONGER_RUN = "more digits in one run: the way of its first shot comes once"
ELSEWHERE = "starting"  # what no part says it spent, is spent between shots, and before the first
_ALWAYS = {"playing": FEWER_PULSES, ELSEWHERE: LONGER_RUN}
IDLE_SHARE = 0.2  # of playing: what takes more beside it is worth a remedy of its own


def _nothing(_shot: Frame) -> Mapping[str, float]:
    return {}


@dataclass(frozen=True)
class Pace:
    """Of a part, or of a bench. `cost`: a shot → seconds beside playing, by what is done, as `Bench.spent_s` names it.

    `once`: the same for what comes before the first shot of a run and after the last, when nothing plays meanwhile.
    `helps`: the same names → what would make that shorter. `bytes`: a shot → what is captured of it.
    """

    most_slots: int | None = None
    most_pulses: int | None = None
    longest_s: float = LONGEST_SHOT_S
    cost: Cost = _nothing
    once: Mapping[str, float] = field(default_factory=dict)
    helps: Mapping[str, str] = field(default_factory=dict)
    bytes: Callable[[Frame], float] | None = None

    def bounds(self) -> dict[str, Any]:
        """For `drivers.timing.shots`."""
        return {"longest_s": self.longest_s, "most_slots": self.most_slots, "most_pulses": self.most_pulses}


def bench_pace(file: BenchFile) -> Pace:
    """Of the pulse source and the axon reader of a bench together; of the bench in process nothing is known."""
    if file.kind != "pi":
        return Pace()
    named = dict(file.roles())
    source, reader = (_of(file, role, named[role]) for role in ROLES)
    if table.find("pulse_source", named["pulse_source"]) is table.find("axon_reader", named["axon_reader"]):
        return replace(source, helps={**_ALWAYS, **source.helps})

    slots = [most for most in (source.most_slots, reader.most_slots) if most is not None]
    return Pace(
        most_slots=min(slots, default=None),
        most_pulses=reader.most_pulses,
        longest_s=reader.longest_s,
        cost=lambda shot: summed(source.cost(shot), reader.cost(shot)),
        once=summed(source.once, reader.once),
        helps={**_ALWAYS, **source.helps, **reader.helps},
        bytes=reader.bytes,
    )


def summed(*parts_s: Mapping[str, float]) -> dict[str, float]:
    """Seconds by name, of all together."""
    total: dict[str, float] = {}
    for part_s in parts_s:
        for name, seconds in part_s.items():
            total[name] = total.get(name, 0.0) + seconds
    return total


def part_pace(file: BenchFile, role: table.Role, name: str) -> Pace:
    """Of one part that a bench file names."""
    return _of(file, role, name)


def _of(file: BenchFile, role: table.Role, name: str) -> Pace:
    kind = table.find(role, name)
    return kind.pace(file, kind.settings_in(file, role, name)) if kind.pace is not None else Pace()


def most_helpful(parts_s: Mapping[str, float], bench_s: float, helps: Mapping[str, str]) -> tuple[str, float, str]:
    """What takes longest of playing and everything beside it, how long, s, and what would help; empty if unknown."""
    known = {name: seconds for name, seconds in {**parts_s, "playing": bench_s}.items() if name in helps}
    beside = {name: seconds for name, seconds in known.items() if name != "playing"}
    if beside and max(beside.values()) > IDLE_SHARE * bench_s:
        known = beside
    if not known:
        return "", 0.0, ""
    name = max(known, key=lambda part: known[part])
    return name, known[name], helps[name]

"""In what order run files were begun: by counters that only go up, where the clock of the computer may jump.

A Pi has no clock of its own: until the network gives it the time it lives in the past, and then the clock jumps. While
a computer is on, the time since it was started tells what came first (clock_gettime(2), CLOCK_BOOTTIME; proc(5),
/proc/sys/kernel/random/boot_id); from one start to the next, the pulses that a device has had; the clock only where
neither is known.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import cmp_to_key
from itertools import groupby
from typing import TYPE_CHECKING, TypeVar

from hil.store.frozen import begun_at, raw_settings

if TYPE_CHECKING:
    from hil.store.runfile import RunFile

Named = TypeVar("Named")


@dataclass(frozen=True)
class Begun:
    """When a run file was begun: by the clock, since which start of the computer, after which pulses of a device."""

    at: datetime
    boot: str
    since_s: float
    device: str
    pulses: int


def begun(run: RunFile) -> Begun:
    """What a run file says of it; raises RunFileError."""
    said = run.facts.get("boot", {})
    which, since_s = said.get("id"), said.get("since_s")
    known = isinstance(which, str) and isinstance(since_s, float)
    bench = raw_settings(run).get("bench")
    real = isinstance(bench, dict) and bench.get("kind") == "pi"
    return Begun(
        begun_at(run),
        str(which) if known else str(run.path),
        since_s if known else 0.0,
        str(run.facts.get("device", "")) if real else "",
        run.facts.get("odometer", 0),
    )


def in_order(found: Iterable[tuple[Begun, Named]]) -> list[Named]:
    """Named things in the order in which they were begun."""
    of_one_start = sorted(found, key=lambda one: (one[0].boot, one[0].since_s))
    starts = [list(some) for _, some in groupby(of_one_start, key=lambda one: one[0].boot)]
    starts.sort(key=lambda some: max(one.at for one, _ in some))  # within one start the clock is only put right
    starts.sort(key=cmp_to_key(_by_pulses))
    return [name for some in starts for _, name in some]


def _by_pulses(one: list[tuple[Begun, Named]], other: list[tuple[Begun, Named]]) -> int:
    """Which of two starts of the computer came first, by a device that was used in both; 0 where none was."""
    for device in {begun.device for begun, _ in one} & {begun.device for begun, _ in other} - {""}:
        had, later = (max(begun.pulses for begun, _ in some if begun.device == device) for some in (one, other))
        if had != later:
            return -1 if had < later else 1
    return 0

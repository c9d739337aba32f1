"""Where the time of a run goes, part by part, before it and after it, and what would help most."""

from __future__ import annotations

from collections.abc import Mapping

from drivers.parts.pace import ELSEWHERE, most_helpful

# Of what a bench says of itself: done while it plays, and what is told by itself.
BESIDE = ("compiling", "beside", "playing")


def measured(wall_s: float, bench_s: float, spent_s: Mapping[str, float]) -> dict[str, float]:
    """Seconds beside playing, by part, that make up the wall time of a run with it."""
    parts = {name: seconds for name, seconds in spent_s.items() if name not in BESIDE and seconds > 0}
    parts[ELSEWHERE] = parts.get(ELSEWHERE, 0.0) + max(0.0, wall_s - bench_s - sum(parts.values()))
    return parts


def lines(bench_s: float, parts_s: Mapping[str, float], helps: Mapping[str, str]) -> list[str]:
    """A line a part, largest first, with its share; then what would help most, where that is known."""
    wall_s = bench_s + sum(parts_s.values())
    if wall_s <= 0:
        return []
    rows = [("playing", bench_s), *sorted(parts_s.items(), key=lambda part: -part[1])]
    found = [f"  {name:<10} {seconds:9.3f} s  {seconds / wall_s:6.1%}" for name, seconds in rows]
    name, seconds, remedy = most_helpful(parts_s, bench_s, helps)
    return [*found, f"  what would help most ({name}, {seconds / wall_s:.0%}): {remedy}"] if name else found

"""What a bench says of itself while a run goes on, recorded with every digit: temperature, times, links, drift."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from drivers.bench import Bench
    from hil.run.judge import Judge


class Gauges:
    """Read between digits. `parts_s` is what each part of the bench spent since the last reading."""

    def __init__(self, bench: Bench | None, judge: Judge) -> None:
        self._bench = bench
        self._judge = judge
        self._before = spent_s(bench)

    def read(self) -> dict[str, Any]:
        """For the run file."""
        now = spent_s(self._bench)
        parts = {part: round(seconds - self._before.get(part, 0.0), 6) for part, seconds in now.items()}
        self._before = now
        warmth_c = self._bench.temperature_c if self._bench is not None else None
        sentinel = self._judge.sentinel
        drift = {"statistic": round(sentinel.statistic, 4), "limit": round(sentinel.limit, 4)}
        found = {"parts_s": parts, "temperature_c": warmth_c, "drift": drift}
        readings: dict[str, float] = getattr(self._bench, "readings", {})  # of a bench whose parts measure themselves
        return {**found, "readings": readings} if readings else found


def spent_s(bench: Bench | None) -> dict[str, float]:
    """Where a bench of real parts has spent its time, s by part; empty for one that does not say."""
    return bench.spent_s if bench is not None else {}

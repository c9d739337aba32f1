"""One step of a loss budget: which digits it lost and which it won, against the step before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from calibration.estimate import wilson_interval

if TYPE_CHECKING:
    from hil.run.digits import DigitResult


@dataclass(frozen=True)
class Step:
    """The results (at least one) of a step, by index, with its name and what it adds; None before the first one."""

    name: str
    about: str
    results: Sequence[DigitResult]
    before: Step | None = None

    @cached_property
    def by_index(self) -> dict[int, DigitResult]:
        """Each digit's result."""
        return {result.index: result for result in self.results}

    @property
    def correct(self) -> int:
        """How many are right."""
        return sum(result.correct for result in self.results)

    @property
    def accuracy(self) -> float:
        """The share that is right."""
        return self.correct / len(self.results)

    @property
    def interval(self) -> tuple[float, float]:
        """Of the accuracy, 95 %, Wilson."""
        return wilson_interval(self.correct, len(self.results))

    @property
    def lost(self) -> list[int]:
        """Indices of digits that were right before and are not now; of those that both steps had."""
        return self._turned(was=True)

    @property
    def won(self) -> list[int]:
        """Indices of digits that are right now and were not before."""
        return self._turned(was=False)

    def _turned(self, *, was: bool) -> list[int]:
        earlier = self.before.by_index if self.before is not None else {}
        both = sorted(self.by_index.keys() & earlier.keys())
        return [i for i in both if earlier[i].correct is was and self.by_index[i].correct is not was]

    def of_a_digit(self, name: str) -> float:
        """The mean of a number of the results."""
        return float(sum(getattr(result, name) for result in self.results) / len(self.results))

    def to_dict(self) -> dict[str, Any]:
        """The JSON keys of a step of `hil budget`."""
        return {
            "name": self.name,
            "about": self.about,
            "digits": len(self.results),
            "correct": self.correct,
            "accuracy": self.accuracy,
            "interval": list(self.interval),
            "lost": self.lost,
            "won": self.won,
            "pulses_per_digit": self.of_a_digit("pulses"),
            "bench_s_per_digit": self.of_a_digit("bench_s"),
        }

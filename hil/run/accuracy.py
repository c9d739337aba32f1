"""How right answers are: shares with their 95 % intervals, and what a digit cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import stdev
from typing import TYPE_CHECKING, Any

from calibration.estimate import wilson_interval
from drivers.signals import Retaken

if TYPE_CHECKING:
    from hil.run.digits import DigitResult

_COSTS = ("pulses", "spikes", "bench_s", "saturated")  # of a digit


@dataclass(frozen=True)
class Score:
    """So many digits, how many of them right, what all of them cost, and what of that was played again."""

    digits: int
    correct: int
    pulses: int
    spikes: int
    bench_s: float
    saturated: int
    retaken: Retaken

    @classmethod
    def of(cls, results: Sequence[DigitResult]) -> Score:
        """Of these."""
        again = [sum(getattr(one, f"retaken_{what}") for one in results) for what in ("shots", "slots", "pulses")]
        costs = {name: sum(getattr(one, name) for one in results) for name in _COSTS}
        right = sum(one.correct for one in results)
        return cls(digits=len(results), correct=right, retaken=Retaken(*again), **costs)


@dataclass(frozen=True)
class Level:
    """Recognised at one share of zeroed pixels (percent): how many `digits` with each of the `seeds`, how many right.

    The interval is that of so many different digits: seeds zero other pixels, and draw otherwise from the neuron, but
    show the same digits.
    """

    noise: int
    seeds: tuple[int, ...]
    digits: tuple[int, ...]
    correct: tuple[int, ...]
    pulses_per_digit: float
    spikes_per_digit: float
    bench_s_per_digit: float
    saturated_per_digit: float

    @classmethod
    def of(cls, noise: int, by_seed: Mapping[int, Score]) -> Level:
        """From what the digits (at least one) at this share of zeroed pixels came to, by seed."""
        every = by_seed.values()
        digits = sum(score.digits for score in every)
        return cls(
            noise,
            tuple(by_seed),
            tuple(score.digits for score in every),
            tuple(score.correct for score in every),
            *(sum(getattr(score, name) for score in every) / digits for name in _COSTS),
        )

    @property
    def accuracy(self) -> float:
        """Mean of all seeds."""
        return sum(self.correct) / sum(self.digits)

    @property
    def interval(self) -> tuple[float, float]:
        """95 %, Wilson."""
        different = max(self.digits)
        return wilson_interval(sum(self.correct) * different / sum(self.digits), different)

    @property
    def spread(self) -> float | None:
        """Standard deviation of the seeds' accuracies; None of one."""
        shares = [correct / digits for correct, digits in zip(self.correct, self.digits, strict=True)]
        return stdev(shares) if len(shares) > 1 else None

    def to_dict(self) -> dict[str, Any]:
        """The JSON keys of a level of `hil evaluate`; `correct` and `digits` are sums over the seeds."""
        seeds = [
            {"seed": seed, "digits": digits, "correct": correct, "accuracy": correct / digits}
            for seed, digits, correct in zip(self.seeds, self.digits, self.correct, strict=True)
        ]
        return {
            "noise": self.noise / 100,
            "digits": sum(self.digits),
            "correct": sum(self.correct),
            "accuracy": self.accuracy,
            "interval": list(self.interval),
            "spread": self.spread,
            "seeds": seeds,
            "pulses_per_digit": self.pulses_per_digit,
            "spikes_per_digit": self.spikes_per_digit,
            "bench_s_per_digit": self.bench_s_per_digit,
            "saturated_per_digit": self.saturated_per_digit,
        }

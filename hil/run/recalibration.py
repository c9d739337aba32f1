"""The transfer curve in force during a run: the one it began with, then those measured again after drift.

Measuring again is frames like all others, recorded under "recalibrate/1", "recalibrate/2", …. The curves are kept in
the run file as the first one is, and which digits came after them follows from the order of the shots; so resumed runs
and replays decode every digit with the curve it was played for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from calibration.transfer import TransferCurve, measure_transfer
from hil.store.retakes import MOST_ATTEMPTS

if TYPE_CHECKING:
    from drivers.bench import Bench
    from hil.run.config import RunConfig
    from hil.run.judge import Judge
    from hil.run.loop import Odometer

Digit = tuple[int, int]  # noise, index
# Between a digit and what is played again of it a bench takes two frames, as often as a slot may be taken. It is judged
# when all of it is there, and so many digits are asked for by then at the most.
UNDER_WAY = 2 * MOST_ATTEMPTS + 1
Renewed = Callable[[int, TransferCurve], None]


@dataclass(frozen=True)
class Recorded:
    """What a run file holds: how many recalibrations came before each digit that has shots, and their curves."""

    before: Mapping[Digit, int] = field(default_factory=dict)
    curves: Sequence[TransferCurve] = ()


@dataclass
class Calibrations:
    """`curve` is in force, `number` recalibrations came before it.

    For digits that have shots in the run file the file says how many; for others the judge decides. `batch` images are
    asked for together.
    """

    config: RunConfig
    bench: Bench | None
    odometer: Odometer
    judge: Judge | None
    recorded: Recorded
    renewed: Renewed
    batch: int = 1
    number: int = 0
    curve: TransferCurve | None = field(init=False)

    def __post_init__(self) -> None:
        self.curve = TransferCurve.from_dict(self.config.curve) if self.config.curve is not None else None

    def due(self, digit: Digit) -> bool:
        """Whether another curve is needed before this digit."""
        if digit in self.recorded.before:
            return self.recorded.before[digit] > self.number
        return self.number < len(self.recorded.curves) or self._stale_before(digit)

    def _stale_before(self, digit: Digit) -> bool:
        """Whether an alarm came so long before that whoever stops and goes on finds the same digits under way."""
        if self.judge is None or not self.judge.stale or self.judge.alarmed is None:
            return False
        return self.place(digit) - self.place(self.judge.alarmed) >= self.behind

    @property
    def behind(self) -> int:
        """So many digits after another one are asked for only when all that was played of that one is known."""
        return UNDER_WAY + 2 * (self.batch - 1)

    def place(self, digit: Digit) -> int:
        """Of a digit among all of the run, in order."""
        noise, image = digit
        return self.config.noise.index(noise) * len(self.config.images) + image - self.config.images.start

    def renew(self) -> None:
        """Take the next curve, or measure it, as long as the one before; raises CalibrationError, BenchError."""
        if self.bench is None or self.curve is None:
            raise AssertionError("without a bench nothing drifts")
        known = self.number < len(self.recorded.curves)
        self.number += 1
        self.curve = self.recorded.curves[self.number - 1] if known else self._measure(self.bench, self.curve)
        self.odometer.pulses += self.curve.pulses_spent
        if self.judge is not None:
            self.judge.renewed()
        if not known:
            self.renewed(self.number, self.curve)

    def _measure(self, bench: Bench, before: TransferCurve) -> TransferCurve:
        return measure_transfer(
            bench,
            self.config.timing,
            self.config.vth_v,
            full_scale=int(before.pulses[-1]),
            purpose=f"recalibrate/{self.number}",
            pulses_before=self.odometer.pulses,
            addresses=self.config.bench.board.addresses,
        )

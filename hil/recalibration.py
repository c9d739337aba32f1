"""The transfer curve in force during a run: the one it began with, then those measured again after drift.

Measuring again is frames like all others, recorded under "recalibrate/1", "recalibrate/2", …; so a resumed run and a
replay find the same curves in the run file, and each digit's result says how many of them came before it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from calibration.transfer import TransferCurve, measure_transfer

if TYPE_CHECKING:
    from drivers.bench import Bench
    from hil.config import RunConfig
    from hil.plausible import Judge
    from hil.recognise import Odometer

Digit = tuple[int, int]  # noise, index
Renewed = Callable[[int, TransferCurve], None]


@dataclass
class Calibrations:
    """`curve` is in force, `number` re-calibrations came before it.

    `recorded` says for digits that the run file holds how many came before them; for others the judge decides.
    """

    config: RunConfig
    bench: Bench | None
    odometer: Odometer
    judge: Judge | None
    recorded: Mapping[Digit, int]
    renewed: Renewed
    number: int = 0
    curve: TransferCurve | None = field(init=False)

    def __post_init__(self) -> None:
        self.curve = TransferCurve.from_dict(self.config.curve) if self.config.curve is not None else None

    def due(self, digit: Digit) -> bool:
        """Whether the curve has to be measured again before this digit."""
        if digit in self.recorded:
            return self.recorded[digit] > self.number
        return self.judge is not None and self.judge.stale

    def renew(self) -> None:
        """Measure it again, as long as the one before; raises CalibrationError, BenchError."""
        if self.bench is None or self.curve is None:
            raise AssertionError("without a bench nothing drifts")
        self.number += 1
        self.curve = measure_transfer(
            self.bench,
            self.config.timing,
            self.config.vth_v,
            full_scale=int(self.curve.pulses[-1]),
            purpose=f"recalibrate/{self.number}",
            pulses_before=self.odometer.pulses,
        )
        self.odometer.pulses += self.curve.pulses_spent
        if self.judge is not None:
            self.judge.renewed()
        self.renewed(self.number, self.curve)

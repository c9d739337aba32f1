"""An estimated quantity with its 95 % interval, as it stands in every result and in the record."""

from __future__ import annotations

import math

from pydantic import BaseModel, ConfigDict, model_validator

Z_95 = 1.959963984540054  # the 97.5 % quantile of the standard normal
CHI2_95 = 3.841458820694124  # the 95 % quantile of chi-square with one degree of freedom: Z_95²


class Result(BaseModel):
    """Something measured or fitted: frozen, and unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Estimate(Result):
    """A value and the ends of its 95 % interval; an end that the data do not bound is null.

    A one-sided estimate ("longer than x") has no value either: only the end that is known.
    """

    value: float | None
    lo: float | None
    hi: float | None

    @model_validator(mode="after")
    def _ordered(self) -> Estimate:
        known = [x for x in (self.lo, self.value, self.hi) if x is not None]
        if known != sorted(known) or not known:
            raise ValueError(f"lo ≤ value ≤ hi does not hold for {self.lo}, {self.value}, {self.hi}")
        return self

    def covers(self, truth: float) -> bool:
        """Whether the interval holds `truth`; an unknown end covers everything on its side."""
        return (self.lo is None or self.lo <= truth) and (self.hi is None or truth <= self.hi)

    def scaled(self, factor: float) -> Estimate:
        """The same in another unit; `factor` > 0."""
        return Estimate.model_validate(
            {name: None if x is None else x * factor for name, x in self.model_dump().items()}
        )

    def shown(self, unit: str = "", digits: int = 3) -> str:
        """For people: `0.712 V (0.705…0.719)`, or `longer than …` in its one-sided form, `> 0.5 s`."""
        tail = f" {unit}" if unit else ""
        ends = [f"{x:.{digits}g}" if x is not None else "?" for x in (self.lo, self.hi)]
        if self.value is not None:
            return f"{self.value:.{digits}g}{tail} ({ends[0]}…{ends[1]})"
        return f"> {ends[0]}{tail}" if self.lo is not None else f"< {ends[1]}{tail}"


def wilson_interval(correct: float, total: int) -> tuple[float, float]:
    """The 95 % score interval of a share (Wilson, J. Am. Stat. Assoc. 22:209, 1927); `correct` may be a mean."""
    if total < 1 or not 0 <= correct <= total:
        raise ValueError(f"{correct} of {total} is not a share")
    share, z2 = correct / total, Z_95**2
    centre = (share + z2 / (2 * total)) / (1 + z2 / total)
    half = Z_95 * math.sqrt(share * (1 - share) / total + z2 / (4 * total**2)) / (1 + z2 / total)
    low, high = centre - half, centre + half
    return 0.0 if correct == 0 else low, 1.0 if correct == total else high

"""A transfer curve as records and run files hold it: what is looked at before anything is computed from it."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, FiniteFloat, ValidationError, model_validator

MOST_PULSES = (1 << 31) - 1  # in a slot: what a frame can hold
MOST_SLOTS = 1 << 40  # that were alike: more than any device endures
MOST_CELLS = 1 << 24  # of the histogram, once its rows are of one length; a curve up to 65,535 pulses takes half of it


class StoredCurve(BaseModel):
    """What `TransferCurve.to_dict` writes; see there for what the fields mean."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    timing_key: str
    vth_v: FiniteFloat
    pulses: list[Annotated[int, Field(ge=0, le=MOST_PULSES)]] = Field(min_length=1)
    slots: list[Annotated[int, Field(ge=1, le=MOST_SLOTS)]]
    histogram: list[list[Annotated[int, Field(ge=0, le=MOST_SLOTS)]]]
    made_v: FiniteFloat | None = None
    made_hz: Annotated[FiniteFloat, Field(gt=0)] | None = None

    @model_validator(mode="after")
    def _agrees(self) -> StoredCurve:
        if any(later <= before for before, later in zip(self.pulses, self.pulses[1:], strict=False)):
            raise ValueError("pulses must rise from point to point")
        if not len(self.pulses) == len(self.slots) == len(self.histogram):
            raise ValueError("pulses, slots and histogram must be of one length")
        if len(self.pulses) * max(map(len, self.histogram)) > MOST_CELLS:
            raise ValueError(f"the histogram has more than {MOST_CELLS:,} cells")
        if [sum(row) for row in self.histogram] != self.slots:
            raise ValueError("the histogram does not have as many slots as the curve says")
        return self


def check_stored(curve: dict[str, Any]) -> dict[str, Any]:
    """The same; raises ValueError, in one line, where it is no curve."""
    try:
        StoredCurve.model_validate(curve)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, ("curve", *first["loc"])))
        raise ValueError(f"{where}: {first['msg'].removeprefix('Value error, ')}") from error
    return curve


CurveFact = Annotated[dict[str, Any], AfterValidator(check_stored)]

"""What `hil characterize` does on a bench: the paper's Figure 2, traces first, then counts."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, model_validator

from calibration.figure2 import (
    CONDITIONS,
    LETTERS,
    Panel,
    measure_firing,
    measure_gaps,
    measure_panel,
    measure_traces,
)
from drivers.benchfile import BenchFile
from drivers.device import DeviceFile

if TYPE_CHECKING:
    from calibration.tally import Ints, Tally
    from drivers.bench import Bench

STEPS = 2 * len(CONDITIONS) + 2  # of the progress told: traces, gaps, panels, histogram


class CharacterizeConfig(BaseModel):
    """One characterization's settings, frozen in its run file."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="constants")

    bench: BenchFile
    device: DeviceFile
    seed: int = 0

    @model_validator(mode="before")
    @classmethod
    def _of_version_0_1(cls, values: Any) -> Any:
        """Bench and device were JSON within JSON."""
        if isinstance(values, dict):
            nested = {name: json.loads(text) for name, text in values.items() if isinstance(text, str)}
            return {**values, **nested}
        return values


@dataclass(frozen=True)
class Characterized:
    """Panels a-f; spikes by pulses for panel g; (firings,) pulses to fire as an oscilloscope shows them."""

    panels: list[Panel]
    counts: Tally
    gaps: Ints


def characterize(
    config: CharacterizeConfig, traced: Bench, counting: Bench, show: Callable[[float, str], None]
) -> Characterized:
    """Play all conditions on a bench that brings traces, then again on one that may count only, for long.

    `show` gets progress (of STEPS) and what is being measured. Raises CalibrationError, BenchError.
    """
    slot = config.bench.slot
    seen = []
    for i, condition in enumerate(CONDITIONS):
        show(i, f"traces of panel {LETTERS[i]}")
        seen.append(measure_traces(traced, slot, *condition))
    show(len(CONDITIONS), "traces of panel g")
    gaps = measure_gaps(traced, slot)
    panels = []
    for i, (condition, traces) in enumerate(zip(CONDITIONS, seen, strict=True)):
        show(len(CONDITIONS) + 1 + i, f"spikes of panel {LETTERS[i]}")
        panels.append(measure_panel(counting, slot, *condition, traces))
    counts = measure_firing(counting, slot, lambda share: show(STEPS - 1 + share, "spikes of panel g"))
    return Characterized(panels, counts, gaps)

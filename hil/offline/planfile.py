"""What a recording was played by: a small TOML file with the pulses of each slot, or the shots of a run file.

pulses = [4, 0, 7, 32]      # dendrite pulses, a number a slot
tick_s = 1e-6               # step of the pulse source; default 1 µs
first_slot = 0              # slot i asserts select address (first_slot + i) mod A
[slot]                      # timing, as in a bench file; by default the bench's
mode = "adaptive"
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from drivers.device import parse_toml, read_text
from drivers.errors import InputError
from drivers.signals import MAX_PULSES, Frame, SlotTiming, probe_frame
from hil.store.runfile import RunFile
from hil.store.schema import MAGIC

if TYPE_CHECKING:
    from drivers.benchfile import BenchFile

_TICK_S = 1e-6


@dataclass(frozen=True)
class Plan:
    """The shots that recordings were played by, one for each in their order, and the step of the source's clock.

    One shot alone stands for every recording.
    """

    shots: tuple[Frame, ...]
    tick_s: float

    def of(self, index: int, path: Path) -> Frame:
        """The shot of the recording with this index; raises InputError where there is none."""
        if len(self.shots) == 1:
            return self.shots[0]
        if index >= len(self.shots):
            raise InputError(f"{path} is recording {index + 1}, and the plan has {len(self.shots)} shots")
        return self.shots[index]


class _PlanFile(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    pulses: list[int] = Field(min_length=1, max_length=1 << 20)
    tick_s: float = Field(default=_TICK_S, gt=0, le=1e-3)
    first_slot: int = Field(default=0, ge=0)
    slot: SlotTiming | None = None


def read_plan(path: Path, bench: BenchFile) -> Plan:
    """The plan in a TOML or run file; raises InputError, RunFileError."""
    try:
        with path.open("rb") as file:
            of_run = file.read(len(MAGIC)) == MAGIC
    except OSError as error:
        raise InputError(f"--frame {path}: {error.strerror or error}") from error
    if of_run:
        with RunFile.open(path) as run:
            shots = tuple(run.counts(shot).frame for shot in run.shot_ids())
            if not shots:
                raise InputError(f"--frame {path}: this run has no shots")
            return Plan(shots, float(run.fact("tick_s")))
    said = parse_toml(_PlanFile, read_text(path, "plan"), f"plan {path}")
    wrong = [count for count in said.pulses if not 0 <= count <= MAX_PULSES]
    if wrong:
        raise InputError(f"plan {path}: pulses = {wrong[0]}: allowed 0…{MAX_PULSES}")
    shot = probe_frame("import", said.slot or bench.slot, np.array(said.pulses, dtype=np.int32))
    if said.first_slot:
        shot = Frame(**{**vars(shot), "first_slot": said.first_slot})
    return Plan((shot,), said.tick_s)

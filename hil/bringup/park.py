"""The parked V_th in the EEPROM of a bench's DAC: looked at, asked about, written once, read back."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from drivers.claims import claim
from drivers.errors import InputError
from drivers.parts.assembly import claims
from drivers.parts.kind import Opening

if TYPE_CHECKING:
    from drivers.bench import ThresholdSource
    from drivers.benchfile import BenchFile

CLOSE_V = 1.5e-3  # within a step of the coarsest DAC, 1 mV at gain 2


@runtime_checkable
class KeepsThreshold(Protocol):
    """A threshold source whose DAC remembers a value for power-up."""

    def prepare(self) -> None:
        """Park V_th."""

    def power_up_v(self) -> float | None:
        """What it makes at power-up, V; None where that is no V_th."""
        ...

    def store_park(self) -> float:
        """Write the parked V_th; returns what was read back, V."""
        ...


def park_dac(file: BenchFile, confirm: Callable[[str], bool]) -> tuple[float | None, float | None]:
    """Have the DAC of a bench make its parked V_th from power-up on, if `confirm` (told what is there) agrees.

    Returns what the EEPROM made before and makes now, V; the second is None where nothing was written because nobody
    agreed. Raises InputError for a bench without such a DAC, BenchError, ConnectionLostError.
    """
    name = file.threshold.source
    if file.kind != "pi" or name == "manual":
        what = "is simulated" if file.kind != "pi" else "has a supply that a person sets"
        raise InputError(f"bench {file.name!r} {what}: there is no EEPROM to write")
    with claim(claims(file), "hil bench park-dac"), ExitStack() as stack:
        source: ThresholdSource = Opening(file, stack=stack).part("threshold", name)  # type: ignore[assignment]
        if not isinstance(source, KeepsThreshold):
            raise InputError(f"threshold.source = {name!r} has no EEPROM that this program knows how to write")
        source.prepare()
        before = source.power_up_v()
        parked = file.limits.vth_max_v
        if before is not None and abs(before - parked) <= CLOSE_V:
            return before, before
        shown = "something else than a V_th" if before is None else f"{before:.4g} V"
        if not confirm(f"its EEPROM holds {shown}; write {parked:.4g} V (limits.vth_max_v)?"):
            return before, None
        return before, source.store_park()

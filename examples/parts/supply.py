"""A threshold source of your own: a bench supply, SCPI-99 over the network. See docs/how-to/add-a-part.md."""

from collections.abc import Iterator
from contextlib import closing, contextmanager

import pyvisa
from pydantic import Field

from drivers.checks import Check
from drivers.errors import BenchError, ConnectionLostError, InputError
from drivers.parts.kind import Opening, PartKind
from drivers.settings import Limits, Section


class SupplySettings(Section):
    """The table [parts.supply] of a bench file."""

    resource: str
    tolerance_v: float = Field(default=0.01, gt=0)


class Supply:
    """V_th from a supply's output; see `drivers.bench.ThresholdSource`. What it measures is what was made."""

    def __init__(self, settings: SupplySettings, limits: Limits) -> None:
        self._settings, self._limits = settings, limits
        how = {"read_termination": "\n", "write_termination": "\n", "timeout": 2000}
        with self._named():
            self._link = pyvisa.ResourceManager("@py").open_resource(settings.resource, **how)
            self.identity = {"threshold": str(self._link.query("*IDN?"))}  # asking changes nothing on the board

    def prepare(self) -> None:
        """Park V_th, now that the bench is to be played."""
        self.park()

    def set_threshold(self, volts: float) -> float:
        """Set V_th and measure it; returns the volts really made. Raises InputError, BenchError."""
        if not self._limits.vth_min_v <= volts <= self._limits.vth_max_v:
            raise InputError(f"V_th = {volts:g} V: allowed {self._limits.vth_min_v:g}…{self._limits.vth_max_v:g} V")
        made_v = self.measure(f"VOLT {volts:.4f}")
        if abs(made_v - volts) > self._settings.tolerance_v:
            raise BenchError(f"the supply makes {made_v:g} V instead of {volts:g} V: check its current limit and wires")
        return made_v

    def park(self) -> None:
        """Go to the highest V_th, where the neuron never fires."""
        self.set_threshold(self._limits.vth_max_v)

    def close(self) -> None:
        """Let go; the supply keeps what was set."""
        self._link.close()

    def measure(self, first: str = "*WAI") -> float:
        """Volts at its output, after a command."""
        with self._named():
            self._link.write(first)
            return float(self._link.query("MEAS:VOLT?"))

    @contextmanager
    def _named(self) -> Iterator[None]:
        try:
            yield
        except (pyvisa.Error, OSError, ValueError) as error:
            raise ConnectionLostError(f"no answer from the supply at {self._settings.resource}: {error}") from error


def open_supply(opening: Opening, settings: SupplySettings) -> Supply:
    """For a bench that is opened."""
    return Supply(settings, opening.file.limits)


def check_supply(opening: Opening, settings: SupplySettings) -> list[Check]:
    """For `hil doctor`: looks, and sets nothing."""
    with closing(open_supply(opening, settings)) as supply:
        return [Check("supply", True, f"{supply.identity['threshold']}, at {supply.measure():g} V")]


PART = PartKind(open_supply, check_supply, SupplySettings, advice="is it on, and parts.supply.resource right?")

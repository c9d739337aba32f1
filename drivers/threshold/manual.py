"""The threshold source manual: a person at a bench supply."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from drivers.errors import InputError
from drivers.parts.kind import Opening, PartKind
from drivers.settings import ThresholdSettings

if TYPE_CHECKING:
    from drivers.checks import Check
    from drivers.settings import Limits


def _ask_terminal(question: str) -> str:
    print(question, end="", file=sys.stderr, flush=True)
    return sys.stdin.readline()


class ManualThreshold:
    """V_th from a supply that a person sets; see `drivers.bench.ThresholdSource`.

    Each new setting is asked for and what the supply shows is recorded in `readings` as (asked, read), V. Without a
    terminal every new setting is refused, so that a sweep cannot run on a supply nobody turns. `ask` takes a question
    and returns the answer, an empty one at the end of input.
    """

    ATTEMPTS = 3
    TOLERANCE_V = 0.05

    def __init__(
        self, limits: Limits, *, ask: Callable[[str], str] = _ask_terminal, interactive: bool | None = None
    ) -> None:
        self._limits = limits
        self._ask = ask
        self._interactive = sys.stdin.isatty() if interactive is None else interactive
        self._asked_v: float | None = None
        self.readings: list[tuple[float, float]] = []

    @property
    def identity(self) -> dict[str, str]:
        """That a person makes V_th."""
        return {"threshold": "manual"}

    def prepare(self) -> None:
        """Nothing to take over: a person turns the knob."""

    def set_threshold(self, volts: float) -> float:
        """Have the supply set to V_th; returns what it really shows. Raises InputError outside the limits."""
        low, high = self._limits.vth_min_v, self._limits.vth_max_v
        if not low <= volts <= high:
            raise InputError(f"V_th = {volts:g} V cannot be made: allowed {low:g}…{high:g} V")
        if volts == self._asked_v:
            return self.readings[-1][1]
        if not self._interactive:
            raise InputError(
                f"threshold.source = manual needs a terminal to ask for V_th = {volts:g} V; run it there, or use a DAC"
            )
        read = self._reading(volts)
        self._asked_v = volts
        self.readings.append((volts, read))
        return read

    def park(self) -> None:
        """Forget the setting, so that the next one is asked for; a person has to turn the supply up."""
        self._asked_v = None

    def close(self) -> None:
        """Nothing to let go of."""
        self.park()

    def _reading(self, volts: float) -> float:
        low, high = self._limits.vth_min_v, self._limits.vth_max_v
        question = f"Set the V_th supply to {volts:.4g} V, then type what it shows in volts: "
        for _ in range(self.ATTEMPTS):
            answer = self._ask(question).strip().removesuffix("V").strip()
            try:
                read = float(answer)
            except ValueError:
                question = f"{answer!r} is not a number. Type what the V_th supply shows, in volts: "
                continue
            if abs(read - volts) <= self.TOLERANCE_V and low <= read <= high:
                return read
            question = f"{read:g} V is not {volts:.4g} ± {self.TOLERANCE_V:g} V. Set it, and type what it shows: "
        raise InputError(f"V_th = {volts:g} V was not confirmed in {self.ATTEMPTS} attempts")


def _open(opening: Opening, _settings: ThresholdSettings) -> ManualThreshold:
    return ManualThreshold(opening.file.limits)


def _check(_opening: Opening, _settings: ThresholdSettings) -> tuple[Check, ...]:
    return ()  # nobody is asked for anything


PART = PartKind(_open, _check, ThresholdSettings, "threshold")

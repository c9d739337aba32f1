"""Where a person sees a calibration, as the calibration sees it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Axes:
    """What a plot's axes are called, with their units, and which are logarithmic."""

    x: str
    y: str
    log_x: bool = False
    log_y: bool = False


class View(Protocol):
    """A progress line and a live plot; either may be shown nowhere."""

    def show(self, done: float, text: str) -> None:
        """How far it is (0…1), and what it does."""
        ...

    def plot(self, x: list[float], y: list[float], axes: Axes) -> None:
        """The points (n,) measured so far."""
        ...

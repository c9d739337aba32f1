"""What is soldered to the twin's Pico, by GPIO number."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from drivers.settings import Wiring


@dataclass
class Pins:
    """What is soldered where: lines, axon, e-stop, VBUS sense; by GPIO number. `on_fall` is told of falling edges."""

    wiring: Wiring
    axon: int = 15
    sync: int | None = None  # sync as an input, where the Pi makes it
    estop: int | None = None
    estop_high: bool = True
    vbus: int = 24
    vbus_high: bool = True
    on_fall: Callable[[int | None], None] = lambda _: None

    def __setattr__(self, name: str, value: object) -> None:
        fell = name.endswith("_high") and getattr(self, name, False) and not value
        super().__setattr__(name, value)
        if fell:
            self.on_fall(getattr(self, name.removesuffix("_high")))

"""The panel: bench enable, emergency stop and status lamp, through gpiozero."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from contextlib import closing, redirect_stdout
from typing import Any

from drivers.checks import Check
from drivers.errors import BenchError, EmergencyStopError, HilError, InputError, UnsafeError
from drivers.parts.kind import Opening, PartKind
from drivers.settings import PanelSettings

BLINK_S = 0.15


class GpioPanel:
    """Bench enable, emergency stop and lamp on the Pi's pins; see `drivers.bench.Panel`. Any of them may be absent.

    The stop is a normally closed contact from its pin to ground, against the pin's pull-up: pressing it, a broken wire
    and a pulled plug all let the pin go high, and that stops. Stopping switches the supply off, calls `on_stop` (in
    gpiozero's own thread) and latches until a person calls `clear`. `factory` is a gpiozero pin factory; without one
    gpiozero chooses (lgpio on a Pi 5). Raises InputError when a pin cannot be used.
    """

    def __init__(self, settings: PanelSettings, on_stop: Callable[[], object], *, factory: Any = None) -> None:
        from gpiozero import DigitalInputDevice

        self._on_stop = on_stop
        self._latched = threading.Event()
        self._failure: HilError | None = None
        self._closed = False
        self._devices: list[Any] = []
        self._settings, self._factory = settings, factory
        self._supply: Any = None
        self._lamp: Any = None
        self._stop = self._device(DigitalInputDevice, "estop", settings.estop, factory, pull_up=True)
        if self._stop is not None:
            if self._pressed:
                self._latched.set()
            self._stop.when_deactivated = self._tripped  # active is low: the contact is closed

    @property
    def identity(self) -> dict[str, str]:
        """Nothing: pins have no names of their own."""
        return {}

    def prepare(self) -> None:
        """Take supply and lamp over, switched off; raises InputError when a pin cannot be used. Idempotent."""
        from gpiozero import LED, OutputDevice

        if self._supply is None:
            self._supply = self._device(OutputDevice, "enable", self._settings.enable, self._factory)
        if self._lamp is None:
            self._lamp = self._device(LED, "lamp", self._settings.lamp, self._factory)

    def check(self) -> None:
        """Raise EmergencyStopError when the stop is pressed or latched."""
        self._check_open()
        if self._pressed and not self._latched.is_set():
            self._tripped()
        if self._latched.is_set():
            raise EmergencyStopError(
                "the emergency stop is pressed or its wire is broken: release it, then clear the latch"
                if self._pressed
                else "the emergency stop was pressed: find out why, then start again"
            ) from self._failure

    def enable(self, on: bool) -> None:
        """Switch the bench supply and the lamp; raises EmergencyStopError instead of switching on when stopped."""
        self._check_open()
        if on:
            self.check()
            self.prepare()
        for device in (self._supply, self._lamp):
            if device is not None:
                device.value = on

    @property
    def latch(self) -> str:
        """`estop` while the stop is pressed or latched, else empty."""
        return "estop" if self._pressed or self._latched.is_set() else ""

    def clear(self) -> None:
        """Release the latch, which only a person should do; raises EmergencyStopError while the stop is pressed."""
        self._check_open()
        if self._pressed:
            self.check()
        self._latched.clear()
        self._failure = None
        if self._lamp is not None:
            self._lamp.off()

    def close(self) -> None:
        """Switch the supply and the lamp off and let go of the pins; idempotent."""
        if self._closed:
            return
        self._closed = True
        for device in (self._supply, self._lamp):
            if device is not None:
                device.off()
        self._let_go()

    @property
    def _pressed(self) -> bool:
        return self._stop is not None and not self._stop.is_active

    def _tripped(self) -> None:
        """The stop has opened: supply off first, since that needs nobody's help."""
        if self._supply is not None:
            self._supply.off()
        self._latched.set()
        try:
            self._on_stop()
        except HilError as error:
            self._failure = UnsafeError(f"the stop could not bring the lines to rest: {error}")
        if self._lamp is not None:
            self._lamp.blink(BLINK_S, BLINK_S)

    def _check_open(self) -> None:
        if self._closed:
            raise BenchError("the panel is closed")

    def _device(self, kind: Any, name: str, pin: int | None, factory: Any, **options: Any) -> Any:
        from gpiozero import GPIOZeroError

        if pin is None:
            return None
        try:
            with redirect_stdout(sys.stderr):  # pigpio's client prints what gpiozero tried it for in vain
                device = kind(pin, pin_factory=factory, **options)
        except (GPIOZeroError, OSError) as error:  # the latter where the factory that is asked for finds no daemon
            self._let_go()
            raise InputError(f"panel.{name} = {pin}: {error}") from error
        self._devices.append(device)
        return device

    def _let_go(self) -> None:
        for device in self._devices:
            device.close()


def _open(opening: Opening, settings: PanelSettings) -> GpioPanel:
    return GpioPanel(settings, opening.on_stop)


def _check(opening: Opening, settings: PanelSettings) -> list[Check]:
    with closing(_open(opening, settings)) as panel:
        try:
            panel.check()
        except EmergencyStopError as error:
            return [Check("panel", False, str(error), "release the stop")]
    return [Check("panel", True, "stop released")]


PART = PartKind(
    _open,
    _check,
    PanelSettings,
    "panel",
    advice="check the pins in [panel]",
    claims=lambda settings: [f"GPIO {pin}" for pin in settings.pins().values()],
    latches=True,
)

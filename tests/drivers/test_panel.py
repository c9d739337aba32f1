from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from gpiozero.pins.mock import MockFactory, MockPin
from gpiozero.pins.pigpio import PiGPIOFactory

from drivers.device import load_device
from drivers.errors import BenchError, EmergencyStopError, InputError
from drivers.mock.board import Board
from drivers.mock.pigpiod import PigpiodServer
from drivers.panel import GpioPanel
from drivers.pigpio.source import PigpioPulses
from drivers.settings import BoardSettings, PanelSettings, PigpioSettings, Wiring
from drivers.signals import SlotTiming, probe_frame

ENABLE, ESTOP, LAMP = 23, 24, 25


class Contact(MockPin):  # type: ignore[misc]
    """A pin with a closed contact to ground on it, which a pull-up cannot lift."""

    def _set_pull(self, value: str) -> None:
        self._pull = value


class Rig:
    """A panel on gpiozero's mock pins, with its stop's contact closed."""

    def __init__(self) -> None:
        self.factory = MockFactory()
        self.contact = self.factory.pin(ESTOP, pin_class=Contact)
        self.contact.drive_low()
        self.stops: list[bool] = []
        self.panel = GpioPanel(
            PanelSettings(enable=ENABLE, estop=ESTOP, lamp=LAMP),
            lambda: self.stops.append(self.supply()),
            factory=self.factory,
        )
        self.panel.prepare()

    def supply(self) -> bool:
        return bool(self.factory.pin(ENABLE).state)

    def lamp(self) -> bool:
        return bool(self.factory.pin(LAMP).state)


@pytest.fixture
def rig() -> Iterator[Rig]:
    rig = Rig()
    yield rig
    rig.panel.close()
    rig.factory.reset()


def test_enable_switches_supply_and_lamp(rig: Rig) -> None:
    assert not rig.supply()
    rig.panel.enable(True)
    assert rig.supply()
    assert rig.lamp()
    rig.panel.check()
    rig.panel.enable(False)
    assert not rig.supply()
    assert not rig.lamp()


def test_opening_the_contact_cuts_the_supply_and_then_makes_safe(rig: Rig) -> None:
    rig.panel.enable(True)
    rig.contact.drive_high()
    assert rig.stops == [False]  # called once, with the supply off already
    assert not rig.supply()


def test_the_stop_latches_until_a_person_clears_it(rig: Rig) -> None:
    rig.contact.drive_high()
    with pytest.raises(EmergencyStopError, match="pressed or its wire is broken"):
        rig.panel.clear()
    rig.contact.drive_low()
    with pytest.raises(EmergencyStopError, match="was pressed"):
        rig.panel.check()
    with pytest.raises(EmergencyStopError):
        rig.panel.enable(True)
    assert not rig.supply()
    rig.panel.clear()
    rig.panel.check()
    rig.panel.enable(True)
    assert rig.supply()
    assert not rig.stops[1:]


def test_a_stop_pressed_or_cut_before_the_start_is_noticed() -> None:
    factory = MockFactory()  # its pins float high against the pull-up: nothing is connected
    panel = GpioPanel(PanelSettings(estop=ESTOP), lambda: None, factory=factory)
    with pytest.raises(EmergencyStopError, match="wire is broken"):
        panel.check()
    panel.close()
    factory.reset()


def test_a_stop_that_cannot_make_safe_says_so(rig: Rig) -> None:
    def fails() -> None:
        raise BenchError("pigpiod is gone")

    rig.panel._on_stop = fails
    rig.contact.drive_high()
    with pytest.raises(EmergencyStopError) as error:
        rig.panel.check()
    assert "pigpiod is gone" in str(error.value.__cause__)


def test_without_parts_the_panel_does_nothing() -> None:
    panel = GpioPanel(PanelSettings(), lambda: None, factory=MockFactory())
    panel.enable(True)
    panel.check()
    panel.close()


def test_closing_switches_off_once_and_use_after_it_is_an_error(rig: Rig) -> None:
    rig.panel.enable(True)
    rig.panel.close()
    rig.panel.close()
    assert not rig.supply()
    for use in (rig.panel.check, rig.panel.clear, lambda: rig.panel.enable(False)):
        with pytest.raises(BenchError, match="panel is closed"):
            use()


def test_a_pin_that_is_taken_is_named() -> None:
    factory = MockFactory()
    panel = GpioPanel(PanelSettings(enable=23, estop=23), lambda: None, factory=factory)
    with pytest.raises(InputError, match=r"panel.enable = 23: .*in use"):
        panel.prepare()
    factory.reset()


def test_looking_at_the_stop_switches_nothing() -> None:
    """`hil doctor` beside a run makes a panel of its own; supply and lamp stay as they are."""
    factory = MockFactory()
    supply = factory.pin(ENABLE)
    supply.function = "output"
    supply.state = True
    factory.pin(ESTOP, pin_class=Contact).drive_low()
    panel = GpioPanel(PanelSettings(enable=ENABLE, estop=ESTOP, lamp=LAMP), lambda: None, factory=factory)
    panel.check()
    panel.close()
    assert supply.state
    factory.reset()


@pytest.mark.wire
def test_pressing_the_stop_in_a_shot_brings_the_lines_low() -> None:
    """The contact's edge goes through pigpiod to gpiozero, whose thread stops what the main thread waits for."""
    wiring = Wiring(dendrite=17, reset=27, sync=22)
    board = Board(load_device("ideal"), BoardSettings())
    done = threading.Event()
    with PigpiodServer(board, wiring) as server:
        source = PigpioPulses(PigpioSettings(host=server.host, port=server.port), wiring, BoardSettings())
        source.prepare()
        server.drive(ESTOP, 0)
        factory = PiGPIOFactory(server.host, server.port)

        def make_safe() -> None:
            source.stop()
            done.set()

        panel = GpioPanel(PanelSettings(estop=ESTOP), make_safe, factory=factory)
        panel.check()
        source.load(probe_frame("test", SlotTiming(dendrite_clock_hz=10), [50]))
        source.start()
        server.drive(ESTOP, 1)
        with pytest.raises(BenchError, match="stopped"):
            source.wait()
        assert done.wait(5)
        assert board.levels() == 0
        assert board.busy_until_ns() <= board.clock()
        with pytest.raises(EmergencyStopError):
            panel.check()
        panel.close()
        factory.close()
        source.close()

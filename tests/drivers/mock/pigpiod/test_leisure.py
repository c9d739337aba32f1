"""When time stands still for the daemon's own work: where a host that is not late would be made late by it."""

from __future__ import annotations

import numpy as np
import pytest

from drivers.device import load_device
from drivers.mock.board import Board
from drivers.mock.clock import TwinClock
from drivers.mock.pigpiod.daemon import LEISURE_NS, Daemon
from drivers.mock.pigpiod.protocol import Command
from drivers.settings import BoardSettings, Wiring

WIRING = Wiring(dendrite=17, reset=27, sync=22, select=(9, 10))
FREE = 1 << 5
WORK_NS = 3_000_000  # that a piece of work takes
LONG_US = 100_000


class World:
    ns = 1_000_000_000

    def __call__(self) -> int:
        return self.ns


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def daemon(world: World) -> Daemon:
    clock = TwinClock(now_ns=world)
    return Daemon(Board(load_device("ideal"), BoardSettings(addresses=2), clock=clock), WIRING, frozenset())


def ask(daemon: Daemon, command: Command, p1: int = 0, p2: int = 0, extension: bytes = b"") -> int:
    result = daemon.answer(command, p1, p2, extension, None)
    assert isinstance(result, int)
    assert result >= 0
    return result


def made(daemon: Daemon) -> int:
    pulses = np.array([[FREE, 0, LONG_US // 2], [0, FREE, LONG_US // 2]], dtype="<u4")
    ask(daemon, Command.WVNEW)
    ask(daemon, Command.WVAG, extension=pulses.tobytes())
    return ask(daemon, Command.WVCRE)


def passes_ns(daemon: Daemon, world: World, command: Command, p1: int = 0, p2: int = 0) -> int:
    """The time that passes on the twin's clock while the daemon works on a command for WORK_NS."""
    pump = daemon.player.pump
    before_ns = daemon.clock()

    def slow() -> int:
        world.ns += WORK_NS
        return pump()

    daemon.player.pump = slow  # type: ignore[method-assign]
    try:
        ask(daemon, command, p1, p2)
    finally:
        daemon.player.pump = pump  # type: ignore[method-assign]
    return daemon.clock() - before_ns


def test_time_goes_on_while_a_wave_is_queued_behind_one_that_plays_for_long(daemon: Daemon, world: World) -> None:
    first, second = made(daemon), made(daemon)
    ask(daemon, Command.WVTXM, first, 0)
    assert passes_ns(daemon, world, Command.WVTXM, second, 2) >= WORK_NS


def test_no_time_passes_where_what_plays_ends_soon_or_makes_way(daemon: Daemon, world: World) -> None:
    first, second, third = made(daemon), made(daemon), made(daemon)
    assert passes_ns(daemon, world, Command.WVTXM, first, 2) == 0  # nothing plays
    world.ns += LONG_US * 1_000 - LEISURE_NS // 2
    assert passes_ns(daemon, world, Command.WVTXM, second, 2) == 0
    assert passes_ns(daemon, world, Command.WVTXM, third, 0) == 0  # which ends the one that plays
    assert passes_ns(daemon, world, Command.WVBSY) == 0  # pins are looked at

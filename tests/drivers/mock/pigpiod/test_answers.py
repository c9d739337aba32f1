"""The twin's daemon answers as the real one did: 1,700 requests, command by command."""

from __future__ import annotations

import time

import pytest

from drivers.device import load_device
from drivers.mock.board import Board
from drivers.mock.pigpiod import PigpiodServer
from drivers.mock.pigpiod.daemon import Daemon
from drivers.mock.pigpiod.scripts.run import State
from drivers.settings import BoardSettings
from tests.drivers.mock.pigpiod.conversation import WIRING, converse, load

pytestmark = pytest.mark.wire
SCRIPT_S = 1.0  # what a script that ends may take on a busy machine; one of these does not end


class Clock:
    ns = 1_000_000_000

    def __call__(self) -> int:
        return self.ns


def settled(daemon: Daemon, now_ns: int) -> bool:
    """Whether the daemon has looked at its pins up to now, and told its scripts."""
    with daemon.lock:
        return daemon.alerts.seen_ns >= now_ns - now_ns % 5_000


def runs(daemon: Daemon) -> bool:
    """Whether a script goes on."""
    with daemon.lock:
        return any(script.state is State.RUNNING for script in daemon.scripts.stored.values())


def test_every_answer_is_that_of_the_real_daemon() -> None:
    real, clock = load(), Clock()
    board = Board(load_device("ideal"), BoardSettings(addresses=2), clock=clock)
    with PigpiodServer(board, WIRING) as server:
        daemon = server._daemon

        def passes(us: int) -> None:
            clock.ns += us * 1_000
            until = time.monotonic() + SCRIPT_S
            while not settled(daemon, clock.ns) or (time.monotonic() < until and runs(daemon)):
                time.sleep(0.001)

        ours = converse(server.host, server.port, passes)
        board.misuse.take()
    assert len(real) > 1_700
    assert ours == real

"""A bench of real drivers over the wire-level twin."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest

from drivers.benchfile import BenchFile, load_bench
from drivers.device import load_device
from drivers.ds4024.reader import ScopeReader
from drivers.mock.board import Board
from drivers.mock.ds4024.server import ScopeServer
from drivers.mock.pigpiod import PigpiodServer
from drivers.parts.assembly import Parts
from drivers.pi import PiBench
from drivers.pigpio.source import PigpioPulses
from drivers.settings import ScopeSettings, SpikeSettings
from tests.wire.board_threshold import BoardThreshold

WIRING = {"dendrite": 17, "reset": 27, "sync": 22, "select": [23, 24, 25, 12]}


@dataclass
class Rig:
    """Twin and bench, joined by sockets."""

    board: Board
    daemon: PigpiodServer
    scope: ScopeServer
    bench: PiBench


def wire_file(daemon: PigpiodServer, scope: ScopeServer, resource: str) -> BenchFile:
    """The bench file for the twin's servers."""
    return BenchFile.model_validate(
        {
            **load_bench("mock").model_dump(exclude={"kind", "name"}),
            "name": "wire",
            "kind": "pi",
            "pulse_source": "pigpio",
            "axon_reader": "scope",
            "wiring": WIRING,
            "pigpio": {"host": daemon.host, "port": daemon.port},
            "scope": {"resource": resource or scope.vxi11_resource, "timeout_s": 2.0},
            "threshold": {"source": "manual"},
        }
    )


@pytest.fixture
def rig() -> Iterator[Callable[..., Rig]]:
    """Make a rig: rig(device="ideal", board=(), daemon=(), scope=()) with the faults of each."""
    with ExitStack() as stack:

        def make(
            device: str = "ideal",
            *,
            board: tuple[str, ...] = (),
            daemon: tuple[str, ...] = (),
            scope: tuple[str, ...] = (),
            transport: str = "vxi11",
        ) -> Rig:
            settings = load_bench("mock").board
            twin = Board(load_device(device), settings, faults=board)
            from drivers.settings import Wiring

            wiring = Wiring.model_validate(WIRING)
            pigpiod = stack.enter_context(PigpiodServer(twin, wiring, faults=daemon))
            ds4024 = stack.enter_context(ScopeServer(twin, faults=scope))
            file = wire_file(pigpiod, ds4024, ds4024.socket_resource if transport == "socket" else "")
            assert isinstance(file.scope, ScopeSettings)
            assert isinstance(file.spikes, SpikeSettings)
            source = PigpioPulses(file.pigpio, wiring, file.board)
            reader = ScopeReader(file.scope, file.spikes, file.board, source.tick_s)
            parts = Parts(source, reader, BoardThreshold(twin))
            bench = stack.enter_context(PiBench(file, load_device(device), parts=parts))
            bench.set_threshold(0.7)
            return Rig(twin, pigpiod, ds4024, bench)

        yield make

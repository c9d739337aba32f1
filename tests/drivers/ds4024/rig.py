"""A board with a simulated oscilloscope on it, and the real driver talking to it through PyVISA."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from drivers.benchfile import BenchFile, load_bench
from drivers.device import load_device
from drivers.ds4024.link import Pace
from drivers.ds4024.reader import ScopeReader
from drivers.edges import compile_levels
from drivers.mock.board import Board
from drivers.mock.ds4024.server import Reached, ScopeServer
from drivers.mock.roughness import Roughness, roughness
from drivers.settings import ScopeSettings
from drivers.signals import Capture, Frame, probe_frame
from drivers.timing import length_ticks

TICK_S = 1e-6
QUICK = Pace(command_s=0.0, memory_s=0.0, settle_s=0.001, poll_s=0.002, depth_s=0.0, rearm_s=0.02)
BENCH = load_bench("mock")
COUNTS = tuple(range(1, 13))  # with the ideal device every pulse is a spike


@dataclass
class Rig:
    board: Board
    server: ScopeServer
    reader: ScopeReader
    bench: BenchFile

    def shot(self, pulses: Collection[int] = COUNTS) -> Frame:
        return probe_frame("test", self.bench.slot, np.array(pulses, dtype=np.int32))

    def play(self, shot: Frame, late_after: int | None = None, late_us: int = 0) -> None:
        """Play it; after so many slots everything comes so much later."""
        ticks, levels = compile_levels(shot, self.bench.board, TICK_S)
        if late_after is not None:
            begins = int(length_ticks(shot, TICK_S)[:late_after].sum())
            ticks = np.where(ticks >= begins, ticks + late_us, ticks)
        start = max(self.board.clock(), self.board.busy_until_ns()) + 1_000_000
        self.board.play(start, np.round(ticks * (TICK_S * 1e9)).astype(np.int64), levels)
        time.sleep(max(0.0, (self.board.busy_until_ns() - self.board.clock()) * 1e-9) + 1e-4)

    def captured(self, shot: Frame | None = None) -> Capture:
        shot = shot or self.shot()
        self.reader.arm(shot)
        self.play(shot)
        return self.reader.read()

    @property
    def log(self) -> list[str]:
        return list(self.server.instrument.log)


@contextmanager
def rig(
    *faults: str,
    transport: str = "vxi11",
    device: str = "ideal",
    board_faults: Collection[str] = (),
    probe: float = 10.0,
    profile: str = "fast",
    piece_bytes: int = 1 << 20,
    pace: Pace = QUICK,
    folder: Path | None = None,
    rough: float | Roughness = 0.0,
    bytes_per_s: float | None = None,
    **settings: Any,
) -> Iterator[Rig]:
    board = Board(
        load_device(device),
        BENCH.board,
        faults=board_faults,
        rough=rough if isinstance(rough, Roughness) else roughness(rough),
    )
    board.set_threshold(BENCH.vth_v)
    with ScopeServer(
        board,
        faults=faults,
        probe=probe,
        profile=profile,
        reached=Reached(piece_bytes=piece_bytes, bytes_per_s=bytes_per_s),
    ) as server:
        resource = server.vxi11_resource if transport == "vxi11" else server.socket_resource
        scope = ScopeSettings(resource=resource, **{"timeout_s": 0.3, **settings})
        reader = ScopeReader(scope, BENCH.spikes, BENCH.board, TICK_S, pace=pace, folder=folder)
        try:
            yield Rig(board, server, reader, BENCH)
        finally:
            reader.close()

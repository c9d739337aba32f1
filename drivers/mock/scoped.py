"""Shots through the whole simulated chain: edges, board, oscilloscope, decoder."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from drivers.decode.spikes import decode
from drivers.edges import compile_levels
from drivers.mock.board import Board
from drivers.mock.probe import Screen, render

if TYPE_CHECKING:
    from drivers.benchfile import BenchFile
    from drivers.device import DeviceFile
    from drivers.mock.physics.random import U64
    from drivers.signals import Capture, Frame

TICK_S = 1e-6
MARGIN_S = 20e-6  # recorded before the first sync edge and after the closing sync pulse
CHANNELS = ("axon", "sync", "dendrite", "membrane")
SAMPLES_AN_AXON = 5


class ScopedBoard:
    """A board on a clock of its own, with an oscilloscope on its axon, sync, dendrite and membrane.

    Every shot finds the board fresh, so that its traces depend on that shot alone, in a resumed run too.
    """

    def __init__(self, file: BenchFile, device: DeviceFile) -> None:
        self._file = file
        self._device = device
        self._now_ns = 0

    def play(self, shot: Frame, vth_v: float, keys: U64) -> Capture:
        """Play one shot; `keys` (played slots,) decide the neuron's draws. Returns the decoded capture with traces."""
        self._now_ns = 0
        before = shot.pulses_before
        board = Board(self._device, self._file.board, clock=lambda: self._now_ns, pulses_before=before)
        ticks, levels = compile_levels(shot, self._file.board, TICK_S)
        self._now_ns = board.busy_until_ns() + 1_000_000
        board.set_threshold(vth_v)
        start_ns = self._now_ns + round(MARGIN_S * 1e9)
        board.play(start_ns, np.round(ticks * (TICK_S * 1e9)).astype(np.int64), levels, keys)
        bench_s = (board.busy_until_ns() - start_ns) * 1e-9
        first_ns = self._now_ns
        self._now_ns = board.busy_until_ns() + round(MARGIN_S * 1e9)
        dt_s = self._file.board.sampling_s(shot.timing, SAMPLES_AN_AXON)
        n = int((self._now_ns - first_ns) * 1e-9 / dt_s)
        traces = [
            render(board.volts, name, Screen(first_ns, dt_s, n), int(keys[0] >> np.uint64(40))) for name in CHANNELS
        ]
        return decode(shot, traces, self._file.spikes, self._file.board, TICK_S, bench_s)

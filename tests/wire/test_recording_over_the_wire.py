"""Recording and replaying a bench of real drivers: what a DS4024 handed over decodes to the same counts offline."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from drivers.signals import SlotTiming, probe_frame
from hil.run.rereading import TraceReader
from hil.store.recording import RecordingBench
from hil.store.runfile import RunFile
from tests.wire.conftest import Rig

pytestmark = pytest.mark.wire


def test_traces_from_the_oscilloscope_replay_to_the_same_counts(rig: Callable[..., Rig], tmp_path: Path) -> None:
    made = rig("nominal")
    rng = np.random.default_rng(4)
    timing = SlotTiming(dendrite_clock_hz=50e3)
    frames = [probe_frame("wire", timing, rng.integers(0, 9, 40, dtype=np.int32), image=i) for i in range(3)]
    path = tmp_path / "run.sqlite"
    with RunFile.create(path, {"identity": made.bench.identity}) as run:
        played = list(RecordingBench(made.bench, run).play(frames))
        assert all(capture.traces for capture in played)
        assert run.totals()["trace_bytes"] / run.totals()["samples"] < 0.4
    file = made.bench.file
    with RunFile.open(path) as run:
        reader = TraceReader(run, file.spikes, file.board, file.tick_s)
        again = list(RecordingBench(None, run, reader=reader).play(frames))
    assert reader.decoded >= len(frames)
    assert len(again) == len(played)
    for one, two in zip(again, played, strict=True):
        assert np.array_equal(one.spikes, two.spikes)
        assert np.array_equal(one.slot_s, two.slot_s)
    assert not any(tally.slots or tally.lengths or tally.unreadable for tally in reader.tallies.values())

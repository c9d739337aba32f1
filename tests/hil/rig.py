"""What tests share: frames of several shots, a bench that plays them, one that fails, an evaluation, a device."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from drivers.benchfile import load_bench
from drivers.device import load_device
from drivers.mock.bench import MockBench
from drivers.signals import Capture, Frame, SlotTiming, probe_frame
from hil.network.weights import load_weights
from hil.run.config import RunConfig
from hil.run.opening import open_measured
from hil.store.runfile import RunFile

DRIFTING = """
id = "drifting"
endurance_pulses = 1_000_000_000
endurance_resets = 1_000_000_000
[model]
r_lrs_ohm = 40e3
lrs_spread = 0.15
y_hrs = 1.7
step = 0.334
step_spread = 0.95
jump_probability = 0.065
leak_s = 8e-3
node_s = 0.5e-6
i_sense_a = 7e-6
step_drift_per_gigapulse = -1.0
"""  # a device file
SLOW = SlotTiming(dendrite_clock_hz=200)  # 0.15 s a slot of 30 pulses, so that a frame takes several shots


def frames(count: int = 3, slots: int = 24, *, timing: SlotTiming = SLOW) -> list[Frame]:
    """Frames of about four shots each."""
    rng = np.random.default_rng(5)
    return [probe_frame("test", timing, rng.integers(0, 60, slots, dtype=np.int32), image=i) for i in range(count)]


def bench(seed: int = 0, *, traces: bool = False) -> MockBench:
    made = MockBench(load_bench("mock"), load_device("nominal"), seed=seed, traces=traces)
    made.set_threshold(0.7)
    return made


class Flaky(MockBench):
    """The mock bench with slots that are sometimes late: a share of them, decided by attempt and slot.

    Unless all are, the third attempt is well.
    """

    share = 0.2

    def play(self, frames: Iterable[Frame]) -> Iterator[Capture]:
        for capture in super().play(frames):
            frame = capture.frame
            where = np.arange(frame.first_slot, frame.first_slot + len(frame))
            draws = [np.random.default_rng([frame.key.image, frame.key.attempt, int(i)]).random() for i in where]
            ok = (np.array(draws) >= self.share) | (frame.key.attempt == 2 and self.share < 1)
            yield replace(capture, ok=ok, spikes=np.where(ok, capture.spikes, 99).astype(np.int32))


def flaky(share: float = 0.2) -> Flaky:
    made = Flaky(load_bench("mock"), load_device("nominal"))
    made.share = share
    made.set_threshold(0.7)
    return made


def measured(digits: str, *, noise: tuple[int, ...] = (0,), physical: str = "conv1:0-1") -> RunConfig:
    """An evaluation of a few digits with small scales on the simulated neuron, with the curve measured for it."""
    file = load_bench("mock")
    config = RunConfig(
        command="evaluate",
        digits=digits,
        noise=noise,
        physical=physical,
        full_scale_pulses={"conv1": 8, "conv2": 1, "fc1": 1, "fc2": 1},
        vth_v=file.vth_v,
        timing=file.slot,
        bench=file,
        device=load_device("nominal"),
        fidelity="counts",
        weights_digest=load_weights().digest,
    )
    with ExitStack() as stack:
        return open_measured(config, stack)[1]


def new_run(path: Path) -> RunFile:
    return RunFile.create(path, {"identity": {"bench": "mock"}})


def same(one: Capture, two: Capture, *, traces: bool = True) -> bool:
    """Whether two captures are equal in everything but when they were taken."""
    fields = ("pulses", "layer", "channel", "position")
    return (
        one.frame.key == two.frame.key
        and one.frame.first_slot == two.frame.first_slot
        and one.frame.pulses_before == two.frame.pulses_before
        and all(np.array_equal(getattr(one.frame, f), getattr(two.frame, f)) for f in fields)
        and all(np.array_equal(getattr(one, f), getattr(two, f)) for f in ("spikes", "slot_s", "ok"))
        and (one.bench_s, one.stray, one.notes) == (two.bench_s, two.stray, two.notes)
        and (not traces or len(one.traces) == len(two.traces))
        and (
            not traces or all(np.array_equal(a.codes, b.codes) for a, b in zip(by_name(one), by_name(two), strict=True))
        )
    )


def by_name(capture: Capture) -> list[Any]:
    return sorted(capture.traces, key=lambda trace: trace.name)


def rows(path: Path) -> list[tuple[Any, ...]]:
    """Everything that was measured, row by row, without ids, times and checksums."""
    import sqlite3

    db = sqlite3.connect(path)
    try:
        shots = db.execute(
            "SELECT purpose, image, noise, layer, first_slot, attempt, slots, bench_s, total_pulses, pulses_before, "
            "stray_before, stray_guard, stray_after, notes, channel, position, pulses, spikes, slot_s, ok "
            "FROM shots WHERE damaged = 0 ORDER BY 1, 2, 3, 4, 5, 6"
        ).fetchall()
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return shots
    finally:
        db.close()

"""The loopback on sound simulated benches: however many addresses there are, and however long a slot is."""

from __future__ import annotations

import pytest

from drivers.benchfile import load_bench
from drivers.checks import ROUNDS, loopback
from drivers.device import load_device
from drivers.mock.bench import MockBench
from drivers.signals import SlotTiming

TIMINGS = {
    "quick": SlotTiming(),
    "slow": SlotTiming(dendrite_clock_hz=500.0),  # a slot of 64 pulses takes 0.13 s, so that there are several shots
    "fixed": SlotTiming(mode="fixed", window_s=0.1),
}


@pytest.mark.parametrize("device", ["ideal", "nominal"])
@pytest.mark.parametrize("addresses", [1, 4, 16])
@pytest.mark.parametrize("timing", TIMINGS)
def test_a_sound_bench_passes(timing: str, addresses: int, device: str) -> None:
    file = load_bench("mock")
    board = file.board.model_copy(update={"addresses": addresses})
    file = file.model_copy(update={"board": board, "slot": TIMINGS[timing]})
    with MockBench(file, load_device(device)) as bench:
        found = {check.name: check for check in loopback(bench, file)}
    assert [check for check in found.values() if not check.ok] == []
    assert f" of {ROUNDS * addresses} slots" in found["fires at the lowest V_th"].detail

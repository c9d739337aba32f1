"""One suite for every bench: the mock, each composition of the Pi bench over the twin, and hardware if there is any.

Nothing here knows what device it plays on, except where the name says ideal.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
from scipy.stats import chi2_contingency

from drivers.bench import Bench
from drivers.benchfile import BenchFile, load_bench
from drivers.device import load_device
from drivers.errors import InputError, UnsafeError
from drivers.mock.bench import MockBench
from drivers.opening import open_bench
from drivers.pi import PiBench
from drivers.signals import Capture, SlotTiming, probe_frame
from drivers.timing import length_ticks
from tests.wire.twin import twin, twin_bench

pytestmark = pytest.mark.wire
COUNTS = np.random.default_rng(2).integers(0, 24, 40).astype(np.int32)
WIRES = [(source, reader) for source in ("pigpio", "pico") for reader in ("scope", "pico", "both")]
WIRES += [("pigpio", reader) for reader in ("gpio", "gpio+scope", "gpio+pico", "pico+gpio", "scope+gpio")]
WIRES += [("pico", "scope+pico")]
BENCHES = ["mock", "mock with traces", *(f"{source}+{reader}" for source, reader in WIRES), "hardware"]


@contextmanager
def opened(name: str, device: str, request: pytest.FixtureRequest) -> Iterator[tuple[Bench, BenchFile]]:
    if name == "hardware":
        file = request.config.getoption("--bench")
        if not file:
            pytest.skip("no hardware: give --bench FILE")
        if device == "ideal":
            pytest.skip("hardware is not ideal")
        with open_bench(file) as bench:
            yield bench, load_bench(file)
    elif name.startswith("mock"):
        with MockBench(load_bench("mock"), load_device(device), traces=name.endswith("traces")) as bench:
            yield bench, bench.file
    else:
        source, reader = name.split("+", 1)
        with twin_bench(source, reader, device) as (bench, _board):
            yield bench, bench.file


def play(bench: Bench, counts: np.ndarray, timing: SlotTiming | None = None) -> list[Capture]:
    return list(bench.play([probe_frame("suite", timing or SlotTiming(), counts)]))


def spikes(captures: list[Capture]) -> list[int]:
    return [int(n) for c in captures for n in c.spikes]


@pytest.mark.parametrize("name", BENCHES)
def test_ideal_counts_every_pulse_in_both_modes(name: str, request: pytest.FixtureRequest) -> None:
    with opened(name, "ideal", request) as (bench, _file):
        bench.set_threshold(0.7)
        for timing in (SlotTiming(), SlotTiming(mode="fixed", window_s=0.5e-3)):
            assert spikes(play(bench, COUNTS, timing)) == COUNTS.tolist()


@pytest.mark.parametrize(
    ("name", "every"),
    [("pigpio+gpio+pico", 1), ("pigpio+gpio+pico", 3), ("pigpio+scope+pico", 3), ("pico+scope+pico", 3)],
)
def test_a_frame_of_more_slots_than_the_auditor_takes_is_cut_for_it(name: str, every: int) -> None:
    """A Pico listens to 4,096 slots at the most, and counts whatever it plays, whoever asks."""
    source, reader = name.split("+", 1)
    counts = np.ones(4_500, dtype=np.int32)
    with (
        twin(source, reader) as (file, _),
        PiBench(file.model_copy(update={"audit_every": every}), load_device("ideal")) as bench,
    ):
        bench.set_threshold(0.7)
        captures = play(bench, counts)
        spent = bench.spent_s
    assert np.concatenate([c.spikes for c in captures]).tolist() == counts.tolist()
    assert all(capture.ok.all() for capture in captures)
    assert "transfer" in spent or "scope" not in reader


@pytest.mark.parametrize("name", BENCHES)
def test_any_device_answers_within_reason(name: str, request: pytest.FixtureRequest) -> None:
    """Slots are as long as planned; nothing fires at the highest V_th, every slot does at the lowest."""
    with opened(name, "nominal", request) as (bench, file):
        assert bench.identity["device"]
        with pytest.raises(InputError, match="V_th"):
            bench.set_threshold(file.limits.vth_max_v + 1)
        with pytest.raises(UnsafeError):
            play(bench, COUNTS)
        bench.set_threshold(file.limits.vth_max_v)
        captures = play(bench, COUNTS)
        assert sum(spikes(captures)) == 0
        for capture in captures:
            assert capture.ok.all()
            planned = length_ticks(capture.frame, 1e-6) * 1e-6
            assert capture.slot_s == pytest.approx(planned, abs=2e-6)
        bench.set_threshold(file.limits.vth_min_v)
        found = np.array(spikes(play(bench, COUNTS)))
        assert (found[COUNTS > 0] > 0).all()
        bench.make_safe()
        bench.make_safe()


@pytest.mark.parametrize("name", BENCHES)
def test_a_frame_without_pulses_costs_nothing(name: str, request: pytest.FixtureRequest) -> None:
    with opened(name, "nominal", request) as (bench, _file):
        bench.set_threshold(0.7)
        (capture,) = play(bench, np.zeros(5, dtype=np.int32))
        assert capture.bench_s == 0
        assert capture.spikes.tolist() == [0] * 5


@pytest.mark.parametrize("name", ["pigpio+scope", "pigpio+pico", "pigpio+gpio", "pico+pico"])
def test_nominal_counts_come_from_the_same_distribution_as_in_process(
    name: str, request: pytest.FixtureRequest
) -> None:
    """Two-sample chi-square on 500 slots of 12 pulses at a false-alarm rate of 1e-4 for a fresh seed."""
    counts = np.full(500, 12, dtype=np.int32)
    found = []
    for bench_name in ("mock", name):
        with opened(bench_name, "nominal", request) as (bench, _file):
            bench.set_threshold(0.7)
            found.append(np.bincount(spikes(play(bench, counts)), minlength=13)[:13])
    table = np.stack(found)
    common = table.sum(axis=0) >= 10
    table = np.column_stack([table[:, common], table[:, ~common].sum(axis=1)])
    assert chi2_contingency(table[:, table.sum(axis=0) > 0]).pvalue > 1e-4

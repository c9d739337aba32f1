"""The Pi bench end to end: real pigpio and VISA clients, simulated daemon, oscilloscope and board."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from gpiozero.pins.mock import MockFactory

from drivers.bench import Bench
from drivers.errors import BenchError, EmergencyStopError, HilError, UnsafeError
from drivers.panel import GpioPanel
from drivers.pico.device import Pico
from drivers.settings import PanelSettings
from drivers.signals import SlotTiming, probe_frame
from hil.store.frozen import changed_parts
from hil.store.runfile import RunFile
from tests.wire.conftest import Rig
from tests.wire.twin import twin_bench

pytestmark = pytest.mark.wire
COUNTS = np.random.default_rng(5).integers(0, 20, 60)


def spikes(rig: Rig, counts: np.ndarray, timing: SlotTiming | None = None) -> list[int]:
    frame = probe_frame("test", timing or SlotTiming(), counts.astype(np.int32))
    captures = list(rig.bench.play([frame]))
    assert all(c.ok.all() for c in captures)
    return np.concatenate([c.spikes for c in captures]).tolist()  # type: ignore[no-any-return]


@pytest.mark.parametrize("transport", ["vxi11", "socket"])
@pytest.mark.parametrize("mode", ["adaptive", "fixed"])
def test_ideal_counts_every_pulse(rig: Callable[..., Rig], transport: str, mode: str) -> None:
    timing = SlotTiming(mode=mode, window_s=1e-3)
    made = rig("ideal", transport=transport)
    assert isinstance(made.bench, Bench)
    assert spikes(made, COUNTS, timing) == COUNTS.tolist()
    assert made.board.levels() == 0


def test_shots_follow_each_other_while_the_caller_works(rig: Callable[..., Rig]) -> None:
    made = rig("ideal")
    frames = [probe_frame("test", SlotTiming(), [n, n + 1]) for n in range(1, 5)]
    taken = []

    def queue() -> object:
        for frame in frames:
            taken.append(frame)
            yield frame

    for i, capture in enumerate(made.bench.play(queue())):  # type: ignore[arg-type]
        assert capture.spikes.tolist() == [i + 1, i + 2]
        assert len(taken) <= i + 3  # at most two ahead
    assert len(taken) == 4


@pytest.mark.parametrize(
    ("board", "message"),
    [
        ("stuck_axon_high", "axon"),
        ("sync_missing", "sync"),
        ("sync_axon_swapped", "swapped"),
        ("inverted_comparator", "axon"),
    ],
)
def test_a_board_fault_stops_the_bench_by_name_and_safe(rig: Callable[..., Rig], board: str, message: str) -> None:
    made = rig("ideal", board=(board,))
    frames = [probe_frame("test", SlotTiming(), [3, 4, 5]) for _ in range(4)]
    with pytest.raises(HilError, match=message):
        list(made.bench.play(frames))
    assert made.board.levels() == 0
    assert made.board.threshold_v == 2.0
    with pytest.raises(UnsafeError, match="set_threshold"):
        spikes(made, COUNTS)


def test_closing_the_iterator_stops_the_pulses(rig: Callable[..., Rig]) -> None:
    made = rig("ideal")
    slow = SlotTiming(dendrite_clock_hz=1e3)
    playing = made.bench.play(probe_frame("test", slow, [50] * 10) for _ in range(10))
    next(playing)
    playing.close()  # type: ignore[attr-defined]
    assert made.board.levels() == 0
    assert made.board.busy_until_ns() <= made.board.clock()
    assert made.board.threshold_v == 2.0


def test_a_stop_in_mid_shot_is_called_so(rig: Callable[..., Rig], monkeypatch: pytest.MonkeyPatch) -> None:
    """And not what came of it: waves that were stopped, edges that are missing."""
    made = rig("ideal")
    factory = MockFactory()
    contact = factory.pin(24)
    panel = GpioPanel(PanelSettings(estop=24), lambda: None, factory=factory)
    contact.drive_low()  # closed, against the pull-up
    panel.clear()
    made.bench._parts = replace(made.bench._parts, panel=panel)

    def pressed() -> None:
        panel._latched.set()
        raise BenchError("the shot was stopped")

    monkeypatch.setattr(made.bench._parts.source, "wait", pressed)
    with pytest.raises(EmergencyStopError, match="emergency stop was pressed"):
        list(made.bench.play([probe_frame("test", SlotTiming(), [3, 4])]))
    assert made.board.levels() == 0


def test_a_threshold_that_the_pico_parks_by_itself_stops_the_run_with_the_reason() -> None:
    """Where nobody looks the run goes on and counts nothing."""
    with twin_bench("pigpio", "scope") as (bench, _):
        bench.set_threshold(0.7)
        playing = bench.play([probe_frame("test", SlotTiming(), [3, 4, 5])] * 4)
        next(playing)
        threshold = bench._parts.threshold
        assert isinstance(threshold, Pico)
        threshold.link.ask("safe")
        with pytest.raises(UnsafeError, match="the Pico has made the board safe and is latched: host"):
            list(playing)


def test_which_instrument_it_is_counts_and_not_where(rig: Callable[..., Rig], tmp_path: Path) -> None:
    identity = rig("ideal").bench.identity
    assert identity["scope_serial"] == "DS4A000000001"
    with RunFile.create(tmp_path / "run.sqlite", {"kind": "run", "identity": identity}) as run:
        assert changed_parts(run, {**identity, "pigpiod": "elsewhere:8888"}) == []
        (line,) = changed_parts(run, {**identity, "scope_serial": "DS4A000000002"})
    assert line == "part.scope_serial: DS4A000000001 → DS4A000000002"

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.edges import DENDRITE, RESET, SYNC, compile_levels
from drivers.errors import LimitError
from drivers.mock.pigpiod.memory import Pulses, WaveMemory
from drivers.mock.strict import check_levels
from drivers.pigpio.waves import PAD_PERCENT, TICK_S, Wave, compile_edges, plan_waves
from drivers.settings import BoardSettings, Wiring
from drivers.signals import Frame, SlotTiming, probe_frame

BOARD = BoardSettings(addresses=4)
WIRING = Wiring(dendrite=17, reset=27, sync=22, select=(9, 10, 11, 12))
BARE = Wiring(dendrite=17, reset=27, sync=22)
LINE_BITS = {line.pin: 1 << bit for bit, line in enumerate(WIRING.lines())}

shots = st.builds(
    lambda counts, mode, hz: probe_frame("test", SlotTiming(mode=mode, dendrite_clock_hz=hz), counts),
    st.lists(st.one_of(st.integers(0, 20), st.integers(0, 400)), min_size=1, max_size=60),
    st.sampled_from(["adaptive", "fixed"]),
    st.sampled_from([10.0, 1e3, 100e3]),
)


def as_levels(waves: list[Wave]) -> tuple[np.ndarray, np.ndarray]:
    """What the lines do when the waves are played one after another: times and level words."""
    times, words, now, state = [], [], 0, 0
    for wave in waves:
        for on, off, delay in zip(wave.on.tolist(), wave.off.tolist(), wave.delay_us.tolist(), strict=True):
            state = (state | on) & ~off
            times.append(now)
            words.append(sum(bit for pin, bit in LINE_BITS.items() if state >> pin & 1))
            now += delay
    return np.array(times, dtype=np.int64), np.array(words, dtype=np.uint32)


def changes(t: np.ndarray, levels: np.ndarray, bits: int) -> list[tuple[int, int]]:
    """Changes of some lines only: (time, level)."""
    kept = levels & bits
    change = kept != np.concatenate([[0], kept[:-1]])
    return list(zip(t[change].tolist(), kept[change].tolist(), strict=True))


@settings(deadline=None, max_examples=60)
@given(shots)
def test_waves_play_the_planned_pulses_and_rest_between(shot: Frame) -> None:
    waves = plan_waves(shot, WIRING, BOARD)
    t, levels = as_levels(waves)
    planned_t, planned = compile_levels(shot, BOARD, TICK_S)
    for bits in (DENDRITE | RESET | SYNC, DENDRITE, RESET):
        assert changes(t, levels, bits) == changes(planned_t, planned, bits)
    pulsing = (levels & (DENDRITE | RESET)) != 0
    at = np.searchsorted(planned_t, t[pulsing], side="right") - 1
    assert (levels[pulsing] == planned[at]).all()  # the same select is closed as planned
    check_levels(BOARD, t * 1000, levels)
    for wave in waves:
        state = 0
        for on, off in zip(wave.on.tolist(), wave.off.tolist(), strict=True):
            state = (state | on) & ~off
        assert state == 0


@pytest.mark.parametrize(
    "shot",
    [
        probe_frame("test", SlotTiming(), np.full(20_000, 5)),
        probe_frame("test", SlotTiming(), [1, 2000, 2700, 2720, 10]),
        probe_frame("test", SlotTiming(), [3, 65_535, 3]),
        probe_frame("test", SlotTiming(dendrite_clock_hz=10), [1, 40, 3]),
        probe_frame("test", SlotTiming(mode="fixed", window_s=5), [0, 1, 400]),
    ],
    ids=["many slots", "slots of about a wave", "a slot of many waves", "10 Hz", "long windows"],
)
def test_waves_fit_the_daemon_and_a_dead_host(shot: Frame) -> None:
    waves = plan_waves(shot, WIRING, BOARD)
    memory = WaveMemory(pytest.fail)
    assert len(waves) > 1
    for wave in waves:
        assert len(wave) * 12 < 65_536
        memory.add(Pulses(wave.on.astype(np.int64), wave.off.astype(np.int64), wave.delay_us.astype(np.int64)))
        memory.delete(memory.create((PAD_PERCENT, PAD_PERCENT, 0)))  # raises if it does not fit half of the memory
    assert max(a.duration_us + b.duration_us for a, b in pairwise(waves)) < 2e6
    check_levels(BOARD, as_levels(waves)[0] * 1000, as_levels(waves)[1])


def test_waves_are_cut_where_slots_begin_if_they_can_be() -> None:
    shot = probe_frame("test", SlotTiming(), np.full(5_000, 7))
    for wave in plan_waves(shot, WIRING, BOARD):
        assert wave.on[0] == 1 << WIRING.sync


def test_without_selects_a_slot_may_be_cut_after_any_pulse() -> None:
    shot = probe_frame("test", SlotTiming(dendrite_clock_hz=250e3), [60_000])
    waves = plan_waves(shot, BARE, BoardSettings())
    assert sum(int((wave.on == 1 << BARE.dendrite).sum()) for wave in waves) == 60_000


def test_too_many_pulses_too_close_together_are_refused() -> None:
    shot = probe_frame("test", SlotTiming(dendrite_clock_hz=200e3), [1, 0, 40_000])
    with pytest.raises(LimitError, match=r"slot 2: 40000 pulses do not fit .* less than the 8 µs"):
        plan_waves(shot, WIRING, BOARD)


def test_a_shot_without_played_slots_needs_no_wave() -> None:
    assert plan_waves(probe_frame("test", SlotTiming(), [0, 0]), WIRING, BOARD) == []


def test_edges_break_before_they_make() -> None:
    t, on, off = compile_edges(probe_frame("test", SlotTiming(), [1, 2]), WIRING, BOARD)
    opens = t[(off >> 9 & 1) != 0]
    closes = t[(on >> 10 & 1) != 0]
    assert closes[0] - opens[0] == 2
    assert (on[0], off[0], t[0]) == (1 << 22, 0, 0)
    state = 0
    for set_mask, clear_mask in zip(on.tolist(), off.tolist(), strict=True):
        state = (state | set_mask) & ~clear_mask
    assert state == 0

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.edges import DENDRITE, RESET, SELECT0, SYNC, compile_levels
from drivers.errors import LimitError
from drivers.mock.strict import check_levels
from drivers.settings import BoardSettings
from drivers.signals import SlotTiming, probe_frame
from drivers.timing import length_ticks, period_ticks, slot_ticks

TICK_S = 1e-6
boards = st.builds(BoardSettings, addresses=st.integers(0, 16), select=st.sampled_from(["one-hot", "binary"]))
timings = st.builds(
    SlotTiming,
    mode=st.sampled_from(["adaptive", "fixed"]),
    dendrite_clock_hz=st.sampled_from([1e3, 100e3, 200e3]),
    window_s=st.sampled_from([1e-3, 10e-3]),
)
counts = st.lists(st.integers(0, 70), min_size=1, max_size=40)


def edges(t: np.ndarray, levels: np.ndarray, bit: int) -> tuple[np.ndarray, np.ndarray]:
    high = np.concatenate([[False], (levels & bit) != 0])
    return t[high[1:] & ~high[:-1]], t[~high[1:] & high[:-1]]


@settings(deadline=None)
@given(counts, timings, boards, st.integers(0, 100))
def test_slots_are_laid_out_as_planned(pulses: list[int], timing: SlotTiming, board: BoardSettings, first: int) -> None:
    shot = probe_frame("test", timing, [0] * first + pulses).part(first, first + len(pulses))
    t, levels = compile_levels(shot, board, TICK_S)
    slots = np.flatnonzero(shot.played)
    if not len(slots):
        assert len(t) == 0
        return
    ticks, period = slot_ticks(timing, TICK_S), period_ticks(shot, TICK_S)
    assert (np.diff(t) >= 0).all()
    assert levels[-1] == 0
    sync_rise, sync_fall = edges(t, levels, SYNC)
    assert np.diff(sync_rise).tolist() == length_ticks(shot, TICK_S)[slots].tolist()
    assert (sync_fall - sync_rise == ticks.lead).all()
    rise, fall = edges(t, levels, DENDRITE)
    assert len(rise) == shot.total_pulses
    assert (fall - rise == ticks.width).all()
    expected = [
        s + ticks.lead + k * period[i] for s, i in zip(sync_rise, slots, strict=False) for k in range(shot.pulses[i])
    ]
    assert rise.tolist() == expected
    reset_rise, reset_fall = edges(t, levels, RESET)
    assert (reset_rise - sync_rise[:-1] == ticks.break_ + ticks.guard).all()
    assert (reset_fall - reset_rise == ticks.reset).all()
    during = levels[(levels & RESET) != 0] // SELECT0
    assert during.tolist() == [board.select_code(first + int(i)) for i in slots]


@settings(deadline=None)
@given(counts, timings, boards)
def test_the_strict_board_takes_it(pulses: list[int], timing: SlotTiming, board: BoardSettings) -> None:
    t, levels = compile_levels(probe_frame("test", timing, pulses), board, TICK_S)
    check_levels(board, t * 1000, levels)


def test_pulses_that_would_touch_are_refused() -> None:
    timing = SlotTiming(mode="fixed", window_s=1e-3, pulse_width_s=2e-6)
    with pytest.raises(LimitError, match="slot 1: 500 pulses every 2e-06 s"):
        compile_levels(probe_frame("test", timing, [10, 500]), BoardSettings(), TICK_S)

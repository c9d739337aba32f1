from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.edges import DENDRITE, RESET, SYNC, compile_levels
from drivers.errors import LimitError
from drivers.mock.pigpiod.protocol import Refused
from drivers.mock.pigpiod.waves.memory import Pulses, WaveMemory
from drivers.mock.strict import check_levels
from drivers.pigpio.waves import (
    HALF,
    MOST_PULSES,
    QUARTER,
    TICK_S,
    Room,
    Wave,
    _Costs,
    compile_edges,
    plan_waves,
)
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
        percent = wave.room.percent
        memory.delete(memory.create((percent, percent, 0)))  # raises if it does not fit its share of the memory
    queued = waves[0].room.waves
    assert max(sum(wave.duration_us for wave in waves[i : i + queued]) for i in range(len(waves))) < 2e6
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
    later = probe_frame("test", SlotTiming(dendrite_clock_hz=200e3), [1, 0, 1, 1, 1, 1, 40_000, 1])
    with pytest.raises(LimitError, match=r"slot 6: 40000 pulses"):
        plan_waves(later, WIRING, BOARD)


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


def stored(room: Room, on: int, both: int, rests: int) -> bool:
    """Whether the daemon stores a padded wave of so many pulses that set, that set and clear, and that only wait."""
    memory = WaveMemory(pytest.fail)
    many = [on, both, rests]
    set_, clear = np.repeat([1 << 17, 1 << 17, 0], many), np.repeat([0, 1 << 27, 0], many)
    memory.add(Pulses(set_, clear, np.ones_like(set_)))
    try:
        memory.create((room.percent, room.percent, 0))
    except Refused:
        return False
    return True


@pytest.mark.parametrize("room", [QUARTER, HALF])
def test_the_limits_are_the_daemon_s_own(room: Room) -> None:
    """Lead-in and padding are the two that a wave of the most blocks has less than its share of them."""
    assert MOST_PULSES * 12 <= 65_535 < (MOST_PULSES + 1) * 12
    blocks, words = room.most_blocks, room.most_words
    assert stored(room, (blocks - 1) // 2, 0, (blocks - 1) % 2)
    with pytest.raises(pytest.fail.Exception, match="fills its padding"):
        stored(room, blocks // 2, 0, blocks % 2)
    assert stored(room, words % 2, words // 2, 0)
    assert not stored(room, words % 2 + 1, words // 2, 0)


@pytest.mark.parametrize("room", [QUARTER, HALF])
def test_so_many_waves_exist_side_by_side_and_a_deleted_one_makes_room_for_one_more(room: Room) -> None:
    memory = WaveMemory(pytest.fail)

    def made() -> int:
        memory.add(Pulses(np.array([1 << 17]), np.array([0]), np.array([1])))
        return memory.create((room.percent, room.percent, 0))

    assert [made() for _ in range(room.waves)] == list(range(room.waves))
    with pytest.raises(Refused):
        made()
    for wid in [*range(room.waves), 0]:
        memory.delete(wid)
        assert made() == wid


@pytest.mark.parametrize("room", [QUARTER, HALF])
def test_a_wave_ends_where_the_first_of_its_costs_is_at_its_limit(room: Room) -> None:
    """Each in turn, from the first edge and from a later one; a wave of edges a…b sends b − a + 1 pulses."""
    n = 20_000
    none, each = np.zeros(n + 1, dtype=np.int64), np.arange(n + 1)
    start = np.array([0, 100])
    free = {"pulses": none, "blocks": none, "words": none, "time_us": none}
    for cost, most in (
        ("pulses", MOST_PULSES - 1),
        ("blocks", room.most_blocks - 2),
        ("words", room.most_words - 2),
        ("time_us", room.longest_us // 100),
    ):
        column = 100 * each if cost == "time_us" else each
        assert (_Costs(**{**free, cost: column}).furthest(start, room) == start + most).all(), cost


def test_what_edges_cost() -> None:
    """By pigpio.c: a block for bits, one for each 16,383 µs of delay; a word for bits set, one for bits cleared."""
    costs = _Costs.of(np.array([0, 5, 16_388, 32_772, 32_780]), np.array([1, 2, 2, 3, 0], dtype=np.uint32))
    assert costs.pulses.tolist() == [0, 1, 2, 3, 4, 5]
    assert np.diff(costs.blocks).tolist() == [1 + 1, 1 + 1, 0 + 2, 1 + 1, 1 + 0]
    assert np.diff(costs.words).tolist() == [1, 2, 0, 1, 1]
    assert costs.time_us.tolist() == [0, 5, 16_388, 32_772, 32_780, 32_780]


def test_waves_are_as_long_as_they_may_be() -> None:
    """Control blocks bind where pulses are dense, time where they are not; the last wave has what is left."""
    dense = plan_waves(probe_frame("test", SlotTiming(), np.full(5_000, 5)), WIRING, BOARD)
    slot_blocks = 2 * (5 + 2 * 5)  # edges of a lead and of five pulses, and a delay after each
    assert all(QUARTER.most_blocks - slot_blocks < 2 * len(wave) <= QUARTER.most_blocks for wave in dense[:-1])
    slow = plan_waves(probe_frame("test", SlotTiming(dendrite_clock_hz=1_200), np.full(400, 13)), WIRING, BOARD)
    slot_us = max(slow[0].duration_us // (slow[0].on == 1 << WIRING.reset).sum(), 1)
    assert all(450_000 - slot_us < wave.duration_us <= 450_000 for wave in slow[:-1])


def test_a_wave_may_have_words_up_to_its_limit_wherever_it_begins() -> None:
    """From a word counted odd or even."""
    each = np.arange(20_001)
    none = np.zeros(20_001, dtype=np.int64)
    for start in (100, 101, 102, 103):
        costs = _Costs(pulses=none, blocks=none, words=each, time_us=none)
        assert costs.furthest(np.array([start]), HALF).tolist() == [start + HALF.most_words - 2]


def test_a_wave_ends_within_a_slot_where_it_would_be_less_than_half_as_long_otherwise() -> None:
    """The next slot rests within; one that begins in the first half of what a wave may be is no good end."""
    early = plan_waves(probe_frame("test", SlotTiming(), [500, 9_000, 1]), WIRING, BOARD)
    assert early[1].on[0] != 1 << WIRING.sync
    late = plan_waves(probe_frame("test", SlotTiming(), [2_000, 9_000, 1]), WIRING, BOARD)
    assert late[1].on[0] == 1 << WIRING.sync


def rests(shot: Frame) -> list[int]:
    """When all lines come to rest, µs."""
    t, levels = as_levels(plan_waves(shot, WIRING, BOARD))
    low = levels == 0
    found: list[int] = t[low & ~np.concatenate([[True], low[:-1]])].tolist()
    return found


def test_a_slot_longer_than_a_wave_rests_every_quarter_of_a_second() -> None:
    """Selects open a guard after a pulse; in a long pause they stay open, and waves may end at each quarter of it."""
    twenty_hz = rests(probe_frame("test", SlotTiming(dendrite_clock_hz=20), [1, 40, 1]))
    assert np.diff(twenty_hz[1:7]).tolist() == [250_000] * 5
    paused = plan_waves(probe_frame("test", SlotTiming(mode="fixed", window_s=2), [1]), WIRING, BOARD)
    assert [wave.duration_us for wave in paused] == [750_018, 750_000, 500_016]
    assert rests(probe_frame("test", SlotTiming(mode="fixed", window_s=2), [1])) == [18, 2_000_034]


def test_a_slot_of_many_pulses_rests_every_thousand_edges() -> None:
    """Two edges a pulse of 10 µs: every 500 pulses."""
    found = rests(probe_frame("test", SlotTiming(), [1, 9_000, 1]))
    assert set(np.diff(found[1:-3]).tolist()) == {5_000}
    assert len(found) > 15


def test_slots_that_fit_a_wave_do_not_rest_within() -> None:
    counts = [5, 2_000, 5]
    assert len(rests(probe_frame("test", SlotTiming(), counts))) <= len(counts) + 1


def test_a_wave_is_packed_as_pigpio_packs_it() -> None:
    wave = plan_waves(probe_frame("packed", SlotTiming(), [3, 0, 5]), WIRING, BOARD)[0]
    rows = zip(wave.on.tolist(), wave.off.tolist(), wave.delay_us.tolist(), strict=True)
    assert wave.packed() == b"".join(struct.pack("<III", *row) for row in rows)  # pigpio.py 1.78, wave_add_generic

"""The PIO programs, cycle by cycle: what they play and count, and that the twin's event-by-event models do the same.

The programs are assembled from the firmware's own source by the stand-in for `rp2`; an independent assembler has to
come to the same words.
"""

from __future__ import annotations

import hashlib
import struct
from typing import Any

import adafruit_pioasm
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.edges import DENDRITE, RESET, SYNC, compile_levels
from drivers.errors import TwinError
from drivers.mock.pico.models import PROGRAMS, count_words, play_words, stamp_words
from drivers.pico.packing import pack_pieces
from drivers.settings import BoardSettings
from drivers.signals import SlotTiming, probe_frame
from drivers.timing import slot_ticks
from tests.firmware import pico_modules
from tests.firmware.emulator import run_listener, run_sequencer, taken_at

M = pico_modules.load()
TICK_S = 1 / M.sequencer.TICK_HZ
BOARD = BoardSettings(addresses=4)
SEQUENCER = M.sequencer.program(4)
COUNTER = M.counter.program(M.counter.axon_edges)
STAMPER = M.counter.program(M.counter.stamps)
SHORTEST = {"break_": 2, "guard": 6, "reset": 2, "width": 2, "settle": 6, "period": 5}


def make_words(counts: list[int], codes: list[int], timing: Any) -> list[int]:
    """A shot's words, straight from the table in the sequencer's docstring."""
    words = [timing.width - 2]
    for count, code in zip(counts, codes, strict=True):
        period = timing.period // max(count, 1) if timing.fixed else timing.period
        settle = timing.settle + (timing.period - period * count if timing.fixed else 0)
        words += [
            code << 16 | timing.break_ - 2,
            timing.reset - 1 << 16 | timing.guard - 6,
            count << 16 | timing.guard - 6,
            period - timing.width - 3 if count else 0,
            settle - (5 if count else 6),
        ]
    return [*words, timing.break_ - 2, timing.lead - timing.break_ - 6, timing.settle - 5]


def timing_of(slot: SlotTiming) -> Any:
    """The firmware's timing for a slot timing, as the driver sends it."""
    t = slot_ticks(slot, TICK_S)
    fixed = slot.mode == "fixed"
    period = int(slot.window_s / TICK_S + 1e-6) if fixed else round(1 / (slot.dendrite_clock_hz * TICK_S))
    return M.sequencer.Timing(fixed, t.break_, t.guard, t.reset, t.width, t.settle, period)


def from_first(changes: list[tuple[int, int]]) -> list[tuple[int, int]]:
    return [(t - changes[0][0], levels) for t, levels in changes]


def rises(changes: list[tuple[int, int]], line: int) -> np.ndarray:
    t, levels = (np.array(column) for column in zip(*changes, strict=True))
    high = levels & line != 0
    found: np.ndarray = t[1:][high[1:] & ~high[:-1]]
    return found


# ---- assembling ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("program", [SEQUENCER, COUNTER, STAMPER], ids=lambda p: p.name)
def test_an_independent_assembler_comes_to_the_same_words(program: Any) -> None:
    other = adafruit_pioasm.Program(program.listing())
    assert list(other.assembled) == list(program.words)
    assert (other.pio_kwargs.get("wrap_target", 0), other.pio_kwargs["wrap"]) == (program.wrap_target, program.wrap)
    assert other.pio_kwargs.get("sideset_pin_count", 0) == program.side_count


def test_programs_fit_their_blocks() -> None:
    assert len(SEQUENCER.words) == 28
    assert len(COUNTER.words) == 31
    assert len(STAMPER.words) == 12


@pytest.mark.parametrize("program", [SEQUENCER, COUNTER, STAMPER], ids=lambda p: p.name)
def test_the_twin_is_proven_for_just_these_words(program: Any) -> None:
    words = struct.pack(f"<{len(program.words)}H", *program.words)
    assert PROGRAMS[program.name] == hashlib.sha256(words).hexdigest()[:16]


@pytest.mark.parametrize(("addresses", "binary"), [(0, False), (4, False), (16, False), (300, True)])
@pytest.mark.parametrize("fixed", [False, True])
def test_runs_become_the_words_of_their_slots(addresses: int, binary: bool, fixed: bool) -> None:
    """The firmware's quick loop over packed runs, in pieces, against slot for slot."""
    rng = np.random.default_rng(4)
    counts = np.repeat(rng.integers(0, 3, 60), rng.integers(1, 200, 60)) * rng.integers(1, 90)
    timing = M.sequencer.Timing(fixed, 50, 75, 125, 50, 200, 50_000 if fixed else 250)
    banks = M.banks.Banks()
    banks.addresses, banks.binary, banks.timing = addresses, binary, timing
    counts = counts[:4000]
    played = counts if fixed else counts[counts > 0]
    bank = banks.load(7, len(counts), len(played), int(counts.sum()), False)
    for piece, runs in enumerate(pack_pieces(counts.astype(np.int32))):
        banks.data(bank.shot, piece, runs)
    board = BoardSettings(addresses=addresses, select="binary" if binary else "one-hot")
    codes = [board.select_code(7 + i) for i in range(len(counts)) if fixed or counts[i]]
    assert list(banks.words[bank.words_at : bank.end]) == make_words(played.tolist(), codes, timing)
    assert bank.ticks == play_words(np.array(banks.words[bank.words_at : bank.end], dtype=np.uint32)).end
    assert bank.state == "ready"


# ---- the sequencer ------------------------------------------------------------------------------------------------


def check_played(counts: list[int], timing: Any) -> list[tuple[int, int]]:
    """The emulator's levels are the model's; returns them."""
    codes = [BOARD.select_code(i) for i in range(len(counts))]
    words = make_words(counts, codes, timing)
    changes = from_first(run_sequencer(SEQUENCER, words, 4))
    model = play_words(np.array(words, dtype=np.uint32))
    assert changes == list(zip(model.t.tolist(), model.levels.tolist(), strict=True))
    return changes


@pytest.mark.parametrize("first", range(0, 65, 16))
def test_counts_0_to_64_at_the_shortest_times(first: int) -> None:
    counts = list(range(first, min(first + 16, 65)))
    changes = check_played(counts, M.sequencer.Timing(False, **SHORTEST))
    starts = np.append(rises(changes, SYNC), np.inf)
    pulses = rises([(-1, 0), *changes], DENDRITE)
    assert len(rises([(-1, 0), *changes], SYNC)) == len(counts) + 1
    assert np.histogram(pulses, np.concatenate([[0], starts]))[0].tolist()[: len(counts)] == counts
    assert len(rises(changes, RESET)) == len(counts)


@pytest.mark.parametrize("around", [128, 256, 512, 1024])
def test_counts_around_powers_of_two(around: int) -> None:
    counts = [around - 1, around, around + 1] if around < 1024 else [1023]
    changes = check_played(counts, M.sequencer.Timing(False, **SHORTEST))
    assert len(rises([(-1, 0), *changes], DENDRITE)) == sum(counts)


@settings(max_examples=20, deadline=None, derandomize=True)
@given(
    counts=st.lists(st.integers(0, 4), min_size=1, max_size=5),
    extra=st.fixed_dictionaries({name: st.integers(0, 40) for name in SHORTEST}),
    fixed=st.booleans(),
)
def test_every_time_is_exact_to_the_cycle(counts: list[int], extra: dict[str, int], fixed: bool) -> None:
    """Against the seam's own arithmetic (drivers.edges), which knows nothing of PIO."""
    ticks = {name: SHORTEST[name] + extra[name] for name in SHORTEST}
    ticks["period"] = (ticks["period"] + ticks["width"]) * (4 if fixed else 1)
    played = [n for n in counts if n or fixed] or [1]
    slot = SlotTiming.model_construct(  # unchecked: to the shortest times there are
        mode="fixed" if fixed else "adaptive",
        dendrite_clock_hz=1 / (ticks["period"] * TICK_S),
        window_s=ticks["period"] * TICK_S,
        pulse_width_s=ticks["width"] * TICK_S,
        reset_width_s=ticks["reset"] * TICK_S,
        break_s=ticks["break_"] * TICK_S,
        guard_s=ticks["guard"] * TICK_S,
        settle_s=ticks["settle"] * TICK_S,
    )
    changes = check_played(played, M.sequencer.Timing(fixed, **ticks))
    t, levels = compile_levels(probe_frame("test", slot, played), BOARD, TICK_S)
    assert changes == list(zip(t.tolist(), levels.tolist(), strict=True))


@pytest.mark.parametrize("field", ["break_", "guard", "reset", "width", "settle", "period"])
@pytest.mark.parametrize("more", [1, 2, 150])
def test_longer_times_follow_the_cycle_formula(field: str, more: int) -> None:
    """One tick more in a word is one tick more on the line, once for every time that the phase occurs."""
    counts = [3, 0, 1]
    short = {**SHORTEST, "period": 200}  # so that wider pulses fit it

    def span(**ticks: int) -> int:
        timing = M.sequencer.Timing(False, **{**short, **ticks})
        changes = run_sequencer(SEQUENCER, make_words(counts, [1, 2, 4], timing), 4)
        return changes[-1][0] - changes[0][0]

    slots, pulses = len(counts), sum(counts)
    leads = slots + 1  # the closing sync pulse has a lead of its own
    grows = {"break_": leads, "guard": 2 * leads, "reset": leads, "width": 0, "settle": slots, "period": pulses}
    assert span(**{field: short[field] + more}) - span() == more * grows[field]


def test_selects_never_overlap_and_pulses_meet_one_address() -> None:
    changes = check_played([1, 2, 0, 3, 1, 1], M.sequencer.Timing(False, **SHORTEST))
    before, opened = 0, -100
    for t, levels in changes:
        select = levels >> 3
        assert select & (select - 1) == 0
        assert not (before and select and before != select), "one address closes as another opens"
        if before and not select:
            opened = t
        if select and not before and opened >= 0:
            assert t - opened == SHORTEST["break_"]
        if levels & (DENDRITE | RESET):
            assert select
        before = select


def test_the_default_slot_is_played_as_planned() -> None:
    shot = probe_frame("test", SlotTiming(), [2, 5])
    changes = check_played([2, 5], timing_of(shot.timing))
    t, levels = compile_levels(shot, BOARD, TICK_S)
    assert changes == list(zip(t.tolist(), levels.tolist(), strict=True))
    assert t[-1] * TICK_S == pytest.approx(2 * (13e-6 + 8e-6) + 7 * 10e-6 + 13e-6)


@pytest.mark.parametrize("hz", [10, 1e3, 100e3, 200e3])
def test_clocks_from_10_hz_to_200_khz_are_whole_ticks(hz: float) -> None:
    timing = timing_of(SlotTiming(dendrite_clock_hz=hz, pulse_width_s=1e-6))
    assert timing.faults() == ""
    assert timing.period * TICK_S == pytest.approx(1 / hz, rel=1e-12)


def test_no_word_is_wider_than_its_field() -> None:
    timing = M.sequencer.Timing(False, 65_537, 30_000, 5_000, 1_000, 1_000_000_000, 2_500_000)
    assert timing.faults() == ""
    words = make_words([65_535], [0x8000], timing)
    model = play_words(np.array(words, dtype=np.uint32))
    assert len(model.t) == 2 * 65_535 + 6
    assert model.levels.max() & 0x7FFF8 == 0x8000 << 3


@pytest.mark.parametrize(
    ("field", "value"),
    [("break_", 1), ("guard", 5), ("reset", 1), ("width", 1), ("settle", 5), ("period", 4), ("guard", 40_000)],
)
def test_what_cannot_be_played_is_named(field: str, value: int) -> None:
    fault = M.sequencer.Timing(False, **{**SHORTEST, field: value}).faults()
    assert fault.startswith("lead" if value == 40_000 else field.rstrip("_"))


@pytest.mark.parametrize("settle", [6, 200])
def test_a_shot_whose_words_follow_begins_a_settling_time_after_the_closing_pulse(settle: int) -> None:
    timing = M.sequencer.Timing(False, **{**SHORTEST, "settle": settle})
    first, second = ([3, 1], [1, 2]), ([2, 0, 1], [4, 8, 1])
    words, more = make_words(*first, timing), make_words(*second, timing)[1:]
    changes = from_first(run_sequencer(SEQUENCER, words + more, 4))
    one, two = (play_words(np.array(w, dtype=np.uint32)) for w in (words, [words[0], *more]))
    assert one.free - one.end == settle
    t, levels = np.concatenate([one.t, one.free + two.t]), np.concatenate([one.levels, two.levels])
    assert changes == list(zip(t.tolist(), levels.tolist(), strict=True))


@settings(max_examples=20, deadline=None, derandomize=True)
@given(
    counts=st.lists(st.integers(0, 4), min_size=1, max_size=5),
    extra=st.fixed_dictionaries({name: st.integers(0, 40) for name in SHORTEST}),
)
def test_words_are_taken_when_the_model_says_and_tell_the_edges_of_sync(
    counts: list[int], extra: dict[str, int]
) -> None:
    """By which the firmware compares what was counted of a shot with how far it is."""
    ticks = {name: SHORTEST[name] + extra[name] for name in SHORTEST}
    ticks["period"] += ticks["width"]
    timing = M.sequencer.Timing(False, **ticks)
    words = make_words(counts, [1] * len(counts), timing)
    shot = play_words(np.array(words, dtype=np.uint32))
    changes = run_sequencer(SEQUENCER, words, 4)
    began = changes[0][0]
    assert [at - began for at in taken_at(SEQUENCER, words, 4)] == shot.taken.tolist()
    sync = np.array([levels & SYNC != 0 for _, levels in changes])
    edges = np.array([t for t, _ in changes])[np.flatnonzero(np.diff(sync, prepend=False))] - began
    after = np.append(shot.taken[2:], shot.free - 2) - 1
    for taken, (at, until) in enumerate(zip(shot.taken[1:], after, strict=True), start=1):
        told = M.sequencer.edges(taken, len(counts))
        assert told == np.searchsorted(edges, min(at + 2, until), side="right")
        assert told == np.searchsorted(edges, until, side="right")
    assert M.sequencer.edges(0, len(counts)) == 0


def test_the_model_refuses_words_on_which_the_sequencer_would_stall() -> None:
    words = np.array(make_words([1, 2], [1, 2], M.sequencer.Timing(False, **SHORTEST)), dtype=np.uint32)
    with pytest.raises(TwinError, match="in the middle of a slot"):
        play_words(words[:-1])
    words[2] = 5  # a reset of no length closes the shot
    with pytest.raises(TwinError, match="closing sync pulse"):
        play_words(words)


# ---- the counter --------------------------------------------------------------------------------------------------


def levels_of(rise: np.ndarray, fall: np.ndarray) -> np.ndarray:
    """(cycles,) of a line that is high in [rise, fall)."""
    high = np.zeros(int(fall.max()) + 2 if len(fall) else 2, dtype=np.int64)
    for a, b in zip(rise, fall, strict=True):
        high[a:b] = 1
    return high


def count(sync: list[tuple[int, int]], axon: list[tuple[int, int]], q: int, cycles: int) -> tuple[list[int], int]:
    """What the emulated counter pushes, and its count since; sync and axon are (rise, fall) in cycles."""
    lines = [
        levels_of(*(np.array(c) for c in zip(*line, strict=True))) if line else np.zeros(2) for line in (sync, axon)
    ]

    def pins(cycle):  # type: ignore[no-untyped-def]
        return sum(int(line[cycle]) << i for i, line in enumerate(lines) if cycle < len(line))

    pushed, state = run_listener(COUNTER, pins, cycles, q)
    return pushed, ~state.x_register & 0xFFFFFFFF


def model(sync: list[tuple[int, int]], axon: list[tuple[int, int]], q: int, cycles: int) -> tuple[list[int], int]:
    """The same from the twin's model, a cycle being 8 ns."""
    edges = sorted([(rise * 8, True) for rise, _ in sync] + [(fall * 8, False) for _, fall in sync])
    t, high = np.array([e[0] for e in edges], dtype=np.int64), np.array([e[1] for e in edges], dtype=np.bool_)
    rise, fall = (np.array([pulse[i] * 8 for pulse in axon], dtype=np.int64) for i in (0, 1))
    return count_words(t, high, rise, fall, q, 8, cycles * 8)


@pytest.mark.parametrize("high_ns", [704, 1000, 1400])
@pytest.mark.parametrize("phase", [0, 1, 2, 3])
def test_a_spike_every_2_us_is_counted_exactly(high_ns: int, phase: int) -> None:
    """LM339: the board cannot make more. Two slots of 20 and 11 spikes, at 125 MHz and 0.5 µs."""
    q = M.counter.qualify(500, 125_000_000)
    sync = [(100, 1700), (7000, 8600), (11_600, 13_000)]
    axon = [(1720 + phase + 250 * i, 1720 + phase + 250 * i + high_ns // 8) for i in range(20)]
    axon += [(8620 + phase + 250 * i, 8620 + phase + 250 * i + high_ns // 8) for i in range(11)]
    pushed, since = count(sync, axon, q, 13_200)
    assert pushed == [0, 0, 20, 0, 11, 0]
    assert (pushed, since) == model(sync, axon, q, 13_200)


def test_strays_are_told_from_spikes_of_a_slot() -> None:
    q = 3
    sync = [(200, 400), (700, 900), (1200, 1400)]
    axon = [(100, 130), (250, 280), (500, 530), (580, 610), (950, 980), (1300, 1330), (1500, 1530)]
    pushed, since = count(sync, axon, q, 1700)
    assert pushed == [1, 1, 2, 0, 1, 1]
    assert since == 1
    assert (pushed, since) == model(sync, axon, q, 1700)


def test_an_edge_of_sync_waits_for_the_axon_pulse_and_is_not_lost() -> None:
    sync, axon = [(200, 400), (500, 700)], [(450, 560)]
    pushed, since = count(sync, axon, 3, 900)
    assert (pushed, since) == ([0, 0, 1, 0], 0)
    assert (pushed, since) == model(sync, axon, 3, 900)


def test_a_stuck_axon_shows_as_missing_words() -> None:
    sync, axon = [(200, 400), (500, 700)], [(100, 1000)]
    assert count(sync, axon, 3, 900)[0] == model(sync, axon, 3, 900)[0] == []


@pytest.mark.parametrize("q", [0, 3, 10])
def test_minimum_width_and_dead_time_are_as_the_docstring_says(q: int) -> None:
    for phase in range(9):
        for width, counted in ((2 * q + 1, 0), (2 * q + 2 + 16, 1)):
            for state, sync in ((0, []), (1, [(20, 4000)])):
                pushed, since = count(sync, [(60 + phase, 60 + phase + width)], q, 200 + width)
                assert since == counted, (phase, width, state, pushed)
        wide = 2 * q + 18
        for gap, spikes in ((2 * q - 1, 1), (2 * q + 4, 2)):
            if gap > 0:
                axon = [(40 + phase, 40 + phase + wide), (40 + phase + wide + gap, 40 + phase + 2 * wide + gap)]
                assert count([], axon, q, 250 + 3 * wide)[1] == spikes, (phase, gap)


@settings(max_examples=20, deadline=None, derandomize=True)
@given(
    gaps=st.lists(st.tuples(st.integers(60, 200), st.integers(60, 200)), min_size=1, max_size=12),
    slots=st.integers(1, 3),
)
def test_the_twin_counts_as_the_program_does(gaps: list[tuple[int, int]], slots: int) -> None:
    """Random trains; edges of sync keep clear of the beginnings of spikes by the counter's polling time."""
    q = 10
    edges, axon = [300], []
    for _ in range(slots):
        at = edges[-1] + 250 + 40
        edges.append(edges[-1] + 250)
        for width, gap in gaps:
            axon.append((at, at + width))
            at += width + gap
        edges.append(at + 40)
    edges += [edges[-1] + 250]
    sync = list(zip(edges[::2], edges[1::2], strict=True))
    cycles = edges[-1] + 300
    pushed, since = count(sync, axon, q, cycles)
    assert (pushed, since) == model(sync, axon, q, cycles)
    assert pushed[2::2] == [len(gaps)] * slots


# ---- the stamper --------------------------------------------------------------------------------------------------


def test_stamps_are_the_times_of_rising_edges() -> None:
    rng = np.random.default_rng(3)
    rise = np.cumsum(rng.integers(20, 120, 40))
    high = levels_of(rise, rise + rng.integers(6, 15, 40))

    def pins(cycle):  # type: ignore[no-untyped-def]
        return int(high[cycle]) << 1 if cycle < len(high) else 0

    pushed, _ = run_listener(STAMPER, pins, int(rise[-1]) + 100)
    rounds = np.array([~word & 0xFFFFFFFF for word in pushed])
    assert len(rounds) == len(rise)
    late = rounds * M.counter.ROUND_CYCLES - rise
    assert late.min() >= -M.counter.ROUND_CYCLES
    assert late.max() <= M.counter.ROUND_CYCLES
    modelled = ~stamp_words(rise.astype(np.int64) * 8, 0, 8) & 0xFFFFFFFF
    assert np.abs(modelled.astype(np.int64) - rounds).max() <= 1


def test_count_and_address_stand_in_the_words_of_a_slot() -> None:
    counts = np.random.default_rng(1).integers(0, 65_536, 16)
    words = make_words(counts.tolist(), [1 << i % 4 for i in range(16)], timing_of(SlotTiming()))
    body = np.array(words[1:-3]).reshape(-1, 5)
    assert (body[:, 2] >> 16).tolist() == counts.tolist()
    assert (body[:, 0] >> 16).tolist() == [1 << i % 4 for i in range(16)]


@settings(deadline=None, max_examples=200)
@given(
    st.lists(st.integers(1, 400), min_size=1, max_size=12),
    st.lists(st.tuples(st.integers(1, 500), st.integers(1, 60)), max_size=12),
    st.integers(0, 20),
    st.integers(0, 600),
    st.booleans(),
)
def test_counting_all_at_once_is_counting_edge_by_edge(
    gaps: list[int], pulses: list[tuple[int, int]], q: int, late: int, high_first: bool
) -> None:
    sync_t = np.cumsum(gaps) * 8
    high = np.arange(len(gaps)) % 2 == (0 if high_first else 1)
    bounds = np.cumsum(np.array(pulses, dtype=np.int64).reshape(-1, 2).ravel()) * 8
    until_ns = int(max(sync_t[-1], bounds[-1] if len(bounds) else 0)) + 8 * late
    arguments = (sync_t, high, bounds[::2], bounds[1::2], q, 8, until_ns)
    found = count_words(*arguments)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("drivers.mock.pico.models._plain", lambda *_: False)
        assert count_words(*arguments) == found

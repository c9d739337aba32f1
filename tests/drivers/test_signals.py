from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from drivers.signals import Frame, FrameKey, SlotTiming, Trace, probe_frame
from drivers.timing import begun, length_ticks, period_ticks, ramped, shots, slot_ticks

TICK_S = 1e-6
counts = st.lists(st.integers(0, 400), min_size=1, max_size=60)
timings = st.builds(
    SlotTiming,
    mode=st.sampled_from(["adaptive", "fixed"]),
    dendrite_clock_hz=st.sampled_from([1e3, 50e3, 100e3, 200e3]),
    window_s=st.sampled_from([1e-3, 10e-3, 0.4]),
)


@given(counts, timings)
def test_pulses_of_a_slot_fit_its_planned_length(pulses: list[int], timing: SlotTiming) -> None:
    frame = probe_frame("test", timing, pulses)
    ticks = slot_ticks(timing, TICK_S)
    period, length = period_ticks(frame, TICK_S), length_ticks(frame, TICK_S)
    last_fall = ticks.lead + period * np.maximum(frame.pulses - 1, 0) + ticks.width
    assert (last_fall[frame.pulses > 0] <= length[frame.pulses > 0] - ticks.settle + ticks.width).all()
    assert (length[~frame.played] == 0).all()


def test_fixed_slots_are_equally_long_and_their_period_is_rounded_down() -> None:
    timing = SlotTiming(mode="fixed", window_s=1e-3)
    frame = probe_frame("test", timing, [0, 1, 3, 7])
    assert len(set(length_ticks(frame, TICK_S))) == 1
    assert period_ticks(frame, TICK_S).tolist() == [0, 1000, 333, 142]


def test_adaptive_slots_end_after_their_pulses_and_empty_ones_are_not_played() -> None:
    frame = probe_frame("test", SlotTiming(), [0, 1, 3])
    lead, settle = 13, 8
    assert length_ticks(frame, TICK_S).tolist() == [0, lead + 10 + settle, lead + 30 + settle]
    assert frame.played.tolist() == [False, True, True]


@settings(deadline=None)
@given(counts, timings, st.floats(1e-3, 0.5), st.none() | st.integers(1, 20), st.none() | st.integers(1, 900))
def test_shots_cover_the_frame_once_within_their_bounds(
    pulses: list[int], timing: SlotTiming, longest_s: float, most: int | None, most_pulses: int | None
) -> None:
    frame = probe_frame("test", timing, pulses)
    cut = list(shots(frame, TICK_S, longest_s=longest_s, most_slots=most, most_pulses=most_pulses))
    assert np.concatenate([s.pulses for s in cut]).tolist() == pulses
    assert [s.first_slot for s in cut] == np.cumsum([0, *map(len, cut)])[:-1].tolist()
    for shot in cut:
        if len(shot) > 1:
            assert length_ticks(shot, TICK_S).sum() * TICK_S <= longest_s
            assert most is None or shot.played.sum() <= most
            assert most_pulses is None or shot.total_pulses <= most_pulses
        assert shot.pulses_before == sum(pulses[: shot.first_slot])


def test_a_part_of_a_part_is_the_part() -> None:
    frame = probe_frame("test", SlotTiming(), range(20))
    inner = frame.part(5, 15).part(2, 4)
    assert inner.pulses.tolist() == [7, 8]
    assert inner.first_slot == 7
    assert inner.pulses_before == sum(range(7))


def test_a_frame_refuses_uneven_arrays_and_impossible_counts() -> None:
    a = np.zeros(3, dtype=np.int32)
    with pytest.raises(ValueError, match="equally long"):
        Frame(FrameKey("test"), SlotTiming(), a, a, a, a[:2])
    with pytest.raises(ValueError, match="65536 is outside"):
        probe_frame("test", SlotTiming(), [65_536])
    with pytest.raises(ValueError, match="-1 is outside"):
        probe_frame("test", SlotTiming(), [-1])


def test_a_pulse_longer_than_its_period_is_refused() -> None:
    with pytest.raises(ValidationError, match="does not fit the period"):
        SlotTiming(dendrite_clock_hz=600e3)


def test_trace_volts_and_times_follow_the_preamble() -> None:
    trace = Trace("axon", np.array([127, 137, 117], dtype=np.uint8), 0.1, 10, 117, 2e-6, -1e-6)
    assert trace.volts.tolist() == pytest.approx([0.0, 1.0, -1.0])
    assert trace.times_s.tolist() == pytest.approx([-1e-6, 1e-6, 3e-6])


def test_shots_are_as_few_as_bounds_allow_and_alike() -> None:
    """A short last shot would leave no time in which the next frame's first can be made."""
    frame = probe_frame("even", SlotTiming(), np.full(1_000, 100, dtype=np.int32))
    lengths = [int(length_ticks(shot, TICK_S).sum()) for shot in shots(frame, TICK_S, longest_s=0.9)]
    assert len(lengths) == 2
    assert max(lengths) - min(lengths) <= lengths[0] // 100
    slots = [len(shot) for shot in shots(frame, TICK_S, most_slots=300)]
    assert slots == [250] * 4


def test_a_ramp_of_parts_holds_the_whole_frame_in_order() -> None:
    pulses = np.array([0, 3, 1, 0, 2, 4, 5, 0, 6], dtype=np.int32)
    frame = probe_frame("ramp", SlotTiming(), pulses)
    parts = list(ramped(frame, (2, 3)))
    assert [int(part.played.sum()) for part in parts] == [2, 3, 1]
    assert np.concatenate([part.pulses for part in parts]).tolist() == pulses.tolist()
    assert [part.first_slot for part in parts] == [0, 3, 7]
    assert [len(part) for part in ramped(frame, ())] == [9]
    assert [len(part) for part in ramped(frame, (100, 200))] == [9]


def test_a_shot_is_begun_with_what_lasts_no_longer_than_is_said() -> None:
    frame = probe_frame("begun", SlotTiming(), np.array([3, 1, 4, 1, 5], dtype=np.int32))
    ends_s = np.cumsum(length_ticks(frame, 1e-6)) * 1e-6
    for longest_s, lengths in ((ends_s[1], [2, 3]), (ends_s[2] - 1e-6, [2, 3]), (1e-9, [1, 4]), (1.0, [5])):
        parts = list(begun(frame, 1e-6, float(longest_s)))
        assert [len(part) for part in parts] == lengths
        assert np.concatenate([part.pulses for part in parts]).tolist() == frame.pulses.tolist()


def test_a_shot_is_begun_with_as_many_played_slots_as_are_said() -> None:
    """Empty slots of adaptive frames are not played."""
    frame = probe_frame("begun", SlotTiming(), np.array([3, 0, 4, 0, 5], dtype=np.int32))
    for most_slots, lengths in ((1, [2, 3]), (2, [4, 1]), (3, [5]), (9, [5]), (None, [5])):
        assert [len(part) for part in begun(frame, 1e-6, most_slots=most_slots)] == lengths
    assert [len(part) for part in begun(frame, 1e-6, 1e-9, 2)] == [1, 4]

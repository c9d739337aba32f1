"""Traces of known shots through the decoder: counts, strays, slot lengths, and every trace that must be refused."""

from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.decode.judge import Shape
from drivers.decode.refusals import _pulse_like, _rests_beyond, unlike
from drivers.decode.schmitt import Pulses, upright
from drivers.decode.spikes import counted_pulses, decode, doubted, expected_lines, shape_of
from drivers.errors import CaptureError
from drivers.settings import BoardSettings, SpikeSettings
from drivers.signals import Capture, SlotTiming, Trace
from drivers.timing import length_ticks
from tests.drivers.synthetic import AXON_S, STEP_S, TICK_S, Levels, Shot, levels, shot_of

if TYPE_CHECKING:
    from drivers.decode.axon import Heard
    from drivers.decode.measured import Reading

SETTINGS = SpikeSettings()
FIXED = SlotTiming(mode="fixed", window_s=100e-6)


def decoded(shot: Shot, traces: list[Trace] | None = None, spike_settings: SpikeSettings = SETTINGS) -> Capture:
    return decode(shot.frame, traces or shot.traces(), spike_settings, BoardSettings(), TICK_S, 0.1)


@settings(derandomize=True, max_examples=80)
@given(st.data())
def test_random_spike_trains_come_back(data: st.DataObject) -> None:
    timing = data.draw(st.sampled_from([SlotTiming(), FIXED]))
    pulses = data.draw(st.lists(st.integers(0, 12), min_size=1, max_size=12).filter(any))
    shot = shot_of(pulses, timing)
    body_ns = np.round(length_ticks(shot.frame, TICK_S) * TICK_S * 1e9).astype(int) - shot.lead_ns - 4_000
    expected = np.zeros(len(pulses), dtype=int)
    for k, slot in enumerate(np.flatnonzero(shot.frame.played)):
        most = max(0, int(body_ns[slot]) // 4_000)  # the one-shot and the comparator take 3.3 µs from one to the next
        for i in range(data.draw(st.integers(0, most))):
            shot.spike(k, 500 + i * 4_000 + data.draw(st.integers(0, 600)))
            expected[slot] += 1
    traces = shot.traces(phase_ns=data.draw(st.integers(0, 399)), seed=data.draw(st.integers(0, 2**31)))
    capture = decoded(shot, traces)
    assert capture.spikes.tolist() == expected.tolist()
    assert capture.ok.all()
    assert not capture.stray
    planned_s = length_ticks(shot.frame, TICK_S) * TICK_S
    assert np.abs(capture.slot_s - planned_s).max() <= STEP_S
    assert capture.notes == ()
    assert [t.name for t in capture.traces] == ["axon", "sync"]


def test_spikes_outside_slots_are_reported_and_not_counted() -> None:
    shot = shot_of([4, 0, 5])
    shot.axon_ns += [5_000, 10_000]  # before
    shot.spike(0, -6_000)  # in the first guard
    shot.spike(1, 500)
    shot.spike(1, 20_000)
    shot.axon_ns += [int(shot.edges_ns[-1]) + 4_000, shot.end_ns - 8_000]  # in the closing pulse, and after it
    capture = decoded(shot)
    assert capture.spikes.tolist() == [0, 0, 2]
    assert (capture.stray.before, capture.stray.guard, capture.stray.after) == (2, 1, 2)
    assert capture.ok.all()


def test_a_late_slot_is_measured_and_marked() -> None:
    shot = shot_of([4, 4, 4], late_ns={1: 5_000})
    shot.spike(2, 500)
    capture = decoded(shot)
    assert capture.ok.tolist() == [True, False, True]
    assert capture.slot_s[1] - capture.slot_s[0] == pytest.approx(5e-6, abs=2 * STEP_S)
    assert capture.spikes.tolist() == [0, 0, 1]
    assert capture.notes == ("1 slots late, missing or unreadable, first slot 1 of the shot",)


def test_a_lost_sync_edge_costs_only_the_slots_beside_it() -> None:
    shot = shot_of([4] * 6)
    for slot in range(6):
        shot.spike(slot, 500)
    whole = shot.edges_ns
    shot.edges_ns = np.delete(whole, 3)
    capture = decoded(shot)
    assert capture.ok.tolist() == [True, True, False, False, True, True]
    assert capture.spikes.tolist() == [1, 1, 0, 0, 1, 1]
    assert "2 spikes in slots that cannot be told apart" in capture.notes


def test_a_sync_pulse_cut_short_marks_its_slot() -> None:
    shot = shot_of([4] * 3)
    sync = Levels(shot.edges_ns, shot.edges_ns + np.array([13_000, 9_000, 13_000, 13_000]))
    capture = decoded(shot, shot.rendered({"axon": Levels(np.empty(0, int), np.empty(0, int)), "sync": sync}))
    assert capture.ok.tolist() == [True, False, True]


def test_a_sync_pulse_whose_end_is_off_by_some_samples_marks_nothing() -> None:
    shot = shot_of([4] * 3)
    sync = Levels(shot.edges_ns, shot.edges_ns + np.array([13_000, 9_700, 13_900, 13_000]))
    assert decoded(shot, [shot.traces()[0], *shot.rendered({"sync": sync})]).ok.all()


def test_the_pulses_that_count_are_as_many_as_were_made_on_either_line() -> None:
    shot = shot_of([4] * 3)
    for slot in range(3):
        shot.spike(slot, 500)
    short = Levels(
        np.append(shot.edges_ns, shot.end_ns - 6_000), np.append(shot.edges_ns + 13_000, shot.end_ns - 1_000)
    )
    axon, sync = shot.traces()[0], shot.rendered({"sync": short})[0]
    found = counted_pulses(shot.frame, sync, SETTINGS, BoardSettings(), TICK_S)
    assert found.rise_s == pytest.approx(shot.edges_ns * 1e-9, abs=STEP_S)
    assert len(counted_pulses(shot.frame, axon, SETTINGS, BoardSettings(), TICK_S)) == 3


@pytest.mark.parametrize(
    ("doubt", "touched"),
    [
        ((0.0, 0.5), [False, False, False]),  # before the first edge
        ((0.5, 1.1), [True, False, False]),  # it began outside, and nobody knows what it reached
        ((1.2, 1.8), [False, False, False]),  # within the guard of the first
        ((1.2, 2.0), [True, False, False]),  # to where its sync falls
        ((11.2, 11.8), [False, False, False]),
        ((15.0, 21.5), [False, True, True]),  # from one into the guard of the next
        ((2.5, 35.0), [True, True, True]),
        ((31.5, 32.0), [False, False, False]),  # after the last edge
    ],
)
def test_a_doubt_touches_the_intervals_it_reaches_into_but_not_one_whose_guard_alone_it_is_in(
    doubt: tuple[float, float], touched: list[bool]
) -> None:
    rise_s = np.array([1.0, 11.0, 21.0, 31.0])
    sync = Pulses(rise_s, rise_s + 1.0, False, False)
    assert doubted(np.array([doubt]), sync).tolist() == touched


def test_glitches_are_ignored_and_noted() -> None:
    shot = shot_of([4, 4])
    glitch = Levels(np.array([45_000, 60_000]), np.array([45_450, 62_000]))
    capture = decoded(
        shot,
        shot.rendered({"axon": glitch, "sync": Levels(shot.edges_ns, shot.edges_ns + shot.lead_ns)}),
        SpikeSettings(min_width_s=1e-6),
    )
    assert capture.spikes.sum() == 1
    assert capture.notes == ("1 axon pulses shorter than 1e-06 s ignored",)


def test_an_inverted_axon_is_read_when_the_settings_say_so() -> None:
    shot = shot_of([4, 4])
    shot.spike(1, 700)
    axon, sync = shot.traces()
    upside_down = replace(axon, codes=(31 + 242 - axon.codes.astype(int)).astype(np.uint8))
    capture = decoded(shot, [upside_down, sync], SpikeSettings(inverted=True))
    assert capture.spikes.tolist() == [0, 1]
    with pytest.raises(CaptureError, match=r"the axon is high before and after the shot: .* spikes.inverted = false"):
        decoded(shot, [upside_down, sync])


def test_a_shot_of_empty_slots_has_no_edges_and_no_spikes() -> None:
    shot = shot_of([0, 0])
    shot.axon_ns.append(25_000)
    axon, sync = shot.traces()
    capture = decoded(shot, [axon, flat("sync", sync, 0.0)])
    assert capture.spikes.tolist() == [0, 0]
    assert capture.stray.before == 1
    assert capture.ok.all()


def test_a_single_slot_and_no_spike_is_a_measurement() -> None:
    capture = decoded(shot_of([9]))
    assert capture.spikes.tolist() == [0]
    assert capture.ok.all()


def flat(name: str, like: Trace, volts: float) -> Trace:
    code = round(volts / like.y_increment_v) + like.y_origin + like.y_reference
    return replace(like, name=name, codes=np.full(len(like.codes), code, dtype=np.uint8))


def refused(message: str, shot: Shot, traces: list[Trace]) -> None:
    with pytest.raises(CaptureError, match=message):
        decoded(shot, traces)


def test_a_missing_trace_is_refused() -> None:
    shot = shot_of([4])
    refused(r"no 'sync' trace among \['axon'\]", shot, shot.traces()[:1])


def test_a_flat_sync_is_refused() -> None:
    shot = shot_of([4])
    axon, sync = shot.traces()
    refused(r"sync stays within 0.* V and never passes 1.65 ± 0.3 V", shot, [axon, flat("sync", sync, 0.0)])


def test_an_axon_stuck_high_is_refused() -> None:
    shot = shot_of([4])
    axon, sync = shot.traces()
    refused("the axon is high before and after the shot: it is stuck", shot, [flat("axon", axon, 3.3), sync])


def test_swapped_channels_are_named() -> None:
    shot = shot_of([4, 4, 4])
    shot.spike(0, 500)
    axon, sync = shot.traces()
    swapped = [replace(sync, name="axon"), replace(axon, name="sync")]
    refused("shows the 4 sync pulses of this shot: sync and axon are swapped", shot, swapped)


def test_an_axon_with_as_many_wide_pulses_as_sync_has_is_no_swapped_sync_where_they_are_wider() -> None:
    shot = shot_of([9, 9, 9])
    axon, _ = shot.rendered({"axon": levels(shot.edges_ns, 26_000), "sync": levels(shot.edges_ns, 13_000)})
    refused("sync shows 1 pulses", shot, [axon, *shot.rendered({"sync": levels(np.array([50_000]), 2_000)})])


def test_a_foreign_line_on_the_sync_channel_is_named() -> None:
    shot = shot_of([4, 4, 4])
    shot.spike(0, 500)
    axon, _ = shot.traces()
    refused(r"sync shows 1 pulses of 2.*e-06 s, expected 4 of 1.3e-05 s", shot, [axon, replace(axon, name="sync")])
    once = shot.rendered({"sync": levels(shot.edges_ns[:1], shot.lead_ns)})
    refused(r"sync shows 1 pulses of 1.3.?e-05 s, expected 4 of 1.3e-05 s", shot, [axon, *once])


def test_a_probe_ten_times_too_weak_is_refused_on_either_channel() -> None:
    shot = shot_of([4, 4])
    shot.spike(0, 500)
    good, weak = shot.traces(), shot.traces(gain=0.1)
    refused(r"axon stays within -?0\.\d+…0\.3\d* V .* scope.probe", shot, [weak[0], good[1]])
    refused(r"sync stays within .* scope.probe", shot, [good[0], weak[1]])


def test_a_probe_ten_times_too_strong_is_clipped() -> None:
    shot = shot_of([4, 4])
    shot.spike(0, 500)
    good, strong = shot.traces(), shot.traces(gain=10)
    refused("'axon' is clipped at the top", shot, [strong[0], good[1]])
    refused("'sync' is clipped at the top", shot, [good[0], strong[1]])


def test_different_time_bases_are_refused() -> None:
    shot = shot_of([4])
    axon, sync = shot.traces()
    refused("do not share a time base", shot, [axon, replace(sync, x_increment_s=STEP_S * 2)])


def test_a_record_that_ends_before_the_shot_is_refused() -> None:
    shot = shot_of([4] * 5)
    short = [replace(t, codes=t.codes[: len(t.codes) // 2]) for t in shot.traces()]
    refused("part of the shot was not played or not recorded", shot, short)


def test_two_samples_a_pulse_are_enough() -> None:
    shot = shot_of([4] * 5)
    for slot in range(5):
        shot.spike(slot, 1_000 + 137 * slot)
    assert decoded(shot, shot.traces(step_s=AXON_S / 2)).spikes.tolist() == [1] * 5


@pytest.mark.parametrize(("until_ns", "doubted"), [(15_000, 0), (28_000, 1)])
def test_an_axon_that_is_high_when_the_record_begins_leaves_the_slots_doubtful_that_it_reaches(
    until_ns: int, doubted: int
) -> None:
    """Nobody knows when it rose, and so not what it was; how the record ends makes no difference."""
    shot = shot_of([3, 4, 5])
    sync = shot.traces()[1]
    (axon,) = shot.rendered({"axon": levels(np.array([-9_000]), until_ns + 9_000)})
    found = decoded(shot, [axon, sync])
    assert found.ok.tolist() == [False] * doubted + [True] * (3 - doubted)
    assert not found.spikes[found.ok].any()


def test_a_sync_that_is_wide_in_every_slot_is_none_of_slow_edges() -> None:
    """Slow edges lengthen all pulses alike, by some; nothing makes all of them nearly twice as long."""
    shot = shot_of([4] * 3)
    wide = Levels(shot.edges_ns, shot.edges_ns + round(1.8 * shot.lead_ns))
    assert not decoded(shot, [shot.traces()[0], *shot.rendered({"sync": wide})]).ok.any()


def test_the_shape_of_a_shot_goes_by_the_shortest_period_that_is_played() -> None:
    """An empty slot has none."""
    shot = shot_of([0, 4, 8])
    with_empty = shape_of(shot.frame, SETTINGS, BoardSettings(), TICK_S)
    assert with_empty == shape_of(shot_of([4, 8]).frame, SETTINGS, BoardSettings(), TICK_S)
    assert with_empty.echo_s > 0


@pytest.mark.parametrize(("width", "like"), [(0.49, False), (0.5, True), (1.0, True), (2.5, True), (2.51, False)])
def test_what_is_as_wide_as_pulses_may_be_is_like_one(width: float, like: bool) -> None:
    """A power of two wide, so that the bounds are met exactly."""
    seen = SimpleNamespace(pulses=SimpleNamespace(width_s=np.full(3, width)))
    assert _pulse_like(cast("Reading", seen), 1.0) is like


def test_before_and_after_are_halves_of_a_short_trace_at_the_most() -> None:
    """High for 11 samples, low for 18, high for 11: in either half mostly high, in four fifths of it mostly low."""
    trace = Trace("axon", np.repeat(np.array([200, 50, 200], dtype=np.uint8), [11, 18, 11]), 1.0, 0, 0, 1.0, 0.0)
    seen = SimpleNamespace(trace=trace, samples=upright(trace), levels=SimpleNamespace(middle=0.0), pulses=())
    line = expected_lines(SETTINGS.model_copy(update={"threshold_v": 100.0}), BoardSettings(), 1e-5)["axon"]
    assert _rests_beyond(cast("Reading", seen), line) == "before and after the shot"


@pytest.mark.parametrize(("height", "told"), [(0.49, "narrower than board.axon_width_s"), (0.5, "")])
def test_pulses_that_are_half_as_high_as_the_swing_are_not_flat(height: float, told: str) -> None:
    none = Pulses(np.empty(0), np.empty(0), starts_high=False, ends_high=False)
    seen = SimpleNamespace(
        height=height, swing=1.0, pulses=Pulses(np.zeros(1), np.ones(1), starts_high=False, ends_high=False)
    )
    heard = SimpleNamespace(glitches=0, counted=1, usual=SimpleNamespace(pulses=none), reasons={}, doubts=())
    said = unlike(cast("Reading", seen), cast("Heard", heard), Shape(1.0, 1.0, 1.0, 0.1))
    assert told in said
    assert bool(said) == bool(told)

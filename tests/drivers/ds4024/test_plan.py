"""Every capture plan, over the whole range of shots and axon pulses: nothing missed, nothing read in vain."""

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from drivers.ds4024.known import Known
from drivers.ds4024.plan import (
    DIVISIONS,
    TIMEBASES_S,
    CapturePlan,
    Changing,
    at_depth,
    depths,
    plan_capture,
    plan_sparse,
    rate_max_hz,
    soonest,
)
from drivers.ds4024.strategy import Strategy, typical_shot
from drivers.errors import LimitError
from drivers.settings import BoardSettings, ScopeSettings
from drivers.signals import SlotTiming

LAN = "TCPIP0::scope::INSTR"
PAIR = ScopeSettings(resource=LAN, channels={"axon": 1, "sync": 2})
APART = ScopeSettings(resource=LAN, channels={"axon": 1, "sync": 3})


def assert_sound(plan: CapturePlan, shot_s: float, axon_s: float, scope: ScopeSettings) -> None:
    assert plan.s_per_div in TIMEBASES_S
    assert plan.depth in depths(scope)
    assert plan.depth == pytest.approx(plan.rate_hz * plan.s_per_div * DIVISIONS)
    assert plan.rate_hz <= rate_max_hz(scope)
    # No pulse can be missed: wherever it falls between samples, so many whole samples lie inside.
    assert math.floor(plan.rate_hz * axon_s * (1 + 1e-9)) >= scope.samples_per_axon
    # The record covers the shot with its margins, and so does the part that is read.
    assert plan.margin_s >= 0.01 * shot_s
    assert plan.pre_s >= plan.before_s * (1 - 1e-9) >= 50e-6 * (1 - 1e-9)
    assert plan.pre_s + shot_s + plan.margin_s <= plan.record_s * (1 + 1e-9)
    assert 1 <= plan.start < plan.stop <= plan.depth
    first_s, last_s = ((i - 1) / plan.rate_hz - plan.pre_s for i in (plan.start, plan.stop))
    step = 1 / plan.rate_hz
    assert first_s <= -plan.before_s + 1e-9 * plan.record_s
    assert first_s >= -plan.before_s - 2 * step
    assert shot_s + plan.margin_s - step <= last_s <= shot_s + plan.margin_s + 2 * step
    assert plan.bytes == plan.points * len(scope.channels)
    assert plan.transfer_s == pytest.approx(plan.bytes / scope.transfer_bytes_per_s)
    assert bool(plan.advice) == (plan.transfer_s > 10 * shot_s)


@settings(derandomize=True, max_examples=200)
@given(
    st.floats(-5, 1.3).map(lambda e: 10.0**e),
    st.floats(-5.7, -3).map(lambda e: 10.0**e),
    st.sampled_from([2, 5, 20]),
    st.sampled_from([PAIR, APART]),
)
def test_every_plan_is_sound(shot_s: float, axon_s: float, samples: int, scope: ScopeSettings) -> None:
    scope = scope.model_copy(update={"samples_per_axon": samples})
    try:
        plan = plan_capture(shot_s, axon_s, scope)
    except LimitError:
        assert 1.03 * shot_s * samples / axon_s > depths(scope)[-1] / 10  # a coarser record would still be too long
        return
    assert_sound(plan, shot_s, axon_s, scope)


def test_every_decade_and_step_is_sound() -> None:
    """Exhaustive over shots of 1 µs to 1 s in 60 steps a decade with the narrowest axon pulse that is allowed."""
    for shot_s in np.geomspace(1e-6, 1.0, 361):
        assert_sound(plan_capture(float(shot_s), 2e-6, PAIR), float(shot_s), 2e-6, PAIR)


@settings(derandomize=True, max_examples=100)
@given(st.floats(-5, 0).map(lambda e: 10.0**e), st.floats(-5.7, -4).map(lambda e: 10.0**e))
def test_no_other_setting_moves_fewer_bytes(shot_s: float, axon_s: float) -> None:
    plan = plan_capture(shot_s, axon_s, PAIR)
    for s_per_div in TIMEBASES_S:
        for depth in depths(PAIR):
            rate = depth / (DIVISIONS * s_per_div)
            room = DIVISIONS * s_per_div >= shot_s + 2 * plan.margin_s + s_per_div / 50
            if room and 5 / axon_s <= rate <= 2e9:
                assert rate >= plan.rate_hz * (1 - 1e-9)
                assert rate > plan.rate_hz * (1 + 1e-9) or DIVISIONS * s_per_div >= plan.record_s * (1 - 1e-9)


def test_characterisation_takes_more_samples() -> None:
    fine = plan_capture(0.01, 2e-6, PAIR.model_copy(update={"samples_per_axon": 20}))
    assert fine.rate_hz >= 10e6


def test_a_long_transfer_is_said_with_its_remedy() -> None:
    plan = plan_capture(1.0, 2e-6, PAIR)
    assert plan.rate_hz == 2.5e6
    assert "times the 1 s of playing" in plan.advice
    assert "stretch the axon pulse" in plan.advice
    assert "Pico" in plan.advice
    assert plan_capture(1.0, 10e-6, PAIR).advice == ""


def test_what_the_memory_cannot_hold_is_refused() -> None:
    with pytest.raises(LimitError, match=r"a shot of 60 s at 5 samples in an axon pulse of 2e-06 s needs more than"):
        plan_capture(60.0, 2e-6, PAIR)


@settings(derandomize=True, max_examples=100)
@given(st.floats(-4, 0).map(lambda e: 10.0**e), st.floats(-4, 0).map(lambda e: 10.0**e))
def test_a_plan_on_the_settings_of_the_shot_before_is_sound(first_s: float, next_s: float) -> None:
    first, ideal = plan_capture(first_s, 2e-6, PAIR), plan_capture(next_s, 2e-6, PAIR)
    kept = soonest(ideal, first, PAIR, 0.3e6, Changing(times_s=0.25, depth_s=2.0))
    assume(kept is not ideal)
    assert kept.depth == first.depth
    assert kept.rate_hz >= ideal.least_hz * (1 - 1e-9)
    assert_sound(kept, next_s, 2e-6, PAIR)


def test_settings_are_changed_where_keeping_them_costs_more() -> None:
    long, short = plan_capture(0.9, 2e-6, PAIR), plan_capture(1e-3, 2e-6, PAIR)
    assert soonest(short, long, PAIR, 0.3e6, Changing(0.25, 0.1)) is short
    other = soonest(short, long, PAIR, 0.3e6, Changing(0.25, 2.0))  # another time base on the same depth
    assert other.depth == long.depth
    assert other.s_per_div < long.s_per_div
    assert soonest(short, long, PAIR, 0.3e6, Changing(3.0, 3.0)).s_per_div == long.s_per_div


def test_what_is_played_again_of_a_shot_with_few_samples_waits_for_no_other_depth() -> None:
    long = plan_sparse(1.0, 2e-6, 1.3e-6, APART, vernier=True)
    again = plan_sparse(100e-6, 2e-6, 1.3e-6, APART, vernier=True)
    assert long is not None
    assert again is not None
    kept = soonest(again, long, APART, 1.7e6, Changing(0.25, 2.0))
    assert kept.depth == long.depth != again.depth
    assert kept.record_s < 0.25


def test_a_depth_that_is_kept_is_sampled_no_slower_than_need_be_and_there_soon() -> None:
    plan = plan_capture(2e-3, 2e-6, PAIR)
    kept = at_depth(plan, 700_000, PAIR, 0.3e6)
    assert kept is not None
    assert kept.depth == 700_000 != plan.depth
    assert plan.rate_hz <= kept.rate_hz
    assert kept.record_s + kept.bytes / 0.3e6 < 0.25
    assert at_depth(plan_capture(1.0, 2e-6, PAIR), 7_000, PAIR, 0.3e6) is None


def test_a_shot_that_is_audited_is_handed_over_while_the_next_one_plays() -> None:
    known = Known(sparse=True, vernier=True, bytes_per_s=0.3e6)
    strategy = Strategy(APART, BoardSettings(), 1e-6, known)
    length_s = strategy.audited_s(SlotTiming())
    shot = typical_shot(SlotTiming(), length_s, 1e-6)
    assert 0.1 < length_s < strategy.longest_s(SlotTiming())
    assert strategy.cost(shot, strategy.plan(shot, sparse=True)).total_s < 1.0

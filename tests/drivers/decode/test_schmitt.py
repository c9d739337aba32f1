"""The Schmitt trigger against a sample-by-sample reading of its definition, and against rendered pulse trains."""

from contextlib import nullcontext

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from drivers.decode.schmitt import check_on_screen, find_pulses
from drivers.errors import CaptureError
from drivers.mock.probe import Screen, render
from drivers.signals import Trace
from tests.drivers.synthetic import Levels


def trace_of(codes: NDArray[np.uint8] | list[int], step_s: float = 1.0) -> Trace:
    """One code is one volt, so that levels can be read off."""
    return Trace("axon", np.asarray(codes, dtype=np.uint8), 1.0, 0, 0, step_s, 0.0)


def stepwise(codes: list[int], low: float, high: float) -> list[tuple[int, bool]]:
    """(sample at which the state has changed, new state), by definition."""
    state = codes[0] >= np.ceil(high) or (codes[0] > low and codes[0] >= (low + high) / 2)
    changes = []
    for i, code in enumerate(codes):
        if not state and code >= high:
            state = True
            changes.append((i, True))
        elif state and code <= low:
            state = False
            changes.append((i, False))
    return changes


@settings(derandomize=True, max_examples=200)
@given(
    st.lists(st.integers(0, 255), min_size=1, max_size=60),
    st.floats(2, 252),
    st.floats(0, 100),
)
def test_it_does_what_a_schmitt_trigger_does_sample_by_sample(codes: list[int], low: float, span: float) -> None:
    high = min(low + span, 253.5)
    found = find_pulses(trace_of(codes), low, high)
    changes = stepwise(codes, low, high)
    rises = [i for i, up in changes if up]
    falls = [i for i, up in changes if not up][int(found.starts_high) :]
    assert np.ceil(found.rise_s).astype(int).tolist() == rises
    assert np.ceil(found.fall_s[np.isfinite(found.fall_s)]).astype(int).tolist() == falls


@settings(derandomize=True, max_examples=60)
@given(
    gaps=st.lists(st.integers(1_500, 20_000), min_size=1, max_size=40),
    phase=st.integers(0, 399),
    width=st.integers(1_600, 3_000),
    seed=st.integers(0, 2**31),
)
def test_rendered_pulses_come_back_within_a_sample(gaps: list[int], phase: int, width: int, seed: int) -> None:
    rise = np.cumsum([g + width for g in gaps]) + 1000
    source = Levels(rise, rise + width)
    n = int((rise[-1] + width + 2000) / 400)
    trace = render(lambda _, t: source.volts(t), "axon", Screen(phase, 400e-9, n, trigger_ns=0), seed)
    found = find_pulses(trace, 1.35, 1.95)
    assert len(found) == len(rise)
    assert np.abs(found.rise_s - rise * 1e-9).max() <= 400e-9
    assert np.abs(found.fall_s - (rise + width) * 1e-9).max() <= 400e-9


def test_crossings_are_interpolated() -> None:
    found = find_pulses(trace_of([10, 10, 110, 110, 10]), 35, 60)
    assert found.rise_s.tolist() == [1.5]
    assert found.fall_s.tolist() == [3.75]


def test_noise_between_the_levels_makes_no_pulses() -> None:
    found = find_pulses(trace_of([10, 120, 90, 119, 90, 120, 10, 100, 10, 119, 10]), 80, 120)
    assert found.rise_s.tolist() == [1.0]
    assert np.ceil(found.fall_s).tolist() == [6.0]


def test_without_hysteresis_a_code_on_the_level_is_high() -> None:
    found = find_pulses(trace_of([0, 120, 120, 119, 121, 120, 0]), 120, 120)
    assert found.rise_s.tolist() == [1.0, 3.5]
    assert found.fall_s.tolist() == [2.0, 5.0]


def test_an_inverted_pulse_is_the_low_one() -> None:
    found = find_pulses(trace_of([200, 200, 10, 10, 200, 10]), 80, 120, inverted=True)
    assert np.ceil(found.rise_s).tolist() == [2.0, 5.0]
    assert found.fall_s[1] == np.inf
    assert not found.starts_high
    assert found.ends_high


def test_a_pulse_that_was_already_high_is_not_listed() -> None:
    found = find_pulses(trace_of([200, 10, 200, 10]), 80, 120)
    assert found.starts_high
    assert np.ceil(found.rise_s).tolist() == [2.0]
    assert len(found.at_least(2.0)) == 0


def test_long_traces_are_cut_where_no_edge_is_lost() -> None:
    """The edges fall on, before and after the borders of the blocks in which a trace is searched."""
    codes = np.full((1 << 22) + 3, 20, dtype=np.uint8)
    for border in (1 << 21, 1 << 22):
        codes[border - 10 : border] = 200
        codes[border + 1 : border + 3] = 200
    found = find_pulses(trace_of(codes), 80, 120)
    at = [b + d for b in (1 << 21, 1 << 22) for d in (-10, 1)]
    assert np.ceil(found.rise_s).astype(int).tolist() == at


def test_levels_off_the_screen_are_refused() -> None:
    with pytest.raises(CaptureError, match=r"'axon' shows 0…255 V, its trigger levels are 80 and 300 V"):
        find_pulses(trace_of([1, 2, 3]), 80, 300)


def test_an_empty_trace_is_refused() -> None:
    with pytest.raises(CaptureError, match="'axon' is empty"):
        find_pulses(trace_of([]), 80, 120)


@pytest.mark.parametrize(
    ("low", "high", "shown"), [(100, 253, True), (100, 254, False), (2, 200, True), (1, 200, False)]
)
def test_a_level_at_the_very_edge_of_the_screen_is_off_it(low: float, high: float, shown: bool) -> None:
    """The lowest and the highest two codes are what is clipped."""
    with nullcontext() if shown else pytest.raises(CaptureError, match="both are on the screen"):
        check_on_screen(trace_of([128]), low, high)

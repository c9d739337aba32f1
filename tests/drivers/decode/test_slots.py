"""Alignment of measured intervals with planned slots: no edge lost or added may ever move a slot."""

from dataclasses import FrozenInstanceError

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from drivers.decode.slots import Alignment, align
from drivers.errors import CaptureError

lengths = st.lists(st.integers(40, 60), min_size=2, max_size=12)


def aligned(edges: list[float], planned: list[int]) -> Alignment:
    plan = np.array(planned, dtype=float)
    return align(np.diff(np.array(edges)), plan, 0.01 * plan + 0.1)


def edges_of(planned: list[int]) -> list[float]:
    return [0.0, *np.cumsum(planned).tolist()]


def assert_no_slot_moved(edges: list[float], planned: list[int], true: list[float]) -> Alignment:
    """Every slot that is called ok lies between its own two edges."""
    found = aligned(edges, planned)
    for slot in np.flatnonzero(found.ok):
        k = found.interval[slot]
        assert (edges[k], edges[k + 1]) == pytest.approx((true[slot], true[slot + 1]), abs=1.0)
    return found


@given(lengths | st.lists(st.integers(1, 5000), min_size=1, max_size=40))
@example([5000, 20])  # the short one fits into what the long one may be off
def test_what_is_as_planned_is_ok(planned: list[int]) -> None:
    found = aligned(edges_of(planned), planned)
    assert found.ok.all()
    assert found.interval.tolist() == list(range(len(planned)))


@settings(derandomize=True)
@given(lengths, st.data())
def test_a_late_slot_is_known_and_not_ok(planned: list[int], data: st.DataObject) -> None:
    late = data.draw(st.integers(0, len(planned) - 1))
    extra = data.draw(st.floats(2, 35))
    true = edges_of(planned)
    edges = true[: late + 1] + [e + extra for e in true[late + 1 :]]
    found = aligned(edges, planned)
    assert np.flatnonzero(~found.ok).tolist() == [late]
    assert found.interval[late] == late


@settings(derandomize=True)
@given(lengths, st.data())
def test_a_lost_inner_edge_costs_the_two_slots_beside_it(planned: list[int], data: st.DataObject) -> None:
    if len(planned) < 3:
        planned = [*planned, 50]
    true = edges_of(planned)
    lost = data.draw(st.integers(1, len(planned) - 1))
    found = assert_no_slot_moved(true[:lost] + true[lost + 1 :], planned, true)
    assert np.flatnonzero(~found.ok).tolist() == [lost - 1, lost]
    assert found.interval[lost] == -1


def test_two_lost_edges_cost_the_four_slots_beside_them() -> None:
    planned = [50, 60, 55, 52] * 10
    true = edges_of(planned)
    edges = [e * (1 + 1e-5) for i, e in enumerate(true) if i not in (4, 36)]
    found = assert_no_slot_moved(edges, planned, true)
    assert np.flatnonzero(~found.ok).tolist() == [3, 4, 35, 36]
    lost_and_added = sorted([*(e for i, e in enumerate(true) if i != 4), true[30] + 20.0])
    found = assert_no_slot_moved(lost_and_added, planned, true)
    assert np.flatnonzero(~found.ok).tolist() == [3, 4, 30]


@settings(derandomize=True)
@given(lengths, st.data())
def test_an_added_edge_costs_the_slot_it_splits(planned: list[int], data: st.DataObject) -> None:
    true = edges_of(planned)
    split = data.draw(st.integers(0, len(planned) - 1))
    extra = true[split] + data.draw(st.floats(5, planned[split] - 5))
    found = assert_no_slot_moved(sorted([*true, extra]), planned, true)
    assert np.flatnonzero(~found.ok).tolist() == [split]


@settings(derandomize=True, max_examples=300)
@given(st.lists(st.sampled_from([40, 50]), min_size=2, max_size=10), st.data())
def test_no_pair_of_faults_moves_a_slot(planned: list[int], data: st.DataObject) -> None:
    """Two of: edge lost, edge added, slot late, in any order; either a named error or no slot out of its place.

    Times are chosen so that no sum of faults is exactly a slot's length: such a sum looks like a slot.
    """
    true = edges_of(planned)
    edges = list(true)
    for grid in (4.0, 5.5):
        fault = data.draw(st.sampled_from(["lost", "added", "late"]))
        at = data.draw(st.integers(0, len(edges) - 1))
        if fault == "lost" and len(edges) > 2:
            del edges[at]
        elif fault == "added":
            edges = sorted([*edges, 10 * data.draw(st.integers(0, int(true[-1] / 10))) + grid])
        elif fault == "late":
            moved = edges[at]
            extra = 7.0
            edges = [e + extra if e > moved else e for e in edges]
            true = [e + extra if e > moved else e for e in true]
    try:
        found = assert_no_slot_moved(edges, planned, true)
    except CaptureError:
        return
    assert len(found.ok) == len(planned)


@pytest.mark.parametrize("lost", [0, 5])
def test_a_lost_first_or_last_edge_among_equal_slots_is_an_error(lost: int) -> None:
    planned = [50] * 5
    edges = edges_of(planned)
    del edges[lost]
    with pytest.raises(CaptureError, match=r"4 slots in 200 s where 5 slots in 250 s were planned"):
        aligned(edges, planned)


def test_slots_of_a_foreign_clock_cannot_be_told_apart() -> None:
    planned = [50, 60, 70]
    with pytest.raises(CaptureError, match="part of the shot was not played"):
        aligned([e * 0.5 for e in edges_of(planned)], planned)


def test_a_clock_twice_too_slow_makes_every_slot_late() -> None:
    planned = [50, 60, 75]
    found = aligned([e * 1.5 for e in edges_of(planned)], planned)
    assert not found.ok.any()


def test_two_slots_run_into_one_cannot_be_told_apart() -> None:
    with pytest.raises(CaptureError, match="no slot can be told from another"):
        aligned([0.0, 110.0], [50, 60])


LONG = [50, 57, 64, 43, 71, 78, 85, 92, 99, 36, 106, 113, 29, 120, 127, 22, 134, 141, 148, 155]  # no two alike


def late(edges: list[float], slot: int, extra: float) -> list[float]:
    return [*edges[: slot + 1], *(e + extra for e in edges[slot + 1 :])]


@pytest.mark.parametrize("lost", [2, 14])
def test_beside_a_slot_that_was_late_and_an_edge_that_was_lost_all_others_are_known(lost: int) -> None:
    """Time was added, so what lies between is not told, nor what may match by chance beside it; no more than that."""
    late_slot = 8
    true = late(edges_of(LONG), late_slot, 15.0)
    found = assert_no_slot_moved([e for i, e in enumerate(true) if i != lost], LONG, true)
    first, last = sorted((lost - 1, late_slot)) if lost < late_slot else (late_slot, lost)
    unknown = np.flatnonzero(found.interval < 0)
    beside = 5  # in a row of twenty that are all different, so many match by chance once in a million
    assert unknown[0] == max(0, first - beside)
    assert unknown[-1] == min(len(LONG) - 1, last + beside)
    assert np.array_equal(found.ok, found.interval >= 0)


def test_where_slots_went_and_others_came_those_beside_them_are_not_known() -> None:
    true = edges_of(LONG)
    edges = list(true)
    for at in range(8, 14):
        edges[at] = true[7] + (at - 7) * (true[14] - true[7]) / 7 + 11.0 * (at % 2)
    found = assert_no_slot_moved(edges, LONG, true)
    assert np.flatnonzero(found.interval < 0).tolist() == list(range(2, 19))
    assert np.flatnonzero(~found.ok).tolist() == list(range(2, 19))


def test_slots_that_went_and_others_that_came_in_as_long_a_time_are_not_trusted_for_how_long_it_was() -> None:
    """The last interval of a record that ends too soon may be as long as the last slot, all before it as planned."""
    true = edges_of(LONG)
    parts = 14
    between = true[6] + np.linspace(0, true[19] - true[6], parts + 1)[1:-1] + 9.0 * (np.arange(parts - 1) % 2)
    edges = [*true[:7], *between.tolist(), *true[19:]]
    assert len(edges) != len(true)
    found = aligned(edges, LONG)
    assert np.flatnonzero(found.ok).tolist() == [0]  # five on either side may match by chance
    assert found.interval[0] == 0


def test_few_slots_that_an_edge_lost_and_an_edge_added_leave_unknown_cost_nothing_beside_them() -> None:
    true = edges_of(LONG)
    edges = sorted([*(e for i, e in enumerate(true) if i != 8), true[9] + 20.0])
    found = assert_no_slot_moved(edges, LONG, true)
    assert np.flatnonzero(~found.ok).tolist() == [7, 8, 9]


def test_an_edge_lost_among_equal_slots_is_seen_though_one_of_the_two_was_late_by_more_than_it_may_be() -> None:
    """The edge that makes up the number came after the end, so that no slot is too short, and all others look right."""
    planned = [50] * 20
    true = late(edges_of(planned), 8, 0.9)  # 0.6 may each be off
    edges = [*true[:8], *true[9:], true[-1] + 300.0]
    with pytest.raises(CaptureError, match="no slot can be told from another"):
        aligned(edges, planned)


def test_a_stretch_that_lasted_too_long_by_more_than_it_may_tells_nothing_by_its_times() -> None:
    """Its edges would be where they are due by chance, once it has been stretched."""
    with pytest.raises(CaptureError):
        aligned([0.0, 82, 100, 128, 181, 289], [80, 100, 100])


def test_a_stretch_few_of_whose_edges_are_where_they_are_due_was_displaced() -> None:
    with pytest.raises(CaptureError):
        aligned([0.0, 80, 120, 128, 184, 212, 213, 250], [40, 40, 40, 10, 40, 20, 20, 40])


def test_what_lies_before_the_damage_is_known_where_the_last_edge_was_lost_with_it() -> None:
    found = aligned([0.0, 70, 172], [70, 90, 10])
    assert (found.ok.tolist(), found.interval.tolist()) == ([True, False, False], [0, -1, -1])


def test_what_was_matched_is_not_changed_by_accident() -> None:
    with pytest.raises(FrozenInstanceError):
        aligned([0.0, 50], [50]).ok = np.ones(1, dtype=np.bool_)  # type: ignore[misc]

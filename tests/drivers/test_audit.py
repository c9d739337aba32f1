from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import pytest

from drivers.audit import AuditedReader
from drivers.errors import CaptureError
from drivers.signals import Capture, Frame, SlotTiming, nothing_played, probe_frame

FRAME = probe_frame("test", SlotTiming(), [8] * 200)


class Counting:
    """A reader that saw these counts."""

    def __init__(self, spikes: list[int], frame: Frame = FRAME) -> None:
        self.frame = frame
        self.spikes = np.array(spikes, dtype=np.int32)
        self.armed = 0

    most_slots: int | None = 64
    most_pulses: int | None = None

    @property
    def identity(self) -> dict[str, str]:
        return {"reader": "counting"}

    @property
    def spent_s(self) -> dict[str, float]:
        return {}

    def prepare(self) -> None:
        self.armed = 0

    def arm(self, frame: Frame) -> None:
        self.armed += 1

    def read(self) -> Capture:
        return replace(nothing_played(self.frame), spikes=self.spikes, bench_s=float(self.armed))

    def close(self) -> None:
        self.armed = -1


def audited(counted: list[int], seen: list[int], frame: Frame = FRAME) -> AuditedReader:
    return AuditedReader(Counting(counted, frame), Counting(seen, frame), 1)


def test_the_auditor_is_asked_one_shot_in_n() -> None:
    counter, auditor = Counting([2] * 200), Counting([2] * 200)
    reader = AuditedReader(counter, auditor, 3)
    for _ in range(7):
        reader.arm(FRAME)
        reader.read()
    assert (counter.armed, auditor.armed) == (7, 3)
    reader.close()
    assert (counter.armed, auditor.armed) == (-1, -1)


@pytest.mark.parametrize("wrong", [{5: 4}, {5: 3, 9: 3, 70: 3}])
def test_disagreement_stops(wrong: dict[int, int]) -> None:
    seen = [wrong.get(i, 2) for i in range(200)]
    reader = audited([2] * 200, seen)
    reader.arm(FRAME)
    with pytest.raises(CaptureError, match="the Pico counted 2 spikes in slot 5 and the oscilloscope"):
        reader.read()


def test_a_neuron_that_fires_by_itself_does_so_at_edges_too() -> None:
    """In slots without pulses spikes come at any time."""
    empty = probe_frame("test", SlotTiming(mode="fixed"), [0] * 200)
    seen = [3 if i % 25 == 0 else 2 for i in range(200)]
    reader = audited([2] * 200, seen, frame=empty)
    reader.arm(empty)
    assert "8 slots" in reader.read().notes[-1]
    mixed = probe_frame("test", SlotTiming(mode="fixed"), [0] * 160 + [8] * 40)
    reader = audited([2] * 200, [3 if i in (170, 180) else 2 for i in range(200)], frame=mixed)
    reader.arm(mixed)
    with pytest.raises(CaptureError, match="2 of 200 slots differ"):
        reader.read()
    reader = audited([2] * 200, [3 if i % 5 == 0 else 2 for i in range(200)], frame=empty)
    reader.arm(empty)
    with pytest.raises(CaptureError, match="40 of 200 slots differ"):
        reader.read()


def test_one_spike_at_the_edge_of_a_slot_is_noted() -> None:
    reader = audited([2] * 200, [3, *[2] * 199])
    reader.arm(FRAME)
    assert "1 slots, the first 0: the Pico counted 2, the oscilloscope 3" in reader.read().notes[-1]


class Looking(Counting):
    """An auditor that tells how long shots should be for it."""

    audits = False
    audited_s = 0.13


def test_the_next_shot_may_begin_while_the_auditor_hands_over_but_not_one_that_it_sees() -> None:
    counter, auditor = Counting([2] * 200), Looking([2] * 200)
    handed, read = threading.Event(), auditor.read

    def slowly() -> Capture:
        assert handed.wait(20)
        return read()

    auditor.read = slowly  # type: ignore[method-assign]
    reader = AuditedReader(counter, auditor, 2)
    reader.arm(FRAME)
    finish = reader.take()  # returns, though nothing has been handed over yet
    reader.arm(FRAME)  # counted only
    assert reader.take()().spikes.tolist() == [2] * 200
    assert (counter.armed, auditor.armed) == (2, 1)
    threading.Timer(0.05, handed.set).start()
    reader.arm(FRAME)  # to be audited: waits for what is on its way
    assert handed.is_set()
    assert auditor.armed == 2
    assert finish().spikes.tolist() == [2] * 200
    reader.close()


def test_an_auditor_that_would_go_on_listening_is_read_before_the_next_shot_begins() -> None:
    """A Pico that pigpio plays for counts edges of sync until it is asked, and so would count the next shot's."""
    counter, auditor = Counting([2] * 200), Counting([2] * 200)
    reads: list[int] = []
    read = auditor.read

    def noted() -> Capture:
        reads.append(1)
        return read()

    auditor.read = noted  # type: ignore[method-assign]
    reader = AuditedReader(counter, auditor, 2)
    reader.arm(FRAME)
    finish = reader.take()
    assert reads == [1]
    assert finish().spikes.tolist() == [2] * 200
    reader.close()


@pytest.mark.parametrize(("every", "short"), [(3, [True, False, False, True]), (1, [False] * 4)])
def test_shots_that_are_audited_are_as_short_as_the_auditor_hands_over_beside_the_next(
    every: int, short: list[bool]
) -> None:
    auditor = Looking([2] * 200)
    reader = AuditedReader(Counting([2] * 200), auditor, every)
    assert auditor.audits == (every > 1)
    told = []
    for _ in range(4):
        told.append(reader.next_s == auditor.audited_s)
        reader.arm(FRAME)
        reader.read()
    assert told == short
    reader.close()


class Spending(Counting):
    """A reader that spends, and bounds a shot."""

    def __init__(self, most_slots: int, **spent_s: float) -> None:
        super().__init__([2] * 200)
        self.most_slots = most_slots
        self.spent = spent_s

    @property
    def spent_s(self) -> dict[str, float]:
        return self.spent


def test_bounds_of_an_auditor_bind_the_shots_that_it_sees() -> None:
    def bounds(every: int, *, plays: bool = False) -> list[tuple[int | None, int | None]]:
        counter, auditor = Spending(500), Spending(100)
        reader = AuditedReader(counter, auditor, every, player=auditor if plays else None)
        told = []
        for _ in range(4):
            told.append((reader.most_slots, reader.next_slots))
            reader.arm(FRAME)
            reader.read()
        reader.close()
        return told

    assert bounds(1) == [(100, None)] * 4
    assert bounds(3) == [(500, 100), (500, None), (500, None), (500, 100)]
    assert bounds(3, plays=True) == [(100, None)] * 4


def test_an_auditor_that_plays_is_read_every_shot_and_compared_in_its_turn() -> None:
    counter, auditor = Counting([2] * 200), Counting([4] * 200)
    reader = AuditedReader(counter, auditor, 2, player=auditor)
    reader.arm(FRAME)
    with pytest.raises(CaptureError):
        reader.read()
    reader.arm(FRAME)
    assert reader.read().spikes.tolist() == [2] * 200
    assert (counter.armed, auditor.armed) == (2, 2)
    reader.close()


def test_what_those_spent_that_see_every_shot_is_told() -> None:
    """An auditor of some hands over while other shots play."""
    counter, auditor = Spending(500, decoding=0.5, transfer=1.0), Spending(100, transfer=3.0)
    each, some = (AuditedReader(counter, auditor, every) for every in (1, 2))
    assert each.spent_s == {"decoding": 0.5, "transfer": 4.0}
    assert some.spent_s == {"decoding": 0.5, "transfer": 1.0}
    each.close()
    some.close()

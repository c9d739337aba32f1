"""When counts of a shot that plays are asked for."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from drivers.errors import BenchError, CaptureError
from drivers.pico.counting import LINE, Counting
from drivers.pico.replies import Fields
from drivers.pico.underway import FEW, LATE_S, ONCE_S, TAIL_S, Shot, Underway
from drivers.signals import SlotTiming, probe_frame
from firmware import protocol

TICK_S = 40e-9
SLOT_S = 121e-6  # of ten pulses


def shot_of(slots: int, link: Any = None) -> Shot:
    return Shot.of(link, probe_frame("test", SlotTiming(), [10] * slots), 1, round(slots * SLOT_S / TICK_S), TICK_S)


def counts(begin: int, of: int, over: int) -> Fields:
    """The reply of firmware on a shot of which every slot fired three times."""
    slots = min(LINE, over - begin)
    fields = {"slots": slots, "over": over, "before": 0, "guard": 0, "after": 0, "elapsed_ms": 0}
    data = {"data": protocol.to_base64(protocol.pack_runs([3], [slots])).decode()} if slots else {}
    return Fields("counts", {name: str(value) for name, value in fields.items()} | data)


def test_counts_are_asked_for_by_the_line_and_near_the_end_by_the_few() -> None:
    shot = shot_of(2000)
    after = {slots: shot.length_s - slots * SLOT_S - 1e-6 for slots in (1, LINE - 1, LINE)}
    assert not shot.worth_asking(after[1])
    assert not shot.worth_asking(after[LINE - 1])
    assert shot.worth_asking(after[LINE])
    shot.counting.got = LINE
    assert not shot.worth_asking(after[LINE])
    shot.counting.got = 2000 - int(TAIL_S / SLOT_S) - FEW
    assert shot.worth_asking(TAIL_S - 1e-3)
    shot.counting.got = 2000 - int(ONCE_S / SLOT_S) - FEW
    assert not shot.worth_asking(ONCE_S / 2)  # the end is there before the reply would be


def test_what_was_told_early_is_joined_to_the_rest() -> None:
    over = iter([0, 30, 500, 640])
    asked: list[int] = []

    def ask(_verb: str, _number: int, begin: int) -> Fields:
        asked.append(begin)
        return counts(begin, 640, next(over) if begin < 430 else 640)

    counting = Counting(SimpleNamespace(ask=ask), 1, 640)  # type: ignore[arg-type]
    counting.fetch()
    assert (counting.got, counting.over, counting.complete) == (0, 0, False)
    assert counting.result().tolist() == [3] * 640
    assert asked == [0, 0, 30, 430]


def test_a_shot_that_is_refused_in_the_end_has_no_counts() -> None:
    def ask(_verb: str, _number: int, begin: int) -> Fields:
        if begin:
            raise CaptureError("edges of sync: 2 missing")
        return counts(0, 640, 300)

    counting = Counting(SimpleNamespace(ask=ask), 1, 640)  # type: ignore[arg-type]
    counting.fetch()
    counting.fetch()
    assert counting.complete
    with pytest.raises(CaptureError, match="2 missing"):
        counting.result()


def test_more_counts_than_slots_are_refused_and_none_at_all_end_it() -> None:
    more = Counting(SimpleNamespace(ask=lambda *_: counts(0, 4, 5)), 1, 4)  # type: ignore[arg-type]
    with pytest.raises(BenchError, match="counts of 5 slots, and 4 were played"):
        more.fetch()
    none = Counting(SimpleNamespace(ask=lambda *_: counts(0, 4, 0)), 1, 4)  # type: ignore[arg-type]
    with pytest.raises(BenchError, match="no counts of shot 1 from slot 0 on"):
        none.result()


def test_shots_that_are_each_a_little_late_have_not_stalled(monkeypatch: pytest.MonkeyPatch) -> None:
    """A simulated Pico on a busy machine: what one shot is late all that follow are, in the end by more than LATE_S."""
    now_s, takes_s, shots = 0.0, 0.3, round(2 * LATE_S / 0.179)  # of which each should take 0.121 s

    def sleep(seconds: float) -> None:
        nonlocal now_s
        now_s += seconds

    def beat(_verb: str) -> Fields:
        sleep(0.01)
        over = int(now_s / takes_s)
        return Fields("beat", {"playing": str(over + 1), "done": str(over), "latch": "none"})

    monkeypatch.setattr("drivers.pico.underway.time", SimpleNamespace(monotonic=lambda: now_s, sleep=sleep))
    link = SimpleNamespace(ask=beat, lost=None)
    underway = Underway(link)  # type: ignore[arg-type]
    for number in range(1, shots + 1):
        shot = shot_of(1000, link)
        underway.add(Shot(shot.frame, number, shot.length_s, shot.over_s, shot.counting))
    for number in range(1, shots + 1):
        underway.wait(counts=False)
        assert number * takes_s <= now_s < number * takes_s + 0.1

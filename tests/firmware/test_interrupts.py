"""What acts whatever the firmware's loop does: interrupts of e-stop and VBUS, the timer, DMA with the next shot."""

from __future__ import annotations

import numpy as np
import pytest

from drivers.pico.packing import unpack_counts
from firmware.protocol import ProtocolError
from tests.firmware.conftest import TIMING, Inside

PARKED_V = pytest.approx(2.0)


def begin(inside: Inside, *runs: tuple[int, int]) -> list[int]:
    """Play one shot and queue the next ones."""
    shots = [inside.load([run]) for run in runs]
    for shot in shots:
        inside.ask(f"play {shot}")
    return shots


@pytest.fixture
def playing(inside: Inside) -> Inside:
    """In the middle of a shot of two seconds."""
    inside.ready()
    begin(inside, (200, 1000))
    inside.pass_ms(7.3)
    assert inside.board.levels() != 0
    return inside


def parked(inside: Inside) -> bool:
    return inside.board.threshold_v == PARKED_V


@pytest.mark.parametrize(("pin", "reason"), [("estop_high", "estop"), ("vbus_high", "usb")])
def test_the_lines_are_low_before_the_loop_comes_round(playing: Inside, pin: str, reason: str) -> None:
    began = playing.ns
    setattr(playing.pins, pin, False)
    assert playing.board.levels() == 0
    assert playing.board.busy_until_ns() <= playing.ns == began  # no time has passed, no line of the loop has run
    assert not parked(playing)
    playing.station.watch()
    assert parked(playing)
    assert playing.ask("beat")["latch"] == reason


def test_a_spike_on_the_wire_stops_nothing(playing: Inside) -> None:
    """The level is high again when the interrupt looks."""
    playing.modules.link.chip.handlers[("pin", 22)]()
    assert playing.board.levels() != 0
    playing.pass_ms(5)
    assert playing.ask("beat")["latch"] == "none"


def test_while_the_loop_waits_for_the_host_a_timer_parks(playing: Inside) -> None:
    (timer,) = playing.modules.link.chip.timers
    playing.pins.estop_high = False
    playing.ns += 20_000_000
    timer.run()
    assert not parked(playing)  # the loop is at work: it will see for itself
    playing.station.waiting = True
    playing.ns += 20_000_000
    timer.run()
    assert parked(playing)


def test_silence_is_noticed_while_the_loop_waits_for_a_payload(playing: Inside) -> None:
    (timer,) = playing.modules.link.chip.timers
    playing.station.waiting = True
    playing.ns += 2_010_000_000
    timer.run()
    assert parked(playing)
    assert playing.board.levels() == 0
    assert playing.station.latch == "silence"


def test_a_shot_that_is_just_being_started_is_stopped_too(inside: Inside) -> None:
    """E-stop falls between the request and its first word."""
    inside.ready()
    shot = inside.load([(200, 10)])
    start = inside.modules.rp2.DMA.config

    def press(*args: object, **options: object) -> None:
        inside.pins.estop_high = False
        start(*args, **options)

    inside.modules.rp2.DMA.config = press
    with pytest.raises(ProtocolError) as error:
        inside.ask(f"play {shot}")
    assert error.value.code == "latched"
    assert inside.board.levels() == 0
    assert inside.board.busy_until_ns() <= inside.ns


def test_settings_leave_no_interrupt_behind(inside: Inside) -> None:
    inside.ready()
    assert inside.chip._falls == {22, 24}
    inside.ask("setup base=2 lines=7 vbus=24")
    assert inside.chip._falls == {24}
    inside.station.leave()
    assert inside.chip._falls == set()
    assert inside.modules.link.chip.timers == []


# ---- the next shot ------------------------------------------------------------------------------------------------


def after(inside: Inside, ended: int) -> int:
    """Time goes on to when a shot has just ended, no line of the loop having run."""
    inside.ns = ended + 20_000
    inside.chip.look()
    return ended


def counted(inside: Inside, shot: int) -> list[int]:
    reply = inside.ask(f"counts {shot} 0")
    assert (reply["before"], reply["guard"], reply["after"]) == ("0", "0", "0")
    counts: list[int] = unpack_counts(reply["data"]).tolist()
    return counts


def test_a_queued_shot_follows_by_itself_after_a_settling_time_and_no_width_is_sent_twice(inside: Inside) -> None:
    inside.ready()
    feed = inside.chip.machines.feed
    first = begin(inside, (20, 50))[0]
    ended = feed.end_ns
    second = begin(inside, (5, 30))[0]
    assert inside.board.busy_until_ns() > ended  # it is on its way
    after(inside, ended)
    inside.pass_ms(1)
    assert inside.ask("beat")["playing"] == str(second)
    inside.pass_ms(10)
    t, levels = inside.board.lines(0, inside.ns)
    assert t[(t >= ended) & (levels != 0)][0] == ended + 200 * 40
    assert counted(inside, first) == [20] * 50
    assert counted(inside, second) == [5] * 30


def test_how_long_the_first_took_is_told(inside: Inside) -> None:
    """By the interrupt, however late the loop is."""
    inside.ready()
    first, _ = begin(inside, (20, 50), (200, 30))
    after(inside, inside.chip._ends[0])
    inside.ns += 9_000_000
    inside.pass_ms(1)
    assert int(inside.ask(f"counts {first} 0")["elapsed_ms"]) in (11, 12)


def test_a_shot_with_other_pulses_waits_for_the_loop(inside: Inside) -> None:
    """Its first word, the width, is taken only by a sequencer that begins anew."""
    inside.ready()
    first = inside.load([(20, 50)])
    inside.ask(TIMING.replace("50 200 250", "40 200 250"))
    second = inside.load([(5, 30)])
    for shot in (first, second):
        inside.ask(f"play {shot}")
    after(inside, inside.chip._ends[0])
    assert inside.board.busy_until_ns() < inside.ns
    inside.pass_ms(12)
    assert inside.ask("beat")["done"] == str(second)
    assert inside.ask(f"counts {second} 0")["slots"] == "30"


def test_a_shot_that_is_asked_for_too_late_to_be_chained_waits_for_the_loop(inside: Inside) -> None:
    """Less than eight slots are left: another bytecode or two, and DMA would be told when it is too late."""
    inside.ready()
    first, second = inside.load([(20, 50)]), inside.load([(5, 30)])
    inside.ask(f"play {first}")
    ended = inside.chip.machines.feed.end_ns
    inside.ns = ended - 7 * 220_000
    inside.ask(f"play {second}")
    assert inside.board.busy_until_ns() == ended
    inside.pass_ms(20)
    assert counted(inside, first) == [20] * 50
    assert counted(inside, second) == [5] * 30


def test_where_dma_does_not_go_on_the_loop_does(inside: Inside) -> None:
    inside.ready()
    inside.board.play_at = lambda *_: False  # type: ignore[method-assign]
    first, second = begin(inside, (20, 50), (5, 30))
    after(inside, inside.chip._ends[0])
    assert inside.board.levels() == 0
    inside.pass_ms(20)
    assert counted(inside, first) == [20] * 50
    assert counted(inside, second) == [5] * 30


@pytest.mark.parametrize("at_slot", [3, 48])
@pytest.mark.parametrize("what", ["lost", "made up"])
def test_edges_that_are_lost_or_made_up_are_told_before_the_last_count(
    inside: Inside, at_slot: int, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two at a time: with an odd number too few or too many, the counter would wait for the other level."""
    inside.ready()
    first, second = begin(inside, (20, 50), (5, 300))
    heard = inside.chip.machines._heard
    slot_ns = 13_000 + 20 * 10_000 + 8_000
    at = inside.chip._ends[0] - (50 - at_slot) * slot_ns

    def hearing(it: object) -> tuple[object, ...]:
        t, high, rise, fall = heard(it)  # type: ignore[arg-type]
        if what == "lost":
            stays = (t < at) | (t > at + slot_ns // 2)
            return t[stays], high[stays], rise, fall
        if not len(t) or not t[0] < at + 100_000 < t[-1]:
            return t, high, rise, fall
        here = int(np.searchsorted(t, at + 100_000))
        return (
            np.insert(t, here, [at + 100_000, at + 101_000]),
            np.insert(high, here, [not high[here - 1], high[here - 1]]),
            rise,
            fall,
        )

    monkeypatch.setattr(inside.chip.machines, "_heard", hearing)
    inside.pass_ms(13)
    with pytest.raises(ProtocolError, match=f"edges of sync: 2 {'missing' if what == 'lost' else 'too many'}"):
        inside.ask(f"counts {first} 0")
    assert inside.board.levels() == 0  # nothing plays on
    assert inside.ask("beat")["playing"] == "0"
    with pytest.raises(ProtocolError, match="edges of sync"):
        inside.ask(f"counts {second} 0")


def test_counts_can_be_asked_for_while_the_shot_plays_but_for_the_last(inside: Inside) -> None:
    inside.ready()
    wanted = [1 + 7 * i % 38 for i in range(60)]
    shot = inside.load([(n, 1) for n in wanted])
    inside.ask(f"play {shot}")
    got: list[int] = []
    pieces = 0
    while len(got) < 60:
        inside.pass_ms(1.7)
        reply = inside.ask(f"counts {shot} {len(got)}")
        assert reply["latch"] == "none"
        if reply["slots"] != "0":
            pieces += 1
            got += unpack_counts(reply["data"], int(reply["slots"])).tolist()
        ended = inside.ask("beat")["done"] == str(shot)
        assert (len(got) == 60) <= ended
    assert got == wanted
    assert pieces > 4


def test_an_interrupt_while_counts_are_fetched_displaces_none(inside: Inside) -> None:
    """The stand-in of DMA fetches in pieces; the handler, which fetches the rest, comes between two of them."""
    inside.ready()
    wanted = [1 + 7 * i % 38 for i in range(400)]
    shot = inside.load([(n, 1) for n in wanted])
    inside.ask(f"play {shot}")
    inside.pass_ms(40)
    chip, counts = inside.modules.link.chip, inside.station.player.listener.counts[0]
    ask, left = chip.ask, [1]

    def interrupted(op: str, *args: object, **options: object) -> object:
        answer = ask(op, *args, **options)
        if op == "dma" and answer["fifo"] and left:
            left.pop()
            inside.ns = inside.chip.machines.feed.end_ns + 20_000
            chip.handlers[("dma", counts.channel)]()
        return answer

    chip.ask = interrupted
    assert counts.count > 0  # as it was when it was asked
    chip.ask = ask
    assert counts.count == 0
    inside.pass_ms(1)
    assert not left
    assert unpack_counts(inside.ask(f"counts {shot} 0")["data"]).tolist() == wanted


def test_three_shots_in_a_row(inside: Inside) -> None:
    inside.ready()
    first, second = begin(inside, (20, 50), (5, 30))
    after(inside, inside.chip._ends[0])
    inside.pass_ms(1)
    assert counted(inside, first) == [20] * 50
    third = inside.load([(9, 20)])
    inside.ask(f"play {third}")
    after(inside, inside.chip._ends[0])
    inside.pass_ms(1)
    assert inside.ask("beat")["playing"] == str(third)
    inside.pass_ms(12)
    assert counted(inside, second) == [5] * 30
    assert counted(inside, third) == [9] * 20


def test_nothing_follows_a_shot_that_was_stopped(inside: Inside) -> None:
    inside.ready()
    begin(inside, (20, 50), (5, 30))
    inside.pins.estop_high = False
    inside.ns += 50_000_000
    inside.chip.look()
    assert inside.board.levels() == 0
    inside.pass_ms(20)
    assert inside.board.levels() == 0

"""What acts whatever the firmware's loop does: the interrupts of e-stop, VBUS and the next shot, and the timer."""

from __future__ import annotations

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


def at_end(inside: Inside) -> None:
    """Time goes to where the shot that plays has just ended, no line of the loop having run."""
    inside.ns = inside.chip._played_until_ns + 20_000
    inside.chip.look()


def test_a_queued_shot_is_started_by_the_interrupt_and_no_width_is_sent_twice(inside: Inside) -> None:
    inside.ready()
    first, second = begin(inside, (20, 50), (5, 30))
    ended = inside.chip._played_until_ns
    at_end(inside)
    assert inside.chip._played_until_ns > inside.ns  # it plays, no line of the loop having run
    inside.pass_ms(1)
    assert inside.ask("beat")["playing"] == str(second)
    inside.pass_ms(10)
    t, levels = inside.board.lines(0, inside.ns)
    after = t[(t >= ended) & (levels != 0)]
    assert after[0] - ended < 1_000_000  # ns
    for shot, counts in ((first, [20] * 50), (second, [5] * 30)):
        reply = inside.ask(f"counts {shot} 0")
        assert unpack_counts(reply["data"]).tolist() == counts
        assert (reply["before"], reply["guard"], reply["after"]) == ("0", "0", "0")


def test_a_shot_with_other_pulses_waits_for_the_loop(inside: Inside) -> None:
    """Its first word, the width, is taken only by a sequencer that begins anew."""
    inside.ready()
    first = inside.load([(20, 50)])
    inside.ask(TIMING.replace("50 200 250", "40 200 250"))
    second = inside.load([(5, 30)])
    for shot in (first, second):
        inside.ask(f"play {shot}")
    at_end(inside)
    assert inside.chip._played_until_ns < inside.ns
    inside.pass_ms(12)
    assert inside.ask("beat")["done"] == str(second)
    assert inside.ask(f"counts {second} 0")["slots"] == "30"


def test_missing_counts_start_nothing_and_are_told(inside: Inside) -> None:
    """An edge of sync is lost while an axon pulse is looked at: the shot has too few counts, and the next waits."""
    inside.ready()
    first, _ = begin(inside, (20, 50), (5, 30))
    machine = inside.chip._machines[4]
    counted = inside.chip._counted

    def losing(_: object) -> list[int]:
        words = counted(machine)
        return words[:-2] if len(words) > 10 else words

    inside.chip._counted = losing  # type: ignore[method-assign, assignment]
    at_end(inside)
    assert inside.chip._played_until_ns < inside.ns  # nothing follows
    inside.pass_ms(1)
    with pytest.raises(ProtocolError, match="edges of sync: 2 missing"):
        inside.ask(f"counts {first} 0")


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
            inside.ns = inside.chip._played_until_ns + 20_000
            chip.handlers[("dma", counts.channel)]()
        return answer

    chip.ask = interrupted
    assert counts.count == 0
    chip.ask = ask
    inside.pass_ms(1)
    assert not left
    assert unpack_counts(inside.ask(f"counts {shot} 0")["data"]).tolist() == wanted


def test_three_shots_in_a_row(inside: Inside) -> None:
    inside.ready()
    first, second = begin(inside, (20, 50), (5, 30))
    at_end(inside)
    inside.pass_ms(1)
    assert inside.ask(f"counts {first} 0")["slots"] == "50"
    third = inside.load([(9, 20)])
    inside.ask(f"play {third}")
    at_end(inside)
    inside.pass_ms(1)
    assert inside.ask("beat")["playing"] == str(third)
    inside.pass_ms(12)
    for shot, slots in ((second, 30), (third, 20)):
        assert inside.ask(f"counts {shot} 0")["slots"] == str(slots)


def test_nothing_follows_a_shot_that_was_stopped(inside: Inside) -> None:
    inside.ready()
    begin(inside, (20, 50), (5, 30))
    inside.pins.estop_high = False
    inside.ns += 50_000_000
    inside.chip.look()
    assert inside.board.levels() == 0
    inside.pass_ms(20)
    assert inside.board.levels() == 0

"""The firmware inside this process: what each request does, and what makes the board safe."""

from __future__ import annotations

import json
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from drivers.edges import compile_levels
from drivers.mock.dac import MockMcp4725
from drivers.mock.pico.chip import FORCED, TIMED_OUT
from drivers.mock.pico.server import POWER_ON, WATCHDOG
from drivers.pico.packing import unpack_counts
from drivers.signals import SlotTiming, probe_frame
from firmware import protocol
from firmware.protocol import ProtocolError
from tests.firmware.conftest import BOARD, SETUP, TIMING, Inside

PARKED_V = pytest.approx(2.0)


def at_rest(inside: Inside) -> bool:
    return inside.board.levels() == 0 and inside.board.threshold_v == PARKED_V


def refused(inside: Inside, text: str) -> str:
    with pytest.raises(ProtocolError) as error:
        inside.ask(text)
    return error.value.code


# ---- boot and settings --------------------------------------------------------------------------------------------


def test_it_boots_safe_and_latched(inside: Inside) -> None:
    assert at_rest(inside)
    assert inside.ask("beat")["latch"] == "boot"
    assert refused(inside, "vth 700000") == "latched"
    inside.ask(f"setup {' '.join(SETUP)}")
    inside.ask(TIMING)
    shot = inside.load([(3, 2)])
    assert refused(inside, f"play {shot}") == "latched"
    inside.ask("clear")
    assert inside.ask(f"play {shot}")["now"] == "1"


def test_settings_are_kept_and_park_at_the_next_power_up(inside: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
    inside.ask("setup base=2 lines=7 dac=mcp4728 vth_max_uv=1500000")
    assert json.loads(Path("settings.json").read_text())["vth_max_uv"] == 1_500_000
    assert inside.board.threshold_v == pytest.approx(1.5)
    inside.board.set_threshold(0.1)
    again = Inside(monkeypatch)
    assert again.board.threshold_v == pytest.approx(1.5)
    assert again.ask("setup")["base"] == "2"


@pytest.mark.parametrize("text", ["{", "[]", '{"base": 1}', '{"base": 300}'])
def test_settings_that_cannot_be_are_not_used(inside: Inside, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    Path("settings.json").write_text(text)
    assert Inside(monkeypatch).ask("setup")["base"] == "none"


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ("base=2 lines=7 axon=4", "pin 4: line and axon"),
        ("base=20 lines=7", "pin 23: reserved and line"),
        ("base=0 lines=4", "pin 0: I2C and line"),
        ("base=2 lines=2", "lines=2"),
        ("base=26 lines=4", "do not fit"),
        ("axon=25", "pin 25: reserved and axon"),
        ("vth_min_uv=2000000", "not below"),
        ("dac=mcp4728 vth_max_uv=2100000", "2047500"),
        ("dac=ad5693", "mcp4728 mcp4725 none"),
        ("colour=1", "no setting colour"),
        ("silence_ms=5", "silence_ms=5: 100 to 60000"),
        ("base=2 lines=7 sync=14", "somebody else's"),
    ],
)
def test_wiring_that_cannot_be_is_refused_by_name(inside: Inside, words: str, named: str) -> None:
    with pytest.raises(ProtocolError, match=named):
        inside.ask(f"setup {words}")
    assert inside.ask("setup")["base"] == "none"


# ---- threshold ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("uv", "code"), [(300_000, 600), (700_000, 1400), (750_000, 1500), (1_200_000, 2400)])
def test_threshold_codes_are_the_data_sheets(inside: Inside, uv: int, code: int) -> None:
    inside.ready()
    assert inside.ask(f"vth {uv}") == {"uv": str(uv), "code": str(code)}
    assert inside.ask("vth")["code"] == str(code)
    assert inside.board.threshold_v == pytest.approx(uv * 1e-6)


@pytest.mark.parametrize(("volts", "code"), [(0.3, 372), (0.7, 869), (0.75, 931), (1.2, 1489)])
def test_mcp4725_codes_are_the_data_sheets(inside: Inside, volts: float, code: int) -> None:
    dac = inside.modules.dac
    threshold = dac.Threshold(dac.Mcp4725(None, 0x60, 3_300_000), 0, 2_000_000)
    assert threshold.code(round(volts * 1e6)) == code


def test_threshold_is_kept_within_its_range(inside: Inside) -> None:
    inside.ask(f"setup {' '.join(SETUP)} vth_min_uv=200000")
    inside.ask("clear")
    for uv in (199_999, 2_000_001):
        assert refused(inside, f"vth {uv}") == "range"
    assert at_rest(inside)


def test_a_dac_that_does_not_answer_is_named_and_stops_nothing(inside: Inside) -> None:
    inside.ready()
    inside.chip._dac = None
    with pytest.raises(ProtocolError, match="0x60 does not answer") as error:
        inside.ask("vth 800000")
    assert error.value.code == "dac"
    assert inside.ask("safe")["latch"] == "host"
    assert inside.ask("status")["parked"] == "0"
    assert inside.ask("test")["dac"] == "bad"


def test_the_eeprom_is_read_and_written_on_request_only(inside: Inside) -> None:
    inside.ask(f"setup {' '.join(SETUP)} vth_max_uv=1500000")
    assert inside.ask("store") == {"uv": "2000000", "code": "4000"}
    dac = inside.chip._dac
    assert dac is not None
    assert dac.eeprom_writes == 0
    assert inside.ask("store write") == {"uv": "1500000", "code": "3000"}
    assert inside.ask("store")["code"] == "3000"
    assert dac.eeprom_writes == 1
    assert refused(inside, "store now") == "args"


def test_an_eeprom_that_does_not_take_it_is_named(inside: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
    inside.ask(f"setup {' '.join(SETUP)} vth_max_uv=1500000")
    assert inside.chip._dac is not None
    monkeypatch.setattr(inside.chip._dac._storing, "begin", lambda _finish: None)
    with pytest.raises(ProtocolError, match="holds code 4000, not 3000"):
        inside.ask("store write")


def test_mcp4725_keeps_its_eeprom_in_another_order(inside: Inside) -> None:
    inside.ask(f"setup {' '.join(SETUP)}")
    chip = inside.modules.dac.Mcp4725(inside.station.threshold.chip.i2c, 0x60, 3_300_000)
    inside.chip._dac = MockMcp4725(inside.board.set_threshold)
    chip.store(0x9A5)
    assert [chip.stored(), chip.stored()] == [-2, 0x9A5]
    assert chip.read() == 0x9A5


# ---- shots --------------------------------------------------------------------------------------------------------


def test_a_shot_plays_just_as_planned_and_is_counted(inside: Inside) -> None:
    inside.ready()
    shot = inside.load([(3, 2), (0, 5), (7, 1)], first_slot=6)
    began = inside.ns
    assert inside.ask(f"play {shot}")["ticks"] == str(3 * (325 + 200) + 13 * 250 + 325)
    inside.pass_ms(5)
    counts = inside.ask(f"counts {shot} 0")
    assert (counts["slots"], counts["before"], counts["guard"], counts["after"]) == ("3", "0", "0", "0")
    assert unpack_counts(counts["data"]).tolist() == [3, 3, 7]
    planned_t, planned = compile_levels(probe_frame("x", SlotTiming(), [3, 3, 0, 0, 0, 0, 0, 7]), BOARD, 40e-9)
    t, levels = inside.board.lines(began, inside.ns)
    assert (np.diff(t[1:]) == np.diff(planned_t) * 40).all()
    assert (levels[1:] & 7 == planned & 7).all()
    assert levels.max() >> 3 == 8  # slots 6, 7 and 13 close addresses 2, 3 and 1
    assert at_rest(inside) is False  # V_th stays where it was set
    assert inside.board.levels() == 0


def test_nobody_looks_between_the_start_of_a_shot_and_its_lines(inside: Inside) -> None:
    """Another server's thread would have had the board work out its first slots as rest."""
    inside.ready()
    shot = inside.load([(5, 3)])
    inside.pass_ms(20)
    board, clock = inside.board, inside.board.clock
    calls, looks = [0], list[Thread]()

    def late() -> int:
        now = clock()
        calls[0] += 1
        if calls[0] == 2:  # the first only asks whether another shot plays
            looks.append(Thread(target=lambda: board.axon(now, now + 60_000)))
            inside.ns += 60_000  # this machine is busy
            looks[0].start()
            looks[0].join(0.2)
        return now

    start = inside.chip.dma.op_dma_start

    def starting(channel: int) -> None:
        board.clock = late
        start(channel)
        board.clock = clock

    inside.chip.dma.op_dma_start = starting  # type: ignore[method-assign]
    inside.ask(f"play {shot}")
    looks[0].join()
    inside.pass_ms(5)
    assert unpack_counts(inside.ask(f"counts {shot} 0")["data"]).tolist() == [5, 5, 5]


def test_a_queued_shot_follows_and_both_are_counted(inside: Inside) -> None:
    inside.ready()
    first, second = inside.load([(20, 50)]), inside.load([(5, 3)])
    assert inside.ask(f"play {first}")["now"] == "1"
    assert inside.ask(f"play {second}")["now"] == "0"
    with pytest.raises(ProtocolError) as error:
        inside.load([(1, 1)])
    assert error.value.code == "full"
    inside.pass_ms(11)
    assert inside.ask("beat")["playing"] == str(first)
    inside.pass_ms(3)
    assert inside.ask("beat")["done"] == str(second)
    for shot, runs in ((first, [(20, 50)]), (second, [(5, 3)])):
        assert unpack_counts(inside.ask(f"counts {shot} 0")["data"]).tolist() == [runs[0][0]] * runs[0][1]
    inside.load([(1, 1)])  # both have been read: there is room again


@pytest.mark.parametrize("line", [f"setup {' '.join(SETUP)}", "abort"])
def test_counts_that_nobody_will_fetch_take_no_room(inside: Inside, line: str) -> None:
    """A host that was lost comes back and knows nothing of the shots it had played; one that aborts forgets them."""
    inside.ready()
    for _ in range(2):
        inside.ask(f"play {inside.load([(1, 2)])}")
        inside.pass_ms(10)
    with pytest.raises(ProtocolError, match="read its counts first"):
        inside.load([(1, 1)])
    inside.ask(line)
    inside.load([(1, 4096)])


def test_a_shot_may_take_both_banks(inside: Inside) -> None:
    inside.ready()
    shot = inside.load([(1, 4096)])
    inside.ask(f"play {shot}")
    inside.pass_ms(135)
    begin, total = 0, 0
    while begin < 4096:
        reply = inside.ask(f"counts {shot} {begin}")
        begin += int(reply["slots"])
        total += int(unpack_counts(reply["data"]).sum())
    assert total == 4096
    with pytest.raises(ProtocolError, match="4096"):
        inside.load([(1, 4097)])


def test_fixed_slots_without_pulses_are_played(inside: Inside) -> None:
    inside.ready()
    inside.ask("timing fixed 50 75 125 50 200 8000")
    shot = inside.load([(0, 2), (3, 1)])
    began = inside.ns
    inside.ask(f"play {shot}")
    inside.pass_ms(3)
    slot = SlotTiming(mode="fixed", window_s=8000 * 40e-9)
    planned_t, planned = compile_levels(probe_frame("x", slot, [0, 0, 3]), BOARD, 40e-9)
    t, levels = inside.board.lines(began, inside.ns)
    assert (np.diff(t[1:]) == np.diff(planned_t) * 40).all()
    assert (levels[1:] == planned).all()
    assert unpack_counts(inside.ask(f"counts {shot} 0")["data"]).tolist() == [0, 0, 3]


def test_the_same_line_again_begins_no_other_shot(inside: Inside) -> None:
    inside.ready()
    line = protocol.seal("90 load 0 2 2 6 0")[:-1]
    first, again = inside.line(line), inside.line(line)
    assert first == again
    args = protocol.data_args(91, int(again[1]["shot"]), 0, protocol.pack_runs([3], [2]))
    assert inside.line(protocol.request(91, "data", args)[:-1])[1]["slots_left"] == "0"
    assert inside.line(line) == first
    assert inside.ask(f"play {first[1]['shot']}")["now"] == "1"


@pytest.mark.parametrize("forgets", ["abort", "setup"])
def test_a_new_host_whose_requests_have_the_same_numbers_begins_its_own_shot(inside: Inside, forgets: str) -> None:
    inside.ready()
    line = protocol.seal("90 load 0 2 2 6 0")[:-1]
    first = inside.line(line)
    inside.ask(forgets if forgets == "abort" else f"setup {' '.join(SETUP)}")
    inside.ask(TIMING)
    assert inside.line(line)[1]["shot"] != first[1]["shot"]


def test_a_listening_that_is_asked_for_twice_is_one(inside: Inside) -> None:
    inside.ask("setup base=none lines=0 axon=15 sync=14 dac=mcp4728 vth_max_uv=2000000")
    inside.ask("clear")
    line = protocol.seal("90 listen 4")[:-1]
    assert inside.line(line) == inside.line(line)


def test_requests_may_be_repeated_when_their_reply_was_lost(inside: Inside) -> None:
    inside.ready()
    shot = int(inside.ask("load 0 2 2 6 0")["shot"])
    for _ in range(2):
        args = protocol.data_args(7, shot, 0, protocol.pack_runs([3], [2]))
        assert inside.line(protocol.request(7, "data", args)[:-1])[1]["slots_left"] == "0"
    for _ in range(2):
        inside.ask(f"play {shot}")
    inside.pass_ms(1)
    inside.ask(f"play {shot}")
    inside.pass_ms(2)
    for _ in range(2):
        assert inside.ask(f"counts {shot} 0")["slots"] == "2"
    assert len(inside.board.axon(0, inside.ns)[0]) == 6


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("load 0 3 0 0", "range"),
        ("play 99", "state"),
        ("counts 99 0", "state"),
        ("timing adaptive 1 75 125 50 200 250", "range"),
        ("timing adaptive 50 75 125 50 200 51", "range"),
        ("timing slow 50 75 125 50 200 250", "range"),
        ("timing adaptive x 75 125 50 200 250", "args"),
        ("listen 3", "state"),
    ],
)
def test_what_cannot_be_done_is_refused(inside: Inside, text: str, code: str) -> None:
    inside.ready()
    assert refused(inside, text) == code


@pytest.mark.parametrize("announced", ["load 0 4 2 6", "load 0 2 2 7", "load 0 2 1 6", "load 0 1 1 3"])
def test_slots_other_than_announced_are_never_played(inside: Inside, announced: str) -> None:
    inside.ready()
    shot = int(inside.ask(announced)["shot"])
    args = protocol.data_args(7, shot, 0, protocol.pack_runs([3], [2]))
    code = inside.line(protocol.request(7, "data", args)[:-1])[2]
    assert code == ("" if announced == "load 0 4 2 6" else "range")
    assert refused(inside, f"play {shot}") == "state"


def test_pulses_that_do_not_fit_the_window_are_refused(inside: Inside) -> None:
    inside.ready()
    inside.ask("timing fixed 50 75 125 50 200 8000")
    inside.load([(150, 1)])
    with pytest.raises(ProtocolError, match="do not fit its window"):
        inside.load([(151, 1)])


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"\x80", "syntax"),
        (b"\x05", "syntax"),
        (b"\x05\x00", "range"),
        (b"\xff\xff\xff\xff\xff\xff\x01\x01", "syntax"),
        (b"\xff\xff\xff\xff\x04\x01", "syntax"),
        (b"\xff\xff\x7f\x01", "range"),
        (b"\x01\xff\xff\xff\xff\x03", "range"),
    ],
)
def test_runs_that_are_none_are_refused(inside: Inside, data: bytes, code: str) -> None:
    inside.ready()
    shot = int(inside.ask("load 0 5 5 50")["shot"])
    line = protocol.request(7, "data", protocol.data_args(7, shot, 0, data))
    assert inside.line(line[:-1])[2] == code
    assert refused(inside, f"play {shot}") == "state"


def test_stamps_tell_when_each_spike_came(inside: Inside) -> None:
    inside.ready()
    shot = inside.load([(3, 1), (2, 1)], stamps=1)
    assert refused(inside, f"counts {shot} 0") == "state"
    inside.ask(f"play {shot}")
    inside.pass_ms(2)
    reply = inside.ask(f"stamps {shot} axon 0")
    assert reply["of"] == "5"
    assert inside.ask(f"stamps {shot} sync 0")["of"] == "3"
    assert refused(inside, f"stamps {shot} reset 0") == "range"


# ---- what makes it safe -------------------------------------------------------------------------------------------


@pytest.fixture
def playing(inside: Inside) -> Inside:
    """In the middle of a long shot, another one queued."""
    inside.ready()
    for _ in range(2):
        shot = inside.load([(200, 1000)])
        inside.ask(f"play {shot}")
    inside.pass_ms(7.3)
    assert inside.board.levels() != 0
    return inside


def test_silence_of_the_host_parks_the_board_and_latches(playing: Inside) -> None:
    playing.pass_ms(1990)
    assert not at_rest(playing)
    playing.pass_ms(15)
    assert at_rest(playing)
    assert playing.board.busy_until_ns() <= playing.ns
    assert playing.ask("beat")["latch"] == "silence"
    assert refused(playing, "vth 700000") == "latched"
    playing.ask("clear")
    assert playing.ask("beat")["latch"] == "none"


def test_any_request_is_a_sign_of_life(playing: Inside) -> None:
    for _ in range(5):
        playing.pass_ms(1500)
        playing.ask("beat")
    assert not at_rest(playing)


def test_e_stop_parks_within_a_turn_of_the_loop_and_stays_until_released(playing: Inside) -> None:
    playing.pins.estop_high = False
    playing.pass_ms(1)
    assert at_rest(playing)
    assert refused(playing, "clear") == "latched"
    playing.pins.estop_high = True
    playing.pass_ms(100)
    assert playing.ask("beat")["latch"] == "estop"
    playing.ask("clear")


def test_a_detached_usb_cable_parks(playing: Inside) -> None:
    playing.pins.vbus_high = False
    playing.pass_ms(1)
    assert at_rest(playing)
    assert playing.ask("beat")["latch"] == "usb"


def test_abort_stops_and_parks_without_latching(playing: Inside) -> None:
    assert playing.ask("abort")["parked"] == "1"
    assert at_rest(playing)
    state = playing.ask("beat")
    assert (state["latch"], state["playing"]) == ("none", "0")
    shot = playing.load([(2, 1)])
    playing.ask(f"play {shot}")


def test_safe_latches_and_the_first_reason_stays(playing: Inside) -> None:
    assert playing.ask("safe")["latch"] == "host"
    playing.station.make_safe("silence")
    assert playing.ask("safe")["latch"] == "host"


def test_a_stalled_sequencer_makes_the_board_safe(playing: Inside) -> None:
    for bank in playing.station.player.banks.banks:
        bank.ticks = 25_000 * 8
    playing.pass_ms(600)
    assert at_rest(playing)
    assert playing.ask("beat")["latch"] == "stall"


def test_what_the_firmware_did_not_expect_is_reported_and_parks(playing: Inside) -> None:
    playing.station.player.banks.find = None
    with pytest.raises(ProtocolError, match="TypeError") as error:
        playing.ask("counts 1 0")
    assert error.value.code == "internal"
    assert at_rest(playing)
    assert playing.ask("beat")["latch"] == "internal"


@pytest.mark.parametrize(
    ("cause", "reason", "latch"), [(WATCHDOG, TIMED_OUT, "watchdog"), (WATCHDOG, FORCED, "boot"), (POWER_ON, 0, "boot")]
)
def test_only_the_watchdogs_timer_is_a_hang(inside: Inside, cause: int, reason: int, latch: str) -> None:
    """machine.reset(), and so every flash, uses the watchdog too."""
    inside.restart(cause, reason)
    assert inside.ask("beat")["latch"] == latch


def test_the_self_test_moves_only_sync(inside: Inside) -> None:
    inside.ready()
    began = inside.ns
    assert inside.ask("test") == {"dac": "ok", "lines": "low", "clock": "ok", "path": "ok"}
    _, levels = inside.board.lines(began, inside.ns)
    assert set(levels.tolist()) == {0, 4}


# ---- no input stops it --------------------------------------------------------------------------------------------


VALUES = st.one_of(
    st.integers(0, 70_000).map(str), st.sampled_from(["adaptive", "fixed", "axon", "sync", "-1", "x", "lines=7"])
)


@settings(
    max_examples=150, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.lists(
        st.one_of(
            st.binary(max_size=60),
            st.tuples(st.sampled_from(sorted(protocol.VERBS)), st.lists(VALUES, max_size=8)),
        ),
        min_size=1,
        max_size=8,
    )
)
def test_every_line_gets_one_well_formed_reply(inside: Inside, lines: list[bytes | tuple[str, list[str]]]) -> None:
    for line in lines:
        raw = line if isinstance(line, bytes) else protocol.request(5, line[0], line[1])[:-1]
        number, _, code, _ = inside.line(raw)
        assert number in (0, 5) or isinstance(line, bytes)
        assert code in ("", *protocol.CODES)
        assert code != "internal"
    inside.pass_ms(1)
    assert inside.ask("id")["name"] == "hil-pico"

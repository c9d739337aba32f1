"""The Pico over the wire: the real driver over pyserial, the real firmware in MicroPython, the simulated board."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
import tty
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import serial
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from serial.tools import list_ports

from drivers.benchfile import BenchFile, load_bench
from drivers.device import load_device
from drivers.edges import compile_levels
from drivers.errors import (
    BenchError,
    CaptureError,
    ConnectionLostError,
    EmergencyStopError,
    InputError,
    LimitError,
    TwinError,
    UnsafeError,
)
from drivers.mock.bench import MockBench
from drivers.mock.board import Board
from drivers.mock.pico import WIRING, PicoServer
from drivers.mock.pico.server import micropython
from drivers.mock.pico.soldered import Pins
from drivers.pico.device import Pico
from drivers.pico.finding import find_port
from drivers.pico.link import PicoLink
from drivers.pico.packing import unpack_counts
from drivers.settings import BoardSettings, Limits, PicoSettings, Wiring
from drivers.signals import Frame, SlotTiming, Stray, probe_frame
from firmware import protocol
from hil.network.encode import Gain, to_pulses
from hil.network.layers import LAYERS, as_maps, drives
from hil.network.mnist import load_test
from hil.network.physical import Physical
from hil.network.weights import load_weights

pytestmark = pytest.mark.wire

BOARD = BoardSettings(addresses=4)
TICK_S = 40e-9
BANK = 1024 if os.environ.get("MICROPYTHON32") else 2048  # slots: in a small memory, in a Pico's
LONG = np.full(1000, 60)  # 0.62 s
REPLY_S = 0.35  # a host's patience with a real Pico


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """From now on the host is as patient as with a real Pico. Till then it waits longer, since a busy machine keeps the
    twin from running.
    """
    return lambda: monkeypatch.setattr("drivers.pico.link.REPLY_S", REPLY_S)


def new_board(**faults: Any) -> Board:
    return Board(load_device("ideal"), BOARD, **faults)


def opened(file: BenchFile) -> Pico:
    """A Pico that may be played."""
    pico = Pico(file)
    try:
        pico.prepare()
    except BaseException:
        pico.close()
        raise
    return pico


def bench_file(port: str, **changes: Any) -> BenchFile:
    pico: dict[str, Any] = {"port": port, "heartbeat_timeout_s": changes.pop("heartbeat_timeout_s", 2.0)}
    pico |= {name: changes.pop(name) for name in ("estop_pin", "axon_pin") if name in changes}
    return BenchFile(
        **{
            "name": "test",
            "kind": "pi",
            "board": BOARD,
            "pulse_source": "pico",
            "axon_reader": "pico",
            "wiring": WIRING,
            "pico": PicoSettings(**pico),
            **changes,
        }
    )


@pytest.fixture
def server() -> Iterator[PicoServer]:
    with PicoServer(new_board()) as server:
        yield server


@pytest.fixture
def pico(server: PicoServer) -> Iterator[Pico]:
    pico = opened(bench_file(server.port))
    pico.set_threshold(0.7)
    yield pico
    pico.close()


def frame(counts: Any, **timing: Any) -> Frame:
    return probe_frame("test", SlotTiming(**timing), counts)


def play(pico: Pico, shot: Frame) -> Any:
    pico.load(shot)
    pico.arm(shot)
    pico.start()
    pico.wait()
    return pico.read()


def soon(what: Callable[[], bool], within_s: float = 5.0) -> bool:
    """Whether something becomes true in time; the time is a bound for failing, not an expectation."""
    until = time.monotonic() + within_s
    while not what():
        if time.monotonic() > until:
            return False
        time.sleep(0.005)
    return True


def at_rest(board: Board) -> bool:
    return board.levels() == 0 and board.busy_until_ns() <= board.clock() and board.threshold_v == pytest.approx(2.0)


# ---- what it plays and counts -------------------------------------------------------------------------------------


def feature_map() -> np.ndarray:
    """The pulses of one kernel over one digit of the test set, (784,)."""
    weights, layer = load_weights(), LAYERS[0]
    images, _ = load_test()
    drive = drives(layer, weights.layers[0], as_maps(images[:1]))[0]
    gain = Gain.of(Physical(layer, 0, layer.units), weights.layers[0], 30)
    counts, _ = to_pulses(gain, drive)
    fullest: np.ndarray = counts[np.argmax(counts.sum(axis=1))]
    return fullest


def test_a_feature_map_gives_the_same_spikes_as_the_mock_in_process(pico: Pico) -> None:
    counts = feature_map()
    assert len(counts) == 784
    assert counts.sum() > 500
    shot = frame(counts)
    mock = MockBench(load_bench("mock"), load_device("ideal"))
    mock.set_threshold(0.7)
    (expected,) = mock.play([shot])
    got = play(pico, shot)
    assert got.spikes.tolist() == expected.spikes.tolist() == counts.tolist()
    assert got.ok.all()
    assert got.stray == Stray()
    assert got.bench_s == pytest.approx(got.slot_s.sum() + shot.timing.lead_s)


@pytest.mark.parametrize(
    "shot",
    [
        frame([1, 0, 5, 3]),
        frame([0, 2, 0, 7], mode="fixed", window_s=1e-4),
        frame([3, 2], dendrite_clock_hz=200e3, pulse_width_s=1e-6),
        frame(np.full(BANK + 900, 1)),
        frame([2, 1], dendrite_clock_hz=50),
        frame([5, 4, 3, 2, 1]).part(2, 5),
    ],
    ids=["adaptive", "fixed", "200 kHz", "both banks", "slow clock", "part of a frame"],
)
def test_the_board_sees_just_the_planned_shot(server: PicoServer, pico: Pico, shot: Frame) -> None:
    board = server.chip.board
    before = board.clock()
    capture = play(pico, shot)
    assert capture.spikes.tolist() == shot.pulses.tolist()
    t, levels = board.lines(before, board.busy_until_ns() + 1)
    planned_t, planned = compile_levels(shot, BOARD, TICK_S)
    assert levels[1:].tolist() == planned.tolist()
    assert (t[1:] - t[1]).tolist() == (planned_t * 40).tolist()


def test_it_runs_in_cpython_where_there_is_no_micropython() -> None:
    with PicoServer(new_board(), interpreter=sys.executable) as server:
        pico = opened(bench_file(server.port))
        pico.set_threshold(0.7)
        assert play(pico, frame([4, 0, 9])).spikes.tolist() == [4, 0, 9]
        pico.close()


@pytest.mark.skipif(micropython() is None, reason="no micropython for this machine")
def test_it_is_real_micropython_that_runs_the_firmware(pico: Pico) -> None:
    assert "_[GCC" in pico.identity["pico_machine"] or "MicroPython" in pico.identity["pico_machine"]
    assert pico.identity["pico_micropython"] >= "1.24.1"


def test_a_shot_started_while_one_plays_follows_it(server: PicoServer, pico: Pico) -> None:
    shots = [frame([k + 1, 0, 3 * k]) for k in range(4)]
    pico.load(shots[0])
    pico.arm(shots[0])
    pico.start()
    for k, shot in enumerate(shots):
        if k + 1 < len(shots):
            pico.load(shots[k + 1])
            pico.arm(shots[k + 1])
            pico.start()
        pico.wait()
        assert pico.read().spikes.tolist() == shot.pulses.tolist()
    assert server.chip.board.levels() == 0


class Spoiling:
    """A serial port that garbles one line once: the first request with a verb, or the reply to it."""

    def __init__(self, plain: Any, verb: bytes, *, reply: bool) -> None:
        self._plain, self._verb, self._reply = plain, verb, reply
        self._number = b""
        self._came = b""
        self.spoilt = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._plain, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "timeout":
            self._plain.timeout = value
        else:
            object.__setattr__(self, name, value)

    def write(self, data: bytes) -> None:
        lines = data.splitlines(keepends=True)
        for i, line in enumerate(lines):
            number, _, rest = line.partition(b" ")
            if rest.startswith(self._verb) and not self._number:
                self._number = number
                if not self._reply:
                    lines[i], self.spoilt = line[:-2] + b"?\n", True
        self._plain.write(b"".join(lines))

    def read(self, size: int) -> bytes:
        """Whole lines only."""
        self._came += self._plain.read(size)
        whole, end, self._came = self._came.rpartition(b"\n")
        if self._reply and not self.spoilt and self._number and b"OK " + self._number + b" " in whole:
            whole, self.spoilt = whole.replace(b"OK " + self._number + b" ", b"OK " + self._number + b"  "), True
        return whole + end


@pytest.mark.parametrize("reply", [False, True], ids=["the request", "its reply"])
@pytest.mark.parametrize("verb", ["load", "data 1 0", "data 1 1", "play"])
def test_a_line_that_is_garbled_among_those_sent_at_once_plays_nothing_twice(
    server: PicoServer, pico: Pico, verb: str, reply: bool
) -> None:
    resets = server.chip.board.resets_total
    port = Spoiling(pico.link._serial, verb.encode(), reply=reply)
    pico.link._serial = port
    shot = frame([1 + k % 3 for k in range(900)])  # more than a line takes
    assert play(pico, shot).spikes.tolist() == shot.pulses.tolist()
    assert port.spoilt
    assert server.chip.board.resets_total - resets <= 900 + 1
    assert play(pico, frame([4, 2])).spikes.tolist() == [4, 2]


def test_a_shot_gets_its_slots_where_somebody_else_has_begun_one(pico: Pico) -> None:
    """Load and slots are sent at once, by the number that the shot is expected to get."""
    assert play(pico, frame([1, 2])).spikes.tolist() == [1, 2]
    pico.link.ask("load", 0, 3, 3, 9, 0)  # as another program on the port might
    assert play(pico, frame([4, 0, 5])).spikes.tolist() == [4, 0, 5]


def test_firmware_that_tells_no_counts_before_the_end_is_asked_for_none(
    pico: Pico, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    ask = pico.link.ask

    def noted(verb: str, *args: object) -> Any:
        asked.append(verb)
        return ask(verb, *args)

    monkeypatch.setitem(pico._id, "firmware", "1.5.0")
    monkeypatch.setattr(pico.link, "ask", noted)
    pico.load(frame(LONG))
    pico.start()
    pico.wait()
    assert "counts" not in asked
    assert pico.read().spikes.tolist() == LONG.tolist()


def test_counts_that_are_told_early_count_for_nothing_if_the_last_does_not_come(pico: Pico) -> None:
    pico.load(frame(LONG))
    pico.start()
    shot = pico._unread[0]
    while not shot.counting.got:
        shot.counting.fetch()
    pico.link.ask("abort")
    with pytest.raises(BenchError, match="stopped before its end"):
        pico.wait()


def test_spikes_can_be_stamped(pico: Pico) -> None:
    slots, times = pico.spike_times(frame([3, 0, 2]))
    assert slots.tolist() == [0, 0, 0, 2, 2]
    timing = SlotTiming()
    first = timing.lead_s + timing.pulse_width_s + BOARD.axon_delay_s
    assert np.allclose(times - first, np.array([0, 1, 2, 0, 1]) * 10e-6, atol=1e-6)
    assert play(pico, frame([4])).spikes.tolist() == [4]  # and counting goes on


def test_the_realistic_profile_differs_in_nothing_but_time() -> None:
    with PicoServer(new_board(), profile="realistic") as server:
        pico = opened(bench_file(server.port))
        pico.set_threshold(0.7)
        assert play(pico, frame([4, 0, 9])).spikes.tolist() == [4, 0, 9]
        pico.close()


def test_binary_addresses_reach_their_lines() -> None:
    binary = BoardSettings(addresses=5, select="binary")
    wiring = Wiring(dendrite=2, reset=3, sync=4, select=(5, 6, 7))
    with PicoServer(Board(load_device("ideal"), binary), pins=Pins(wiring)) as server:
        pico = opened(bench_file(server.port, board=binary, wiring=wiring))
        pico.set_threshold(0.7)
        began = server.chip.board.clock()
        play(pico, frame([1] * 7))
        _, levels = server.chip.board.lines(began, server.chip.board.clock())
        selected = [code for code in (levels >> 3).tolist() if code]
        assert list(dict.fromkeys(selected)) == [1, 2, 3, 4, 5]
        pico.close()


# ---- where the Pi makes the pulses --------------------------------------------------------------------------------


@pytest.fixture
def listening() -> Iterator[tuple[Board, Pico]]:
    board = new_board()
    wiring = Wiring(dendrite=17, reset=27, sync=22, select=(9, 10, 11, 12))
    with PicoServer(board, pins=Pins(wiring, sync=14)) as server:
        pico = opened(bench_file(server.port, pulse_source="pigpio", wiring=wiring))
        pico.set_threshold(0.7)
        yield board, pico
        pico.close()


def played_by_the_pi(board: Board, shot: Frame, *, stretch_us: int = 0) -> None:
    t, levels = compile_levels(shot, BOARD, 1e-6)
    late = np.where(t > t[len(t) // 2], stretch_us, 0)
    board.play(board.clock() + 100_000, (t + late) * 1000, levels)
    assert soon(lambda: board.busy_until_ns() < board.clock() - 100_000)


def test_it_counts_what_the_pi_plays_and_measures_the_slots(listening: tuple[Board, Pico]) -> None:
    board, pico = listening
    shot = frame([3, 0, 8, 1])
    pico.arm(shot)
    played_by_the_pi(board, shot)
    capture = pico.read()
    assert capture.spikes.tolist() == [3, 0, 8, 1]
    assert capture.ok.all()
    assert capture.slot_s == pytest.approx([51e-6, 0, 101e-6, 31e-6], abs=1e-7)


def test_one_shot_is_read_while_the_next_is_counted(listening: tuple[Board, Pico]) -> None:
    board, pico = listening
    shots = [frame(list(range(1, 12))), frame([5, 0, 2])]
    taken = []
    for shot in shots:
        pico.arm(shot)
        played_by_the_pi(board, shot)
        taken.append(pico.take())
        if len(taken) == 2:  # the first was kept while the second was counted
            captures = [give() for give in taken]
    for shot, capture in zip(shots, captures, strict=True):
        assert capture.spikes.tolist() == shot.pulses.tolist()
        assert capture.ok.all()


def test_a_shot_may_have_more_spikes_than_can_be_stamped(listening: tuple[Board, Pico]) -> None:
    board, pico = listening
    shot = frame([50] * 100)
    assert pico.most_pulses is None
    assert shot.total_pulses > pico.most_stamped
    pico.arm(shot)
    played_by_the_pi(board, shot)
    capture = pico.read()
    assert capture.spikes.tolist() == shot.pulses.tolist()
    assert capture.ok.all()


def test_a_slot_that_was_late_is_not_ok(listening: tuple[Board, Pico]) -> None:
    board, pico = listening
    shot = frame([3, 8, 1])
    pico.arm(shot)
    played_by_the_pi(board, shot, stretch_us=50)
    assert pico.read().ok.tolist() == [True, False, True]


def test_fewer_slots_than_planned_are_a_capture_error(listening: tuple[Board, Pico]) -> None:
    board, pico = listening
    pico.arm(frame([3, 8, 1]))
    played_by_the_pi(board, frame([3, 8]))
    with pytest.raises(CaptureError, match="edges of sync: 2 missing, 0 too many"):
        pico.read()


# ---- what it refuses ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shot", "named"),
    [
        (frame([0, 0]), "without played slots"),
        (frame(np.ones(5000)), f"5000 played slots in a shot: the Pico holds {2 * BANK}"),
        (frame([30], mode="fixed", window_s=60e-6), "slot 0: 30 pulses every 2e-06 s"),
        (frame([1], guard_s=0.1e-6), "slot.guard_s"),
        (frame([1], reset_width_s=5e-3), "begin with 0.0026"),
    ],
)
def test_shots_that_it_cannot_play_are_refused_by_name(pico: Pico, shot: Frame, named: str) -> None:
    with pytest.raises(LimitError, match=named):
        pico.load(shot)


def test_misuse_is_named(pico: Pico) -> None:
    for call, named in (
        (pico.start, "load before start"),
        (pico.wait, "start before wait"),
        (pico.read, "arm before read"),
    ):
        with pytest.raises(BenchError, match=named):
            call()


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"wiring": Wiring(dendrite=2, reset=4, sync=3, select=(5, 6, 7, 8))}, "GPIOs in a row"),
        ({"axon_pin": 8}, "pin 8: line and axon"),
        ({"limits": Limits(vth_max_v=3.0)}, "mcp4728 makes 2047500 at most"),
    ],
)
def test_wiring_that_the_pico_cannot_have_is_refused(server: PicoServer, changes: dict[str, Any], named: str) -> None:
    with pytest.raises(InputError, match=named):
        opened(bench_file(server.port, **changes))


# ---- threshold ----------------------------------------------------------------------------------------------------


def test_the_parked_threshold_is_stored_in_its_dac(server: PicoServer) -> None:
    pico = opened(bench_file(server.port, limits=Limits(vth_max_v=1.8)))
    assert pico.power_up_v() == pytest.approx(2.0)
    assert pico.store_park() == pytest.approx(1.8)
    assert pico.power_up_v() == pytest.approx(1.8)
    pico.close()


def test_threshold_is_set_in_steps_and_parked_on_every_way_out(server: PicoServer) -> None:
    board = server.chip.board
    pico = opened(bench_file(server.port))
    assert at_rest(board)
    assert pico.set_threshold(0.70012) == pytest.approx(0.7)
    assert board.threshold_v == pytest.approx(0.7)
    with pytest.raises(InputError, match=r"0\.2…2"):
        pico.set_threshold(0.1)
    pico.park()
    assert at_rest(board)
    pico.set_threshold(0.8)
    pico.stop()
    pico.stop()
    assert at_rest(board)
    pico.set_threshold(0.8)
    pico.close()
    pico.close()
    assert at_rest(board)


# ---- start-up checks ----------------------------------------------------------------------------------------------


def test_all_checks_are_well_on_a_good_bench(pico: Pico) -> None:
    checks = pico.checks()
    assert [check.name for check in checks if not check.ok] == []
    assert len(checks) >= 6


@pytest.mark.parametrize(
    ("options", "failing"),
    [
        ({"dac": "none"}, "Pico DAC"),
        ({"fault": "stuck_axon_high"}, "Pico axon at rest"),
        ({"fault": "inverted_comparator"}, "Pico axon at rest"),
    ],
)
def test_a_check_fails_where_something_is_wrong(options: dict[str, str], failing: str) -> None:
    board = new_board(faults=[options.pop("fault")]) if "fault" in options else new_board()
    with PicoServer(board, **options) as server:  # type: ignore[arg-type]
        pico = opened(bench_file(server.port))
        assert failing in [check.name for check in pico.checks() if not check.ok and check.advice]
        pico.close()


def test_a_pico_2_is_told_of_its_pull_downs(server: PicoServer, pico: Pico) -> None:
    """RP2350 erratum E9; what the host knows a Pico 2 by is what its MicroPython says of the machine."""
    assert not any("E9" in check.advice for check in pico.checks())
    pico._id["machine"] = "Raspberry_Pi_Pico_2_with_RP2350"
    told = [check.name for check in pico.checks() if "8.2 kΩ" in check.advice]
    assert told == ["Pico axon at rest"]  # no stop is wired


def test_another_firmware_than_ours_is_noticed(server: PicoServer) -> None:
    with (server.flash / "dac.py").open("a") as file:
        file.write("# changed\n")
    pico = opened(bench_file(server.port))
    assert [check.name for check in pico.checks() if not check.ok] == ["Pico firmware"]
    pico.close()


# ---- faults: recovers, or stops safe with a name; never a wrong count ---------------------------------------------


def begin_long(server: PicoServer, shot: Frame | None = None, **changes: Any) -> Pico:
    pico = opened(bench_file(server.port, **changes))
    pico.set_threshold(0.7)
    shot = frame(LONG) if shot is None else shot
    pico.load(shot)
    pico.arm(shot)
    pico.start()
    return pico


@pytest.mark.parametrize(
    ("fault", "named"), [("unplugged", "is gone|does not answer"), ("reboot", "has rebooted|does not answer")]
)
def test_a_lost_or_rebooted_board_is_noticed_within_a_second(
    fault: str, named: str, impatient: Callable[[], None]
) -> None:
    """One that has rebooted says so only if it begins within the host's patience; a Pico takes 0.6 s and more."""
    with PicoServer(new_board(), faults=[fault]) as server:
        pico = begin_long(server)
        impatient()
        began = time.monotonic()
        with pytest.raises(ConnectionLostError, match=named):
            pico.wait()
        assert time.monotonic() - began < 1.0 + 1.0  # a second, and one for this machine
        assert server.chip.board.levels() == 0
        with pytest.raises(ConnectionLostError, match=named):
            pico.read()
        pico.close()


def test_a_board_lost_between_shots_is_noticed_by_the_heartbeat(
    server: PicoServer, impatient: Callable[[], None]
) -> None:
    pico = opened(bench_file(server.port))
    impatient()
    server.unplug()
    assert soon(lambda: pico.link.lost is not None)
    with pytest.raises(ConnectionLostError, match=r"plug it in again|does not answer"):
        pico.set_threshold(0.7)
    pico.close()


def test_a_garbled_reply_is_asked_for_again() -> None:
    counts = np.arange(1, 60)
    with PicoServer(new_board(), faults=["garbled_line"]) as server:
        pico = opened(bench_file(server.port))
        pico.set_threshold(0.7)
        assert play(pico, frame(counts)).spikes.tolist() == counts.tolist()
        assert server.faults == set()  # it has struck
        pico.close()


def test_a_garbled_request_is_sent_again(server: PicoServer, pico: Pico, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[bytes] = []
    send = PicoLink._send

    def garbling(link: PicoLink, line: bytes) -> None:
        sent.append(line)
        send(link, line.replace(b" data ", b" dXta ") if b" data " in line and len(sent) == 1 else line)

    monkeypatch.setattr(
        PicoLink, "_send", lambda link, line: garbling(link, line) if b" data " in line else send(link, line)
    )
    assert play(pico, frame([4, 0, 9])).spikes.tolist() == [4, 0, 9]
    assert len(sent) == 2


def test_stale_firmware_is_refused_with_the_remedy() -> None:
    with (
        PicoServer(new_board(), faults=["stale_firmware"]) as server,
        pytest.raises(BenchError, match=r"0\.9\.0.*hil flash"),
    ):
        opened(bench_file(server.port))


def test_a_hanging_interpreter_is_reset_by_the_chips_watchdog(impatient: Callable[[], None]) -> None:
    with PicoServer(new_board()) as server:
        pico = begin_long(server)
        impatient()
        server.hang()
        with pytest.raises(ConnectionLostError):
            pico.wait()
        board = server.chip.board
        assert soon(lambda: board.levels() == 0 and board.busy_until_ns() <= board.clock())
        pico.close()
        assert soon(lambda: at_rest(board))
        again = opened(bench_file(server.port))
        again.close()


def test_firmware_that_a_busy_machine_keeps_from_running_is_not_reset(monkeypatch: pytest.MonkeyPatch) -> None:
    """It does not feed the watchdog, and nobody looks but the twin, which sees that it is ready and waits."""
    asked: list[int] = []
    resets: list[int] = []

    def counted(*_: int) -> None:
        resets.append(1)

    def ready(_process: object) -> float:
        asked.append(1)
        return 1.0

    with PicoServer(new_board()) as server:
        server.wait_until_up()
        with monkeypatch.context() as patch:
            patch.setattr("drivers.mock.pico.server.running_s", ready)
            patch.setattr(server, "reset", counted)
            assert soon(lambda: len(asked) > 1)  # what it had run before may count once
            server.hang()
            server.chip.watchdog_s = 0.1
            began = len(asked)
            assert soon(lambda: len(asked) > began + 20)  # 0.4 s at least
            assert not resets
        with monkeypatch.context() as patch:
            patch.setattr(server, "reset", counted)
            assert soon(lambda: bool(resets))  # stopped, it hangs


def test_firmware_that_waits_for_a_busy_twin_is_not_reset(monkeypatch: pytest.MonkeyPatch) -> None:
    """It asks the chip whatever it does, and feeds nothing until it is answered."""
    looks: list[int] = []
    resets: list[int] = []

    def counted(*_: int) -> None:
        resets.append(1)

    def asleep(_process: object) -> None:
        looks.append(1)

    with PicoServer(new_board()) as server:
        server.wait_until_up()
        with monkeypatch.context() as patch, server.chip.lock:
            patch.setattr("drivers.mock.pico.server.running_s", asleep)
            patch.setattr(server, "reset", counted)
            server.chip.watchdog_s = 0.1
            assert soon(lambda: len(looks) > 30)  # 0.6 s at least
            assert not resets


@pytest.mark.skipif(micropython() is None, reason="no micropython for this machine")
def test_ctrl_c_makes_the_board_safe_and_stops_the_chips_watchdog(impatient: Callable[[], None]) -> None:
    """mpremote sends it; the REPL that follows must not be reset under the user's hands."""
    with PicoServer(new_board()) as server:
        pico = begin_long(server)
        impatient()
        terminal = os.open(server.port, os.O_WRONLY | os.O_NOCTTY)
        os.write(terminal, b"\x03")
        os.close(terminal)
        assert soon(lambda: at_rest(server.chip.board))
        assert soon(lambda: server.chip.watchdog_s is None)
        with pytest.raises(ConnectionLostError):
            pico.wait()
        pico.close()


def test_e_stop_stops_the_shot_with_its_own_error() -> None:
    with PicoServer(new_board(), pins=Pins(WIRING, estop=22)) as server:
        pico = begin_long(server, estop_pin=22)
        server.pins.estop_high = False
        with pytest.raises(EmergencyStopError, match="emergency stop"):
            pico.wait()
        assert at_rest(server.chip.board)
        pico.close()
        pico = Pico(bench_file(server.port, estop_pin=22))
        with pytest.raises(EmergencyStopError, match="pressed or its wire is broken"):
            pico.clear()
        server.pins.estop_high = True
        with pytest.raises(EmergencyStopError, match="`hil bench clear`"):
            pico.prepare()  # released, but nobody has looked into it
        assert pico.latch == "estop"
        pico.clear()
        pico.prepare()
        pico.close()
        opened(bench_file(server.port, estop_pin=22)).close()


def test_what_a_dead_host_left_playing_is_taken_over(server: PicoServer) -> None:
    dead = begin_long(server)
    dead.link._closing.set()  # as SIGKILL does: no farewell
    assert dead.link._thread is not None
    dead.link._thread.join()  # a beat on its way would read from what is closed
    dead.link._serial.close()
    pico = opened(bench_file(server.port))
    assert at_rest(server.chip.board)
    pico.set_threshold(0.7)
    assert play(pico, frame([3, 5])).spikes.tolist() == [3, 5]
    pico.close()


def test_silence_in_a_session_is_an_unsafe_error(server: PicoServer) -> None:
    few = frame(np.full(390, 155), dendrite_clock_hz=40e3)  # 1.5 s, in which no counts are worth asking for
    pico = begin_long(server, few, heartbeat_timeout_s=1.0)
    pico.link._closing.set()  # no heartbeat any more
    with pytest.raises(UnsafeError, match="heard nothing from this computer"):
        pico.wait()
    with pytest.raises(UnsafeError, match="heard nothing from this computer"):
        pico.check()
    assert at_rest(server.chip.board)
    pico.close()


@pytest.mark.parametrize("fault", ["stuck_axon_high", "inverted_comparator"])
def test_a_wrong_axon_line_is_a_capture_error_that_says_so(fault: str) -> None:
    with PicoServer(new_board(faults=[fault])) as server:
        pico = opened(bench_file(server.port))
        pico.set_threshold(0.7)
        with pytest.raises(CaptureError, match=r"edges of sync.*axon is high at rest"):
            play(pico, frame([5, 3, 4]))
        pico.close()


def test_a_program_that_the_twin_has_not_been_proven_for_is_refused() -> None:
    server = PicoServer(new_board())
    text = (server.flash / "sequencer.py").read_text()
    (server.flash / "sequencer.py").write_text(text.replace('jmp("settle").side(0)', 'jmp("settle").side(4)'))
    with server:
        pico = opened(bench_file(server.port))
        pico.load(frame([3]))
        with pytest.raises(BenchError, match="proven"):
            pico.start()
        pico.close()
        with pytest.raises(TwinError, match="proven"):
            raise server.errors.pop()


HOST = """
    import sys
    import numpy as np
    from drivers.signals import SlotTiming, probe_frame
    from tests.drivers.pico.test_device import LONG, bench_file, opened
    pico = opened(bench_file(sys.argv[1], heartbeat_timeout_s=float(sys.argv[2])))
    pico.set_threshold(0.7)
    shot = probe_frame("test", SlotTiming(dendrite_clock_hz=20e3), LONG)
    pico.load(shot)
    pico.start()
    print("playing", flush=True)
    pico.wait()
"""


def test_a_killed_host_leaves_the_board_at_rest_within_the_watchdog_time(server: PicoServer) -> None:
    """SIGKILL in the middle of a shot of three seconds; the Pico is told to wait half a second."""
    silence_s = 0.5
    host = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(HOST), server.port, str(silence_s)], stdout=subprocess.PIPE
    )
    assert host.stdout is not None
    assert host.stdout.readline() == b"playing\n"
    board = server.chip.board
    assert soon(lambda: board.levels() != 0)
    host.send_signal(signal.SIGKILL)
    host.wait()
    host.stdout.close()
    killed_ns = board.clock()
    assert board.threshold_v == pytest.approx(0.7)
    assert board.busy_until_ns() > killed_ns + 1_000_000_000
    assert soon(lambda: at_rest(board), silence_s + 1.0)  # and a second for this machine
    t, levels = board.lines(killed_ns, board.clock())
    assert int(t[-1]) - killed_ns < (silence_s + 1.0) * 1e9
    assert levels[-1] == 0
    with serial.Serial(server.port, timeout=1) as port:
        port.write(b"\n" + protocol.request(9, "beat", []))
        line = port.read_until(b"\n")
        while not line.startswith(b"OK 9"):
            line = port.read_until(b"\n")
    assert b"latch=silence" in line
    again = opened(bench_file(server.port))  # a new host clears it
    again.set_threshold(0.7)
    assert play(again, frame([2, 3])).spikes.tolist() == [2, 3]
    again.close()


# ---- the line -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def raw() -> Iterator[serial.Serial]:
    with PicoServer(new_board()) as server, serial.Serial(server.port, timeout=20.0) as port:
        yield port


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.binary(min_size=1, max_size=3000), min_size=1, max_size=3))
def test_no_input_stops_the_loop(raw: serial.Serial, lines: list[bytes]) -> None:
    """Any bytes but the interrupt, 3: one well-formed reply a line, and the next request is answered."""
    for line in lines:
        raw.write(line.translate(None, b"\x03\r\n") + b"\n")
    raw.write(protocol.request(4321, "beat", []))
    replies = 0
    while True:
        got = raw.read_until(b"\n")
        number, fields, code, _ = protocol.parse_reply(got[:-1])
        replies += 1
        if number == 4321:
            break
        assert code in protocol.CODES
        assert number == 0
    assert fields["latch"] == "boot"
    assert replies == 1 + sum(1 for line in lines if line.translate(None, b"\x03\r\n"))


def test_a_half_sent_payload_ends_in_an_error(raw: serial.Serial) -> None:
    args = protocol.data_args(8, 1, 0, b"\x05\x01" * 60)
    line = protocol.request(8, "data", args)
    raw.write(line[:100] + b"\n" + b"A" * 128 + b"\n")
    assert protocol.parse_reply(raw.read_until(b"\n")[:-1])[2] == "checksum"
    raw.write(b"\n" + protocol.request(9, "beat", []))
    while True:
        got = protocol.parse_reply(raw.read_until(b"\n")[:-1])
        if got[0] == 9:
            break


def test_a_late_reply_is_never_taken_for_a_new_one() -> None:
    """A peer that first sends what may have been left over: another number, no reply at all, and then the reply."""
    ours, theirs = os.openpty()
    tty.setraw(theirs)
    link = PicoLink(os.ttyname(theirs))

    def answer() -> None:
        number, _, _ = protocol.parse_request(os.read(ours, 1000)[:-1])
        late = protocol.reply(number + 40, [("code", 1)]) + b"MPY: soft reboot\r\n"
        os.write(ours, late + protocol.reply(number, [("code", 2)]))

    peer = threading.Thread(target=answer)
    peer.start()
    assert link.ask("vth") == {"code": "2"}
    peer.join()
    link.close()
    os.close(ours)
    os.close(theirs)


@pytest.mark.parametrize(
    ("fields", "named"),
    [([], "lacks uv"), ([("uv", "many")], "uv=many, which is no whole number")],
)
def test_a_reply_that_lacks_what_belongs_in_it_is_named(fields: list[tuple[str, object]], named: str) -> None:
    ours, theirs = os.openpty()
    tty.setraw(theirs)
    link = PicoLink(os.ttyname(theirs))

    def answer() -> None:
        number, _, _ = protocol.parse_request(os.read(ours, 1000)[:-1])
        os.write(ours, protocol.reply(number, fields))

    peer = threading.Thread(target=answer)
    peer.start()
    with pytest.raises(BenchError, match=f"{named}.*hil flash"):
        link.ask("vth").number("uv")
    peer.join()
    link.close()
    os.close(ours)
    os.close(theirs)


@pytest.mark.parametrize("runs", [[3], [3, 0], [3, 1 << 34], [1 << 34, 1], [3, 5]])
def test_counts_that_are_none_are_refused_before_they_are_unpacked(runs: list[int]) -> None:
    data = bytearray()
    for number in runs:
        protocol.put_varint(data, number)
    with pytest.raises(BenchError, match="the Pico sent"):
        unpack_counts(protocol.to_base64(bytes(data)).decode(), 4)


# ---- discovery ----------------------------------------------------------------------------------------------------


def on_usb(*found: tuple[int, int, str]) -> Any:
    return lambda: [SimpleNamespace(vid=v, pid=p, device=d, serial_number=d[-1]) for v, p, d in found]


def test_the_one_pico_on_usb_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(list_ports, "comports", on_usb((0x1A86, 0x7523, "/dev/ttyUSB0"), (0x2E8A, 5, "/dev/ttyACM0")))
    assert find_port() == "/dev/ttyACM0"


def test_no_pico_and_two_picos_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(list_ports, "comports", on_usb((0x1A86, 0x7523, "/dev/ttyUSB0")))
    with pytest.raises(ConnectionLostError, match="2E8A:0005"):
        find_port()
    monkeypatch.setattr(list_ports, "comports", on_usb((0x2E8A, 5, "/dev/ttyACM0"), (0x2E8A, 5, "/dev/ttyACM1")))
    with pytest.raises(InputError, match=r"ACM0.*ACM1"):
        find_port()


def test_a_port_that_is_not_there_is_said() -> None:
    with pytest.raises(ConnectionLostError, match="cannot be opened: it is not there; plug it in"):
        opened(bench_file("/dev/ttyNONE"))


@pytest.mark.parametrize(
    ("number", "text", "named"),
    [(errno.EACCES, "Permission denied", "dialout"), (None, "Could not exclusively lock port", "another program")],
)
def test_a_port_that_is_refused_is_told_why(
    monkeypatch: pytest.MonkeyPatch, number: int | None, text: str, named: str
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise serial.SerialException(*([] if number is None else [number]), text)

    monkeypatch.setattr(serial, "Serial", refuse)
    with pytest.raises(ConnectionLostError, match=named):
        PicoLink("/dev/ttyACM0")


def test_something_else_on_the_port_is_said(impatient: Callable[[], None]) -> None:
    impatient()
    ours, theirs = os.openpty()
    with pytest.raises(ConnectionLostError, match="hil flash"):
        opened(bench_file(os.ttyname(theirs)))
    os.close(ours)
    os.close(theirs)


def test_a_fault_that_is_none_is_refused() -> None:
    with pytest.raises(InputError, match="unplugged"):
        PicoServer(new_board(), faults=["on_fire"])


def test_it_says_how_warm_its_chip_is(server: PicoServer, pico: Pico) -> None:
    """To half a step of the converter, 0.47 °C."""
    for celsius in (-5.0, 31.0, 60.0):
        server.chip.temperature_c = celsius
        assert pico.temperature_c == pytest.approx(celsius, abs=0.3)


def test_a_machine_that_stands_still_is_no_hang_of_the_pico(
    server: PicoServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three seconds pass for the board while neither the firmware nor what watches it may run."""
    pico = opened(bench_file(server.port))
    clock = server.chip.board.clock
    with server.chip.lock:
        monkeypatch.setattr(server.chip.board, "clock", lambda: clock() + 3_000_000_000)
        time.sleep(0.1)
    pico.check()
    pico.close()

"""The pigpio pulse source through the unmodified pigpio client, against the strict twin of the daemon.

Time is the twin's: it passes only while the driver waits, so that nothing depends on how fast this machine is.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing

import numpy as np
import pigpio
import pytest

from drivers.device import load_device
from drivers.edges import RESET, compile_levels
from drivers.errors import BenchError, ConnectionLostError, UnsafeError
from drivers.mock.board import Board
from drivers.mock.pigpiod import PigpiodServer
from drivers.pigpio.checks import PLAYED, pigpio_checks
from drivers.pigpio.link import Clock, PigpioLink
from drivers.pigpio.reports import Reports, ReportStream, gathered
from drivers.pigpio.source import PigpioPulses
from drivers.pigpio.stream import WaveStream
from drivers.pigpio.waves import TICK_S, plan_waves
from drivers.settings import BoardSettings, PigpioSettings, Wiring
from drivers.signals import Frame, SlotTiming, probe_frame
from tests.wire.garbling import TO_HOST, Damage, tcp

pytestmark = pytest.mark.wire

BOARD = BoardSettings(addresses=4)
WIRING = Wiring(dendrite=17, reset=27, sync=22, select=(9, 10, 11, 12))
LINES = sum(1 << line.pin for line in WIRING.lines())
MANY = np.full(3_000, 6)  # some 40 000 edges: eight waves


class TwinTime:
    """A clock for board and driver alike that moves only when somebody waits."""

    def __init__(self) -> None:
        self.ns = 1_000_000_000
        self.oversleeps_s = 0.0
        self.on_wait: Callable[[], object] = int

    def __call__(self) -> int:
        return self.ns

    def wait(self, event: threading.Event, s: float) -> bool:
        self.on_wait()
        self.ns += round((s + self.oversleeps_s) * 1e9)
        return event.is_set()

    def clock(self) -> Clock:
        return Clock(now_s=lambda: self.ns * 1e-9, wait=self.wait)


@pytest.fixture
def time_of_twin() -> TwinTime:
    return TwinTime()


@pytest.fixture
def board(time_of_twin: TwinTime) -> Board:
    board = Board(load_device("ideal"), BOARD, clock=time_of_twin)
    board.set_threshold(0.7)
    return board


@pytest.fixture
def server(board: Board) -> Iterator[PigpiodServer]:
    with PigpiodServer(board, WIRING) as server:
        yield server


def address(server: PigpiodServer) -> PigpioSettings:
    return PigpioSettings(host=server.host, port=server.port)


@pytest.fixture
def source(server: PigpiodServer, time_of_twin: TwinTime) -> Iterator[PigpioPulses]:
    source = PigpioPulses(address(server), WIRING, BOARD, clock=time_of_twin.clock())
    source.prepare()
    yield source
    source.close()


def frame(counts: np.ndarray | list[int], **timing: float) -> Frame:
    return probe_frame("test", SlotTiming(**timing), counts)


def play(source: PigpioPulses, shot: Frame) -> None:
    source.load(shot)
    source.start()
    source.wait()


def seen(board: Board, since_ns: int) -> tuple[np.ndarray, np.ndarray]:
    """Level changes on the board's lines since a time; zero-length levels are what SET before CLEAR shows."""
    t, levels = board.lines(since_ns, board.busy_until_ns() + 1)
    last = np.append(t[1:] != t[:-1], True)
    t, levels = t[last], levels[last]
    changed = levels != np.concatenate([[0], levels[:-1]])
    return t[changed], levels[changed]


@pytest.mark.parametrize(
    "shot",
    [frame([1, 0, 5, 3]), frame(MANY), frame([3, 9_000, 2]), frame([2, 7], dendrite_clock_hz=10)],
    ids=["one wave", "streamed", "a slot longer than a wave", "slow clock"],
)
def test_the_board_sees_just_the_planned_shot(source: PigpioPulses, board: Board, shot: Frame) -> None:
    before = board.clock()
    play(source, shot)
    t, levels = seen(board, before)
    planned_t, planned = compile_levels(shot, BOARD, TICK_S)
    for bits in (1, 2, 4):
        ours = np.flatnonzero(np.diff(levels & bits, prepend=0))
        theirs = np.flatnonzero(np.diff(planned & bits, prepend=0))
        assert ((t[ours] - t[0]) // 1000).tolist() == planned_t[theirs].tolist()
    assert board.levels() == 0
    assert source.underruns == 0


def test_every_pulse_reaches_the_neuron_once(source: PigpioPulses, board: Board) -> None:
    shot = frame(MANY)
    play(source, shot)
    board.set_threshold(0.7)  # ends the segment in hand
    assert board.pulses_total == shot.total_pulses
    assert board.resets_total == len(shot)


def test_shots_follow_each_other_and_the_next_is_loaded_while_one_plays(source: PigpioPulses, board: Board) -> None:
    first, second = frame(MANY), frame([4, 4])
    source.load(first)
    source.start()
    source.load(second)
    source.wait()
    source.start()
    source.wait()
    board.set_threshold(0.7)
    assert board.pulses_total == first.total_pulses + 8


def asked(source: PigpioPulses, monkeypatch: pytest.MonkeyPatch, method: str) -> list[str]:
    """The methods that are called on the source's link from now on; `method` is refused once it is emptied."""
    calls: list[str] = []
    call = source._link.call

    def noted(name: str, *arguments: object) -> int:
        calls.append(name)
        if name == method:
            raise BenchError(f"pigpiod refused {name}: No more CBs for waveform")
        return call(name, *arguments)

    monkeypatch.setattr(source._link, "call", noted)
    return calls


def made(server: PigpiodServer) -> int:
    """How many waves there are."""
    return sum(not wave.deleted for wave in server._daemon.memory.waves)


def play_and_load(source: PigpioPulses, time_of_twin: TwinTime, following: Frame) -> None:
    """Play the loaded shot, and have the first waves of the next made, however quick or busy this machine is."""
    loaded = threading.Event()
    time_of_twin.on_wait = lambda: loaded.wait(30)
    source.start()
    source.load(following)
    loaded.set()
    source.wait()
    assert source._stream is not None
    source._stream.join()


def test_the_first_waves_of_the_next_shot_are_made_when_this_one_is_over(
    source: PigpioPulses,
    board: Board,
    server: PigpiodServer,
    time_of_twin: TwinTime,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Three, or two where there is room for no more, or what there are."""
    shots = [frame(MANY), frame(MANY), frame([2_300] * 3), frame([4, 4]), frame([2] * 40)]
    source.load(shots[0])
    for following, waves in zip(shots[1:], [3, 2, 1, 1], strict=True):
        play_and_load(source, time_of_twin, following)
        assert made(server) == waves
    with monkeypatch.context() as patch:
        calls = asked(source, patch, "")
        source.start()
        source.wait()
    assert calls[:3] == ["wave_tx_at", "get_current_tick", "wave_send_using_mode"]
    assert "wave_create_and_pad" not in calls
    board.set_threshold(0.7)
    assert board.pulses_total == sum(shot.total_pulses for shot in shots)
    assert made(server) == 0


def test_the_same_is_asked_whoever_makes_the_first_waves(
    source: PigpioPulses, time_of_twin: TwinTime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that a conversation can be played again: the next shot may be known late, or not before it is started."""
    conversations = []
    for early in (True, False):
        calls = asked(source, monkeypatch, "")
        source.load(frame([5, 6]))
        if early:
            play_and_load(source, time_of_twin, frame(MANY[:1_500]))
        else:
            source.start()
            source.wait()
            source.load(frame(MANY[:1_500]))
        source.start()
        source.wait()
        conversations.append(calls)
        monkeypatch.undo()
    assert conversations[0] == conversations[1]


def test_what_was_made_ahead_and_is_not_played_is_deleted(
    source: PigpioPulses, board: Board, server: PigpiodServer, time_of_twin: TwinTime
) -> None:
    """Whether another shot is loaded instead, or all is stopped."""
    one, other, last = frame(MANY[:1_500]), frame([7] * 500), frame([3] * 1_500)
    source.load(one)
    play_and_load(source, time_of_twin, other)
    source.load(last)
    play_and_load(source, time_of_twin, other)
    board.set_threshold(0.7)
    assert board.pulses_total == one.total_pulses + last.total_pulses
    assert made(server) > 0
    source.stop()
    assert made(server) == 0
    play(source, one)


def test_a_wave_is_queued_with_few_requests(
    source: PigpioPulses, board: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What plays is asked for where that is not sure, and pulses of nobody's are thrown away once."""
    calls = asked(source, monkeypatch, "")
    play(source, frame(MANY))
    sends = [i for i, name in enumerate(calls) if name == "wave_send_using_mode"]
    looks = [calls[i - 1] == "get_current_tick" for i in sends]
    assert len(sends) > 6
    assert looks[0]
    assert sum(looks) <= 2
    assert calls.count("wave_add_new") == 1
    board.set_threshold(0.7)
    assert board.pulses_total == MANY.sum()


def test_pulses_that_a_dead_host_left_are_not_played(source: PigpioPulses, board: Board, server: PigpiodServer) -> None:
    other = pigpio.pi(server.host, server.port)
    for _ in range(2):
        other.wave_add_generic([pigpio.pulse(1 << WIRING.sync, 0, 7), pigpio.pulse(0, 1 << WIRING.sync, 7)])
        play(source, frame([2]))
    other.stop()
    board.set_threshold(0.7)
    assert board.pulses_total == 4
    assert board.resets_total == 2


def test_a_shot_is_not_lost_where_the_next_cannot_be_made_ahead(
    source: PigpioPulses, board: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    source.load(frame([5]))
    source.start()
    with monkeypatch.context() as patch:
        asked(source, patch, "wave_create_and_pad")
        source.load(frame([4, 4]))
        source.wait()
        with pytest.raises(BenchError, match="No more CBs"):
            source.start()
    board.set_threshold(0.7)
    assert board.pulses_total == 5


def test_a_shot_without_pulses_plays_nothing(source: PigpioPulses, board: Board) -> None:
    play(source, frame([0, 0]))
    assert board.resets_total == 0


def test_all_waves_are_deleted_afterwards(source: PigpioPulses, server: PigpiodServer) -> None:
    play(source, frame(MANY))
    other = pigpio.pi(server.host, server.port)
    other.wave_add_generic([pigpio.pulse(0, 0, 10)])
    assert other.wave_create_and_pad(100) == 0
    other.stop()


def test_when_the_host_is_late_every_pulse_is_played_once_and_the_pauses_are_counted(
    source: PigpioPulses, board: Board, time_of_twin: TwinTime
) -> None:
    """Each time the daemon has run dry the next wave starts anew, and none is sent twice."""
    shot = frame(MANY)
    source.load(shot)
    source.start()
    time_of_twin.oversleeps_s = 0.2
    source.wait()
    board.set_threshold(0.7)
    assert source.underruns > 1
    assert board.pulses_total == shot.total_pulses
    assert board.busy_until_ns() < board.clock()
    assert board.levels() == 0


def test_stop_brings_all_lines_low_at_once(source: PigpioPulses, board: Board, server: PigpiodServer) -> None:
    source.load(frame([30, 30], dendrite_clock_hz=10))
    source.start()
    source.stop()
    assert board.levels() == 0
    assert board.busy_until_ns() <= board.clock()
    with pytest.raises(BenchError, match="stopped"):
        source.wait()
    source.stop()
    play(source, frame([1]))


def test_nothing_is_sent_once_the_shot_is_stopped(server: PigpiodServer, source: PigpioPulses, board: Board) -> None:
    """As when the emergency stop is pressed just as a shot is being started."""
    source.load(frame([5]))
    link = PigpioLink(address(server))
    waves = plan_waves(frame([5]), WIRING, BOARD)
    stream = WaveStream(link, Clock(), waves)
    stream.stop()
    with pytest.raises(BenchError, match="stopped"):
        stream.begin()
    stream.delete()
    link.close()
    assert board.levels(board.busy_until_ns()) == 0


def test_it_is_used_in_order(source: PigpioPulses) -> None:
    with pytest.raises(BenchError, match="load before start"):
        source.start()
    with pytest.raises(BenchError, match="start before wait"):
        source.wait()
    source.close()
    source.close()
    source.load(frame([1]))
    with pytest.raises(ConnectionLostError, match="closed"):
        source.start()


def test_what_another_program_plays_is_not_cut_off(server: PigpiodServer, time_of_twin: TwinTime) -> None:
    other = pigpio.pi(server.host, server.port)
    other.wave_add_generic([pigpio.pulse(0, 0, 1000)])
    other.wave_send_repeat(other.wave_create())
    with (
        closing(PigpioPulses(address(server), WIRING, BOARD, clock=time_of_twin.clock())) as source,
        pytest.raises(BenchError, match="another program plays waves"),
    ):
        source.prepare()
    assert other.wave_tx_busy()
    other.stop()


def test_another_program_that_stops_our_waves_is_noticed(
    source: PigpioPulses, server: PigpiodServer, time_of_twin: TwinTime
) -> None:
    other = pigpio.pi(server.host, server.port)
    source.load(frame([30, 30], dendrite_clock_hz=10))
    time_of_twin.on_wait = other.wave_tx_stop
    source.start()
    with pytest.raises(BenchError, match="too soon"):
        source.wait()
    other.stop()


def test_it_says_what_it_is(source: PigpioPulses) -> None:
    assert source.identity["pigpiod"].startswith("127.0.0.1:")
    assert (source.identity["pigpiod_version"], source.identity["pi_revision"]) == ("79", "c03114")
    assert source.tick_s == 1e-6


def test_checks_of_a_good_daemon(source: PigpioPulses) -> None:
    checks = {check.name: check for check in source.checks()}
    assert all(check.ok for check in checks.values()), checks
    assert "version 79" in checks["pigpiod"].detail
    assert "4B" in checks["Raspberry Pi"].detail
    assert "dendrite 17" in checks["pins"].detail
    assert checks[PLAYED].detail.startswith("1.00")


@pytest.mark.parametrize(
    ("fault", "ratio", "issue"), [("doubled_clock", "2.0", "#331"), ("slow_clock", "1.13", "#137")]
)
def test_the_known_faults_of_the_wave_clock_are_named(
    board: Board, time_of_twin: TwinTime, fault: str, ratio: str, issue: str
) -> None:
    with PigpiodServer(board, WIRING, faults=[fault]) as server:
        checks = {c.name: c for c in pigpio_checks(address(server), WIRING, clock=time_of_twin.clock())}
    assert not checks[PLAYED].ok
    assert checks[PLAYED].detail.startswith(ratio)
    assert issue in checks[PLAYED].advice


@pytest.mark.parametrize(
    ("pin", "problem"),
    [
        (3, "select0 on GPIO 3: GPIO 0-8 are pulled up at boot"),
        (28, "GPIO 28: pigpiod may drive"),
        (14, "GPIO 14: GPIO 14 and 15 are the serial port's"),
        (18, "GPIO 18: taken by a periph"),
    ],
)
def test_impossible_pins_are_named_with_an_alternative(
    server: PigpiodServer, time_of_twin: TwinTime, pin: int, problem: str
) -> None:
    other = pigpio.pi(server.host, server.port)
    other.set_mode(18, pigpio.ALT0)
    wiring = WIRING.model_copy(update={"select": (pin, 10, 11, 12)})
    checks = {c.name: c for c in pigpio_checks(address(server), wiring, clock=time_of_twin.clock())}
    other.stop()
    assert not checks["pins"].ok
    assert problem in checks["pins"].detail
    assert "GPIO 9" in checks["pins"].advice


def test_connection_refused(board: Board) -> None:
    with PigpiodServer(board, WIRING, faults=["connection_refused"]) as server:
        with pytest.raises(ConnectionLostError, match=r"no pigpiod at .*refused; start it with"):
            PigpioPulses(address(server), WIRING, BOARD)
        (check,) = pigpio_checks(address(server), WIRING)
    assert (check.name, check.ok) == ("pigpiod", False)
    assert "systemctl start pigpiod" in check.advice


def test_something_else_that_listens_is_recognised(board: Board) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        settings = PigpioSettings(host="127.0.0.1", port=listener.getsockname()[1])
        with pytest.raises(ConnectionLostError, match="timed out"):
            PigpioLink(settings, timeout_s=0.02)
        listener.accept()[0].close()

        def hang_up() -> None:
            listener.accept()[0].close()

        talker = threading.Thread(target=hang_up)
        talker.start()
        with pytest.raises(ConnectionLostError, match=r"is not pigpiod|reset"):
            PigpioLink(settings, timeout_s=1.0)
        talker.join()


def test_a_reply_that_comes_twice_puts_nothing_out_of_step(server: PigpiodServer) -> None:
    """From the first on: the client itself would take the levels of the pins for the handle of a notification."""
    for number in range(4):
        damage = Damage("repeat", TO_HOST, number, np.random.default_rng(0))
        with tcp(server.port, damage) as port:
            link = PigpioLink(PigpioSettings(host=server.host, port=port))
            found = [link.call("get_pigpio_version"), link.call("get_hardware_revision"), link.call("read", 17)]
            link.close()
        assert damage.struck
        assert found == [79, 0xC03114, 0], number


def test_a_notification_whose_handle_comes_twice_reports_no_more(server: PigpiodServer, time_of_twin: TwinTime) -> None:
    with tcp(server.port, Damage("repeat", TO_HOST, 0, np.random.default_rng(0))) as port:
        stream = ReportStream(PigpioSettings(host=server.host, port=port))
        link = PigpioLink(address(server))
        link.call("notify_begin", stream.handle, 1 << 22)
        for level in (1, 0, 1):
            link.call("write", 22, level)
            time_of_twin.ns += 10_000_000
        heard: list[Reports] = []
        while sum(map(len, heard)) < 3:
            assert stream.wait(5.0)
            heard.append(stream.take())
        link.call("write", 22, 0)
        link.close()
        stream.close()
    assert (gathered(heard).levels >> 22 & 1).tolist() == [1, 0, 1]
    assert not gathered(heard).after_gap.any()


def test_a_daemon_that_dies_in_a_shot_is_named_and_leaves_nothing_behind(board: Board, time_of_twin: TwinTime) -> None:
    before = set(threading.enumerate())
    with PigpiodServer(board, WIRING, faults=["dies_in_shot"]) as server:
        source = PigpioPulses(address(server), WIRING, BOARD, clock=time_of_twin.clock())
        source.prepare()
        source.load(frame([30, 30], dendrite_clock_hz=10))
        with pytest.raises(ConnectionLostError, match="stopped answering"):
            source.start()
        with pytest.raises(UnsafeError, match="low within 2 s"):
            source.stop()
        assert board.busy_until_ns() - board.clock() < 2_000_000_000
        assert board.levels(board.busy_until_ns()) == 0
        source.close()
    for thread in set(threading.enumerate()) - before:
        thread.join(timeout=5)
        assert not thread.is_alive()


def test_a_daemon_that_dies_while_a_shot_is_awaited(board: Board, server: PigpiodServer, source: PigpioPulses) -> None:
    source.load(frame(MANY))
    source.start()
    server.close()
    with pytest.raises(ConnectionLostError, match="stopped answering"):
        source.wait()
    assert board.levels(board.busy_until_ns()) == 0


def test_a_daemon_that_stops_answering_does_not_hang_the_host(server: PigpiodServer) -> None:
    link = PigpioLink(address(server), timeout_s=0.05)
    with server._daemon.lock, pytest.raises(ConnectionLostError, match="stopped answering in get_current_tick"):
        link.call("get_current_tick")
    assert link.lost


def test_memory_taken_by_another_program_is_a_named_error(board: Board, time_of_twin: TwinTime) -> None:
    with PigpiodServer(board, WIRING, faults=["out_of_control_blocks"]) as server:
        source = PigpioPulses(address(server), WIRING, BOARD, clock=time_of_twin.clock())
        source.prepare()
        source.load(frame([3]))
        with pytest.raises(BenchError, match="No more CBs for waveform: another program's waves"):
            source.start()
        assert board.levels() == 0
        source.close()


HOST = """
    import sys
    from drivers.benchfile import BoardSettings, PigpioSettings, Wiring
    from drivers.pigpio.source import PigpioPulses
    from drivers.signals import SlotTiming, probe_frame
    wiring = Wiring(dendrite=17, reset=27, sync=22, select=(9, 10, 11, 12))
    source = PigpioPulses(PigpioSettings(host="127.0.0.1", port=int(sys.argv[1])), wiring, BoardSettings(addresses=4))
    source.prepare()
    source.load(probe_frame("test", SlotTiming(dendrite_clock_hz=1e3), [6] * 800))
    source.start()
    print("playing", flush=True)
    source.wait()
"""


def test_a_killed_host_leaves_all_lines_low_within_2_s() -> None:
    board = Board(load_device("ideal"), BOARD)
    with PigpiodServer(board, WIRING) as server:
        host = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(HOST), str(server.port)], stdout=subprocess.PIPE, text=True
        )
        assert host.stdout is not None
        assert host.stdout.readline() == "playing\n"
        os.kill(host.pid, signal.SIGKILL)
        host.wait()
        host.stdout.close()
        killed_ns = time.monotonic_ns()
        assert board.busy_until_ns() > killed_ns  # in mid-shot
        assert board.busy_until_ns() < killed_ns + 2_000_000_000
        assert board.levels(board.busy_until_ns()) == 0
        t, levels = board.lines(board.busy_until_ns() - 100_000_000, board.busy_until_ns())
        assert (levels & RESET).any()
        assert len(t)
        next_host = PigpioPulses(address(server), WIRING, BOARD)
        next_host.prepare()  # waits for the rest, and clears up
        next_host.close()
        assert board.levels() == 0

"""What clients are told of pins: edges of software PWM, filtered inputs, serial data of somebody else."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pigpio
import pytest
from numpy.typing import NDArray

from drivers.device import load_device
from drivers.edges import RESET, SYNC
from drivers.mock.board import Board
from drivers.mock.pigpiod import PigpiodServer
from drivers.mock.pigpiod.protocol import Command
from drivers.settings import BoardSettings, Wiring

pytestmark = pytest.mark.wire

WIRING = Wiring(dendrite=17, reset=27, sync=22, select=(9, 10))
PIN = 5


class Clock:
    ns = 999_995_000

    def __call__(self) -> int:
        return self.ns


class Bench:
    """A daemon whose time is set, a client of it, and one that is told of pins."""

    def __init__(self, server: PigpiodServer, board: Board, clock: Clock) -> None:
        self.server, self.board, self.clock = server, board, clock
        self.pi = pigpio.pi(server.host, server.port)
        self.pi.set_pull_up_down(PIN, pigpio.PUD_DOWN)  # at boot it is pulled up: its first pulse would be no edge
        self.clock.ns += 5_000
        self._told = socket.create_connection((server.host, server.port), timeout=10)
        self.handle = self._ask(Command.NOIB)
        self.settle()

    def _ask(self, command: int) -> int:
        self._told.sendall(struct.pack("<4I", command, 0, 0, 0))
        return int(struct.unpack("<3Ii", self._told.recv(16, socket.MSG_WAITALL))[3])

    def watch(self, *pins: int) -> None:
        self.settle()
        with socket.create_connection((self.server.host, self.server.port), timeout=10) as other:
            other.sendall(struct.pack("<4I", Command.NB, self.handle, sum(1 << pin for pin in pins), 0))
            assert other.recv(16, socket.MSG_WAITALL)[12:] == bytes(4)

    def settle(self) -> None:
        """Wait until the daemon has looked at its pins up to now, and written what there was to report."""
        until = time.monotonic() + 30
        while not self._settled():
            assert time.monotonic() < until
            time.sleep(0.001)

    def _settled(self) -> bool:
        daemon = self.server._daemon
        with daemon.lock:
            seen = daemon.alerts.seen_ns >= self.clock.ns - self.clock.ns % 5_000
            return seen and daemon.alerts._writing_ns is None

    def passes(self, us: int, step_us: int = 5_000) -> None:
        for k in range(0, us, step_us):
            self.clock.ns += min(step_us, us - k) * 1_000
            self.pi.wave_tx_busy()
            self.settle()

    def reports(self, pin: int) -> NDArray[np.int64]:
        """(n, 2) ticks since the beginning, µs, and levels of one pin, of all reports so far."""
        self._told.setblocking(False)
        data = b""
        try:
            while part := self._told.recv(1 << 20):
                data += part
        except BlockingIOError:
            pass
        rows = np.frombuffer(data, dtype=[("s", "<u2"), ("f", "<u2"), ("t", "<u4"), ("l", "<u4")])
        assert (np.diff(rows["s"].astype(int)) == 1).all()
        return np.stack([rows["t"].astype(np.int64) - 1_000_000, rows["l"].astype(np.int64) >> pin & 1], axis=1)


@pytest.fixture
def bench() -> Iterator[Bench]:
    clock = Clock()
    board = Board(load_device("ideal"), BoardSettings(addresses=2), clock=clock)
    with PigpiodServer(board, WIRING) as server:
        bench = Bench(server, board, clock)
        yield bench
        bench.pi.stop()
        bench._told.close()
        board.misuse.take()


def test_software_pwm_has_edges(bench: Bench) -> None:
    bench.pi.set_PWM_frequency(PIN, 1000)
    bench.watch(PIN)
    bench.pi.set_PWM_dutycycle(PIN, 64)
    bench.passes(9_900)
    told = bench.reports(PIN)
    assert len(told) == 20
    assert told[:, 1].tolist() == [1, 0] * 10
    assert set(np.diff(told[::2, 0])) == {1_000}
    assert set(told[1::2, 0] - told[::2, 0]) == {250}  # 64 of 255, of 200 steps of 5 µs
    bench.pi.write(PIN, 0)
    bench.passes(10_000)
    assert len(bench.reports(PIN)) <= 1


def test_servo_pulses_have_edges_and_all_periods_begin_together(bench: Bench) -> None:
    bench.watch(PIN, 6)
    bench.pi.set_servo_pulsewidth(PIN, 1500)
    bench.pi.set_servo_pulsewidth(6, 600)
    bench.passes(45_000)
    told = bench.reports(PIN)
    assert told[:, 0].tolist() == [0, 600, 1500, 20_000, 20_600, 21_500, 40_000, 40_600, 41_500]
    assert told[:, 1].tolist() == [1, 1, 0] * 3


def test_pwm_on_a_line_of_the_board_moves_it_beside_a_wave(bench: Bench) -> None:
    """The wave drives sync; somebody else's PWM is on reset, and neither knows of the other."""
    for line in WIRING.lines():
        bench.pi.write(line.pin, 0)
    bench.pi.set_PWM_frequency(27, 1000)
    bench.pi.set_PWM_dutycycle(27, 127)
    sync = 1 << WIRING.sync
    bench.pi.wave_add_generic([pigpio.pulse(sync, 0, 300), pigpio.pulse(0, sync, 300)] * 10)
    start_ns = bench.clock.ns
    bench.passes(3_000)
    bench.pi.wave_send_once(bench.pi.wave_create())
    bench.passes(12_000)
    t, words = bench.board.lines(start_ns, bench.clock.ns)
    reset, high = (words & RESET) != 0, (words & SYNC) != 0
    rises = t[1:][reset[1:] & ~reset[:-1]] - start_ns
    assert set(np.diff(rises)) == {1_000_000}
    assert len(rises) >= 14
    assert (high[1:] & ~high[:-1]).sum() == 10
    assert "PWM on GPIO 27" in str(bench.board.misuse.entries()[0][1])


@pytest.mark.parametrize(("steady_us", "expected"), [(0, 8), (15, 4), (100, 2)])
def test_a_glitch_filter_holds_back_what_is_short(bench: Bench, steady_us: int, expected: int) -> None:
    mask = 1 << PIN
    bench.pi.write(PIN, 0)
    bench.pi.set_glitch_filter(PIN, steady_us)
    bench.watch(PIN)
    pulses = [(mask, 0, 10), (0, mask, 200), (mask, 0, 10), (0, mask, 200)]
    pulses += [(mask, 0, 20), (0, mask, 200), (mask, 0, 300), (0, mask, 200)]
    bench.pi.wave_add_generic([pigpio.pulse(*pulse) for pulse in pulses])
    bench.pi.wave_send_once(bench.pi.wave_create())
    bench.passes(3_000)
    assert len(bench.reports(PIN)) == expected


def test_bit_banged_serial_data_arrive(bench: Bench) -> None:
    text = b"the quick brown fox"
    bench.pi.set_mode(PIN, pigpio.OUTPUT)
    bench.pi.write(PIN, 1)
    bench.pi.bb_serial_read_open(PIN, 9600)
    bench.pi.wave_add_serial(PIN, 9600, text)
    bench.pi.wave_send_once(bench.pi.wave_create())
    bench.passes(30_000)
    assert bench.pi.bb_serial_read(PIN) == (len(text), bytearray(text))


def test_a_named_pipe_carries_reports_and_what_nobody_reads_is_dropped(tmp_path: Path) -> None:
    clock = Clock()
    board = Board(load_device("ideal"), BoardSettings(addresses=2), clock=clock)
    with PigpiodServer(board, WIRING, pipes=tmp_path) as server:
        bench = Bench(server, board, clock)
        handle = bench.pi.notify_open()
        with (tmp_path / f"pigpio{handle}").open("rb", buffering=0) as pipe:
            bench.pi.set_PWM_frequency(PIN, 8000)
            bench.pi.notify_begin(handle, 1 << PIN)
            bench.pi.set_PWM_dutycycle(PIN, 128)
            bench.passes(600_000, 50_000)
            bench.pi.notify_pause(handle)
            bench.pi.notify_close(handle)
            data = b""
            while part := pipe.read(1 << 16):
                data += part
        assert not list(tmp_path.iterdir())
        bench.pi.stop()
        bench._told.close()
    sequence = np.frombuffer(data, dtype="<u2")[::6].astype(int)
    assert 4_000 < len(sequence) <= 65_536 // 12  # of 9,600: a pipe holds 64 KiB
    assert (np.diff(sequence) >= 1).all()


def test_a_pin_that_is_written_while_a_wave_plays_stays_written(bench: Bench) -> None:
    mask = 1 << 6
    for pin in (PIN, 6):
        bench.pi.write(pin, 0)
    bench.pi.wave_add_generic([pigpio.pulse(mask, 0, 100), pigpio.pulse(0, mask, 100)])
    bench.pi.wave_send_repeat(bench.pi.wave_create())
    bench.passes(1_000)
    bench.pi.write(PIN, 1)
    bench.pi.write(6, 0)
    for _ in range(5):
        bench.passes(1_050)
        assert bench.pi.read(PIN) == 1
    bench.watch(6)
    bench.passes(2_000)
    assert len(bench.reports(6)) == 20  # the wave goes on with its own pin


def test_a_sign_of_life_comes_a_minute_after_the_opening_and_not_before(tmp_path: Path) -> None:
    """Also where the tick has wrapped: a report before the reply that names the handle would be taken for it."""
    clock = Clock()
    clock.ns = 2**33 * 1_000
    board = Board(load_device("ideal"), BoardSettings(addresses=2), clock=clock)
    with PigpiodServer(board, WIRING) as server:
        bench = Bench(server, board, clock)
        bench.settle()
        bench.passes(50_000_000, 1_000_000)
        assert len(bench.reports(PIN)) == 0
        bench.passes(15_000_000, 1_000_000)
        assert len(bench.reports(PIN)) == 1
        bench.pi.stop()
        bench._told.close()

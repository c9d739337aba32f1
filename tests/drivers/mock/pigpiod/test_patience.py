"""The twin of pigpiod is as patient as the daemon: other people's commands and slow readers end nothing for anybody."""

from __future__ import annotations

import contextlib
import select
import socket
import struct
import threading
from collections.abc import Callable, Iterator

import gpiozero
import pigpio
import pytest
from gpiozero.pins.pigpio import PiGPIOFactory

from drivers.device import load_device
from drivers.mock.board import MANY_EVENTS, Board
from drivers.mock.pigpiod import PigpiodServer
from drivers.mock.pigpiod.protocol import Code, Command
from drivers.settings import BoardSettings, Wiring

pytestmark = pytest.mark.wire

WIRING = Wiring(dendrite=17, reset=27, sync=22, select=(9, 10))
DENDRITE, SYNC, SELECT0, FREE = 1 << 17, 1 << 22, 1 << 9, 1 << 5


class Clock:
    ns = 1_000_000_000

    def __call__(self) -> int:
        return self.ns


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def board(clock: Clock) -> Board:
    return Board(load_device("ideal"), BoardSettings(addresses=2), clock=clock)


@pytest.fixture
def server(board: Board) -> Iterator[PigpiodServer]:
    """What is misused here is looked at by the tests themselves."""
    with PigpiodServer(board, WIRING) as server:
        yield server
        board.misuse.take()


@pytest.fixture
def pi(server: PigpiodServer) -> Iterator[pigpio.pi]:
    pi = pigpio.pi(server.host, server.port)
    yield pi
    pi.stop()


def wave(pi: pigpio.pi, *pulses: tuple[int, int, int]) -> int:
    pi.wave_add_generic([pigpio.pulse(*pulse) for pulse in pulses])
    return int(pi.wave_create())


def ask(connection: socket.socket, command: Command, p1: int = 0, p2: int = 0) -> int:
    connection.sendall(struct.pack("<4I", command, p1, p2, 0))
    return int(struct.unpack("<3Ii", connection.recv(16, socket.MSG_WAITALL))[3])


def test_misuse_of_the_board_is_recorded_and_the_daemon_goes_on(pi: pigpio.pi, board: Board, clock: Clock) -> None:
    """Replies as the real daemon's: 0."""
    told: list[str] = []
    board.misuse.tell = told.append
    assert pi.set_PWM_dutycycle(17, 128) == 0
    clock.ns += 1_000
    assert pi.write(27, 1) == 0  # reset while dendrite is high
    assert board.levels() == 3  # and the lines do what they were told
    assert "PWM on GPIO 17" in told[0]
    assert any("dendrite and reset are high together" in text for text in told)
    assert board.misuse.count == len(told)
    assert pi.get_pigpio_version() == 79


def test_ordinary_commands_of_other_programs_are_no_misuse(pi: pigpio.pi, board: Board, server: PigpiodServer) -> None:
    assert pi.set_PWM_dutycycle(25, 128) == 0
    assert pi.hardware_PWM(12, 100, 0) == 0
    factory = PiGPIOFactory(server.host, server.port)
    with gpiozero.LED(24, pin_factory=factory) as led:
        led.on()
        assert pi.read(24) == 1
    factory.close()
    assert board.misuse.count == 0


def test_hardware_pwm_stops_what_plays(pi: pigpio.pi, board: Board) -> None:
    pi.wave_send_repeat(wave(pi, (FREE, 0, 5), (0, FREE, 5)))
    assert pi.hardware_PWM(13, 1000, 500_000) == 0
    assert pi.wave_tx_busy() == 0
    assert pi.get_mode(13) == pigpio.ALT0
    assert "takes the clock" in str(board.misuse.take()[0])


@pytest.mark.parametrize("how", ["wave_delete", "wave_clear"])
@pytest.mark.parametrize("mode", [pigpio.WAVE_MODE_ONE_SHOT, pigpio.WAVE_MODE_REPEAT])
def test_a_wave_that_is_deleted_while_it_plays_plays_on(
    pi: pigpio.pi, board: Board, clock: Clock, how: str, mode: int
) -> None:
    pi.write(22, 0)
    start = clock.ns
    wid = wave(pi, (SYNC, 0, 300_000), (0, SYNC, 300_000))
    pi.wave_send_using_mode(wid, mode)
    assert (pi.wave_delete(wid) if how == "wave_delete" else pi.wave_clear()) == 0
    assert pi.wave_tx_busy() == 1
    assert pi.wave_tx_at() == 9998
    clock.ns += 5_000_000_000
    assert pi.wave_tx_busy() == (mode == pigpio.WAVE_MODE_REPEAT)
    _, levels = board.lines(start, clock.ns)
    assert (levels == 4).sum() == (9 if mode == pigpio.WAVE_MODE_REPEAT else 1)
    with pytest.raises(pigpio.error):
        pi.wave_send_once(wid)
    assert pi.wave_tx_stop() == 0


def test_a_chain_outlives_its_waves(pi: pigpio.pi, board: Board, clock: Clock) -> None:
    pi.write(22, 0)
    start = clock.ns
    wid = wave(pi, (SYNC, 0, 1000), (0, SYNC, 1000))
    pi.wave_chain([255, 0, wid, 255, 1, 250, 0])
    pi.wave_delete(wid)
    clock.ns += 3_000_000_000
    assert pi.wave_tx_busy() == 0
    assert (board.lines(start, clock.ns)[1] == 4).sum() == 250


def test_pins_have_an_output_latch(pi: pigpio.pi) -> None:
    """What is written before a pin is an output shows when it becomes one; a pull does not."""
    assert pi.read(5) == 1  # pulled up
    pi.set_mode(5, pigpio.OUTPUT)
    assert pi.read(5) == 0
    pi.set_mode(6, pigpio.INPUT)
    pi.set_bank_1(1 << 6)
    pi.set_pull_up_down(6, pigpio.PUD_DOWN)
    assert pi.read(6) == 0
    pi.set_mode(6, pigpio.OUTPUT)
    assert pi.read(6) == 1


def test_a_trigger_on_an_input_shows_nothing(pi: pigpio.pi, board: Board) -> None:
    pi.set_mode(22, pigpio.INPUT)
    assert pi.gpio_trigger(22, 10) == 0
    assert board.levels() == 0
    assert pi.get_mode(22) == pigpio.INPUT


def test_a_client_that_never_reads_holds_up_reports_but_no_command(
    server: PigpiodServer, board: Board, clock: Clock
) -> None:
    """And nothing is kept for it; when it has gone, the others hear again."""
    deaf = socket.create_connection((server.host, server.port))
    deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    handle = ask(deaf, Command.NOIB)
    listener = socket.create_connection((server.host, server.port))
    heard = ask(listener, Command.NOIB)
    control = pigpio.pi(server.host, server.port)
    ask(control.sl.s, Command.NB, handle, FREE)
    ask(control.sl.s, Command.NB, heard, FREE)
    control.set_mode(5, pigpio.OUTPUT)
    control.wave_send_repeat(wave(control, (FREE, 0, 10), (0, FREE, 10)))
    daemon = server._daemon
    stuck_ns, looks = 0, 0
    while looks < 30:  # until no report has got away for 3 s of simulated time
        clock.ns += 100_000_000
        looks = looks + 1 if daemon.alerts.seen_ns == stuck_ns else 0
        stuck_ns = daemon.alerts.seen_ns
        threading.Event().wait(0.01)
        assert control.wave_tx_busy() == 1
        while select.select([listener], [], [], 0)[0]:
            listener.recv(1 << 20)
    control.wave_tx_stop()
    assert control.read(5) in (0, 1)
    assert len(daemon.pins._latch) < 200_000
    deaf.close()
    rung = threading.Event()
    callback = control.callback(5, pigpio.EITHER_EDGE, lambda *_: rung.set())
    for level in (1, 0) * 50:
        control.write(5, level)
        clock.ns += 1_000_000
        if rung.wait(0.2):
            break
    assert rung.is_set()
    assert daemon.alerts.lost_ns > 1_000_000_000
    callback.cancel()
    listener.close()
    with contextlib.suppress(OSError):  # its thread may close the socket before stop writes to it (pigpio 1.78)
        control.stop()


def test_history_is_bounded_however_much_is_played(pi: pigpio.pi, board: Board, clock: Clock) -> None:
    """100 kHz on the dendrite with no reset at all, and nobody looks; then somebody does."""
    for pin in (17, 27, 22, 9, 10):
        pi.write(pin, 0)
    pi.write(9, 1)
    board.set_threshold(0.7)
    pi.wave_send_repeat(wave(pi, *[(DENDRITE, 0, 5), (0, DENDRITE, 5)] * 1000))
    for _ in range(110):
        clock.ns += 100_000_000
        pi.wave_tx_busy()
    assert len(board._lines) < 1.2 * MANY_EVENTS
    rise, _ = board.axon(clock.ns - 1_000_000, clock.ns)
    assert 99 <= len(rise) <= 101  # the ideal device fires on every pulse
    assert board.misuse.count == 0


def test_commands_of_other_programs_are_carried_out_or_refused_as_the_daemon_does(pi: pigpio.pi) -> None:
    """Without hardware: I2C -74, serial -72, files -137."""
    assert pi.set_servo_pulsewidth(5, 1500) == 0
    assert pi.get_servo_pulsewidth(5) == 1500
    assert pi.set_noise_filter(5, 1000, 5000) == 0
    assert pi.set_pad_strength(0, 15) == 0
    assert pi.get_pad_strength(0) == 16
    assert pi.read_bank_2() == 0x3FC01C  # GPIO 34-36 and 46-53 are pulled up
    wrong: tuple[tuple[Callable[[], object], Code], ...] = (
        (lambda: pi.set_servo_pulsewidth(5, 499), Code.BAD_PULSEWIDTH),
        (lambda: pi.get_servo_pulsewidth(6), Code.NOT_SERVO_GPIO),
        (lambda: pi.set_watchdog(5, 60_001), Code.BAD_WDOG_TIMEOUT),
        (lambda: pi.set_pad_strength(3, 2), Code.BAD_PAD),
        (lambda: pi.set_pad_strength(0, 17), Code.BAD_STRENGTH),
        (lambda: pi.event_trigger(32), Code.BAD_EVENT_ID),
        (lambda: pi.i2c_open(1, 0x60), Code.BAD_I2C_BUS),
        (lambda: pi.serial_open("/dev/ttyAMA0", 9600), Code.SER_OPEN_FAILED),
        (lambda: pi.file_open("notes.txt", 1), Code.NO_FILE_ACCESS),
    )
    for call, code in wrong:
        with pytest.raises(pigpio.error) as error:
            call()
        assert error.value.value == pigpio.error_text(int(code))


def test_watchdogs_and_events_are_reported(pi: pigpio.pi, clock: Clock) -> None:
    heard: list[tuple[int, int]] = []
    rung = threading.Event()

    def silent(pin: int, level: int, _tick: int) -> None:
        heard.append((pin, level))
        rung.set()

    callback = pi.callback(5, pigpio.EITHER_EDGE, silent)
    pi.set_watchdog(5, 100)
    clock.ns += 99_000_000
    pi.get_current_tick()
    clock.ns += 2_000_000
    assert rung.wait(5)
    callback.cancel()
    assert heard[0] == (5, pigpio.TIMEOUT)
    called = threading.Event()
    event = pi.event_callback(3, lambda _event, _tick: called.set())
    pi.event_trigger(3)
    clock.ns += 1_000_000
    assert called.wait(5)
    event.cancel()

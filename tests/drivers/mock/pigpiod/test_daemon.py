"""The twin of pigpiod through other people's clients: pigpio, gpiozero, and bare sockets."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterator

import gpiozero
import pigpio
import pytest
from gpiozero.pins.pigpio import PiGPIOFactory

from drivers.device import load_device
from drivers.errors import InputError, TwinError
from drivers.mock.board import Board
from drivers.mock.pigpiod import PigpiodServer
from drivers.mock.pigpiod.protocol import Code, Command
from drivers.settings import BoardSettings, Wiring

pytestmark = pytest.mark.wire

WIRING = Wiring(dendrite=17, reset=27, sync=22, select=(9, 10))
FREE = 1 << 5  # a pin without a line
DENDRITE, RESET, SYNC, SELECT0, SELECT1 = (1 << pin for pin in (17, 27, 22, 9, 10))


class Clock:
    """A clock that stands still until it is set."""

    def __init__(self) -> None:
        self.ns = 1_000_000_000

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
    with PigpiodServer(board, WIRING) as server:
        yield server


@pytest.fixture
def pi(server: PigpiodServer) -> Iterator[pigpio.pi]:
    pi = pigpio.pi(server.host, server.port)
    for line in WIRING.lines():
        pi.write(line.pin, 0)
    yield pi
    pi.stop()


def wave(pi: pigpio.pi, *pulses: tuple[int, int, int]) -> int:
    pi.wave_add_generic([pigpio.pulse(*pulse) for pulse in pulses])
    return int(pi.wave_create())


def code(error: pytest.ExceptionInfo[pigpio.error]) -> str:
    return str(error.value.value)


def refused(name: Code) -> str:
    return f"^'{pigpio.error_text(int(name))}'$".replace("(", r"\(").replace(")", r"\)")


def test_numbers_are_those_of_the_client() -> None:
    for command in set(Command) - {Command.MICS, Command.MILS}:  # which the client does not know
        assert getattr(pigpio, f"_PI_CMD_{command.name}") == command
    for name in set(Code) - {Code.BAD_POINTER}:
        private = "_" if name == Code.BAD_WAVE_MODE else ""
        assert getattr(pigpio, f"{private}PI_{name.name}") == name


def test_the_client_connects_and_asks(pi: pigpio.pi, clock: Clock) -> None:
    assert pi.connected
    assert pi.get_pigpio_version() == 79
    assert pi.get_hardware_revision() == 0xC03114
    assert pi.get_current_tick() == clock.ns // 1000
    assert pi.wave_get_max_pulses() == 12_000
    assert pi.wave_get_max_cbs() == 25_016
    assert pi.wave_get_max_micros() == 1_800_000_000


# ---- limits ---------------------------------------------------------------------------------------------------------


def test_a_message_of_65536_bytes_closes_the_connection(server: PigpiodServer) -> None:
    for size, answered in ((65_535, True), (65_536, False)):
        with socket.create_connection((server.host, server.port)) as connection:
            connection.sendall(struct.pack("<4I", Command.WVAG, 0, 0, size) + bytes(65_535))
            reply = connection.recv(16)
        assert (len(reply) == 16) == answered


def test_an_unknown_command_is_refused(server: PigpiodServer) -> None:
    with socket.create_connection((server.host, server.port)) as connection:
        connection.sendall(struct.pack("<4I", 9_999, 1, 2, 0))
        assert struct.unpack("<3Ii", connection.recv(16)) == (9_999, 1, 2, Code.UNKNOWN_COMMAND)


def test_11999_pulses_fit_a_wave_and_12000_do_not(pi: pigpio.pi) -> None:
    third = [pigpio.pulse(0, 0, 1)] * 4_000
    pi.wave_add_generic(third)
    pi.wave_add_generic([pigpio.pulse(0, 0, 4_000), *third])
    with pytest.raises(pigpio.error, match=refused(Code.TOO_MANY_PULSES)):
        pi.wave_add_generic([pigpio.pulse(0, 0, 8_000), *third])
    assert pi.wave_add_generic([pigpio.pulse(0, 0, 8_000), *third[1:]]) == 11_999


def test_control_blocks_are_counted_over_all_waves(pi: pigpio.pi) -> None:
    edges = [pigpio.pulse(FREE, 0, 1), pigpio.pulse(0, FREE, 1)] * 2_000
    for _ in range(2):
        pi.wave_add_generic(edges)
        pi.wave_create()
    left = 23_836 - 2 * 8_001
    pi.wave_add_generic([*edges[: (left - 1) // 2], pigpio.pulse(FREE, 0, 1)])
    with pytest.raises(pigpio.error, match=refused(Code.TOO_MANY_CBS)):
        pi.wave_create()
    pi.wave_add_new()
    pi.wave_add_generic(edges[: (left - 1) // 2])
    assert pi.wave_create() == 2


def test_on_off_words_are_counted_over_all_waves(pi: pigpio.pi) -> None:
    both = [pigpio.pulse(1 << 5, 1 << 6, 0)] * 4_000  # one block, two words each
    pi.wave_add_generic(both)
    assert pi.wave_create() == 0
    pi.wave_add_generic(both)
    with pytest.raises(pigpio.error, match=refused(Code.TOO_MANY_OOL)):
        pi.wave_create()


def test_padded_waves_take_their_share_and_swap_places(pi: pigpio.pi) -> None:
    for expected in (0, 1):
        pi.wave_add_generic([pigpio.pulse(FREE, 0, 1)])
        assert pi.wave_create_and_pad(50) == expected
    pi.wave_add_generic([pigpio.pulse(FREE, 0, 1)])
    with pytest.raises(pigpio.error, match=refused(Code.TOO_MANY_CBS)):
        pi.wave_create_and_pad(50)
    pi.wave_delete(0)
    assert pi.wave_create_and_pad(50) == 0
    assert pi.wave_send_once(0) == 11_918
    pi.wave_add_generic([pigpio.pulse(FREE, 0, 1)])
    with pytest.raises(pigpio.error, match=refused(Code.BAD_PARAM)):
        pi.wave_create_and_pad(101)


def test_a_deleted_id_is_used_again_only_for_a_wave_of_the_same_size(pi: pigpio.pi) -> None:
    first, second = wave(pi, (FREE, 0, 5)), wave(pi, (FREE, 0, 5), (0, FREE, 5))
    pi.wave_delete(first)
    assert wave(pi, (FREE, 0, 0)) == 2
    assert wave(pi, (0, FREE, 7)) == first
    with pytest.raises(pigpio.error, match=refused(Code.BAD_WAVE_ID)):
        pi.wave_delete(9)
    pi.wave_delete(second)
    with pytest.raises(pigpio.error, match=refused(Code.BAD_WAVE_ID)):
        pi.wave_delete(second)
    with pytest.raises(pigpio.error, match=refused(Code.BAD_WAVE_ID)):
        pi.wave_send_once(second)


def test_an_empty_waveform_and_a_bad_mode_are_refused(pi: pigpio.pi) -> None:
    with pytest.raises(pigpio.error, match=refused(Code.EMPTY_WAVEFORM)):
        pi.wave_create()
    with pytest.raises(pigpio.error, match=refused(Code.BAD_WAVE_MODE)):
        pi.wave_send_using_mode(wave(pi, (FREE, 0, 5)), 4)


def test_more_than_250_waves_overrun_the_daemons_table(board: Board) -> None:
    def misuse(pi: pigpio.pi) -> None:
        for _ in range(251):
            wave(pi, (FREE, 0, 0))

    assert "wave id 250" in recorded(board, misuse)


def recorded(board: Board, misuse: Callable[[pigpio.pi], object]) -> str:
    """What the board records when a client does something that hardware takes in silence; the daemon goes on."""
    server = PigpiodServer(board, WIRING)
    server.__enter__()
    pi = pigpio.pi(server.host, server.port)
    misuse(pi)
    assert pi.get_pigpio_version() == 79
    pi.stop()
    with pytest.raises(TwinError) as error:
        server.__exit__(None)
    return str(error.value)


def stop(pi: pigpio.pi) -> None:
    """End a client whose daemon is gone."""
    try:
        pi.stop()
    except OSError:
        pi.stop()


def test_pins_that_are_not_permitted(pi: pigpio.pi) -> None:
    with pytest.raises(pigpio.error, match=refused(Code.SOME_PERMITTED)):
        pi.wave_add_generic([pigpio.pulse(1 | FREE, 0, 5)])
    assert pi.wave_get_pulses() == 1
    with pytest.raises(pigpio.error, match=refused(Code.NOT_PERMITTED)):
        pi.write(1, 1)
    with pytest.raises(pigpio.error, match=refused(Code.BAD_GPIO)):
        pi.read(54)
    with pytest.raises(pigpio.error, match=refused(Code.SOME_PERMITTED)):
        pi.set_bank_1(1 | FREE)


# ---- what is played -------------------------------------------------------------------------------------------------


def lines(board: Board, clock: Clock, since_ns: int) -> list[tuple[int, int]]:
    """Level changes of the board in µs since a time, zero-length levels included."""
    t, levels = board.lines(since_ns, clock.ns + 10_000_000_000)
    return [((int(a) - since_ns) // 1000, int(b)) for a, b in zip(t, levels, strict=True)][1:]


def test_a_wave_begins_after_the_lead_in(pi: pigpio.pi, board: Board, clock: Clock) -> None:
    start = clock.ns
    pi.wave_send_once(wave(pi, (SYNC, 0, 10), (0, SYNC, 5)))
    assert lines(board, clock, start) == [(20, 4), (30, 0)]
    assert pi.wave_tx_busy() == 1
    assert pi.wave_tx_at() == 0
    clock.ns += 35_000
    assert pi.wave_tx_busy() == 0
    assert pi.wave_tx_at() == 9999


def test_messages_merge_by_time_into_one_wave(pi: pigpio.pi, board: Board, clock: Clock) -> None:
    pi.wave_add_generic([pigpio.pulse(SELECT0, 0, 10), pigpio.pulse(0, SELECT0, 0)])
    assert pi.wave_add_generic([pigpio.pulse(SYNC, 0, 4), pigpio.pulse(0, SYNC, 16)]) == 3
    assert pi.wave_get_micros() == 20
    start = clock.ns
    pi.wave_send_once(pi.wave_create())
    assert lines(board, clock, start) == [(20, 12), (24, 8), (30, 0)]


def test_set_acts_before_clear(board: Board) -> None:
    """Swapping two selects in one pulse closes both for an instant; the board refuses it."""

    def misuse(pi: pigpio.pi) -> None:
        for line in WIRING.lines():
            pi.write(line.pin, 0)
        pi.wave_send_once(wave(pi, (SELECT0, 0, 10), (SELECT1, SELECT0, 10), (0, SELECT1, 0)))

    assert "two select addresses are closed at once" in recorded(board, misuse)


def test_a_wave_on_a_pin_that_is_no_output_is_misuse(board: Board) -> None:
    text = recorded(board, lambda pi: pi.wave_send_once(wave(pi, (SYNC, 0, 10))))
    assert "GPIO 22, which is not an output" in text


def test_a_sync_send_follows_without_a_lead_in(pi: pigpio.pi, board: Board, clock: Clock) -> None:
    first, second = wave(pi, (SYNC, 0, 10), (0, SYNC, 10)), wave(pi, (SELECT0, 0, 7), (0, SELECT0, 0))
    start = clock.ns
    pi.wave_send_once(first)
    clock.ns += 25_000
    pi.wave_send_using_mode(second, pigpio.WAVE_MODE_ONE_SHOT_SYNC)
    assert pi.wave_tx_at() == first
    clock.ns += 16_000
    assert pi.wave_tx_at() == second
    assert lines(board, clock, start) == [(20, 4), (30, 0), (40, 8), (47, 0)]


def test_a_sync_send_after_the_end_starts_with_a_lead_in(pi: pigpio.pi, board: Board, clock: Clock) -> None:
    first, second = wave(pi, (SYNC, 0, 10), (0, SYNC, 10)), wave(pi, (SELECT0, 0, 7), (0, SELECT0, 0))
    start = clock.ns
    pi.wave_send_once(first)
    clock.ns += 1_000_000
    pi.wave_send_using_mode(second, pigpio.WAVE_MODE_ONE_SHOT_SYNC)
    clock.ns += 1_000_000
    assert pi.wave_tx_busy() == 0
    assert lines(board, clock, start) == [(20, 4), (30, 0), (1020, 8), (1027, 0)]


def test_the_wave_sent_last_sent_again_in_sync_mode_repeats_for_ever(pi: pigpio.pi, clock: Clock) -> None:
    only = wave(pi, (SYNC, 0, 10), (0, SYNC, 10))
    pi.wave_send_using_mode(only, pigpio.WAVE_MODE_ONE_SHOT_SYNC)
    clock.ns += 1_000_000
    assert pi.wave_tx_busy() == 0
    pi.wave_send_using_mode(only, pigpio.WAVE_MODE_ONE_SHOT_SYNC)
    clock.ns += 5_000_000_000
    assert pi.wave_tx_busy() == 1
    assert pi.wave_tx_stop() == 0
    assert pi.wave_tx_busy() == 0


def test_a_repeated_wave_gives_way_at_the_end_of_a_pass(pi: pigpio.pi, board: Board, clock: Clock) -> None:
    tick, end = wave(pi, (SYNC, 0, 10), (0, SYNC, 10)), wave(pi, (SELECT0, 0, 5), (0, SELECT0, 0))
    start = clock.ns
    pi.wave_send_repeat(tick)
    clock.ns += 45_000
    pi.wave_send_using_mode(end, pigpio.WAVE_MODE_ONE_SHOT_SYNC)
    assert lines(board, clock, start) == [(20, 4), (30, 0), (40, 4), (50, 0), (60, 8), (65, 0)]


def test_halting_leaves_the_lines_as_they_are(pi: pigpio.pi, board: Board, clock: Clock) -> None:
    pi.wave_send_once(wave(pi, (SYNC, 0, 100), (0, SYNC, 0)))
    clock.ns += 50_000
    pi.wave_tx_stop()
    clock.ns += 1_000_000
    assert board.levels() == 4
    assert pi.read(22) == 1
    pi.clear_bank_1(SYNC)
    assert board.levels() == 0


def test_a_wave_made_over_the_one_that_plays_is_misuse(board: Board) -> None:
    def misuse(pi: pigpio.pi) -> None:
        pi.wave_send_once(wave(pi, (FREE, 0, 1_000_000)))
        pi.wave_clear()
        wave(pi, (FREE, 0, 5))

    assert "control blocks of the wave that plays" in recorded(board, misuse)


def test_a_trigger_pulse(pi: pigpio.pi, board: Board, clock: Clock) -> None:
    start = clock.ns
    pi.gpio_trigger(22, 15)
    assert lines(board, clock, start) == [(15, 0)]
    assert board.levels() == 4
    for length, level, error in ((101, 1, Code.BAD_PULSELEN), (5, 2, Code.BAD_LEVEL)):
        with pytest.raises(pigpio.error, match=refused(error)):
            pi.gpio_trigger(22, length, level)


# ---- chains ---------------------------------------------------------------------------------------------------------


def test_a_chain_plays_waves_delays_and_loops(pi: pigpio.pi, board: Board, clock: Clock) -> None:
    start = clock.ns
    tick = wave(pi, (SYNC, 0, 5), (0, SYNC, 5))
    pi.wave_chain([tick, 255, 0, tick, 255, 2, 10, 0, 255, 1, 2, 0, 255, 0, tick, 255, 1, 0, 0])
    assert lines(board, clock, start) == [(20, 4), (25, 0), (30, 4), (35, 0), (50, 4), (55, 0)]
    clock.ns += 32_000
    assert pi.wave_tx_at() == tick
    clock.ns += 12_000
    assert pi.wave_tx_at() == 9998  # in the delay
    clock.ns += 1_000_000
    assert pi.wave_tx_at() == 9999


def test_a_chain_for_ever_goes_on_until_it_is_stopped(pi: pigpio.pi, clock: Clock) -> None:
    tick = wave(pi, (SYNC, 0, 500), (0, SYNC, 500))
    pi.wave_chain([255, 0, tick, 255, 3])
    clock.ns += 3_000_000_000
    assert pi.wave_tx_busy() == 1
    pi.wave_tx_stop()
    assert pi.wave_tx_busy() == 0


@pytest.mark.parametrize(
    ("chain", "error"),
    [
        ([0] * 599, Code.CHAIN_TOO_BIG),
        ([1], Code.BAD_WAVE_ID),
        ([255], Code.BAD_CHAIN_CMD),
        ([255, 9], Code.BAD_CHAIN_CMD),
        ([255, 0, 0, 255, 1, 5], Code.BAD_CHAIN_CMD),
        ([255, 2, 5], Code.BAD_CHAIN_CMD),
        ([255, 0, 255, 1, 2, 0], Code.BAD_CHAIN_LOOP),
        ([0, 255, 1, 2, 0], Code.BAD_CHAIN_LOOP),
        ([255, 0] * 11, Code.CHAIN_NESTING),
        ([255, 0, 0, 255, 1, 2, 0] * 21, Code.CHAIN_COUNTER),
        ([255, 0, 0, 255, 3, 0], Code.BAD_FOREVER),
    ],
)
def test_chains_are_refused_as_the_daemon_does(pi: pigpio.pi, clock: Clock, chain: list[int], error: Code) -> None:
    """A refused chain still stops what runs."""
    tick = wave(pi, (FREE, 0, 5))
    pi.wave_send_repeat(tick)
    with pytest.raises(pigpio.error, match=refused(error)):
        pi.wave_chain(chain)
    assert pi.wave_tx_busy() == 0


@pytest.mark.parametrize(
    "chain",
    [[0] * 598, [255, 0, 0, 255, 1, 2, 0] * 20, [255, 0, 0, 255, 1, 1, 0] * 100, [*[255, 0] * 10, 0]],
    ids=["598 waves", "20 counters", "one pass needs no counter", "10 levels"],
)
def test_chains_at_their_limits_play(pi: pigpio.pi, chain: list[int]) -> None:
    wave(pi, (FREE, 0, 5))
    assert pi.wave_chain(chain) == 0


# ---- pins -----------------------------------------------------------------------------------------------------------


def test_pins_at_boot_are_inputs_and_the_low_ones_pulled_up(server: PigpiodServer, board: Board) -> None:
    pi = pigpio.pi(server.host, server.port)
    assert pi.get_mode(17) == pigpio.INPUT
    assert [pi.read(pin) for pin in (2, 8, 9, 27)] == [1, 1, 0, 0]
    pi.set_pull_up_down(22, pigpio.PUD_UP)
    assert board.levels() == 4  # a floating line that is pulled up is a high line
    pi.stop()


def test_a_line_on_a_pulled_up_pin_is_high_at_boot(clock: Clock) -> None:
    board = Board(load_device("ideal"), BoardSettings(), clock=clock)
    with PigpiodServer(board, Wiring(dendrite=17, reset=27, sync=5)):
        assert board.levels() == 4


def test_reports_of_level_changes_reach_callbacks(pi: pigpio.pi, server: PigpiodServer, clock: Clock) -> None:
    seen: list[tuple[int, int, int]] = []
    rung = threading.Event()

    def heard(pin: int, level: int, tick: int) -> None:
        seen.append((pin, level, tick))
        rung.set()

    callback = pi.callback(24, pigpio.EITHER_EDGE, heard)
    clock.ns += 1_000_000
    server.drive(24, 1)
    clock.ns += 1_000_000
    assert rung.wait(5)
    callback.cancel()
    assert seen == [(24, 1, 1_001_000)]
    assert pi.read(24) == 1


def test_gpiozero_drives_and_reads_pins(server: PigpiodServer) -> None:
    factory = PiGPIOFactory(server.host, server.port)
    with gpiozero.LED(23, pin_factory=factory) as led, gpiozero.Button(24, pin_factory=factory) as button:
        led.on()
        assert led.value == 1
        assert not button.is_pressed
        server.drive(24, 0)
        assert button.is_pressed
    with gpiozero.PWMLED(25, pin_factory=factory) as dimmed:
        dimmed.value = 0.25
        assert dimmed.value == pytest.approx(0.25)
    factory.close()


def test_pwm_is_checked(pi: pigpio.pi) -> None:
    assert pi.set_PWM_frequency(5, 790) == 800
    assert pi.get_PWM_frequency(5) == 800
    assert pi.set_PWM_range(5, 1000) == 250
    assert pi.set_PWM_dutycycle(5, 500) == 0
    assert pi.get_PWM_dutycycle(5) == 500
    assert pi.get_PWM_real_range(5) == 250
    pi.set_PWM_range(5, 2000)
    assert pi.get_PWM_dutycycle(5) == 1000
    wrong: tuple[tuple[Callable[[], object], Code], ...] = (
        (lambda: pi.set_PWM_dutycycle(5, 2001), Code.BAD_DUTYCYCLE),
        (lambda: pi.set_PWM_range(5, 24), Code.BAD_DUTYRANGE),
        (lambda: pi.get_PWM_dutycycle(6), Code.NOT_PWM_GPIO),
        (lambda: pi.hardware_PWM(5, 800, 500_000), Code.NOT_HPWM_GPIO),
        (lambda: pi.hardware_PWM(18, 800, 1_000_001), Code.BAD_HPWM_DUTY),
        (lambda: pi.hardware_PWM(18, 200_000_000, 5), Code.BAD_HPWM_FREQ),
        (lambda: pi.set_glitch_filter(5, 300_001), Code.BAD_FILTER),
        (lambda: pi.set_pull_up_down(5, 3), Code.BAD_PUD),
        (lambda: pi.set_mode(5, 8), Code.BAD_MODE),
        (lambda: pi.write(5, 2), Code.BAD_LEVEL),
        (lambda: pi.get_PWM_range(32), Code.BAD_USER_GPIO),
    )
    for call, error in wrong:
        with pytest.raises(pigpio.error, match=refused(error)):
            call()
    assert pi.hardware_PWM(18, 800, 500_000) == 0


def test_handles_run_out(server: PigpiodServer) -> None:
    with socket.create_connection((server.host, server.port)) as connection:

        def ask(command: Command, p1: int = 0) -> int:
            connection.sendall(struct.pack("<4I", command, p1, 0, 0))
            return int(struct.unpack("<3Ii", connection.recv(16))[3])

        assert [ask(Command.NO) for _ in range(32)] == list(range(32))
        assert ask(Command.NO) == Code.NO_HANDLE
        assert ask(Command.NC, 5) == 0
        assert ask(Command.NC, 5) == Code.BAD_HANDLE
        assert ask(Command.NB, 5) == Code.BAD_HANDLE
        assert ask(Command.NO) == 5


# ---- faults ---------------------------------------------------------------------------------------------------------


def test_a_slow_clock_stretches_waves(board: Board, clock: Clock) -> None:
    with PigpiodServer(board, WIRING, faults=["doubled_clock"]) as server:
        pi = pigpio.pi(server.host, server.port)
        start = clock.ns
        pi.write(22, 0)
        pi.wave_send_once(wave(pi, (SYNC, 0, 10), (0, SYNC, 0)))
        assert lines(board, clock, start) == [(40, 4), (60, 0)]
        pi.stop()


def test_a_daemon_that_died_refuses_connections_and_its_queue_plays_on(board: Board, clock: Clock) -> None:
    with PigpiodServer(board, WIRING, faults=["dies_in_shot"]) as server:
        pi = pigpio.pi(server.host, server.port)
        pi.write(22, 0)
        start = clock.ns
        pi.wave_send_once(wave(pi, (SYNC, 0, 10), (0, SYNC, 0)))
        with pytest.raises(struct.error):
            pi.wave_tx_busy()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((server.host, server.port)).close()
        assert lines(board, clock, start) == [(20, 4), (30, 0)]
        stop(pi)


def test_unknown_faults_are_named(board: Board) -> None:
    with pytest.raises(InputError, match="unknown pigpiod fault sulks; known: connection_refused"):
        PigpiodServer(board, WIRING, faults=["sulks"])


def test_answers_take_as_long_as_asked(board: Board) -> None:
    with (
        PigpiodServer(board, WIRING, latency_s=0.05) as server,
        socket.create_connection((server.host, server.port)) as connection,
    ):
        connection.sendall(struct.pack("<4I", Command.TICK, 0, 0, 0))
        connection.settimeout(0.02)
        with pytest.raises(TimeoutError):
            connection.recv(16)
        connection.settimeout(5)
        assert len(connection.recv(16)) == 16

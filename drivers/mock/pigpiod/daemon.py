"""The daemon behind the socket: what every command does, and what it answers."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from drivers.mock.clock import at_one_time
from drivers.mock.pigpiod import bitbang, buses, gpio, others, pwm
from drivers.mock.pigpiod.alerts import Alerts
from drivers.mock.pigpiod.header import Pins
from drivers.mock.pigpiod.protocol import REVISION, USER_GPIOS, VERSION, Code, Command, Refused
from drivers.mock.pigpiod.samples import SAMPLE_US
from drivers.mock.pigpiod.scripts.run import Scripts
from drivers.mock.pigpiod.serial import LEAST_BAUD, MOST_BAUD_IN, MOST_BITS, SerialReader, serial_pulses
from drivers.mock.pigpiod.waves.memory import BLOCKS, MOST_MICROS, MOST_PULSES, WaveMemory, parse
from drivers.mock.pigpiod.waves.player import SYNC, Player

if TYPE_CHECKING:
    from drivers.mock.board import Board
    from drivers.settings import Wiring

LEISURE_NS = 20_000_000  # what plays for so long yet lets nobody wait for us
HELD_BLOCKS = 20_000  # what another program's waves take with the fault out_of_control_blocks
SLOWNESS = {"doubled_clock": 2.0, "slow_clock": 1.13}

Handler = Callable[["Daemon", int, int, bytes], "int | bytes"]


class Daemon:
    """State and commands; `answer` is called with the lock held. The board records misuse, and the daemon goes on."""

    def __init__(
        self,
        board: Board,
        wiring: Wiring,
        faults: frozenset[str],
        *,
        axon_pin: int | None = None,
        sample_us: int = SAMPLE_US,
        pipes: Path | None = None,
        jumpers: Collection[tuple[int, int]] = (),
    ) -> None:
        self.lock = threading.RLock()
        self.clock: Callable[[], int] = board.clock
        self.pins: Pins = Pins(board, wiring, axon_pin=axon_pin, jumpers=jumpers)
        held = HELD_BLOCKS if "out_of_control_blocks" in faults else 0
        self.memory = WaveMemory(board.misused, held_blocks=held)
        slowness = next((SLOWNESS[fault] for fault in SLOWNESS if fault in faults), 1.0)
        slowness *= 1 + board.rough.pi_clock_ppm * 1e-6
        self.player = Player(self.memory, self.pins, self.clock, slowness=slowness)
        self.pwm: pwm.Pwm = pwm.Pwm(sample_us)
        self.others: others.Others = others.Others()
        self.buses: buses.Buses = buses.Buses()
        self.banged: bitbang.Banged = bitbang.Banged()
        self.alerts = Alerts(
            self.clock(),
            sample_us=sample_us,
            jitter_s=board.rough.pigpio_jitter_s,
            seed=board.seed,
            faults=faults,
            pipes=pipes,
        )
        self.scripts: Scripts = Scripts(self._ask, self.pins.misused)
        self.in_shot = False

    def _ask(self, cmd: int, p1: int, p2: int, extension: bytes) -> int | bytes:
        """A command of a script."""
        with self.lock:
            return self.answer(cmd, p1, p2, extension, None)

    def answer(self, cmd: int, p1: int, p2: int, extension: bytes, connection: socket.socket | None) -> int | bytes:
        """Carry out a command that came over a connection; its result, below zero if it is refused."""
        try:
            if cmd == Command.NOIB and connection is not None:
                return self.notify(connection)
            handler = _COMMANDS.get(cmd)
            if handler is None:
                return int(Code.UNKNOWN_COMMAND)
            queues = cmd in _MEMORY or (cmd == Command.WVTXM and p2 & SYNC)
            with self.at_leisure() if queues else at_one_time(self.clock):
                return handler(self, p1, p2, extension)
        except Refused as refused:
            return int(refused.code)

    def at_leisure(self) -> AbstractContextManager[None]:
        """For work that changes nothing on the pins before what plays has ended: time goes on meanwhile, as it does
        for the real daemon, unless that is soon, when our being slow would make a host late that is not.
        """
        if self.player.ends_ns - self.clock() > LEISURE_NS:
            return nullcontext()
        return at_one_time(self.clock)

    def notify(self, connection: socket.socket | None) -> int:
        """A new notification, over a connection or a pipe."""
        self.alerts.begin(self.pins.seen_levels)
        return self.alerts.open(connection, self.clock() // 1000)

    def tick_us(self) -> int:
        """The system tick, µs, which wraps at 32 bits."""
        return self.clock() // 1000 & 0xFFFF_FFFF

    def send(self, wid: int, mode: int) -> int:
        """Send a wave."""
        blocks = self.player.send(wid, mode)
        pulses = self.memory.get(wid).pulses
        self.in_shot |= bool(((pulses.on | pulses.off) & self.pins.wired).any())
        return blocks

    def asked(self, answer: Callable[[], int]) -> int:
        """The answer to a question about what plays."""
        self.player.asked()
        return answer()

    def make(self, percent: tuple[int, int, int] | None = None) -> int:
        """Make a wave, padded to percentages if given."""
        self.player.expect()
        wid = self.memory.create(percent)
        self.player.check_free(self.memory.get(wid))
        return wid


def _watch(daemon: Daemon, handle: int, bits: int, _: bytes) -> int:
    daemon.alerts.watch(handle, bits)
    return 0


def _unwatch(daemon: Daemon, handle: int, _p2: int, _: bytes) -> int:
    daemon.alerts.close(handle)
    return 0


def _clear(daemon: Daemon, _p1: int, _p2: int, _: bytes) -> int:
    daemon.memory.clear()
    daemon.player.forget_tail()
    return 0


def _new(daemon: Daemon, _p1: int, _p2: int, _: bytes) -> int:
    daemon.memory.add_new()
    return 0


def _pad(daemon: Daemon, p1: int, p2: int, extension: bytes) -> int:
    """WVCAP: a percentage of blocks, of words, and of the words that a wave reads, which only raw waves do."""
    if extension and len(extension) != 4:
        raise Refused(Code.BAD_WAVE_ID)
    if extension:
        return daemon.make((p1, p2, int.from_bytes(extension, "little")))
    return daemon.make((p1, p2 or p1, 0))


def _delete(daemon: Daemon, wid: int, _p2: int, _: bytes) -> int:
    daemon.memory.delete(wid)
    return 0


def _chain(daemon: Daemon, _p1: int, _p2: int, extension: bytes) -> int:
    daemon.player.chain(extension)
    daemon.in_shot = True
    return 0


def _halt(daemon: Daemon, _p1: int, _p2: int, _: bytes) -> int:
    daemon.player.stop()
    return 0


def _deprecated(_daemon: Daemon, _p1: int, _p2: int, _: bytes) -> int:
    raise Refused(Code.DEPRECATED)


def _statistic(key: str, most: int, wrong: Code) -> Handler:
    def handler(daemon: Daemon, p1: int, _p2: int, _: bytes) -> int:
        answers = (daemon.memory.now[key], daemon.memory.high[key], most)
        if p1 >= len(answers):
            raise Refused(wrong)
        return answers[p1]

    return handler


def _open_serial(daemon: Daemon, pin: int, baud: int, extension: bytes) -> int:
    bits = int.from_bytes(extension[:4], "little")
    buses.check(
        (pin >= USER_GPIOS, Code.BAD_USER_GPIO),
        (not LEAST_BAUD <= baud <= MOST_BAUD_IN, Code.BAD_WAVE_BAUD),
        (not 1 <= bits <= MOST_BITS, Code.BAD_DATABITS),
        (pin in daemon.banged.taken or daemon.alerts.reads_serial(pin), Code.GPIO_IN_USE),
    )
    daemon.alerts.begin(daemon.pins.seen_levels)
    daemon.alerts.serial[pin] = SerialReader(pin, baud, bits)
    return 0


def _add_serial(daemon: Daemon, pin: int, baud: int, extension: bytes) -> int:
    pulses = serial_pulses(pin, baud, extension)
    return daemon.memory.add(pulses) if len(pulses) else 0


def _reader(daemon: Daemon, pin: int) -> SerialReader:
    buses.check((pin >= USER_GPIOS, Code.BAD_USER_GPIO), (not daemon.alerts.reads_serial(pin), Code.NOT_SERIAL_GPIO))
    return daemon.alerts.serial[pin]


def _read_serial(daemon: Daemon, pin: int, most: int, _: bytes) -> bytes:
    buses.check((pin >= USER_GPIOS, Code.BAD_USER_GPIO), (most == 0, Code.BAD_SERIAL_COUNT))
    return _reader(daemon, pin).take(most)


def _invert_serial(daemon: Daemon, pin: int, invert: int, _: bytes) -> int:
    reader = _reader(daemon, pin)
    buses.check((invert > 1, Code.BAD_SER_INVERT))
    reader.invert = invert
    return 0


def _close_serial(daemon: Daemon, pin: int, _p2: int, _: bytes) -> int:
    _reader(daemon, pin)
    del daemon.alerts.serial[pin]
    return 0


def _store_script(daemon: Daemon, _p1: int, _p2: int, extension: bytes) -> int:
    daemon.alerts.begin(daemon.pins.seen_levels)
    number = daemon.scripts.store(extension)
    daemon.alerts.scripts[number] = daemon.scripts.get(number)
    return number


def _run_script(daemon: Daemon, number: int, _p2: int, extension: bytes) -> int:
    script, parameters = daemon.scripts.parameters(number, extension)
    script.run(parameters)
    return 0


def _update_script(daemon: Daemon, number: int, _p2: int, extension: bytes) -> int:
    script, parameters = daemon.scripts.parameters(number, extension)
    script.update(parameters)
    return 0


def _stop_script(daemon: Daemon, number: int, _p2: int, _: bytes) -> int:
    daemon.scripts.get(number).stop()
    return 0


def _delete_script(daemon: Daemon, number: int, _p2: int, _: bytes) -> int:
    daemon.scripts.delete(number)
    del daemon.alerts.scripts[number]
    return 0


_MEMORY = frozenset({Command.WVNEW, Command.WVAG, Command.WVCRE, Command.WVCAP, Command.WVDEL})
_COMMANDS: dict[int, Handler] = {
    **gpio.COMMANDS,
    **pwm.COMMANDS,
    **others.COMMANDS,
    **buses.COMMANDS,
    **bitbang.COMMANDS,
    Command.SLRO: _open_serial,
    Command.SLR: _read_serial,
    Command.SLRI: _invert_serial,
    Command.SLRC: _close_serial,
    Command.PROC: _store_script,
    Command.PROCR: _run_script,
    Command.PROCU: _update_script,
    Command.PROCS: _stop_script,
    Command.PROCP: lambda d, number, _2, _x: d.scripts.status(number),
    Command.PROCD: _delete_script,
    Command.WVAS: _add_serial,
    Command.WVGO: _deprecated,
    Command.WVGOR: _deprecated,
    Command.TICK: lambda d, _1, _2, _x: d.tick_us(),
    Command.HWVER: lambda _d, _1, _2, _x: REVISION,
    Command.PIGPV: lambda _d, _1, _2, _x: VERSION,
    Command.NO: lambda d, _1, _2, _x: d.notify(None),
    Command.NB: _watch,
    Command.NP: lambda d, handle, _2, x: _watch(d, handle, 0, x),
    Command.NC: _unwatch,
    Command.WVCLR: _clear,
    Command.WVNEW: _new,
    Command.WVAG: lambda d, _1, _2, x: d.memory.add(parse(x)),
    Command.WVCRE: lambda d, _1, _2, _x: d.make(),
    Command.WVCAP: _pad,
    Command.WVDEL: _delete,
    Command.WVTX: lambda d, wid, _2, _x: d.send(wid, 0),
    Command.WVTXR: lambda d, wid, _2, _x: d.send(wid, 1),
    Command.WVTXM: lambda d, wid, mode, _x: d.send(wid, mode),
    Command.WVCHA: _chain,
    Command.WVBSY: lambda d, _1, _2, _x: d.asked(d.player.busy),
    Command.WVTAT: lambda d, _1, _2, _x: d.asked(d.player.at),
    Command.WVHLT: _halt,
    Command.WVSM: _statistic("micros", MOST_MICROS, Code.BAD_WVSM_COMMND),
    Command.WVSP: _statistic("pulses", MOST_PULSES, Code.BAD_WVSP_COMMND),
    Command.WVSC: _statistic("blocks", BLOCKS, Code.BAD_WVSC_COMMND),
}

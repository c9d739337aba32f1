"""The RP2040 of the twin: pins, PIO blocks, DMA, I²C and watchdog, as far as the firmware uses them, on the one board.

The stand-ins for `machine` and `rp2` ask it by JSON; times are the board's.
"""

from __future__ import annotations

import errno
import hashlib
import struct
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from drivers.edges import SYNC
from drivers.errors import TwinError
from drivers.mock.board import Board
from drivers.mock.clock import at_one_time
from drivers.mock.dac import MockMcp4725, MockMcp4728, Register
from drivers.mock.pico.models import FIFO_WORDS, PROGRAMS, count_words, play_words, stamp_words
from drivers.settings import Wiring

REASON = 0x40058008  # of the watchdog
TIMED_OUT, FORCED = 1, 2  # its bits
PIO_ENABLE = {0x50202000: 0, 0x50302000: 1}  # CTRL of PIO 0 and 1, set bits
WATCHDOG_OFF = 0x4005B000
PIECE = 8192  # bytes of a FIFO's words that are fetched at a time: those of a whole shot
DMA_LATENCY_NS = 2_000
COUNTED_NS = 5_000_000
SHOW_COUNT, PUSH = 0xA0C9, 0x8000  # mov isr, ~x; push noblock
I2C_PINS = (0, 1)
TEMPERATURE_CHANNEL = 4  # RP2040 datasheet, 4.9.5
DAC_ADDRESS = 0x60


@dataclass
class Pins:
    """What is soldered where: lines, axon, e-stop, VBUS sense; by GPIO number. `on_fall` is told of falling edges."""

    wiring: Wiring
    axon: int = 15
    sync: int | None = None  # sync as an input, where the Pi makes it
    estop: int | None = None
    estop_high: bool = True
    vbus: int = 24
    vbus_high: bool = True
    on_fall: Callable[[int | None], None] = lambda _: None

    def __setattr__(self, name: str, value: object) -> None:
        fell = name.endswith("_high") and getattr(self, name, False) and not value
        super().__setattr__(name, value)
        if fell:
            self.on_fall(getattr(self, name.removesuffix("_high")))


@dataclass
class Machine:
    """One state machine."""

    kind: str = ""
    hz: int = 0
    pins: dict[str, int] = field(default_factory=dict)
    on: bool = False
    since_ns: int = 0
    tx: deque[int] = field(default_factory=deque)
    rx: deque[int] = field(default_factory=deque)
    width: int | None = None  # of pulses, once the sequencer has taken it
    pushed: int = 0  # words so far
    edges: int = 0  # of sync so far, and when the last of them was
    last_edge_ns: int = 0
    since: int = 0  # what a counter has counted since the last


@dataclass
class Channel:
    """One DMA channel, and the machine it serves."""

    machine: int
    count: int
    until_ns: int = 0
    plays: bool = False
    taken: int = 0
    request: int = 0
    on: bool = True
    words: bytes = b""
    given: int = 0  # words that the stand-in has fetched
    told: bool = True  # its end interrupts no more


class NotLoadedError(Exception):
    """What MicroPython raises a ValueError for."""


class Chip:
    """Answers the stand-ins; `reset` is called where the chip would begin anew, `interrupt` where an edge of a pin or
    the end of a DMA transfer interrupts the firmware.
    """

    def __init__(self, board: Board, pins: Pins, dac: str, vdd_v: float, reset: Callable[[], None]) -> None:
        self.board = board
        self.lock = threading.RLock()
        self.interrupt: Callable[[str, int], None] = lambda _what, _number: None
        pins.on_fall = self._fell
        self.pins = pins
        self.on_play: Callable[[], None] = lambda: None
        self.plays = threading.Event()  # set with what may have to interrupt by and by
        self.errors: list[TwinError] = []
        self.watchdog_s: float | None = None
        self.temperature_c = 31.0
        self.fed_ns = board.clock()
        self._reset = reset
        self._stretch = 1 + board.rough.pico_clock_ppm * 1e-6  # of the time that its crystal thinks has passed
        self._dac: MockMcp4728 | MockMcp4725 | None = None  # with an EEPROM that parks at 2.0 V
        if dac == "mcp4728":
            self._dac = MockMcp4728(board.set_threshold, vdd_v, eeprom=[Register(4000) for _ in range(4)])
        elif dac == "mcp4725":
            self._dac = MockMcp4725(board.set_threshold, vdd_v, power_up_code=2482)
        self._bit = {line.pin: 1 << i for i, line in enumerate(pins.wiring.lines())}
        self.power_on(cause=1)

    def power_on(self, cause: int, reason: int = 0) -> None:
        """Everything as after a reset: pins are inputs pulled down, so all lines are low. The DAC keeps its output.

        `cause` is what machine.reset_cause() says, `reason` what is in the watchdog's REASON register.
        """
        self.board.halt()
        self._lines(sum(self._bit.values()), high=False)
        self._cause, self._reason = cause, reason
        self.interrupt_byte: int | None = None  # the one that interrupts a running program, None until one can run
        self._hz = 125_000_000
        self._out: dict[int, int] = {}
        self._floating: set[int] = set()  # inputs without a pull
        self._falls: set[int] = set()  # pins whose falling edges interrupt
        self._machines = [Machine() for _ in range(8)]
        self._programs: tuple[dict[str, int], dict[str, int]] = ({}, {})
        self._channels: dict[int, Channel] = {}
        self._played_until_ns = self._looked_ns = 0
        self.watchdog_s = None

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Carry one request out; errors of peripherals and of the twin are answers too.

        Words of a FIFO are bytes, as `fifo` of the request or of the answer's value.
        """
        op = request.pop("op")
        try:
            with self.lock:
                return {"value": getattr(self, f"_op_{op}")(**request)}
        except TwinError as error:
            self.errors.append(error)
            return {"refused": f"TwinError: {error}"}
        except NotLoadedError as error:
            return {"bad_value": str(error)}
        except OSError as error:
            return {"errno": error.errno}

    # ---- interrupts ---------------------------------------------------------------------------------------------

    def _fell(self, pin: int | None) -> None:
        if pin in self._falls:
            self.interrupt("pin", pin)

    def look(self) -> None:
        """Interrupt for every transfer that has ended, once what plays has: none ends before, and the last edge of sync
        is counted a little later, when the axon is low again.
        """
        with self.lock:
            now = self.board.clock()
            if self._looked_ns >= self._played_until_ns:
                self.plays.clear()
            if not self._looked_ns < self._played_until_ns < now:
                return
            if now > self._played_until_ns + COUNTED_NS:
                self._looked_ns = self._played_until_ns
            with at_one_time(self.board.clock):  # what it takes to count them is no time of the Pico's
                ended = [(n, it) for n, it in self._channels.items() if not it.told and self._left(it) == 0]
            for number, channel in ended:
                if self._channels.get(number) is channel:  # whoever was interrupted before may have taken it off
                    channel.told = True
                    self.interrupt("dma", number)

    def _op_pin_irq(self, pin: int, on: bool) -> None:
        (self._falls.add if on else self._falls.discard)(pin)

    def _op_interrupt_byte(self, byte: int) -> None:
        self.interrupt_byte = byte

    # ---- machine ------------------------------------------------------------------------------------------------

    def _op_freq(self, hz: int | None) -> int:
        self._hz = self._hz if hz is None else hz
        return self._hz

    def _op_uid(self) -> list[int]:
        return [0xE6, 0x60, 0x58, 0x38, 0x83, 0x00, 0x7A, 0x11]

    def _op_cause(self) -> int:
        return self._cause

    def _op_reset(self) -> None:
        self._reset()

    def _op_pin(self, pin: int | str, mode: int, pull: int | None, value: int | None) -> None:
        if isinstance(pin, str):
            return
        if pin in self._bit and (pull == 1 or (mode == 0 and pull != 2)):
            raise TwinError(f"GPIO {pin} is a line: as input it needs the pull-down, or the switch may close")
        (self._floating.add if mode == 0 and pull is None else self._floating.discard)(pin)
        if mode == 1:
            self._op_write(pin, value or 0)
        elif pin in self._bit:
            self._lines(self._bit[pin], high=False)

    def _op_write(self, pin: int, level: int) -> None:
        if pin in (self.pins.axon, self.pins.estop, self.pins.vbus):
            raise TwinError(f"GPIO {pin} is driven against what is wired to it")
        self._out[pin] = level
        if pin in self._bit:
            self._lines(self._bit[pin], high=bool(level))

    def _op_read(self, pin: int) -> int:
        if pin == self.pins.estop:
            return int(self.pins.estop_high)
        if pin == self.pins.vbus:
            return int(self.pins.vbus_high)
        now = self.board.clock()
        if pin == self.pins.axon:
            return int(self.board.volts("axon", np.array([now]))[0] > 1.65)
        if pin in self._bit:
            return int(bool(self.board.levels(now) & self._bit[pin]))
        if pin in self._floating:
            raise TwinError(f"GPIO {pin} is read and floats: it has no pull and nothing is wired to it")
        return 0

    def _lines(self, mask: int, *, high: bool) -> None:
        if bool(self.board.levels() & mask) or high:
            self.board.write(mask, high)

    def _op_i2c(self, sda: int, scl: int, hz: int) -> None:
        if (sda, scl) != I2C_PINS or hz > 400_000:
            raise TwinError(f"I2C 0 of the twin is on GPIO 0 and 1, up to 400 kHz, not {sda}, {scl}, {hz}")

    def _op_i2c_write(self, address: int, data: list[int]) -> int:
        self._on_bus(address).write(bytes(data))
        return len(data)

    def _op_i2c_read(self, address: int, count: int) -> list[int]:
        return list(self._on_bus(address).read(count))

    def _on_bus(self, address: int) -> MockMcp4728 | MockMcp4725:
        if self._dac is None or address != DAC_ADDRESS:
            raise OSError(errno.EIO, "no acknowledge")
        return self._dac

    def _op_adc(self, channel: int) -> int:
        if channel != TEMPERATURE_CHANNEL:
            raise TwinError(f"machine.ADC({channel}): nothing is connected there")
        word = round((0.706 - 0.001721 * (self.temperature_c - 27)) / 3.3 * 4096)
        return word << 4 | word >> 8

    def _op_wdt(self, timeout_ms: int) -> None:
        if not 0 < timeout_ms <= 8388:
            raise TwinError(f"machine.WDT(timeout={timeout_ms}): an RP2040 has 8388 ms at most")
        self.watchdog_s = timeout_ms / 1000
        self.fed_ns = self.board.clock()

    def _op_feed(self) -> None:
        self.fed_ns = self.board.clock()

    def _op_read_register(self, address: int) -> int:
        if address != REASON:
            raise TwinError(f"register {address:#x} is none that the twin has")
        return self._reason

    def _op_register(self, address: int, word: int) -> None:
        if address == WATCHDOG_OFF and word == 1 << 30:
            self.watchdog_s = None
        elif address in PIO_ENABLE:
            now = self.board.clock()
            for number in range(4):
                if word >> number & 1:
                    self._switch_on(self._machines[4 * PIO_ENABLE[address] + number], now)
        else:
            raise TwinError(f"register {address:#x} is none that the twin has")

    # ---- rp2 ----------------------------------------------------------------------------------------------------

    def _op_remove(self, block: int, words: list[int]) -> None:
        key = _digest(words)
        if key not in self._programs[block]:
            raise NotLoadedError("the program is not loaded")
        del self._programs[block][key]

    def _op_init(self, machine: int, name: str, words: list[int], hz: int, outs: int, pins: dict[str, int]) -> None:
        key = _digest(words)
        if PROGRAMS.get(name) != key:
            raise TwinError(
                f"PIO program {name!r} ({key}) is not the one this twin has been proven equal to: "
                "prove drivers/mock/pico/models.py anew"
            )
        block = self._programs[machine // 4]
        block[key] = len(words)
        if sum(block.values()) > 32:
            del block[key]
            raise OSError(errno.ENOMEM, "no room in the PIO block")
        if hz > 0 and self._hz % hz:
            raise TwinError(f"{self._hz} Hz over {hz} Hz is not whole: every so often a cycle would be longer")
        lines = self.pins.wiring
        if name == "slots":
            wanted = {"sideset_base": lines.dendrite}
            wanted.update({"out_base": lines.select[0]} if lines.select else {})
            in_a_row = [line.pin for line in lines.lines()] == list(range(lines.dendrite, lines.dendrite + 3 + outs))
            if pins != wanted or outs != len(lines.select) or not in_a_row:
                raise TwinError(f"the sequencer drives {pins} with {outs} selects; wired are {wanted}")
        self._machines[machine] = Machine(name, hz if hz > 0 else self._hz, pins)

    def _op_active(self, machine: int, on: bool) -> None:
        it = self._machines[machine]
        if on:
            self._switch_on(it, self.board.clock())
        elif it.on:
            self._catch_up(it)
            it.on = False
            if it.kind == "slots":
                self._played_until_ns = self._looked_ns = 0
                self.board.halt()

    def _switch_on(self, it: Machine, now_ns: int) -> None:
        if not it.kind:
            raise TwinError("a state machine without a program is switched on")
        it.on = True
        it.since_ns = now_ns

    def _op_put(self, machine: int, word: int) -> None:
        it = self._machines[machine]
        if len(it.tx) >= (FIFO_WORDS if it.kind == "slots" else 4):
            raise TwinError("StateMachine.put on a full FIFO would block for ever")
        it.tx.append(word)

    def _op_get(self, machine: int) -> int:
        it = self._machines[machine]
        if not it.rx:
            raise TwinError("StateMachine.get on an empty FIFO would block for ever")
        return it.rx.popleft()

    def _op_exec(self, machine: int, instruction: int) -> None:
        it = self._machines[machine]
        if it.kind != "axon_edges" or instruction not in (SHOW_COUNT, PUSH):
            raise TwinError(f"the twin does not know instruction {instruction:#x} in program {it.kind!r}")
        if instruction == PUSH:
            it.rx.append(it.since)

    def _op_tx_fifo(self, machine: int) -> int:
        it = self._machines[machine]
        if it.kind == "slots" and it.on:
            return FIFO_WORDS if self.board.clock() < self._played_until_ns else 0
        return len(it.tx)

    def _op_rx_fifo(self, machine: int) -> int:
        it = self._machines[machine]
        self._catch_up(it)
        return min(len(it.rx), 4)

    # ---- DMA ----------------------------------------------------------------------------------------------------

    def _op_dma_play(self, channel: int, machine: int, request: int, trigger: bool, fifo: bytes) -> None:
        self._channels[channel] = Channel(machine, 0, plays=True, request=request, on=False, words=fifo)
        if trigger:
            self._op_dma_start(channel)

    def _op_dma_start(self, channel: int) -> None:
        if channel not in self._channels:
            raise TwinError(f"DMA channel {channel} is started and has not been set up")
        self._channels[channel].on = True
        if self._channels[channel].plays:
            self._play(self._channels[channel])

    def _play(self, channel: Channel) -> None:
        """A shot; its first word, the width, goes to a machine that has none yet."""
        it, machine, request = self._machines[channel.machine], channel.machine, channel.request
        if request != machine // 4 * 8 + machine % 4 or it.kind != "slots" or not it.on:
            raise TwinError(f"DMA request {request} feeds state machine {machine}, which runs {it.kind!r}, on={it.on}")
        if self.board.clock() < self._played_until_ns:
            raise TwinError("the sequencer is fed by two channels at once: their words would be mixed")
        words = np.frombuffer(channel.words, dtype="<u4")
        shot = play_words(words if it.width is None else np.concatenate([[it.width], words]).astype("<u4"))
        it.width = int(words[0]) if it.width is None else it.width
        tick_ns = 1_000_000_000 // it.hz * self._stretch
        start = self.board.play_next(DMA_LATENCY_NS, np.round(shot.t * tick_ns).astype(np.int64), shot.levels)
        self._played_until_ns = start + round(shot.end * tick_ns)
        channel.until_ns = start + round(shot.fed * tick_ns)
        self.plays.set()
        self.on_play()

    def _op_dma_take(self, channel: int, machine: int, request: int, count: int, quiet: bool, trigger: bool) -> None:
        if request != machine // 4 * 8 + 4 + machine % 4:
            raise TwinError(f"DMA request {request} is not the receive FIFO of state machine {machine}")
        self._channels[channel] = Channel(machine, count, on=trigger, told=quiet)

    def _op_dma_abort(self, channel: int) -> None:
        self._channels.pop(channel, None)

    def _op_dma(self, channel: int) -> dict[str, Any]:
        it = self._channels.get(channel)
        if it is None:
            return {"busy": False, "left": 0, "at": 0, "fifo": b""}
        if it.plays:
            return {"busy": self.board.clock() < it.until_ns, "left": 0, "at": 0, "fifo": b""}
        self._left(it)
        new, it.words = it.words[:PIECE], it.words[PIECE:]
        at, it.given = it.given, it.given + len(new) // 4
        return {"busy": it.on and it.taken < it.count, "left": it.count - it.taken, "at": at, "fifo": new}

    def _left(self, it: Channel) -> int:
        """How many words a taking channel still waits for; those that are there go to it, and no other channel."""
        machine = self._machines[it.machine]
        if it.plays or not it.on:
            return it.count - it.taken if not it.plays else 1
        if it.taken == it.count:
            return 0
        self._catch_up(machine)
        new = [machine.rx.popleft() for _ in range(min(len(machine.rx), it.count - it.taken))]
        it.taken += len(new)
        it.words += struct.pack(f"<{len(new)}I", *new)
        if new and it.taken == it.count:
            self._forget(machine)
        return it.count - it.taken

    def _forget(self, it: Machine) -> None:
        """What a counter has counted up to the end of a shot, all of it taken, need not be counted again."""
        if it.kind == "axon_edges" and not it.rx and it.pushed == it.edges and it.pushed % 2 == 0:
            it.since_ns, it.pushed = it.last_edge_ns, 0

    # ---- what the listening machines have pushed ----------------------------------------------------------------

    def _catch_up(self, it: Machine) -> None:
        if not it.on or it.kind == "slots":
            return
        words = self._counted(it) if it.kind == "axon_edges" else self._stamped(it)
        it.rx.extend(words[it.pushed :])
        it.pushed = len(words)

    def _counted(self, it: Machine) -> list[int]:
        now = self.board.clock()
        sync = self.pins.wiring.sync if self.pins.sync is None else self.pins.sync
        if it.pins != {"in_base": sync, "jmp_pin": self.pins.axon}:
            raise TwinError(f"the counter listens on {it.pins}; sync is GPIO {sync}, the axon GPIO {self.pins.axon}")
        if not it.tx:
            raise TwinError("the counter waits for its minimum width")
        t, levels = self.board.lines(it.since_ns, now)
        high = (levels & SYNC) != 0
        edge = np.flatnonzero(high[1:] != high[:-1]) + 1
        it.edges = len(edge)
        it.last_edge_ns = int(t[edge[-1]]) if len(edge) else it.since_ns
        rise, fall = self.board.axon(it.since_ns, now)
        cycle_ns = 1_000_000_000 // it.hz
        words, it.since = count_words(t[edge], high[edge], rise, fall, it.tx[0], cycle_ns, now)
        return words

    def _stamped(self, it: Machine) -> list[int]:
        now = self.board.clock()
        pin = it.pins["jmp_pin"]
        if pin == self.pins.axon:
            rise, _ = self.board.axon(it.since_ns, now)
        else:
            t, levels = self.board.lines(it.since_ns, now)
            high = (levels & SYNC) != 0
            rise = t[1:][high[1:] & ~high[:-1]]
        rise = it.since_ns + np.round((rise - it.since_ns) / self._stretch).astype(np.int64)
        words: list[int] = stamp_words(rise, it.since_ns, 1_000_000_000 // it.hz).tolist()
        return words


def _digest(words: list[int]) -> str:
    return hashlib.sha256(struct.pack(f"<{len(words)}H", *words)).hexdigest()[:16]

"""The RP2040 of the twin: pins, PIO blocks, DMA, I²C and watchdog, as far as the firmware uses them, on the one board.

The stand-ins for `machine` and `rp2` ask it by JSON; times are the board's.
"""

from __future__ import annotations

import errno
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np

from drivers.errors import TwinError
from drivers.mock.board import Board
from drivers.mock.dac import MockMcp4725, MockMcp4728, Register
from drivers.mock.pico.dma import Dma
from drivers.mock.pico.machines import Machines, NotLoadedError
from drivers.mock.pico.soldered import Pins

REASON = 0x40058008  # of the watchdog
TIMED_OUT, FORCED = 1, 2  # its bits
PIO_ENABLE = {0x50202000: 0, 0x50302000: 1}  # CTRL of PIO 0 and 1, set bits
WATCHDOG_OFF = 0x4005B000
COUNTED_NS = 5_000_000
I2C_PINS = (0, 1)
TEMPERATURE_CHANNEL = 4  # RP2040 datasheet, 4.9.5
DAC_ADDRESS = 0x60
AT_ONE_MOMENT = frozenset({"mask", "dma", "dma_read", "dma_chain", "tx_fifo", "rx_fifo"})  # with interrupts off


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
        with self.lock:  # whoever looks sees all of it before or after
            self._begin(cause, reason)

    def _begin(self, cause: int, reason: int) -> None:
        self.board.halt()
        self._lines(sum(self._bit.values()), high=False)
        self._cause, self._reason = cause, reason
        self.interrupt_byte: int | None = None  # the one that interrupts a running program, None until one can run
        self._masked_ns: int | None = None  # when interrupts were switched off
        self._out: dict[int, int] = {}
        self._floating: set[int] = set()  # inputs without a pull
        self._falls: set[int] = set()  # pins whose falling edges interrupt
        self.machines = Machines(self.board, self.pins, self.now, self._stretch)
        self.dma = Dma(self.board, self.machines, self.now, self._stretch, self._plays)
        self.machines.hz = 125_000_000
        self._ends: deque[int] = deque()  # of shots, which have not been looked at
        self.watchdog_s = None

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Carry one request out; errors of peripherals and of the twin are answers too.

        Words of a FIFO are bytes, as `fifo` of the request or of the answer's value.
        """
        op = request.pop("op")
        try:
            with self.lock:
                if self._masked_ns is not None and op not in AT_ONE_MOMENT:
                    raise TwinError(f"{op} with interrupts off: that is for what takes microseconds")
                return {"value": self._operation(op)(**request)}
        except TwinError as error:
            self.errors.append(error)
            return {"refused": f"TwinError: {error}"}
        except NotLoadedError as error:
            return {"bad_value": str(error)}
        except OSError as error:
            return {"errno": error.errno}

    def _operation(self, op: str) -> Callable[..., Any]:
        if hasattr(self, f"_op_{op}"):
            return getattr(self, f"_op_{op}")  # type: ignore[no-any-return]
        part = self.machines if hasattr(self.machines, f"op_{op}") else self.dma
        return getattr(part, f"op_{op}")  # type: ignore[no-any-return]

    def now(self) -> int:
        """The time that the processor sees: with interrupts off, when that was."""
        return self.board.clock() if self._masked_ns is None else self._masked_ns

    def _op_mask(self, on: bool) -> None:
        """Interrupts off, or on again; what the processor does meanwhile it does at one moment."""
        self._masked_ns = self.board.clock() if on else None

    # ---- interrupts ---------------------------------------------------------------------------------------------

    def _fell(self, pin: int | None) -> None:
        if pin in self._falls:
            self.interrupt("pin", pin)

    def _plays(self) -> None:
        self._ends.append(self.machines.feed.end_ns)
        self.plays.set()
        self.on_play()

    def look(self) -> None:
        """Interrupt for every transfer that has ended, once a shot has: none ends before, and the last edge of sync is
        counted a little later, when the axon is low again.
        """
        with self.lock:
            now, ends = self.board.clock(), self._ends  # a reset begins new ones
            if not ends:
                self.plays.clear()
            elif ends[0] < now:
                ended = [(n, it) for n, it in self.dma.channels.items() if not it.told and not self.dma.left(it)]
                if ends and (ended or now > ends[0] + COUNTED_NS):
                    ends.popleft()
                for number, channel in ended:
                    if self.dma.channels.get(number) is channel:  # whoever was interrupted may have taken it off
                        channel.told = True
                        self.interrupt("dma", number)

    def _op_pin_irq(self, pin: int, on: bool) -> None:
        (self._falls.add if on else self._falls.discard)(pin)

    def _op_interrupt_byte(self, byte: int) -> None:
        self.interrupt_byte = byte

    # ---- machine ------------------------------------------------------------------------------------------------

    def _op_freq(self, hz: int | None) -> int:
        self.machines.hz = self.machines.hz if hz is None else hz
        return self.machines.hz

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
            first = 4 * PIO_ENABLE[address]
            self.machines.switch_on(*(first + number for number in range(4) if word >> number & 1))
        else:
            raise TwinError(f"register {address:#x} is none that the twin has")

"""The PIO blocks of the twin's RP2040: programs, state machines, FIFOs, and what those that listen have pushed."""

from __future__ import annotations

import errno
import hashlib
import struct
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from drivers.edges import SYNC, Times
from drivers.errors import TwinError
from drivers.mock.board import Board
from drivers.mock.pico.feed import FIFO_WORDS, Feed
from drivers.mock.pico.models import PROGRAMS, count_words, stamp_words
from drivers.mock.pico.soldered import Pins

RX_WORDS = 4
SHOW_COUNT, PUSH = 0xA0C9, 0x8000  # mov isr, ~x; push noblock
CYCLES_BUSY = 64  # of a counter after an axon pulse, more than it takes


class NotLoadedError(Exception):
    """What MicroPython raises a ValueError for."""


@dataclass
class Machine:
    """One state machine."""

    kind: str = ""
    hz: int = 0
    pins: dict[str, int] = field(default_factory=dict)
    on: bool = False
    since_ns: int = 0  # from when on what a listening one hears is worked out
    tx: deque[int] = field(default_factory=deque)
    rx: deque[int] = field(default_factory=deque)
    width: int | None = None  # of pulses, once the sequencer has taken it
    pushed: int = 0  # words since then
    since: int = 0  # what a counter has counted since the last


class Machines:
    """All eight; `now` is the time that the processor sees, `hz` the system clock's frequency, `stretch` how much
    longer its second is.
    """

    def __init__(self, board: Board, pins: Pins, now: Callable[[], int], stretch: float) -> None:
        self.feed = Feed()  # of the sequencer
        self.hz = 0
        self._board = board
        self._pins = pins
        self._now = now
        self._stretch = stretch
        self._all = [Machine() for _ in range(8)]
        self._programs: tuple[dict[str, int], dict[str, int]] = ({}, {})

    def __getitem__(self, number: int) -> Machine:
        return self._all[number]

    # ---- what the processor asks --------------------------------------------------------------------------------

    def op_remove(self, block: int, words: list[int]) -> None:
        """Take a program out of a block."""
        key = _digest(words)
        if key not in self._programs[block]:
            raise NotLoadedError("the program is not loaded")
        del self._programs[block][key]

    def op_init(self, machine: int, name: str, words: list[int], hz: int, outs: int, pins: dict[str, int]) -> None:
        """Load the program if it is not there, and have a machine begin it, off."""
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
        if hz > 0 and self.hz % hz:
            raise TwinError(f"{self.hz} Hz over {hz} Hz is not whole: every so often a cycle would be longer")
        lines = self._pins.wiring
        if name == "slots":
            wanted = {"sideset_base": lines.dendrite}
            wanted.update({"out_base": lines.select[0]} if lines.select else {})
            in_a_row = [line.pin for line in lines.lines()] == list(range(lines.dendrite, lines.dendrite + 3 + outs))
            if pins != wanted or outs != len(lines.select) or not in_a_row:
                raise TwinError(f"the sequencer drives {pins} with {outs} selects; wired are {wanted}")
            self.feed.clear()
        self._all[machine] = Machine(name, hz if hz > 0 else self.hz, pins)

    def op_active(self, machine: int, on: bool) -> None:
        """Switch a machine on or off."""
        it = self._all[machine]
        if on:
            self.switch_on(machine)
        elif it.on:
            self.catch_up(it)
            it.on = False
            if it.kind == "slots":
                self.feed.clear()
                self._board.halt()

    def switch_on(self, *numbers: int) -> None:
        """Machines of one block, in the same cycle."""
        now = self._now()
        for number in numbers:
            it = self._all[number]
            if not it.kind:
                raise TwinError("a state machine without a program is switched on")
            it.on = True
            it.since_ns = now

    def op_put(self, machine: int, word: int) -> None:
        """A word into a TX FIFO."""
        it = self._all[machine]
        if len(it.tx) >= (FIFO_WORDS if it.kind == "slots" else 4):
            raise TwinError("StateMachine.put on a full FIFO would block for ever")
        it.tx.append(word)

    def op_get(self, machine: int) -> int:
        """A word from an RX FIFO."""
        it = self._all[machine]
        if not it.rx:
            raise TwinError("StateMachine.get on an empty FIFO would block for ever")
        return it.rx.popleft()

    def op_exec(self, machine: int, instruction: int) -> None:
        """One instruction by itself."""
        it = self._all[machine]
        if it.kind != "axon_edges" or instruction not in (SHOW_COUNT, PUSH):
            raise TwinError(f"the twin does not know instruction {instruction:#x} in program {it.kind!r}")
        if instruction == PUSH:
            it.rx.append(it.since)

    def op_tx_fifo(self, machine: int) -> int:
        """Words in a TX FIFO."""
        it = self._all[machine]
        return self.feed.level(self._now()) if it.kind == "slots" and it.on else len(it.tx)

    # ---- what the listening machines have pushed ----------------------------------------------------------------

    def catch_up(self, it: Machine) -> None:
        """Have a machine push what it has heard by now; nobody has taken of it yet, however much that is."""
        if not it.on or it.kind == "slots":
            return
        if it.kind == "axon_edges":
            self._count(it)
        else:
            words = self._stamped(it)
            it.rx.extend(words[it.pushed :])
            it.pushed = len(words)

    def overflow(self, it: Machine) -> None:
        """Nobody takes its words: of those pushed no more are kept than the FIFO holds."""
        while len(it.rx) > RX_WORDS:
            it.rx.pop()

    def _count(self, it: Machine) -> None:
        t, high, rise, fall = self._heard(it)
        words, it.since = count_words(t, high, rise, fall, it.tx[0], 1_000_000_000 // it.hz, self._now())
        it.rx.extend(words[it.pushed :])
        it.pushed = len(words)
        # What was pushed up to an edge need not be counted again, where sync fell and no pulse was looked at.
        free = fall + (2 * it.tx[0] + CYCLES_BUSY) * 1_000_000_000 // it.hz
        for k in range(len(words) // 2 * 2, 0, -2):
            before = int(np.searchsorted(rise, t[k - 1]))
            if before == 0 or free[before - 1] < t[k - 1]:
                it.since_ns, it.pushed = int(t[k - 1]), it.pushed - k
                break

    def _heard(self, it: Machine) -> tuple[Times, NDArray[np.bool_], Times, Times]:
        """Edges of sync and their levels, and axon pulses, since a counter was looked at."""
        now = self._now()
        sync = self._pins.wiring.sync if self._pins.sync is None else self._pins.sync
        if it.pins != {"in_base": sync, "jmp_pin": self._pins.axon}:
            raise TwinError(f"the counter listens on {it.pins}; sync is GPIO {sync}, the axon GPIO {self._pins.axon}")
        if not it.tx:
            raise TwinError("the counter waits for its minimum width")
        t, levels = self._board.lines(it.since_ns, now)
        high = (levels & SYNC) != 0
        edge = np.flatnonzero(high[1:] != high[:-1]) + 1
        return t[edge], high[edge], *self._board.axon(it.since_ns, now)

    def _stamped(self, it: Machine) -> list[int]:
        now = self._now()
        pin = it.pins["jmp_pin"]
        if pin == self._pins.axon:
            rise, _ = self._board.axon(it.since_ns, now)
        else:
            t, levels = self._board.lines(it.since_ns, now)
            high = (levels & SYNC) != 0
            rise = t[1:][high[1:] & ~high[:-1]]
        rise = it.since_ns + np.round((rise - it.since_ns) / self._stretch).astype(np.int64)
        words: list[int] = stamp_words(rise, it.since_ns, 1_000_000_000 // it.hz).tolist()
        return words


def _digest(words: list[int]) -> str:
    return hashlib.sha256(struct.pack(f"<{len(words)}H", *words)).hexdigest()[:16]

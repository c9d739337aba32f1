"""The header of the simulated Pi: modes, pulls, levels in time, and the wires from its pins to the board."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from drivers.errors import TwinError
from drivers.mock.pigpiod.protocol import GPIOS, USER_GPIOS
from drivers.pins import PULLED_UP_AT_BOOT

if TYPE_CHECKING:
    from drivers.benchfile import Wiring
    from drivers.mock.board import Board

INPUT, OUTPUT = 0, 1
PULL_OFF, PULL_DOWN, PULL_UP = 0, 1, 2

Times = NDArray[np.int64]
Words = NDArray[np.int64]


class Pins:
    """Levels of GPIO 0-31 in time. Every change of a wired pin is played on the board."""

    def __init__(self, board: Board, wiring: Wiring) -> None:
        self._board = board
        self._clock = board.clock
        self._bits = {line.pin: 1 << bit for bit, line in enumerate(wiring.lines())}
        self._outside: dict[int, int] = {}
        self.modes = [INPUT] * GPIOS
        self.pulls = [PULL_UP if pin in PULLED_UP_AT_BOOT else PULL_DOWN for pin in range(GPIOS)]
        self._t: Times = np.array([self._clock()], dtype=np.int64)
        self._words: Words = np.zeros(1, dtype=np.int64)
        for pin in range(USER_GPIOS):
            self._float(pin)

    @property
    def wired(self) -> int:
        """GPIO mask of the pins with a line of the board on them."""
        return sum(1 << pin for pin in self._bits)

    def set_mode(self, pin: int, mode: int) -> None:
        """Change a pin's function; an input takes the level of what drives it or of its pull."""
        self.modes[pin] = mode
        if mode == INPUT:
            self._float(pin)

    def set_pull(self, pin: int, pull: int) -> None:
        """Switch a pin's pull resistor."""
        self.pulls[pin] = pull
        if self.modes[pin] == INPUT:
            self._float(pin)

    def drive(self, pin: int, level: int | None) -> None:
        """Drive an input from outside the Pi; None lets go."""
        if level is None:
            self._outside.pop(pin, None)
        else:
            self._outside[pin] = level
        if self.modes[pin] == INPUT:
            self._float(pin)

    def level(self, pin: int) -> int:
        """The level of a pin now."""
        if pin >= USER_GPIOS:
            return int(self.pulls[pin] == PULL_UP)
        return self.levels(self._clock()) >> pin & 1

    def levels(self, at_ns: int) -> int:
        """The levels of GPIO 0-31 at a time."""
        return int(self._words[max(0, int(np.searchsorted(self._t, at_ns, side="right")) - 1)])

    def changes(self, t0_ns: int, t1_ns: int) -> tuple[Times, Words]:
        """Level changes in (t0, t1]: times and words."""
        window = slice(*np.searchsorted(self._t, [t0_ns, t1_ns], side="right"))
        return self._t[window], self._words[window]

    def write(self, mask: int, level: int, at_ns: int) -> None:
        """Set or clear pins that are outputs; what is queued later stays as it is."""
        outputs = sum(1 << pin for pin in range(USER_GPIOS) if mask >> pin & 1 and self.modes[pin] == OUTPUT)
        self._write(outputs, level, at_ns)

    def play(self, t_ns: Times, on: Words, off: Words) -> None:
        """Set, then clear pins at times (n,) ascending, none before what is queued already ends."""
        used = int(np.bitwise_or.reduce(on | off, initial=0)) & self.wired
        idle = [pin for pin in self._bits if used >> pin & 1 and self.modes[pin] != OUTPUT]
        if idle:
            raise TwinError(f"a wave drives GPIO {idle[0]}, which is not an output: nothing would happen on its line")
        t, words = _expand(t_ns, on, off, int(self._words[-1]))
        self._t = np.concatenate([self._t, t])
        self._words = np.concatenate([self._words, words])
        self._board.play(0, t, self._on_board(words))

    def halt(self, at_ns: int) -> None:
        """Forget what is queued after a time; the pins stay as they are then."""
        keep = int(np.searchsorted(self._t, at_ns, side="right"))
        self._t, self._words = self._t[:keep], self._words[:keep]
        self._board.halt(at_ns)

    def forget(self, before_ns: int) -> None:
        """Drop levels that are over; the board keeps its own history."""
        keep = max(0, int(np.searchsorted(self._t, before_ns, side="right")) - 1)
        self._t, self._words = self._t[keep:], self._words[keep:]

    def _float(self, pin: int) -> None:
        level = self._outside.get(pin, int(self.pulls[pin] == PULL_UP))
        self._write(1 << pin, level, self._clock())

    def _write(self, mask: int, level: int, at_ns: int) -> None:
        old = self.levels(at_ns)
        new = old | mask if level else old & ~mask
        if new == old:
            return
        i = int(np.searchsorted(self._t, at_ns, side="right"))
        self._t = np.insert(self._t, i, at_ns)
        self._words = np.insert(self._words, i, new)
        lines = sum(bit for pin, bit in self._bits.items() if mask >> pin & 1)
        if lines:
            self._board.write(lines, bool(level), at_ns)

    def _on_board(self, words: Words) -> NDArray[np.uint32]:
        levels = np.zeros(len(words), dtype=np.uint32)
        for pin, bit in self._bits.items():
            levels |= ((words >> pin) & 1).astype(np.uint32) * np.uint32(bit)
        return levels


def _expand(t_ns: Times, on: Words, off: Words, before: int) -> tuple[Times, Words]:
    """What the pins show: SET acts before CLEAR, so a pulse that does both shows two levels at one time."""
    used = int(np.bitwise_or.reduce(on | off, initial=0))
    after = np.full(len(on), before & ~used, dtype=np.int64)
    row = np.arange(len(on))
    for bit in range(USER_GPIOS):
        if not used >> bit & 1:
            continue
        acts = ((on | off) >> bit) & 1
        last = np.maximum.accumulate(np.where(acts != 0, row, -1))
        level = np.where(last >= 0, 1 - ((off[last] >> bit) & 1), before >> bit & 1)
        after |= level << bit
    between = np.concatenate([[before], after[:-1]]) | on
    t = np.repeat(t_ns, 2)
    words = np.stack([between, after], axis=1).ravel()
    keep = np.stack([(on != 0) & (off != 0), (on | off) != 0], axis=1).ravel()
    return t[keep], words[keep]

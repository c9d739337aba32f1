"""The wires from the Pi's pins to the board's lines, and how late the edges of waves come down them."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from drivers.errors import TwinError

if TYPE_CHECKING:
    from drivers.edges import Levels
    from drivers.mock.board import Board
    from drivers.settings import Wiring

Times = NDArray[np.int64]
Words = NDArray[np.int64]

LATEST_S = 10e-6  # that an edge comes after it is due; by then the DMA engine's queue is full
_USUAL = 4.0  # what an edge is late in the mean, in units of the jitter: none comes early


class Wired:
    """Pins with a line of the board on them. The board records misuse; the Pi knows nothing of it."""

    def __init__(self, board: Board, wiring: Wiring) -> None:
        self._board = board
        self.pins = {line.pin: 1 << bit for bit, line in enumerate(wiring.lines())}  # and each one's line
        self.mask = sum(1 << pin for pin in self.pins)
        # Pins whose lines are as far from them are moved together: by how far, and which lines.
        self._moved: dict[int, int] = {}
        for pin, line in self.pins.items():
            far = pin - line.bit_length() + 1
            self._moved[far] = self._moved.get(far, 0) | line
        self._rng = np.random.default_rng([board.seed, 0x9190])

    def levels(self, words: Words) -> Levels:
        """(n,) levels of pins as those of lines."""
        found = np.zeros(len(words), dtype=np.int64)
        for far, lines in self._moved.items():
            found |= (words >> far if far >= 0 else words << -far) & lines
        return found.astype(np.uint32)

    def shown(self, words: Words, levels: Levels) -> Words:
        """Levels of pins (n,) with the board's lines (n,) on theirs."""
        lines = levels.astype(np.int64)
        found: Words = words & ~self.mask
        for far, some in self._moved.items():
            picked = lines & some
            found |= picked << far if far >= 0 else picked >> -far
        return found

    def differ(self, level: int, at_ns: int) -> list[tuple[int, int]]:
        """Lines that do not show at a time what their pins do, and what those do."""
        shown = self._board.levels(at_ns)
        wanted = sum(line for pin, line in self.pins.items() if level >> pin & 1)
        return [(line, int(wanted & line != 0)) for line in self.pins.values() if (shown ^ wanted) & line]

    def write(self, lines: int, level: int, at_ns: int) -> None:
        """Set lines by hand."""
        with contextlib.suppress(TwinError):  # the board has recorded it
            self._board.write(lines, bool(level), at_ns)

    def play(self, t: Times, words: Words, *, jitter: bool) -> None:
        """Have lines follow their pins, (n,) times and levels."""
        levels = self.levels(words)
        changed = levels != np.concatenate([[self._board.levels(self._board.busy_until_ns())], levels[:-1]])
        t, levels = t[changed], levels[changed]
        with contextlib.suppress(TwinError):  # likewise
            self._board.play(0, t, levels, late_ns=self._late_ns(len(t)) if jitter else None)

    def _late_ns(self, count: int) -> Times | None:
        """By how much each edge comes later: normal, with a heavy tail under load."""
        rough = self._board.rough
        if rough.pigpio_jitter_s == 0:
            return None
        late = self._rng.normal(_USUAL * rough.pigpio_jitter_s, rough.pigpio_jitter_s, count)
        tail = self._rng.random(count) < rough.pigpio_tail_share
        late[tail] += self._rng.exponential(rough.pigpio_tail_s, int(tail.sum()))
        late = np.clip(late, 0.0, LATEST_S)
        return np.round(late * 1e9).astype(np.int64)

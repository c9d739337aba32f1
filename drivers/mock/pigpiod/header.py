"""The header of the simulated Pi: modes, pulls, output latches in time, and the wires from its pins to the board.

A pin that is an output shows its latch; any other shows what drives it from outside, or its pull (BCM2835 ARM
Peripherals, chapter 6). Waves and commands write latches, whatever the pin's mode.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from drivers.mock.pigpiod.foresight import Foresight, Stretch
from drivers.mock.pigpiod.protocol import GPIOS, USER_GPIOS
from drivers.mock.pigpiod.trains import Trains
from drivers.mock.pigpiod.wired import Wired
from drivers.mock.timeline import Timeline, in_order
from drivers.pins import PULLED_UP_AT_BOOT

if TYPE_CHECKING:
    from drivers.mock.board import Board
    from drivers.settings import Wiring

INPUT, OUTPUT = 0, 1
PULL_OFF, PULL_DOWN, PULL_UP = 0, 1, 2

TRAINS_AHEAD_NS = 20_000_000  # how far pulses without end are put on the board in advance
PULLED_UP = frozenset({*PULLED_UP_AT_BOOT, 34, 35, 36, *range(46, 54)})  # BCM2835 ARM Peripherals, table 6-31

Times = NDArray[np.int64]
Words = NDArray[np.int64]


class Pins:
    """Levels of GPIO 0-31 in time. Every change of a wired pin is played on the board, which records misuse.

    `axon_pin` is the GPIO that the board's axon is wired to, where it is; `jumpers` are wires between two free pins.
    """

    def __init__(
        self,
        board: Board,
        wiring: Wiring,
        *,
        axon_pin: int | None = None,
        jumpers: Collection[tuple[int, int]] = (),
    ) -> None:
        self._board = board
        self._axon_pin = axon_pin
        self._jumpers = tuple(jumpers)
        self._clock = board.clock
        self._wired = Wired(board, wiring)
        self._outside: dict[int, int] = {}
        self.modes = [INPUT] * GPIOS
        self.pulls = [PULL_UP if pin in PULLED_UP else PULL_DOWN for pin in range(GPIOS)]
        now = self._clock()
        self._latch = Timeline(now, 0, np.int64)
        self._outputs = Timeline(now, 0, np.int64)  # which pins are outputs
        self._inputs = Timeline(now, self._driven(), np.int64)  # what the others would show
        self._trains = Trains()
        self._revision, self._promised_ns = 0, now  # as the board's
        self._ahead = Foresight(
            lambda: (self._revision, self._board.revision),
            self._settled_ns,
            self._looked_at,
            self._worked_out,
            self._clock,
        )
        self._to_board(now)

    @property
    def wired(self) -> int:
        """GPIO mask of the pins with a line of the board on them."""
        return self._wired.mask

    def set_mode(self, pin: int, mode: int) -> None:
        """Change a pin's function; an output shows its latch at once."""
        self.modes[pin] = mode
        self._regate()

    def set_pull(self, pin: int, pull: int) -> None:
        """Switch a pin's pull resistor."""
        self.pulls[pin] = pull
        self._regate()

    def drive(self, pin: int, level: int | None) -> None:
        """Drive an input from outside the Pi; None lets go."""
        if level is None:
            self._outside.pop(pin, None)
        else:
            self._outside[pin] = level
        self._regate()

    def level(self, pin: int) -> int:
        """The level of a pin now."""
        if pin >= USER_GPIOS:
            return int(self.pulls[pin] == PULL_UP)
        return self.seen_levels(self._clock()) >> pin & 1

    def levels(self, at_ns: int) -> int:
        """The levels of GPIO 0-31 at a time."""
        outputs = self._outputs.at(at_ns)
        latch = self._latch.at(at_ns)
        if self._trains:
            latch = self._trains.over(np.array([at_ns]), np.array([latch])).item()
        level: int = self._tied(latch & outputs | self._inputs.at(at_ns) & ~outputs, outputs)
        return level

    def _tied(self, words: Any, outputs: Any) -> Any:
        """Levels, numbers or arrays, with what the jumpers make of them: an output decides for an input."""
        for ends in self._jumpers:
            for here, there in (ends, ends[::-1]):
                driven = (outputs >> there & 1) & ~(outputs >> here)
                words = words & ~(driven << here) | ((words >> there & 1) & driven) << here
        return words

    def changes(self, t0_ns: int, t1_ns: int) -> tuple[Times, Words]:
        """Level changes in (t0, t1]: times and words; of changes at one time the last."""
        lines = (self._latch, self._outputs, self._inputs)
        windows = [slice(*np.searchsorted(line.t, [t0_ns, t1_ns], side="right")) for line in lines]
        edges = [line.t[window] for line, window in zip(lines, windows, strict=True)]
        t = in_order(*edges, self._trains.edges(t0_ns, t1_ns))
        latch, outputs, inputs = (_at(line, t) for line in lines)
        latch = self._trains.over(t, latch)
        words: Words = self._tied(latch & outputs | inputs & ~outputs, outputs)
        changed = words != np.concatenate([[self.levels(t0_ns)], words[:-1]])
        return t[changed], words[changed]

    def seen_levels(self, at_ns: int) -> int:
        """The levels of GPIO 0-31 at a time, as somebody sees them who looks: the axon on its pin."""
        return self._ahead.level(at_ns)

    def seen(self, t0_ns: int, t1_ns: int) -> Stretch:
        """What happens from t0 to t1, with the axon on its pin, and the lines when their edges really come."""
        return self._ahead.look(t0_ns, t1_ns)

    def foresee(self, from_ns: int, soon_ns: int) -> None:
        """Have what is to be seen soon worked out beforehand; what was before `from_ns` is not asked for again."""
        self._ahead.extend(from_ns, soon_ns)

    def _settled_ns(self, at_ns: int) -> int:
        """Until when after a time nothing changes what is queued but a write, a halt, a mode, a pull or V_th."""
        until_ns, end_ns = self._board.settled_until_ns(at_ns), self._latch.end_ns
        if at_ns < end_ns - 1:
            return min(end_ns - 1, until_ns)
        self._promised_ns = max(self._promised_ns, until_ns)
        return until_ns

    def _looked_at(self, at_ns: int) -> int:
        if not self._hears_axon:
            return self.levels(at_ns)
        past = self._board.past(at_ns, at_ns + 1)
        _, lines = past.lines(at_ns, at_ns + 1)
        _, high = past.axon_levels(at_ns, at_ns + 1)
        return self._with_axon(self._wired.shown(np.array([self.levels(at_ns)]), lines[-1:]), high[-1:]).item()

    def _worked_out(self, t0_ns: int, t1_ns: int) -> tuple[Times, Words]:
        t, words = self.changes(t0_ns, t1_ns)
        if not self._hears_axon:
            return t, words
        past = self._board.past(t0_ns, t1_ns + 1)
        line_t, levels = past.lines(t0_ns, t1_ns + 1)
        axon_t, high = past.axon_levels(t0_ns, t1_ns + 1)
        when = in_order(t, line_t, axon_t)
        when = when[(when > t0_ns) & (when <= t1_ns)]
        words = np.append(self.levels(t0_ns), words)[np.searchsorted(t, when, side="right")]
        words = self._wired.shown(words, levels[np.maximum(np.searchsorted(line_t, when, side="right") - 1, 0)])
        words = self._with_axon(words, high[np.searchsorted(axon_t, when, side="right") - 1])
        return when, words

    @property
    def _hears_axon(self) -> bool:
        return self._axon_pin is not None and self.modes[self._axon_pin] == INPUT

    def _with_axon(self, words: Words, high: NDArray[np.bool_]) -> Words:
        assert self._axon_pin is not None  # noqa: S101 (asked before)
        shown: Words = words & ~(1 << self._axon_pin) | (high.astype(np.int64) << self._axon_pin)
        return shown

    def write(self, mask: int, level: int, at_ns: int) -> None:
        """Set or clear latches, each until what is queued changes it."""
        old = self._latch.at(at_ns)
        new = old | mask if level else old & ~mask
        if new == old:
            return
        self._latch.set(at_ns, mask, bool(level))
        self._revision += 1
        outputs = self._outputs.at(at_ns)
        changed = outputs & (new ^ old)
        lines = sum(line for pin, line in self._wired.pins.items() if changed >> pin & 1)
        if lines and self._trains.on(self.wired, at_ns):
            self._to_board(self._clock())
        elif lines:
            self._wired.write(lines, level, at_ns)

    def begin_train(self, pin: int, period_ns: int, high_ns: int) -> None:
        """Pulses without end on a pin, from now on."""
        now = self._clock()
        self._trains.begin(pin, period_ns, high_ns, now)
        self._retrained(pin, now)

    def end_train(self, pin: int) -> None:
        """End the pulses of a pin, if it has any; it shows its latch."""
        now = self._clock()
        if self._trains.end(pin, now):
            self._retrained(pin, now)

    def _retrained(self, pin: int, now: int) -> None:
        self._revision += 1
        if pin in self._wired.pins:
            self._board.halt(now)
            self._to_board(now)
            self.keep_up(now)

    def keep_up(self, now: int) -> None:
        """Put pulses without end on the board's lines, some time ahead."""
        since, until = max(self._board.busy_until_ns(), now - TRAINS_AHEAD_NS), now + TRAINS_AHEAD_NS
        if since + TRAINS_AHEAD_NS // 2 < until and self._trains.on(self.wired, now):
            t = in_order(self._trains.edges(since, until))
            self._play_on_board(t, _at(self._latch, t))

    def play(self, t_ns: Times, on: Words, off: Words) -> None:
        """Set, then clear latches at times (n,) ascending, none before what is queued already ends: a wave's pulses,
        whose edges come some time after they are due.
        """
        used = int(np.bitwise_or.reduce(on | off, initial=0)) & self.wired
        idle = [pin for pin in self._wired.pins if used >> pin & 1 and self.modes[pin] != OUTPUT]
        if idle:
            self.misused(f"a wave drives GPIO {idle[0]}, which is not an output: nothing happens on its line")
        t, words = _expand(t_ns, on, off, int(self._latch.words[-1]))
        t = np.maximum(t, self._latch.end_ns)
        self._revision += len(t) > 0 and int(t[0]) <= self._promised_ns
        self._latch.append(t, words)
        self._play_on_board(t, words, jitter=True)

    def halt(self, at_ns: int) -> None:
        """Forget what is queued after a time; the pins stay as they are then."""
        self._latch.cut(at_ns)
        self._revision += 1
        self._board.halt(at_ns)

    def forget(self, before_ns: int) -> None:
        """Drop levels that are over; the board keeps its own history."""
        for line in (self._latch, self._outputs, self._inputs):
            line.forget(before_ns)
        self._trains.forget(before_ns)

    def misused(self, what: str) -> None:
        """Have the board record something that hardware would take in silence."""
        self._board.misused(what)

    def _driven(self) -> int:
        levels = [self._outside.get(pin, int(self.pulls[pin] == PULL_UP)) for pin in range(USER_GPIOS)]
        for ends in self._jumpers:
            for here, there in (ends, ends[::-1]):
                if self.pulls[here] == PULL_OFF and here not in self._outside:
                    levels[here] = levels[there]
        return sum(level << pin for pin, level in enumerate(levels))

    def _regate(self) -> None:
        """A mode, a pull or what drives a pin has changed: show it, now and in what is queued."""
        now = self._clock()
        outputs = sum(1 << pin for pin in range(USER_GPIOS) if self.modes[pin] == OUTPUT)
        inputs = self._driven()
        if (outputs, inputs) == (self._outputs.words[-1], self._inputs.words[-1]):
            return
        self._revision += 1
        self._outputs.append(np.array([now]), np.array([outputs]))
        self._inputs.append(np.array([now]), np.array([inputs]))
        self._to_board(now)

    def _to_board(self, now: int) -> None:
        level = self.levels(now)
        for line, wanted in self._wired.differ(level, now):
            self._wired.write(line, wanted, now)
        later = slice(int(np.searchsorted(self._latch.t, now, side="right")), None)
        if len(self._latch.t[later]):
            self._board.halt(now)
            self._play_on_board(self._latch.t[later].copy(), self._latch.words[later].copy())

    def _play_on_board(self, t: Times, words: Words, *, jitter: bool = False) -> None:
        outputs, inputs = int(self._outputs.words[-1]), int(self._inputs.words[-1])
        if len(t) and self._trains.on(self.wired, int(t[0])):
            self._board.halt(int(t[0]) - 1)  # what lies after that are pulses without end, and come anew
            t, words = self._with_trains(t, words)
        shown = words & outputs | inputs & ~outputs
        self._wired.play(t, shown, jitter=jitter)

    def _with_trains(self, t: Times, words: Words) -> tuple[Times, Words]:
        """A queue with the pulses without end among it; what a pulse does twice at one time is done twice."""
        more = np.setdiff1d(self._trains.edges(int(t[0]), int(t[-1])), t)
        at = np.searchsorted(t, more, side="right")
        words = np.insert(words, at, words[at - 1])
        t = np.insert(t, at, more)
        return t, self._trains.over(t, words)


def _at(line: Timeline, t: Times) -> Words:
    """(n,) what a timeline says at times (n,)."""
    words: Words = line.words[np.maximum(np.searchsorted(line.t, t, side="right") - 1, 0)].astype(np.int64)
    return words


def _expand(t_ns: Times, on: Words, off: Words, before: int) -> tuple[Times, Words]:
    """What the pins show: SET acts before CLEAR, so a pulse that does both shows two levels at one time."""
    after = _after(on, off, before)
    was = np.empty_like(after)
    was[:1], was[1:] = before, after[:-1]
    t = np.repeat(t_ns, 2)
    words = np.stack([was | on, after], axis=1).ravel()
    keep = np.stack([(on != 0) & (off != 0), (on | off) != 0], axis=1).ravel()
    return t[keep], words[keep]


def _after(on: Words, off: Words, before: int) -> Words:
    """(n,) latches after each pulse that sets and clears some."""
    moved = on ^ off
    after: Words = np.bitwise_xor.accumulate(np.append(before, moved))
    if not (((on & after[:-1]) | (off & ~after[:-1])).any() or (on & off).any()):
        return after[1:]  # all that is set was low, all that is cleared was high
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
    return after

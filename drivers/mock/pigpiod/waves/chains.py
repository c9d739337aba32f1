"""Chains of waves: the daemon's byte code, checked and run as pigpio v79 does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import repeat

from drivers.mock.pigpiod.protocol import Code, Refused
from drivers.mock.pigpiod.waves.memory import Wave

BLOCKS = 600  # lead-in and end included
COUNTERS = 20
NESTING = 10
ESCAPE = 255


@dataclass(frozen=True)
class Play:
    """Play a wave, whatever becomes of its id."""

    wave: Wave


@dataclass(frozen=True)
class Delay:
    """Wait, µs."""

    us: int


@dataclass(frozen=True)
class Loop:
    """Run the steps so many times; None is for ever."""

    steps: tuple[Step, ...]
    passes: int | None


Step = Play | Delay | Loop


class _Parser:
    def __init__(self, data: bytes, wave: Callable[[int], Wave]) -> None:
        self._data = data
        self._get = wave
        self._at = 0
        self._blocks = 1
        self._counters = 0
        self._begun: list[tuple[int, int]] = []  # index into the steps, blocks used
        self.steps: list[Step] = []

    def run(self) -> tuple[Step, ...]:
        commands = {0: self._begin, 1: self._end, 2: self._delay, 3: self._forever}
        while self._at < len(self._data):
            wid = self._data[self._at]
            if wid != ESCAPE:
                self._wave(wid)
                continue
            if self._at + 2 > len(self._data) or self._data[self._at + 1] not in commands:
                raise Refused(Code.BAD_CHAIN_CMD)
            commands[self._data[self._at + 1]]()
        self._take_block()
        return tuple(self.steps)

    def _wave(self, wid: int) -> None:
        wave = self._get(wid)
        self._take_block()
        self._next_block()
        self._at += 1
        self.steps.append(Play(wave))

    def _begin(self) -> None:
        if len(self._begun) >= NESTING:
            raise Refused(Code.CHAIN_NESTING)
        self._begun.append((len(self.steps), self._blocks))
        self._at += 2

    def _end(self) -> None:
        if self._counters >= COUNTERS:
            raise Refused(Code.CHAIN_COUNTER)
        passes = self._argument()
        first = self._loop_start()
        body = tuple(self.steps[first:])
        if passes > 1:
            self._take_block()
            self._next_block()
            self._counters += 1
        self.steps[first:] = [Loop(body, passes)]

    def _delay(self) -> None:
        us = self._argument()
        if us:
            self._take_block()
            self.steps.append(Delay(us))

    def _forever(self) -> None:
        self._at += 2
        first = self._loop_start()
        self._take_block()
        if self._at < len(self._data):
            raise Refused(Code.BAD_FOREVER)
        self.steps[first:] = [Loop(tuple(self.steps[first:]), None)]

    def _argument(self) -> int:
        if self._at + 4 > len(self._data):
            raise Refused(Code.BAD_CHAIN_CMD)
        value = int.from_bytes(self._data[self._at + 2 : self._at + 4], "little")
        self._at += 4
        return value

    def _loop_start(self) -> int:
        if not self._begun:
            raise Refused(Code.BAD_CHAIN_LOOP)
        first, blocks = self._begun.pop()
        if blocks == self._blocks:
            raise Refused(Code.BAD_CHAIN_LOOP)
        return first

    def _take_block(self) -> None:
        self._next_block()
        self._blocks += 1

    def _next_block(self) -> None:
        if self._blocks >= BLOCKS:
            raise Refused(Code.CHAIN_TOO_BIG)


def parse_chain(data: bytes, wave: Callable[[int], Wave]) -> tuple[Step, ...]:
    """Check a chain and return its steps; `wave` gives the wave of an id or raises Refused, as this does."""
    return _Parser(data, wave).run()


def run_chain(steps: tuple[Step, ...]) -> Iterator[Play | Delay]:
    """The plays and delays of a chain, in order."""
    for step in steps:
        if isinstance(step, Loop):
            for _ in repeat(None) if step.passes is None else range(step.passes):
                yield from run_chain(step.steps)
        else:
            yield step


def endless(steps: tuple[Step, ...]) -> bool:
    """Whether the chain never ends."""
    return bool(steps) and isinstance(steps[-1], Loop) and steps[-1].passes is None

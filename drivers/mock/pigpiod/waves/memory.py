"""Waves as the daemon stores them: the waveform under construction, control blocks, on/off words, ids (pigpio v79)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from drivers.mock.pigpiod.protocol import PERMITTED, Code, Refused

BLOCKS, RESERVED_BLOCKS = 25_016, 1_180
WORDS, RESERVED_WORDS = 16_748, 790
MOST_PULSES = 12_000  # as reported; reaching it is refused
MOST_MICROS = 1_800_000_000
WAVES = 250

Column = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Pulses:
    """GPIO masks to set and to clear, and the delay after each, µs; (n,) int64."""

    on: Column
    off: Column
    delay_us: Column

    def __len__(self) -> int:
        return len(self.on)

    @cached_property
    def duration_us(self) -> int:
        """From the first pulse to the end of the last delay, µs."""
        return int(self.delay_us.sum())

    @cached_property
    def since_us(self) -> Column:
        """(n,) when each pulse acts, µs after the first."""
        return np.cumsum(self.delay_us) - self.delay_us

    @property
    def blocks(self) -> int:
        """Control blocks a wave of them takes: one for the lead-in, one for each with bits, one for each delay."""
        return 1 + int(((self.on | self.off) != 0).sum() + (self.delay_us != 0).sum())

    @property
    def words(self) -> int:
        """On/off words a wave of them takes."""
        return int((self.on != 0).sum() + (self.off != 0).sum())


NOTHING = Pulses(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.int64))


def parse(extension: bytes) -> Pulses:
    """The pulses in a WVAG message: uint32 on, off, delay each; an incomplete last one is ignored."""
    rows = np.frombuffer(extension, dtype="<u4", count=len(extension) // 12 * 3).reshape(-1, 3).astype(np.int64)
    return Pulses(rows[:, 0], rows[:, 1], rows[:, 2])


def merge(old: Pulses, new: Pulses) -> Pulses:
    """Two waveforms that both start at 0, as one: pulses due at the same time become one pulse."""
    if not len(old) or not len(new):
        return old if len(old) else new
    rows: list[tuple[int, int, int]] = []  # time, on, off
    sources = [old, new]
    index, due = [0, 0], [0, 0]
    while index[0] < len(old) or index[1] < len(new):
        left = [k for k in (0, 1) if index[k] < len(sources[k])]
        now = min(due[k] for k in left)
        on = off = 0
        for k in left:
            if due[k] == now:
                i = index[k]
                on, off = on | int(sources[k].on[i]), off | int(sources[k].off[i])
                due[k] += int(sources[k].delay_us[i])
                index[k] += 1
        rows.append((now, on, off))
    t, on_column, off_column = np.array(rows, dtype=np.int64).T
    return Pulses(on_column, off_column, np.diff(t, append=max(due)))


@dataclass(eq=False)
class Wave:
    """A created wave: its pulses and the blocks and words it holds, padding included."""

    pulses: Pulses
    first_block: int
    blocks: int
    first_word: int
    words: int
    top_words: int = 0  # for what it reads, which is kept at the other end
    deleted: bool = False


class WaveMemory:
    """The daemon's waves. Methods raise Refused with the daemon's code; `misused` is told what it does not notice."""

    def __init__(self, misused: Callable[[str], object], *, held_blocks: int = 0) -> None:
        self._misused = misused
        self._held = held_blocks
        self.high = {"micros": 0, "pulses": 0, "blocks": 0}
        self.clear()

    def clear(self) -> None:
        """Forget all waves and the waveform under construction; what plays goes on."""
        self.waves: list[Wave] = []
        self.add_new()

    def add_new(self) -> None:
        """Begin a new waveform."""
        self._building = NOTHING
        self.now = {"micros": 0, "pulses": 0, "blocks": 0}

    def add(self, pulses: Pulses) -> int:
        """Merge pulses, masked to the permitted GPIOs, into the waveform; the total number of its pulses."""
        masked = Pulses(pulses.on & PERMITTED, pulses.off & PERMITTED, pulses.delay_us)
        total = merge(self._building, masked)
        if len(pulses) > MOST_PULSES or len(total) >= MOST_PULSES:
            raise Refused(Code.TOO_MANY_PULSES)
        self._building = total
        self.now = {"micros": total.duration_us, "pulses": len(total), "blocks": total.blocks - 1}
        self.high = {key: max(self.high[key], value) for key, value in self.now.items()}
        if (masked.on != pulses.on).any() or (masked.off != pulses.off).any():
            raise Refused(Code.SOME_PERMITTED)
        return len(total)

    def create(self, percent: tuple[int, int, int] | None = None) -> int:
        """Make a wave; its id. It may be padded to percentages: of blocks, of words, of words that it reads."""
        if percent is not None and max(percent) > 100:
            raise Refused(Code.BAD_PARAM)
        if not len(self._building):
            raise Refused(Code.EMPTY_WAVEFORM)
        room = (self._building.blocks, self._building.words, 0)
        if percent is not None:
            room = self._padded(room[0], room[1], percent)
        wid = self._place(self._building, *room)
        self._building = NOTHING
        return wid

    def delete(self, wid: int) -> None:
        """Delete a wave; its space comes back when it and all waves above it are deleted."""
        self.get(wid).deleted = True
        if wid == len(self.waves) - 1:
            while self.waves and self.waves[-1].deleted:
                self.waves.pop()

    def get(self, wid: int) -> Wave:
        """The wave with this id; raises Refused if there is none."""
        if wid >= len(self.waves) or self.waves[wid].deleted:
            raise Refused(Code.BAD_WAVE_ID)
        return self.waves[wid]

    def exists(self, wid: int) -> bool:
        """Whether there is a wave with this id."""
        return wid < len(self.waves) and not self.waves[wid].deleted

    def _padded(self, blocks: int, words: int, percent: tuple[int, int, int]) -> tuple[int, int, int]:
        usable = (BLOCKS - RESERVED_BLOCKS, WORDS - RESERVED_WORDS, WORDS - RESERVED_WORDS)
        room = (usable[0] * percent[0] // 100, usable[1] * percent[1] // 100, usable[2] * percent[2] // 100)
        if blocks > room[0]:
            raise Refused(Code.TOO_MANY_CBS)
        if words > room[1]:
            raise Refused(Code.TOO_MANY_OOL)
        if blocks == room[0]:
            self._misused(f"a wave of {blocks} blocks fills its padding: pigpiod overwrites its last block")
        return room

    def _place(self, pulses: Pulses, blocks: int, words: int, top_words: int) -> int:
        """The id of a deleted wave of exactly this size, or of a new one."""
        for wid, wave in enumerate(self.waves):
            if wave.deleted and (wave.blocks, wave.words, wave.top_words) == (blocks, words, top_words):
                self.waves[wid] = Wave(pulses, wave.first_block, blocks, wave.first_word, words, top_words)
                return wid
        last = self.waves[-1] if self.waves else None
        block = RESERVED_BLOCKS + self._held if last is None else last.first_block + last.blocks
        word = RESERVED_WORDS if last is None else last.first_word + last.words
        if block + blocks > BLOCKS:
            raise Refused(Code.TOO_MANY_CBS)
        if word + words > WORDS - top_words - sum(wave.top_words for wave in self.waves):
            raise Refused(Code.TOO_MANY_OOL)
        if len(self.waves) >= WAVES:
            self._misused(f"wave id {len(self.waves)}: pigpiod does not refuse it but overruns its table")
        self.waves.append(Wave(pulses, block, blocks, word, words, top_words))
        return len(self.waves) - 1

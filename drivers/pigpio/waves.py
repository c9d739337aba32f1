"""Shots as pigpio waves: edges on pins, cut where all lines may rest, each wave within the daemon's limits.

The limits are those of pigpio v79 (`pigpio.h`, `pigpio.c`): 5461 pulses fit one 64 KiB message; 23 836 control blocks
and 15 958 on/off words are free, of which a wave made with `wave_create_and_pad(25)` has a quarter. Four such waves are
queued, and a host that is kept from running for as long as three play is not late; with two halves, each less than the
memory has because a message holds no more pulses, it may be kept for one. Slots that no quarter holds need halves.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from drivers.edges import DENDRITE, RESET, SYNC, Levels, Times, compile_levels
from drivers.errors import LimitError
from drivers.timing import SlotTicks, slot_ticks

if TYPE_CHECKING:
    from drivers.settings import BoardSettings, Wiring
    from drivers.signals import Frame

TICK_S = 1e-6  # a wave's time step, whatever the daemon's -s says
MOST_PULSES = 65_535 // 12  # a message's extension must stay below 65 536 bytes
QUEUED_US = 1_800_000  # no queue may outlast a dead host by more than 2 s
REST_EVERY_US = 250_000
REST_EVERY_EDGES = 1_000
LITE_BLOCK_US = 65_532 // 4  # longest delay of one control block if the daemon was given a lite DMA channel (-e 7…)
_PULSING = DENDRITE | RESET | SYNC


@dataclass(frozen=True)
class Room:
    """What a wave has where the daemon's memory is shared out evenly among so many."""

    waves: int

    @property
    def percent(self) -> int:
        """For `wave_create_and_pad`."""
        return 100 // self.waves

    @property
    def most_blocks(self) -> int:
        """Padding ends a wave with one block of its own."""
        return 23_836 * self.percent // 100 - 1

    @property
    def most_words(self) -> int:
        """On and off words."""
        return 15_958 * self.percent // 100

    @property
    def longest_us(self) -> int:
        """Its share of the time that may be queued."""
        return QUEUED_US // self.waves


QUARTER, HALF = Room(4), Room(2)


@dataclass(frozen=True, eq=False)
class Wave:
    """One pigpio wave, which begins and ends with all lines low: GPIO masks to set and clear, and a delay after each.

    Arrays are (n,) uint32; all waves of a shot have the same room.
    """

    on: NDArray[np.uint32]
    off: NDArray[np.uint32]
    delay_us: NDArray[np.uint32]
    room: Room

    def __len__(self) -> int:
        return len(self.on)

    def packed(self) -> bytes:
        """As `wave_add_generic` sends them: on, off and delay of each pulse, little-endian."""
        return np.stack([self.on, self.off, self.delay_us], axis=1).astype("<u4").tobytes()

    @property
    def duration_us(self) -> int:
        """How long the wave lasts, µs."""
        return int(self.delay_us.sum(dtype=np.int64))


def compile_edges(
    shot: Frame, wiring: Wiring, board: BoardSettings
) -> tuple[Times, NDArray[np.uint32], NDArray[np.uint32]]:
    """A shot as edges on pins: times in µs (n,), GPIO masks to set and to clear (n,) uint32. Ends with all lines low.

    Selects are broken before they are made, so that pigpio's setting before clearing cannot close two switches.
    """
    t, levels = _changes(*compile_levels(shot, board, TICK_S))
    on, off = _transitions(_on_pins(levels, wiring))
    return t, on, off


def plan_waves(shot: Frame, wiring: Wiring, board: BoardSettings) -> list[Wave]:
    """The waves that play a shot, in order; empty if nothing is played.

    Waves are cut where slots begin. A slot longer than a wave is cut between its pulses, where the selects open and
    close again. Raises LimitError where its pulses are too many and too close for that.
    """
    t, levels = _changes(*compile_levels(shot, board, TICK_S))
    if not len(t):
        return []
    room = HALF if _too_long(_Costs.of(t, levels), _slot_starts(levels), QUARTER).any() else QUARTER
    t, levels = _with_rests(shot, t, levels, room)
    pins = _on_pins(levels, wiring)
    return [_wave(t[a : b + 1], pins[a : b + 1], room) for a, b in pairwise(_cuts(shot, t, levels, room))]


def _changes(t: Times, levels: Levels) -> tuple[Times, Levels]:
    """Without the rows that change nothing."""
    keep = levels != np.concatenate([[0], levels[:-1]])
    return t[keep], levels[keep]


def _transitions(words: NDArray[np.uint32]) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    before = np.concatenate([np.zeros(1, np.uint32), words[:-1]])
    return words & ~before, before & ~words


def _on_pins(levels: Levels, wiring: Wiring) -> NDArray[np.uint32]:
    """Level words as GPIO masks."""
    pins = np.zeros(len(levels), dtype=np.uint32)
    for bit, line in enumerate(wiring.lines()):
        pins |= ((levels >> np.uint32(bit)) & np.uint32(1)) << np.uint32(line.pin)
    return pins


def _wave(t: Times, pins: NDArray[np.uint32], room: Room) -> Wave:
    """Edges a…b, of which the last only ends the wave with all lines low."""
    on, off = _transitions(np.append(pins[:-1], np.uint32(0)))
    return Wave(on, off, np.append(np.diff(t), 0).astype(np.uint32), room)


@dataclass(frozen=True)
class _Costs:
    """Running totals of what the edges before each edge need; (n + 1,) each."""

    pulses: NDArray[np.int64]
    blocks: NDArray[np.int64]
    words: NDArray[np.int64]
    time_us: NDArray[np.int64]

    @staticmethod
    def of(t: Times, levels: Levels) -> _Costs:
        on, off = _transitions(levels)
        delay = np.append(np.diff(t), 0)
        blocks = ((on | off) != 0) - (-delay // LITE_BLOCK_US)
        words = (on != 0).astype(np.int64) + (off != 0)
        return _Costs(
            np.arange(len(t) + 1),
            np.concatenate([[0], np.cumsum(blocks)]),
            np.concatenate([[0], np.cumsum(words)]),
            np.append(t, t[-1]),
        )

    def furthest(self, a: NDArray[np.intp], room: Room) -> NDArray[np.intp]:
        """The last edges at which waves that begin with edges a may end; the lead-in and the end cost a bit more."""
        ends = (
            np.searchsorted(self.pulses, self.pulses[a] + MOST_PULSES - 1, side="right"),
            np.searchsorted(self.blocks, self.blocks[a] + room.most_blocks - 2, side="right"),
            np.searchsorted(self.words, self.words[a] + room.most_words - 2, side="right"),
            np.searchsorted(self.time_us, self.time_us[a] + room.longest_us, side="right"),
        )
        furthest: NDArray[np.intp] = np.minimum.reduce(ends) - 1
        return furthest


def _slot_starts(levels: Levels) -> NDArray[np.intp]:
    """Edges at which sync rises: the slots' starts and the closing pulse."""
    sync = np.concatenate([[0], levels & SYNC])
    return np.flatnonzero((sync[1:] != 0) & (sync[:-1] == 0))


def _too_long(costs: _Costs, starts: NDArray[np.intp], room: Room) -> NDArray[np.bool_]:
    """(slots,) which slots no wave can hold."""
    return costs.furthest(starts[:-1], room) < starts[1:]


def _cuts(shot: Frame, t: Times, levels: Levels, room: Room) -> list[int]:
    """Edges at which one wave ends and the next begins, the first and the last edge included.

    A wave ends with a slot unless that would make it much shorter than it may be: a short wave leaves the host little
    time to make the next one.
    """
    costs = _Costs.of(t, levels)
    starts = _slot_starts(levels)
    rests = np.union1d(np.flatnonzero(levels == 0), starts)
    last = len(t) - 1
    cuts = [0]
    while cuts[-1] < last:
        a = cuts[-1]
        limit = int(costs.furthest(np.array([a]), room)[0])
        if limit >= last:
            cuts.append(last)
            break
        start = int(starts[np.searchsorted(starts, limit, side="right") - 1])
        rest = int(rests[np.searchsorted(rests, limit, side="right") - 1])
        if rest <= a:
            raise LimitError(_too_dense(shot, levels, a))
        cuts.append(start if 2 * (t[start] - t[a]) >= t[rest] - t[a] else rest)
    return cuts


def _too_dense(shot: Frame, levels: Levels, edge: int) -> str:
    played = np.flatnonzero(shot.played)
    slot = int(played[int((_slot_starts(levels) <= edge).sum()) - 1])
    ticks = slot_ticks(shot.timing, TICK_S)
    return (
        f"slot {shot.first_slot + slot}: {int(shot.pulses[slot])} pulses do not fit one pigpio wave "
        f"(at most {MOST_PULSES} edges, some {MOST_PULSES // 2} pulses), and between pulses there are less than the "
        f"{_rest_us(ticks)} µs in which the selects can rest (break_s + 2 guard_s): use fewer pulses or a slower clock"
    )


def _rest_us(ticks: SlotTicks) -> int:
    return ticks.break_ + 2 * ticks.guard


def _with_rests(shot: Frame, t: Times, levels: Levels, room: Room) -> tuple[Times, Levels]:
    """Let all lines rest now and then in slots that no wave can hold: selects open, a break, selects close, a guard."""
    ticks = slot_ticks(shot.timing, TICK_S)
    starts = _slot_starts(levels)
    slot = np.searchsorted(starts, np.arange(len(t)), side="right") - 1
    too_long = np.append(_too_long(_Costs.of(t, levels), starts, room), False)
    gap = np.diff(t, append=t[-1])
    quiet = too_long[slot] & ((levels & _PULSING) == 0) & (gap >= _rest_us(ticks))
    edges = np.flatnonzero(quiet)
    if not len(edges):
        return t, levels
    first = starts[slot[edges]]
    when = np.stack([slot[edges], (edges - first) // REST_EVERY_EDGES, (t[edges] - t[first]) // REST_EVERY_US])
    fresh = np.concatenate([[True], (when[:, 1:] != when[:, :-1]).any(axis=0)])
    edges = edges[fresh | (gap[edges] > REST_EVERY_US)]
    opens, closes = t[edges] + ticks.guard, t[edges + 1] - ticks.guard
    more = np.maximum(closes - ticks.break_ - opens, 0) // REST_EVERY_US + 1  # rests a wave can end at
    k = np.arange(more.sum()) - np.repeat(np.cumsum(more) - more, more)
    low_t = np.repeat(opens, more) + k * REST_EVERY_US
    new_t = np.concatenate([t, low_t, closes])
    new_levels = np.concatenate([levels, np.zeros(len(low_t), np.uint32), levels[edges]])
    order = np.argsort(new_t, kind="stable")
    return new_t[order], new_levels[order]

"""Shots as line levels: the one place where a slot's pulses become edges in time.

A level word has dendrite in bit 0, reset in bit 1, sync in bit 2 and select k in bit 3 + k.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from drivers.errors import LimitError
from drivers.signals import Frame
from drivers.timing import length_ticks, period_ticks, slot_ticks

if TYPE_CHECKING:
    from drivers.settings import BoardSettings

DENDRITE, RESET, SYNC, SELECT0 = 1, 2, 4, 8

Times = NDArray[np.int64]
Levels = NDArray[np.uint32]


def select_levels(board: BoardSettings, slots: NDArray[np.integer]) -> Levels:
    """(n,) level words with just the select address of each slot index (n,) closed."""
    if board.addresses == 0:
        return np.zeros(len(slots), dtype=np.uint32)
    codes = np.array([board.select_code(i) for i in range(board.addresses)], dtype=np.uint32)
    levels: Levels = codes[slots % board.addresses] * np.uint32(SELECT0)
    return levels


def compile_levels(shot: Frame, board: BoardSettings, tick_s: float) -> tuple[Times, Levels]:
    """Every level change of a shot: when, in ticks (n,) ascending from 0, and the level word from then on (n,).

    Each played slot: selects open and sync high; break; the address closes; guard; reset; guard; sync low and the
    dendrite pulses; settle. After the last slot sync is high once more, as long as a lead, and then all lines are low.
    Raises LimitError where a slot has so many pulses that, in ticks of this source, they would touch.
    """
    ticks = slot_ticks(shot.timing, tick_s)
    slots = np.flatnonzero(shot.played)
    if not len(slots):
        return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.uint32)
    length, period, pulses = length_ticks(shot, tick_s)[slots], period_ticks(shot, tick_s)[slots], shot.pulses[slots]
    ends = np.cumsum(length)
    start = ends - length
    touching = np.flatnonzero((pulses > 0) & (period <= ticks.width))
    if len(touching):
        i = touching[0]
        raise LimitError(
            f"slot {shot.first_slot + int(slots[i])}: {int(pulses[i])} pulses every {period[i] * tick_s:g} s, each "
            f"{ticks.width * tick_s:g} s wide, would touch; use fewer pulses, a slower clock or a longer window"
        )
    select = select_levels(board, shot.first_slot + slots)
    sync = np.uint32(SYNC)
    begin_reset = start + ticks.break_ + ticks.guard
    owner = np.repeat(np.arange(len(slots)), pulses)
    k = np.arange(len(owner)) - np.repeat(np.cumsum(pulses) - pulses, pulses)
    rise = (start + ticks.lead)[owner] + k * period[owner]
    empty = pulses == 0  # elsewhere the first pulse rises as sync falls
    columns = (
        (start, np.full(len(slots), sync)),
        (start + ticks.break_, sync | select),
        (begin_reset, sync | select | np.uint32(RESET)),
        (begin_reset + ticks.reset, sync | select),
        ((start + ticks.lead)[empty], select[empty]),
        (rise, select[owner] | np.uint32(DENDRITE)),
        (rise + ticks.width, select[owner]),
        (np.array([ends[-1], ends[-1] + ticks.lead]), np.array([SYNC, 0], dtype=np.uint32)),
    )
    t = np.concatenate([c[0] for c in columns]).astype(np.int64)
    levels = np.concatenate([c[1] for c in columns]).astype(np.uint32)
    order = np.argsort(t, kind="stable")
    return t[order], levels[order]

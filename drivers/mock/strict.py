"""What the strict twin refuses: line levels that hardware would take in silence and answer with wrong physics."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from drivers.benchfile import SWITCH_SETTLING_S
from drivers.edges import DENDRITE, RESET, SELECT0, Levels, Times
from drivers.errors import TwinError
from drivers.settings import BoardSettings

LEAST_PULSE_NS = 300  # LM339 large-signal response, TI LM339: shorter is not seen
LEAST_GAP_NS = 300
LEAST_RESET_NS = 1_000


def check_levels(board: BoardSettings, t_ns: Times, levels: Levels, *, known: int = 0) -> None:
    """Raise TwinError on the first misuse in a sequence of levels; t_ns (n,) ascending, levels (n,) from then on.

    The first `known` levels were there before: they are looked at for what changes, not for what they are.
    """
    allowed = (SELECT0 << board.select_lines) - 1
    new = np.arange(len(levels)) >= known
    _refuse(t_ns, new & ((levels & ~np.uint32(allowed)) != 0), "a line that is not wired is driven", levels)
    both = DENDRITE | RESET
    _refuse(t_ns, new & ((levels & both) == both), "dendrite and reset are high together", levels)
    if board.addresses:
        _check_addresses(board, t_ns, levels >> np.uint32(3), (levels & both) != 0, new)
    _check_widths(t_ns, (levels & DENDRITE) != 0, LEAST_PULSE_NS, "dendrite pulse")
    _check_widths(t_ns, (levels & RESET) != 0, LEAST_RESET_NS, "reset pulse")
    _check_widths(t_ns, (levels & DENDRITE) == 0, LEAST_GAP_NS, "gap between dendrite pulses")


def _check_addresses(
    board: BoardSettings, t_ns: Times, code: Levels, pulsing: NDArray[np.bool_], new: NDArray[np.bool_]
) -> None:
    if board.select == "one-hot":
        _refuse(t_ns, new & ((code & (code - np.uint32(1))) != 0), "two select addresses are closed at once", code)
    else:
        _refuse(t_ns, new & (code > board.addresses), f"select address above {board.addresses}", code)
    _refuse(t_ns, new & pulsing & (code == 0), "a pulse while no select address is closed", code)
    change = np.flatnonzero(code[1:] != code[:-1]) + 1
    rises = np.flatnonzero(pulsing[1:] & ~pulsing[:-1]) + 1
    if len(change) and len(rises):
        last = np.searchsorted(change, rises, side="right") - 1
        early = (last >= 0) & (t_ns[rises] - t_ns[change[np.maximum(last, 0)]] < SWITCH_SETTLING_S * 1e9)
        if early.any():
            at = rises[np.argmax(early)]
            raise _error(t_ns[at], "a pulse before its select has closed (MAX313: 425 ns)", code[at])
    if board.select == "one-hot":
        swapped = change[(code[change] != 0) & (code[change - 1] != 0)]
        if len(swapped):
            raise _error(t_ns[swapped[0]], "one select closes as another opens (make before break)", code[swapped[0]])
    opened = change[code[change] == 0]
    closed = change[code[change] != 0]
    if len(opened) and len(closed):
        before = np.searchsorted(opened, closed) - 1
        gap = t_ns[closed] - t_ns[opened[np.maximum(before, 0)]]
        short = (before >= 0) & (gap < SWITCH_SETTLING_S * 1e9)
        if short.any():
            at = closed[np.argmax(short)]
            raise _error(t_ns[at], "a select closes before the last one has opened (MAX313: 425 ns)", code[at])


def _check_widths(t_ns: Times, high: NDArray[np.bool_], least_ns: int, what: str) -> None:
    edges = np.flatnonzero(high[1:] != high[:-1]) + 1
    starts, width = edges[:-1][high[edges[:-1]]], np.diff(t_ns[edges])[high[edges[:-1]]]
    if len(width) and width.min() < least_ns:
        at = starts[int(np.argmin(width))]
        raise TwinError(f"{what} of {int(width.min())} ns at {int(t_ns[at])} ns; the board needs {least_ns} ns")


def _refuse(t_ns: Times, wrong: NDArray[np.bool_], what: str, shown: Levels) -> None:
    if wrong.any():
        at = int(np.argmax(wrong))
        raise _error(t_ns[at], what, shown[at])


def _error(t_ns: np.int64, what: str, shown: np.uint32) -> TwinError:
    return TwinError(f"{what} at {int(t_ns)} ns (levels {int(shown):#b})")

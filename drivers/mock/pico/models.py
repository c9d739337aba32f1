"""What the firmware's PIO programs do, event by event: slot words to line levels, axon pulses to counter words.

The tests prove these equal to the programs run cycle by cycle in a PIO emulator. A program is known by its words, so
that a firmware with another program is refused until this has been proven anew.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drivers.edges import DENDRITE, RESET, SELECT0, SYNC, Levels, Times
from drivers.errors import TwinError

Words = NDArray[np.uint32]

PROGRAMS = {  # SHA-256 of the assembled words, 16 hex digits
    "slots": "bcc40fa3e356c1d5",
    "axon_edges": "fc18ad11973a6819",
    "stamps": "493c3dd89ab42d84",
}
STAMP_CYCLES = 3


@dataclass(frozen=True)
class Played:
    """A shot as played, in ticks from its first level change: level changes (n,), when each of its words (words,) is
    taken, the closing edge of sync, and when another shot may begin.
    """

    t: Times
    levels: Levels
    taken: Times
    end: int
    free: int


def play_words(words: Words) -> Played:
    """The line levels that the sequencer makes of a shot's words; raises TwinError where it would stall in mid-shot."""
    body, closing = words[1:-3], words[-3:]
    if len(words) < 4 or len(body) % 5 or closing[1] >> 16:
        raise TwinError(f"{len(words)} words are no shot: the sequencer would stop in the middle of a slot")
    slots = body.reshape(-1, 5).astype(np.int64)
    if len(slots) and (slots[:, 1] >> 16).min() == 0:
        raise TwinError("a closing sync pulse in the middle of a shot: the words that follow would be taken for others")
    width = int(words[0]) + 2
    break_, select = (slots[:, 0] & 0xFFFF) + 2, ((slots[:, 0] >> 16) * SELECT0).astype(np.uint32)
    guard, reset = (slots[:, 1] & 0xFFFF) + 6, (slots[:, 1] >> 16) + 1
    guard2, pulses = (slots[:, 2] & 0xFFFF) + 6, slots[:, 2] >> 16
    period = width + slots[:, 3] + 3
    settle = slots[:, 4] + 5 + (pulses == 0)
    lead = break_ + guard + reset + guard2
    ends = np.cumsum(lead + pulses * period + settle)
    start = np.concatenate([[0], ends[:-1]]) if len(slots) else ends
    close = int(ends[-1]) if len(slots) else 0
    closed = close + int(closing[0] & 0xFFFF) + 2 + int(closing[1] & 0xFFFF) + 6
    owner = np.repeat(np.arange(len(slots)), pulses)
    k = np.arange(len(owner)) - np.repeat(np.cumsum(pulses) - pulses, pulses)
    rise = (start + lead)[owner] + k * period[owner]
    empty = pulses == 0
    sync = np.uint32(SYNC)
    columns = (
        (start, np.full(len(slots), sync)),
        (start + break_, sync | select),
        (start + break_ + guard, sync | select | np.uint32(RESET)),
        (start + break_ + guard + reset, sync | select),
        ((start + lead)[empty], select[empty]),
        (rise, select[owner] | np.uint32(DENDRITE)),
        (rise + width, select[owner]),
        (np.array([close, closed]), np.array([SYNC, 0], dtype=np.uint32)),
    )
    t = np.concatenate([c[0] for c in columns]).astype(np.int64)
    levels = np.concatenate([c[1] for c in columns]).astype(np.uint32)
    order = np.argsort(t, kind="stable")
    reset_falls = start + break_ + guard + reset
    body_taken = (start - 2, start + break_ + 1, reset_falls, start + lead - 2, ends - settle + empty)
    closing_taken = (close - 2, close + int(closing[0] & 0xFFFF) + 3, closed)
    taken = np.concatenate([[-4], np.stack(body_taken, axis=1).ravel(), closing_taken]).astype(np.int64)
    return Played(t[order], levels[order], taken, closed, closed + int(closing[2]) + 5)


def count_words(
    sync_t: Times, sync_high: NDArray[np.bool_], rise: Times, fall: Times, q: int, cycle_ns: int, until_ns: int
) -> tuple[list[int], int]:
    """The words that the counter has pushed by until_ns, and its count since then.

    Edges of sync (n,) with their levels and axon pulses (m,), in ns. While an axon pulse is looked at, edges wait; two
    of them are lost. A pulse whose width is within the counter's polling time of the minimum is decided by the middle.
    """
    least, dead = (2 * q + 10) * cycle_ns, (2 * q + 2) * cycle_ns
    if _plain(sync_t, sync_high, rise, fall + dead, until_ns) and (fall - rise >= least).all():
        before = np.searchsorted(rise, sync_t, side="right")
        return np.diff(before, prepend=0).tolist(), len(rise) - int(before[-1])
    edges = iter([*zip(sync_t.tolist(), sync_high.tolist(), strict=True), (until_ns, None)])
    edge = next(edges)
    words: list[int] = []
    count, state, busy_until = 0, False, -1

    def look(to_ns: int, *, once: bool) -> None:
        """Take the edges before to_ns: each, or only what is left of them in the end."""
        nonlocal edge, count, state
        level = state
        while edge[1] is not None and edge[0] < to_ns:
            level = edge[1]
            if level != state and not once:
                words.append(count)
                count, state = 0, level
            edge = next(edges)
        if level != state:
            words.append(count)
            count, state = 0, level

    for up, down in zip(rise.tolist(), fall.tolist(), strict=True):
        if up < busy_until:  # not low for long enough: still the same pulse
            busy_until = max(busy_until, down + dead)
            continue
        look(busy_until, once=True)
        look(up, once=False)
        if down - up >= least:
            count += 1
            busy_until = down + dead
    if busy_until > until_ns:
        return words, count
    look(busy_until, once=True)
    look(until_ns, once=False)
    return words, count


def _plain(sync_t: Times, sync_high: NDArray[np.bool_], rise: Times, free: Times, until_ns: int) -> bool:
    """Whether axon pulses, each looked at until `free`, are far enough apart and from edges of sync that none of them,
    no edge and no part of the time is lost: then what comes before each edge is what was counted.
    """
    if not len(rise) or not len(sync_t) or not sync_high[0] or (sync_high[1:] == sync_high[:-1]).any():
        return False
    edges = np.searchsorted(sync_t, free) - np.searchsorted(sync_t, rise)
    return bool(max(free[-1], sync_t[-1] + 1) <= until_ns and (rise[1:] >= free[:-1]).all() and (edges <= 1).all())


def stamp_words(rise: Times, start_ns: int, cycle_ns: int) -> Words:
    """(n,) the words of the stamper for rising edges (n,) in ns: one's complement of the rounds since its start."""
    rounds = (rise - start_ns) // (STAMP_CYCLES * cycle_ns)
    words: Words = ~rounds.astype(np.uint32)
    return words

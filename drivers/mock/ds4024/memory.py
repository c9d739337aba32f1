"""How a simulated DS4024 hands out its memory: the reading thread of RAW mode and the 1400 points of the screen."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

BUFFER = 1_000_000  # bytes that the reading thread may be ahead
SCREEN_POINTS = 1_400
AHEAD = 4_000_000  # samples of a reading that are worked out beforehand
PIECE = 1 << 16  # at a time

Codes = NDArray[np.uint8]


class Ahead:
    """Samples that are worked out while they are copied, by a thread: a simulation's own time is charged to nobody,
    since the instrument's clock stands still where somebody has to wait for them.
    """

    def __init__(self, worker: Executor, codes: Callable[[int, int], Codes], first: int, total: int) -> None:
        self._codes = codes
        edges = [first, *range(first - first % PIECE + PIECE, first + total, PIECE), first + total]
        spans = list(pairwise(edges)) if 0 < total <= AHEAD else []
        self._pieces = [(start, stop, worker.submit(codes, start, stop - start)) for start, stop in spans]

    def __call__(self, first: int, count: int) -> Codes:
        """Samples from `first` on."""
        if not self._pieces:
            return self._codes(first, count)
        wanted = [(start, made) for start, stop, made in self._pieces if start < first + count and stop > first]
        skipped = first - wanted[0][0]
        return np.concatenate([made.result() for _, made in wanted])[skipped : skipped + count]

    def close(self) -> None:
        """Nobody wants the rest."""
        for _, _, made in self._pieces:
            made.cancel()


@dataclass
class Reading:
    """One run of the reading thread, from BEGin to END: a window of one channel of one record.

    `bytes_per_s` is how fast samples are copied into the buffer; None for at once.
    """

    codes: Ahead
    first: int
    total: int
    began_ns: int
    bytes_per_s: float | None
    idle_after: int = 0  # how many further STATus? say READ when all is done, as a fault
    taken: int = 0
    _copied: float = 0.0
    _at_ns: int | None = None  # until when it has been copied

    def buffered(self, now_ns: int) -> int:
        """Bytes ready to be fetched; what a full buffer has no room for is copied later."""
        most = min(self.total, self.taken + BUFFER)
        if self.bytes_per_s is None:
            self._copied = most
        else:
            since_ns = now_ns - (self.began_ns if self._at_ns is None else self._at_ns)
            self._copied = min(most, self._copied + since_ns * 1e-9 * self.bytes_per_s)
        self._at_ns = now_ns
        return int(self._copied) - self.taken

    def status(self, now_ns: int) -> str:
        """`:WAVeform:STATus?`: READ while samples are still being copied; n is what is buffered."""
        ready = self.buffered(now_ns)
        copying = self.taken + ready < self.total
        if not copying and self.idle_after > 0:
            self.idle_after -= ready == 0
            copying = True
        return f"{'READ' if copying else 'IDLE'},{ready}"

    def fetch(self, now_ns: int) -> Codes:
        """`:WAVeform:DATA?`: one buffer-full; consecutive blocks join without a gap."""
        count = self.buffered(now_ns)
        block = self.codes(self.first + self.taken, count) if count else np.empty(0, dtype=np.uint8)
        self.taken += count
        return block


def envelope(codes: Codes) -> Codes:
    """(n,) codes of a whole record → (1400,): the least and the greatest of each of 700 columns, in turn."""
    edges = np.linspace(0, len(codes), SCREEN_POINTS // 2 + 1).astype(np.intp)
    edges = np.minimum(edges[:-1], len(codes) - 1)
    pairs = np.stack([np.minimum.reduceat(codes, edges), np.maximum.reduceat(codes, edges)], axis=1)
    return pairs.ravel()


def block(data: bytes) -> bytes:
    """A definite-length block with nine digits, as the instrument sends every block."""
    return b"#9%09d" % len(data) + data

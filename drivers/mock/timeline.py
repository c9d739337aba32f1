"""Words that change in time: what was, and what is queued. Appending and forgetting cost what they touch, no more."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Times = NDArray[np.int64]
_ROOM = 1_024


class Timeline:
    """A step function of time: `word` from `t_ns` on, in order of time; equal times are taken in order."""

    def __init__(self, t_ns: int, word: int, dtype: type[np.generic]) -> None:
        self._t: Times = np.empty(_ROOM, dtype=np.int64)
        self._words: NDArray[Any] = np.empty(_ROOM, dtype=dtype)
        self._first, self._end = 0, 1
        self._t[0], self._words[0] = t_ns, word

    def __len__(self) -> int:
        return self._end - self._first

    @property
    def t(self) -> Times:
        """(n,) when it changes; a view, valid until the next change."""
        return self._t[self._first : self._end]

    @property
    def words(self) -> NDArray[Any]:
        """(n,) what it is from then on; a view, valid until the next change."""
        return self._words[self._first : self._end]

    @property
    def end_ns(self) -> int:
        """When it changes last."""
        return int(self._t[self._end - 1])

    def at(self, t_ns: int) -> int:
        """The word at a time; before the first change it is the first word."""
        return int(self.words[max(0, int(np.searchsorted(self.t, t_ns, side="right")) - 1)])

    def append(self, t_ns: Times, words: NDArray[Any]) -> None:
        """Add changes (n,) at the end; none may be earlier than the last."""
        self._make_room(len(t_ns))
        end = self._end + len(t_ns)
        self._t[self._end : end], self._words[self._end : end] = t_ns, words
        self._end = end

    def insert(self, t_ns: int, word: int) -> None:
        """Add one change in order of time; what comes later stays as it is."""
        self._make_room(1)
        i = self._first + int(np.searchsorted(self.t, t_ns, side="right"))
        self._t[i + 1 : self._end + 1] = self._t[i : self._end]
        self._words[i + 1 : self._end + 1] = self._words[i : self._end]
        self._t[i], self._words[i] = t_ns, word
        self._end += 1

    def set(self, t_ns: int, mask: int, high: bool) -> None:
        """Set or clear bits from a time on, each until what is queued changes it."""
        old = self.at(t_ns)
        self.insert(t_ns, old | mask if high else old & ~mask)
        later = self.words[int(np.searchsorted(self.t, t_ns, side="right")) :]
        for bit in (1 << k for k in range(mask.bit_length()) if mask >> k & 1):
            changed = (later & bit != 0) != (old & bit != 0)
            until = int(np.argmax(changed)) if changed.any() else len(later)
            later[:until] = later[:until] | bit if high else later[:until] & ~np.asarray(bit).astype(later.dtype)

    def cut(self, after_ns: int) -> None:
        """Forget every change later than a time, but never the first."""
        self._end = self._first + max(1, int(np.searchsorted(self.t, after_ns, side="right")))

    def forget(self, before_ns: int) -> None:
        """Forget changes that are over before a time: the word then is kept."""
        self._first += max(0, int(np.searchsorted(self.t, before_ns, side="right")) - 1)

    def _make_room(self, count: int) -> None:
        """Room for `count` more: by moving what is left to the front, into longer arrays or into shorter ones."""
        if self._end + count <= len(self._t):
            return
        size = len(self)
        room = len(self._t)
        while size + count > room // 2:
            room *= 2
        while room > _ROOM and size + count < room // 8:
            room //= 2
        t, words = np.empty(room, dtype=np.int64), np.empty(room, dtype=self._words.dtype)
        t[:size], words[:size] = self.t, self.words
        self._t, self._words, self._first, self._end = t, words, 0, size


def in_order(*times: Times) -> Times:
    """All of some times once, in order; quickest where each of them is in order already."""
    t = np.sort(np.concatenate(times), kind="stable")
    first = np.ones(len(t), dtype=np.bool_)
    np.not_equal(t[1:], t[:-1], out=first[1:])
    return t[first]

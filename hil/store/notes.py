"""Notes of captures, gathered by kind: the same words with other numbers are one kind."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

_NUMBER = re.compile(r"\d[\d,.]*(e[+-]?\d+)?")


@dataclass(frozen=True)
class Noted:
    """A kind of note: the first of it, and how many captures have one."""

    text: str
    captures: int

    def __str__(self) -> str:
        return f"noted in {self.captures:,} shot{'s' if self.captures > 1 else ''}: {self.text}"


def kind_of(note: str) -> str:
    """The note without its numbers."""
    return _NUMBER.sub("#", note)


@dataclass
class Kinds:
    """Notes of captures, counted by kind."""

    _first: dict[str, str] = field(default_factory=dict)
    _count: dict[str, int] = field(default_factory=dict)

    def add(self, notes: Iterable[str]) -> None:
        """Those of one capture."""
        for kind, note in {kind_of(note): note for note in notes}.items():
            self._first.setdefault(kind, note)
            self._count[kind] = self._count.get(kind, 0) + 1

    def noted(self) -> list[Noted]:
        """The kinds, the most frequent first."""
        order = sorted(self._count, key=lambda kind: -self._count[kind])
        return [Noted(self._first[kind], self._count[kind]) for kind in order]


def by_kind(captures: Iterable[Iterable[str]]) -> list[Noted]:
    """The kinds of notes of captures, the most frequent first."""
    kinds = Kinds()
    for notes in captures:
        kinds.add(notes)
    return kinds.noted()

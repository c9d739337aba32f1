"""SCPI message syntax: which command pattern a header matches, and the error queue with its event status register.

SCPI-1999 volume 1, chapters 6 and 7 (short and long forms, numeric suffixes), volume 2, chapter 21 (error numbers);
IEEE 488.2 section 11.5 (event status register).
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

POWER_ON, COMMAND_ERROR, EXECUTION_ERROR, DEVICE_ERROR, QUERY_ERROR, OPERATION_COMPLETE = 128, 32, 16, 8, 4, 1
_QUEUE = 32

UNDEFINED_HEADER = (-113, "Undefined header")
MISSING_PARAMETER = (-109, "Missing parameter")
SETTINGS_CONFLICT = (-221, "Settings conflict")
OUT_OF_RANGE = (-222, "Data out of range")
ILLEGAL_VALUE = (-224, "Illegal parameter value")
NO_DATA = (-230, "Data corrupt or stale")
INPUT_OVERRUN = (-363, "Input buffer overrun")
QUERY_UNTERMINATED = (-420, "Query UNTERMINATED")
_NO_ERROR = (0, "No error")


class ScpiError(Exception):
    """A command that cannot be executed; carries the entry for the error queue."""

    def __init__(self, entry: tuple[int, str]) -> None:
        super().__init__(*entry)
        self.entry = entry


@dataclass(frozen=True)
class Header:
    """A parsed message: the pattern that it matches (None: no such command), its suffix, its argument."""

    pattern: str | None
    suffix: int
    query: bool
    argument: str


class Syntax:
    """A set of command patterns such as `CHANnel<4>:SCALe`, `TIMebase[:MAIN]:SCALe` or `*IDN`.

    Capitals are the short form, `<n>` a suffix 1…n, `[…]` a node that may be left out.
    """

    def __init__(self, patterns: list[str]) -> None:
        self._expressions = [(p, re.compile(_expression(p), re.IGNORECASE)) for p in patterns]
        self._match = lru_cache(maxsize=1024)(self._search)

    def parse(self, message: str) -> Header:
        """Split a message into header and argument and find its pattern."""
        name, _, argument = message.strip().partition(" ")
        query = name.endswith("?")
        pattern, suffix = self._match(name.removesuffix("?").removeprefix(":"))
        return Header(pattern, suffix, query, argument.strip())

    def _search(self, name: str) -> tuple[str | None, int]:
        for pattern, expression in self._expressions:
            if found := expression.fullmatch(name):
                suffix = next((int(g) for g in found.groups() if g), 0)
                return pattern, suffix
        return None, 0


def _expression(pattern: str) -> str:
    """The regular expression of a pattern."""

    def part(found: re.Match[str]) -> str:
        if found["suffix"]:
            return f"([1-{found['suffix']}])"
        if found["word"]:
            return _keyword(found["word"])
        return {"[": "(?:", "]": ")?"}.get(found.group(), re.escape(found.group()))

    return re.sub(r"<(?P<suffix>\d)>|(?P<word>\w+)|.", part, pattern)


def _keyword(word: str) -> str:
    short = re.match(r"[A-Z0-9]*", word)
    stem = short.group() if short else ""
    rest = word[len(stem) :]
    return f"{stem}(?:{rest})?" if rest else stem


def units(message: str) -> list[str]:
    """The commands of a message, which semicolons part (IEEE 488.2, 7.3.3).

    One that begins neither with a colon nor with an asterisk goes on at the node where the one before was (SCPI-1999,
    6.2.4).
    """
    found: list[str] = []
    node = ""
    for text in filter(None, map(str.strip, message.split(";"))):
        whole = text if text[0] in ":*" else f"{node}{text}"
        found.append(whole)
        if whole[0] != "*":
            path = whole.partition(" ")[0]
            node = path[: path.rfind(":") + 1]
    return found


@dataclass(frozen=True)
class Commands:
    """Patterns and what they do: queries answer, actions take no parameter, settings take one."""

    queries: Mapping[str, Callable[[], str | bytes]]
    actions: Mapping[str, Callable[[], None]]
    settings: Mapping[str, Callable[[str], None]]

    @property
    def patterns(self) -> list[str]:
        """Every pattern once."""
        return list(dict.fromkeys([*self.queries, *self.actions, *self.settings]))

    def execute(self, header: Header) -> str | bytes | None:
        """Execute a command or answer a query; raises ScpiError."""
        pattern = header.pattern or ""
        if header.query:
            if pattern not in self.queries:
                raise ScpiError(UNDEFINED_HEADER)
            return self.queries[pattern]()
        if pattern in self.actions:
            self.actions[pattern]()
        elif pattern in self.settings:
            self.settings[pattern](header.argument)
        else:
            raise ScpiError(UNDEFINED_HEADER)
        return None


@dataclass
class Status:
    """The error queue and the event status register."""

    errors: deque[tuple[int, str]] = field(default_factory=lambda: deque(maxlen=_QUEUE))
    events: int = POWER_ON
    service: int = 0  # *SRE
    enabled: int = 0  # *ESE

    def error(self, error: tuple[int, str]) -> None:
        """Queue an error and set the bit of its class."""
        self.errors.append(error)
        self.events |= {1: COMMAND_ERROR, 2: EXECUTION_ERROR, 3: DEVICE_ERROR, 4: QUERY_ERROR}[-error[0] // 100]

    def next_error(self) -> str:
        """`:SYSTem:ERRor?`: the oldest error, which leaves the queue."""
        code, text = self.errors.popleft() if self.errors else _NO_ERROR
        return f'{code},"{text}"'

    def read_events(self) -> str:
        """`*ESR?`, which clears the register."""
        events, self.events = self.events, 0
        return str(events)

    def byte(self) -> int:
        """`*STB?`: error queue not empty (bit 2) and event summary (bit 5)."""
        return (4 if self.errors else 0) | (32 if self.events & self.enabled else 0)

    def clear(self) -> None:
        """`*CLS`."""
        self.errors.clear()
        self.events = 0

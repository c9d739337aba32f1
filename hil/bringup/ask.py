"""Asking a person at a terminal for what a file needs: what each thing is for, and a default where there is one."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Annotated, Any, TypeVar

from pydantic import TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from drivers.errors import InputError
from hil.bringup.template import meaning

T = TypeVar("T")
TRIES = 3
NOT_GUESSED = "It must not be guessed: "


def at_terminal() -> bool:
    """Whether there is somebody to ask."""
    return sys.stdin.isatty()


def ask(name: str, why: str, parse: Callable[[str], T], default: T | None = None) -> T:
    """What a person answers, through `parse`, which raises ValueError or InputError at what does not fit.

    Return alone takes the default. Raises InputError after three answers that do not fit, or when nobody answers.
    """
    print(f"\n{name}: {why}", file=sys.stderr)
    for _ in range(TRIES):
        print(f"  [{default}] " if default not in (None, "") else "  ", end="", file=sys.stderr, flush=True)
        line = sys.stdin.readline()
        text = line.strip()
        if not line:
            break
        if not text and default is not None:
            return default
        try:
            return parse(text)
        except (ValueError, InputError) as error:
            print(f"  {text!r} does not fit: {_reason(error)}", file=sys.stderr)
    raise InputError(f"{name} was not answered; nothing was written")


def one_of(*names: str) -> Callable[[str], Any]:
    """Parse one of some names."""

    def parse(text: str) -> str:
        if text not in names:
            raise ValueError(f"one of {', '.join(names)}")
        return text

    return parse


def as_field(field: FieldInfo, read: Callable[[str], Any] = str) -> Callable[[str], Any]:
    """Parse what a key of a file may hold, by the rules of that key."""
    rule = TypeAdapter[Any](Annotated[field.annotation, field])  # type: ignore[arg-type]
    return lambda text: rule.validate_python(read(text))


def ask_field(
    key: str, field: FieldInfo, default: Any = None, *, read: Callable[[str], Any] = str, more: str = ""
) -> Any:
    """Ask for a key of a file by what its file says of it."""
    return ask(key, f"{meaning(key, field)}{f'. {more}' if more else ''}", as_field(field, read), default)


def _reason(error: Exception) -> str:
    if isinstance(error, ValidationError):
        return str(error.errors()[0]["msg"])
    return str(error)

"""The parts that a bench file may name, and where each is. Adding one is its file and its line here.

A part of another package registers itself instead: an entry point of the group `memristive_hil.parts`, named role and
part as in "threshold.supply", which leads to its `drivers.parts.kind.PartKind`.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import entry_points
from typing import Any, Literal

from drivers.errors import InputError

Role = Literal["pulse_source", "axon_reader", "threshold", "panel"]
GROUP = "memristive_hil.parts"
TABLE: dict[Role, dict[str, str]] = {
    "pulse_source": {"pigpio": "drivers.pigpio.source:PART", "pico": "drivers.pico.part:PART"},
    "axon_reader": {
        "scope": "drivers.ds4024.oscilloscope:PART",
        "pico": "drivers.pico.part:PART",
        "gpio": "drivers.pigpio.reader:PART",
        "both": "drivers.audit:PART",
    },
    "threshold": {
        "pico": "drivers.pico.part:PART",
        "mcp4728": "drivers.threshold.dac:PART",
        "mcp4725": "drivers.threshold.dac:PART",
        "manual": "drivers.threshold.manual:PART",
    },
    "panel": {"gpio": "drivers.panel:PART"},
}


_PAIR = "+"


def together(names: str | tuple[str, str]) -> str:
    """One name for one reader or two."""
    return names if isinstance(names, str) else _PAIR.join(names)


def apart(name: str) -> str | tuple[str, ...]:
    """The name of one reader, or the names of two from their one name."""
    return tuple(name.split(_PAIR)) if _PAIR in name else name


def in_file(role: Role) -> str:
    """What a bench file calls a role."""
    return "threshold.source" if role == "threshold" else role


def names(role: Role) -> list[str]:
    """All parts that can have a role, ours first."""
    ours = list(TABLE[role])
    return [*ours, *(name for name in _registered(role) if name not in ours)]


def find(role: Role, name: str) -> Any:
    """The PartKind of a part; raises InputError that lists those there are, or says why this one cannot be loaded."""
    field = in_file(role)
    if name in TABLE[role]:
        return _load(TABLE[role][name])
    if role == "axon_reader" and _PAIR in name:
        counter, _, auditor = name.partition(_PAIR)
        return _load("drivers.audit:pair")(counter, auditor)
    entry = _registered(role).get(name)
    if entry is None:
        raise InputError(f"{field} = {name!r} is none of: {', '.join(names(role))}")
    try:
        return _load(entry)
    except (ImportError, AttributeError) as error:
        raise InputError(f"{field} = {name!r} cannot be loaded from {entry}: {error}") from error


def _load(where: str) -> Any:
    module, _, attribute = where.partition(":")
    return getattr(import_module(module), attribute)


def _registered(role: Role) -> dict[str, str]:
    """Parts of other packages: name → module:attribute."""
    prefix = f"{role}."
    return {
        entry.name.removeprefix(prefix): entry.value
        for entry in entry_points(group=GROUP)
        if entry.name.startswith(prefix)
    }

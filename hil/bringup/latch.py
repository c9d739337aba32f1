"""The latch that keeps a bench safe after a stop: told, and taken off when a person says so."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from drivers.bench import Latching
from drivers.claims import claim
from drivers.errors import InputError
from drivers.parts import table
from drivers.parts.assembly import claims
from drivers.parts.kind import Opening, PartKind

if TYPE_CHECKING:
    from drivers.benchfile import BenchFile

MEANINGS = {
    "boot": "it has just been powered",
    "estop": "the emergency stop was pressed, or its wire broke",
    "host": "the last program ended as it should",
    "internal": "its firmware met something it did not expect",
    "silence": "it heard nothing from this computer for too long",
    "stall": "a shot did not end in time",
    "usb": "its USB cable was pulled",
    "watchdog": "its firmware hung and the chip reset itself",
}


def clear_latches(file: BenchFile, confirm: Callable[[str], bool]) -> Iterator[tuple[str, str, bool]]:
    """Each part that can be latched: its name, why it is (empty if not), and whether the latch was taken off.

    `confirm` is told the reason first. Nothing else on the board changes. Raises InputError for a bench without such
    a part, BusyError, BenchError, EmergencyStopError while the stop is pressed.
    """
    kinds: dict[PartKind[Any], tuple[table.Role, str]] = {}
    named = file.roles() if file.kind == "pi" else []
    while named:
        role, name = named.pop(0)
        kind: PartKind[Any] = table.find(role, name)
        named += kind.uses
        if kind.latches:
            kinds.setdefault(kind, (role, name))
    if not kinds:
        raise InputError(f"bench {file.name!r} has no part that keeps a latch: there is nothing to clear")
    with claim(claims(file), "hil bench clear"), ExitStack() as stack:
        opening = Opening(file, stack=stack)
        for role, name in kinds.values():
            part = opening.part(role, name)
            assert isinstance(part, Latching)  # noqa: S101 (its kind says so)
            reason = part.latch
            meant = (
                confirm(f"{name} is latched: {reason} ({MEANINGS.get(reason, 'see PROTOCOL.md')}).")
                if reason
                else False
            )
            if meant:
                part.clear()
            yield name, reason, meant

"""The parts of a Pi bench, opened and checked as its bench file names them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from drivers.bench import (
    AxonReader,
    Measured,
    Panel,
    Part,
    PulseSource,
    Sized,
    Thermometer,
    ThresholdSource,
    Watchful,
)
from drivers.checks import Check, failed
from drivers.claims import claim
from drivers.errors import BusyError, InputError
from drivers.parts import table
from drivers.parts.kind import Opening, PartKind
from drivers.timing import LONGEST_SHOT_S

if TYPE_CHECKING:
    from drivers.benchfile import BenchFile

P = TypeVar("P", bound=Part)


@dataclass(frozen=True)
class Parts:
    """Open parts; one object may have several roles."""

    source: PulseSource
    reader: AxonReader
    threshold: ThresholdSource
    panel: Panel | None = None

    @property
    def gapless(self) -> bool:
        """Whether one part plays and counts, and takes the next shot while one plays."""
        both: Part = self.reader
        return self.source.gapless and self.source is both

    @property
    def most_slots(self) -> int | None:
        """Most played slots of a shot, where a part has such a bound."""
        bounds = [most for most in (self.source.most_slots, self.reader.most_slots) if most is not None]
        return min(bounds, default=None)

    @property
    def longest_s(self) -> float:
        """How long a shot is at the most."""
        return self.reader.longest_s if isinstance(self.reader, Sized) else LONGEST_SHOT_S

    def readings(self) -> dict[str, float]:
        """What parts have measured of themselves."""
        return {
            name: value for part in self.each() if isinstance(part, Measured) for name, value in part.readings.items()
        }

    def each(self) -> list[Part]:
        """Every part once, in the order in which they are prepared and closed: the pulse source last."""
        found: list[Part] = []
        for part in (self.panel, self.reader, self.threshold, self.source):
            if part is not None and not any(part is other for other in found):
                found.append(part)
        return found

    def thermometers(self) -> list[Thermometer]:
        """Parts that measure a temperature."""
        return [part for part in self.each() if isinstance(part, Thermometer)]

    def watchful(self) -> list[Watchful]:
        """Parts that may stop the bench by themselves, the panel first."""
        return [part for part in self.each() if isinstance(part, Watchful)]

    def identity(self) -> dict[str, str]:
        """What each part says of itself."""
        return {key: value for part in reversed(self.each()) for key, value in part.identity.items()}

    def prepare(self) -> None:
        """Take every part over for playing: the pulse source first, so that the lines are low."""
        for part in reversed(self.each()):
            part.prepare()

    def safing(self) -> list[Callable[[], None]]:
        """What brings the bench to rest, in order: pulses first, then the threshold, then the supply."""
        steps: list[Callable[[], None]] = [self.source.stop, self.threshold.park]
        if self.panel is not None:
            panel = self.panel
            steps.append(lambda: panel.enable(on=False))
        return steps

    def close_with(self, stack: ExitStack) -> None:
        """Have every part closed, once each, when the stack unwinds, the pulse source last."""
        for part in reversed(self.each()):
            stack.callback(part.close)


def open_parts(file: BenchFile, on_stop: Callable[[], object]) -> Parts:
    """Open everything that a bench file of kind pi names; what was opened is closed again when something fails.

    Nothing changes on the board until the parts are prepared. Raises InputError, ConnectionLostError or BenchError.
    """
    named = dict(file.roles())
    with ExitStack() as stack:
        opening = Opening(file, on_stop, stack)

        def part(role: table.Role, protocol: type[P]) -> P:
            found = opening.part(role, named[role])
            if not isinstance(found, protocol):
                lacks = sorted(m for m in dir(protocol) if not m.startswith("_") and not hasattr(found, m))
                raise InputError(f"{table.in_file(role)} = {named[role]!r} cannot: it lacks {', '.join(lacks)}")
            return found

        parts = Parts(
            part("pulse_source", PulseSource),  # type: ignore[type-abstract]
            part("axon_reader", AxonReader),  # type: ignore[type-abstract]
            part("threshold", ThresholdSource),  # type: ignore[type-abstract]
            part("panel", Panel) if "panel" in named else None,  # type: ignore[type-abstract]
        )
        stack.pop_all()  # the bench closes them from here on
        return parts
    raise AssertionError("unreachable")


def claims(file: BenchFile) -> list[str]:
    """What a bench uses that only one program may: a daemon, a port, an instrument, a bus; by names that all agree on.

    Raises InputError.
    """
    named = file.roles()
    found: list[str] = []
    while named:
        role, name = named.pop(0)
        kind: PartKind[Any] = table.find(role, name)
        named += kind.uses
        found += kind.claims(kind.settings_in(file, role, name))
    return found


def check_parts(file: BenchFile) -> Iterator[Check]:
    """What `hil doctor` finds of each part by itself, so that one that is missing does not hide the others."""
    opening = Opening(file)
    named, seen = file.roles(), set()
    while named:
        role, name = named.pop(0)
        kind: PartKind[Any] = table.find(role, name)
        named += kind.uses
        if kind in seen:
            continue
        seen.add(kind)
        try:
            settings = kind.settings_in(file, role, name)
            with claim(kind.claims(settings), "hil doctor"):  # a check may speak to the part: never beside a run
                yield from kind.check(opening, settings)
        except BusyError as error:
            yield Check(name, False, str(error), "check it when it is free")
        except Exception as error:  # noqa: BLE001 (whatever it is, the other parts have their rows)
            yield failed(name, error, kind.advice)

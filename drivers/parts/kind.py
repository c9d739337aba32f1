"""A kind of part: which settings it takes, how it is opened, and how it is checked."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from drivers.device import validation_line
from drivers.errors import InputError
from drivers.parts.table import Role, find, in_file

if TYPE_CHECKING:
    from drivers.bench import Part
    from drivers.benchfile import BenchFile
    from drivers.checks import Check
    from drivers.parts.pace import Pace

S = TypeVar("S", bound=BaseModel)


class NoSettings(BaseModel):
    """Of a part that has none."""

    model_config = ConfigDict(frozen=True, extra="forbid")


@dataclass(frozen=True, eq=False)
class PartKind(Generic[S]):
    """What the table of parts leads to.

    `open` makes the part, whose class is a protocol of `drivers.bench`, and changes nothing on the board; `check`
    says for `hil doctor` what it finds, and `advice` what to do when the part does not even open. `settings` is the
    model of its table in the bench file: `table`, or [parts.NAME] without one. `tick_s` is the time step of a pulse
    source. A part that two roles share is opened once, and one that is made of others names them in `uses`. `claims`
    names what only one program may use at a time. One that `latches` is a `drivers.bench.Latching`. `pace`: what a shot
    takes. A row of `check`
    that does more than look says in its name what it does.
    """

    open: Callable[[Opening, S], Part]
    check: Callable[[Opening, S], Iterable[Check]]
    settings: type[S]
    table: str = ""
    tick_s: float | None = None
    advice: str = "see docs/how-to/bring-up.md"
    uses: tuple[tuple[Role, str], ...] = ()
    claims: Callable[[S], Iterable[str]] = lambda _settings: ()
    latches: bool = False
    pace: Callable[[BenchFile, S], Pace] | None = None

    def settings_in(self, file: BenchFile, role: Role, name: str) -> S:
        """Its settings in a bench file; raises InputError when they are missing or wrong."""
        for used, which in self.uses:
            find(used, which).settings_in(file, used, which)
        if self.table:
            found = getattr(file, self.table)
            if not isinstance(found, self.settings):
                raise InputError(f"{in_file(role)} = {name} needs a [{self.table}] table")
            return found
        try:
            return self.settings.model_validate(file.parts.get(name, {}))
        except ValidationError as error:
            raise InputError(f"bench {file.name!r}, [parts.{name}]: {validation_line(error)}") from error


@dataclass(frozen=True, eq=False)
class Opening:
    """A bench whose parts are being opened: its file, what to call when the stop is pressed, and what closes them."""

    file: BenchFile
    on_stop: Callable[[], object] = lambda: None
    stack: ExitStack = field(default_factory=ExitStack)
    _open: dict[PartKind[Any], Part] = field(default_factory=dict)

    def part(self, role: Role, name: str) -> Part:
        """The part of that name, opened unless it is open already; raises InputError, BenchError."""
        kind: PartKind[Any] = find(role, name)
        if kind not in self._open:
            made = kind.open(self, kind.settings_in(self.file, role, name))
            self.stack.callback(made.close)
            self._open[kind] = made
        return self._open[kind]

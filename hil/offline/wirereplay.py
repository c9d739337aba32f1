"""A tape of `--record-wire` played to the real client libraries: does this version say and count the same?"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from drivers.benchfile import BenchFile
from drivers.device import DeviceFile, validation_line
from drivers.errors import HilError, InputError
from drivers.opening import make_bench
from drivers.wire.difference import Conversation, Difference
from drivers.wire.requests import LinePlayer
from drivers.wire.script import Otherwise, Script, raised
from drivers.wire.sockets import SocketPlayer
from drivers.wire.tape import Recorded, read_tape

if TYPE_CHECKING:
    from drivers.bench import Bench

_PARTS = ("pigpiod", "scope", "pico")


@dataclass(frozen=True)
class WireReplay:
    """What came of playing a tape: captures that came alike, the first byte and the first call that differ."""

    captures: int
    difference: Difference | None
    otherwise: Otherwise | None
    ended: str
    cannot: tuple[str, ...]

    @property
    def identical(self) -> bool:
        """Whether everything was said, counted and refused as on the tape."""
        return self.difference is None and self.otherwise is None


def cannot_play(tape: Recorded, file: BenchFile) -> list[str]:
    """What of the bench is not on the tape; raises InputError where nothing can be played without it."""
    if file.kind != "pi":
        raise InputError("this tape is of the simulated bench, which has no wires: nothing to replay")
    if file.threshold.source not in ("pico",):
        raise InputError(
            f"this bench's V_th comes from {file.threshold.source!r}, whose wire is not on the tape: only pigpiod, "
            "oscilloscope and Pico are"
        )
    said = []
    if file.panel is not None:
        said.append("the panel is not on the tape, and left out")
    if not any(tape.of(kind) for kind in _PARTS):
        said.append("no part was connected to")
    return said


def replay_wire(path: Path) -> WireReplay:
    """Play a tape; raises InputError where it is none or cannot be played."""
    tape = read_tape(path)
    opened = [call for call in tape.calls if call["bench"] == "open"]
    if not opened:
        raise InputError(f"{path}: no bench was opened while it ran")
    file, device = _settings(path, opened[0])
    cannot = cannot_play(tape, file)
    conversation = Conversation(tape.links)
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        here, names = _here(file, tape, conversation, Path(folder), stack)
        script = _Run(tape.calls, here, device, names, conversation)
        script.run()
    return WireReplay(
        script.script.captures, conversation.first, script.script.otherwise, _ended(tape.calls), tuple(cannot)
    )


def _settings(path: Path, call: dict[str, Any]) -> tuple[BenchFile, DeviceFile]:
    try:
        return BenchFile.model_validate(call["file"]), DeviceFile.model_validate(call["device"])
    except ValidationError as error:
        raise InputError(f"{path}: its bench is of another version ({validation_line(error)})") from error


def _here(
    file: BenchFile, tape: Recorded, conversation: Conversation, folder: Path, stack: ExitStack
) -> tuple[BenchFile, dict[str, str]]:
    """The bench with its parts at the players of this machine, and what their addresses were, by what they are now."""
    pigpiod = stack.enter_context(SocketPlayer(tape.of("pigpiod"), conversation))
    scope = stack.enter_context(SocketPlayer(tape.of("scope"), conversation))
    pico = stack.enter_context(LinePlayer(tape.of("pico"), conversation))
    changes: dict[str, Any] = {"witness": "", "panel": None, "passports": str(folder)}
    changes["pigpio"] = file.pigpio.model_copy(update={"host": "127.0.0.1", "port": pigpiod.port})
    names = {f"127.0.0.1:{pigpiod.port}": f"{file.pigpio.host}:{file.pigpio.port}"}
    if file.scope is not None:
        resource = f"TCPIP0::127.0.0.1::{scope.port}::SOCKET"
        changes["scope"] = file.scope.model_copy(update={"resource": resource})
        names[resource] = file.scope.resource
    if file.pico is not None:
        changes["pico"] = file.pico.model_copy(update={"port": pico.port})
        names[pico.port] = file.pico.port
    return file.model_copy(update=changes), names


def _ended(calls: list[dict[str, Any]]) -> str:
    """What the tape ended in: the last error, or nothing."""
    found = [str(call["what"]) for call in calls if call["bench"] == "raised"]
    return found[-1] if found else ""


class _Run:
    """Every bench that was opened while the tape ran, opened again."""

    def __init__(
        self,
        calls: list[dict[str, Any]],
        file: BenchFile,
        device: DeviceFile,
        names: dict[str, str],
        conversation: Conversation,
    ) -> None:
        self.script = Script(calls, names, conversation.over)
        self._file, self._device, self._conversation = file, device, conversation

    def run(self) -> None:
        while self.script.opens():
            try:
                bench = make_bench(self._file, self._device)
            except HilError as error:
                self.script.result("open", raised(error))
                return
            self.script.result("open", "opened")
            self._play(bench)

    def _play(self, bench: Bench) -> None:
        bench.__enter__()
        error: BaseException | None = None
        try:
            self.script.do(bench)
            if self.script.otherwise is not None:
                self._conversation.over()
            error = self.script.closing()
        except BaseException as now:
            error = now
            raise
        finally:
            self._close(bench, error)

    def _close(self, bench: Bench, error: BaseException | None) -> None:
        """As it was left on the tape: an error of closing says nothing where another one came before."""
        try:
            bench.__exit__(type(error) if error is not None else None, error, None)
        except HilError as closing:
            self.script.result("close", raised(closing))
        else:
            self.script.closed()


def lines(found: WireReplay) -> Iterator[str]:
    """What a person reads."""
    yield from found.cannot
    if found.difference is not None:
        yield f"the first byte that differs: {found.difference}"
    if found.otherwise is not None:
        yield f"{found.otherwise.call} came out otherwise: {found.otherwise.now}; on the tape: {found.otherwise.was}"
    if found.identical:
        many = "1 capture" if found.captures == 1 else f"{found.captures} captures"
        yield f"{many}: everything said and counted is as on the tape"
    if found.ended:
        yield f"the tape ended in {found.ended}"

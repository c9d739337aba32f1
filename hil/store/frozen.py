"""What a run file freezes when it begins, and how it is read again: one way for whatever a command records.

Facts that every run file has: `kind`, `config` (the settings, JSON of their model), `identity` (of the bench's parts),
`software`, `begun`, `boot`, `device`, `tick_s`. Files of version 0.1.0 lack `kind` and `boot`; there calibrations keep
their settings under "calibrate", and characterizations under "characterize" with the bench's parts in an event.
"""

from __future__ import annotations

import json
import platform
import sqlite3
import subprocess
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar, get_args

import numpy as np
from pydantic import BaseModel, ValidationError

from drivers.device import validation_line
from drivers.errors import InputError, RunFileError
from drivers.settings import PLACES
from hil.store.runfile import RunFile
from hil.store.suspicion import from_json

if TYPE_CHECKING:
    from drivers.benchfile import BenchFile
    from drivers.device import DeviceFile

Kind = Literal["run", "evaluate", "calibrate", "characterize", "import"]
KINDS: tuple[Kind, ...] = get_args(Kind)
NOUNS: dict[Kind, str] = {
    "run": "run",
    "evaluate": "evaluation",
    "calibrate": "calibration",
    "characterize": "characterization",
    "import": "import of recordings",
}
OF_DIGITS: tuple[Kind, ...] = ("run", "evaluate")  # the kinds that recognise digits
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
Model = TypeVar("Model", bound=BaseModel)


class WrongKindError(RunFileError, InputError):
    """A sound run file of another kind than a command is for."""


class Settings(Protocol):
    """What every kind's settings say: the bench and the device."""

    @property
    def bench(self) -> BenchFile:
        """The bench file."""
        ...

    @property
    def device(self) -> DeviceFile:
        """The device file."""
        ...

    def model_dump_json(self) -> str:
        """All of it."""
        ...


def begin(
    path: Path, kind: Kind, settings: Settings, identity: Mapping[str, str], *, numbered: bool = False, **more: object
) -> RunFile:
    """A new run file with everything frozen, `more` being facts of this kind; see RunFile.create for `numbered`."""
    facts = {
        "kind": kind,
        "config": settings.model_dump_json(),
        "identity": dict(identity),
        "software": software(),
        "boot": boot(),
        "begun": datetime.now().astimezone().isoformat(timespec="microseconds"),
        "device": settings.device.id,
        "tick_s": settings.bench.tick_s,
        **more,
    }
    run = RunFile.create(path, facts, numbered=numbered)
    run.add_event("begun", f"{NOUNS[kind]} on {settings.bench.name}")
    return run


def begun_at(run: RunFile) -> datetime:
    """When a run was begun; raises RunFileError where its file says nothing that is a time with its zone."""
    said = run.fact("begun")
    try:
        begun = datetime.fromisoformat(said)
    except (TypeError, ValueError) as error:
        raise RunFileError(f"{run.path}: begun is {said!r:.60}, which is no time") from error
    if begun.tzinfo is None:
        raise RunFileError(f"{run.path}: begun is {said!r:.60}, a time without its zone")
    return begun


def begun_words(run: RunFile) -> str:
    """The same to the second, for people; raises RunFileError."""
    return f"{begun_at(run):%Y-%m-%d %H:%M:%S %z}"


def kind_of(run: RunFile) -> Kind:
    """What a run file holds; raises RunFileError when it does not say."""
    facts = run.facts
    if facts.get("kind") in KINDS:
        found: Kind = facts["kind"]
        return found
    for kind in KINDS:
        if kind in facts:
            return kind
    with suppress(ValueError, TypeError, AttributeError):
        command = from_json(run.path, "config", run.fact("config")).get("command")
        if command in OF_DIGITS:
            return "run" if command == "run" else "evaluate"
    raise RunFileError(f"run file {run.path} is damaged: it does not say what kind it is")


def settings_of(run: RunFile, model: type[Model], *kinds: Kind) -> Model:
    """The frozen settings of a run file of one of these kinds.

    Raises WrongKindError naming the commands that are for it, RunFileError when they are of another version.
    """
    kind = kind_of(run)
    if kind not in kinds:
        of = quote(str(run.path))
        wanted = " or ".join(dict.fromkeys(NOUNS[wanted] for wanted in kinds))
        if kind == "import":
            what = "recordings that were imported, and nothing of a network"
            use = f"`hil replay {of}` decodes them again, `hil export` takes them to csv, hdf5, neo, sr or vcd"
        else:
            what = f"a recorded {NOUNS[kind]}"
            use = f"`hil replay {of}` evaluates it again, `hil resume {of}` goes on with it"
        raise WrongKindError(f"{run.path} holds no {wanted}: it is {what}; {use}")
    try:
        return model.model_validate_json(json.dumps(raw_settings(run)))
    except ValidationError as error:
        raise RunFileError(
            f"run file {run.path}: its settings are of another version ({validation_line(error)})"
        ) from error


def raw_settings(run: RunFile) -> dict[str, Any]:
    """The frozen settings as they were written down; raises RunFileError."""
    frozen = run.facts["config"] if "config" in run.facts else run.fact(kind_of(run))
    with suppress(ValueError, RecursionError):
        found = json.loads(frozen) if isinstance(frozen, str) else frozen
        if isinstance(found, dict):
            return found
    raise RunFileError(f"run file {run.path} is damaged: its settings cannot be read")


def identity_of(run: RunFile) -> dict[str, str] | None:
    """The parts of the bench it was recorded on; None where nobody wrote them down."""
    if "identity" in run.facts:
        found: dict[str, str] = run.facts["identity"]
        return found
    return next((from_json(run.path, "parts", text) for _, kind, text in run.events() if kind == "parts"), None)


def changed_parts(run: RunFile, identity: Mapping[str, str]) -> list[str]:
    """The parts of a bench that are not those the file was begun with, one line each; where they are is no matter."""
    was = identity_of(run)
    if was is None:
        return []
    return differences("part", *({key: one[key] for key in one if key not in PLACES} for one in (was, identity)))


def differences(where: str, was: Any, now: Any) -> list[str]:
    """Where two JSON values differ, one line each."""
    if isinstance(was, dict) and isinstance(now, dict):
        keys = [*was, *(key for key in now if key not in was)]
        return [line for key in keys for line in differences(f"{where}.{key}", was.get(key), now.get(key))]
    return [] if was == now else [f"{where}: {was} → {now}"]


def agree(run: RunFile, found: Iterable[str], *, anyway: bool = False) -> None:
    """Refuse to go on when something has changed, unless told otherwise; then it is an event of the run.

    Raises InputError.
    """
    lines = list(found)
    if lines and not anyway:
        kind = kind_of(run)
        how = ", or go on with the recorded settings: --anyway" if kind in OF_DIGITS else ""
        raise InputError(
            f"{NOUNS[kind]} {run.path} cannot go on as it began: {'; '.join(lines)}. "
            f"Put that back, begin a new one{how}"
        )
    for line in lines:
        run.add_event("changed", line)


def resumed(run: RunFile, text: str = "") -> list[str]:
    """Write down that it goes on now.

    Returns what is to be said of that: another version than began with it, so that what comes of it may differ.
    """
    was, now = run.fact("software"), software()
    changed = [name for name in ("hil", "commit") if was.get(name) != now[name]]
    lines = [f"{name}: begun with {was.get(name)}, goes on with {now[name]}" for name in changed]
    for line in lines:
        run.add_event("changed", line)
    run.add_event("resumed", text)
    return lines


def boot() -> dict[str, Any]:
    """The fact that a run file freezes: which start of the computer this is, and how long ago; empty where not told."""
    with suppress(OSError, AttributeError):
        return {"id": _BOOT_ID.read_text("ascii").strip(), "since_s": time.clock_gettime(time.CLOCK_BOOTTIME)}
    return {}


def software() -> dict[str, str]:
    """What records: this package and its commit, Python, numpy, SQLite, the machine."""
    root = Path(__file__).parents[2]
    commit = ""
    if (root / ".git").exists():
        try:
            commit = subprocess.run(
                ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=40"],
                capture_output=True,
                text=True,
                check=True,
                timeout=10,
            ).stdout.strip()
        except (OSError, subprocess.SubprocessError):
            commit = "unknown"
    return {
        "hil": version("memristive-hil"),
        "commit": commit,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "sqlite": sqlite3.sqlite_version,
        "machine": f"{platform.system()} {platform.release()} {platform.machine()}",
    }

"""Run files of calibrations and characterizations, given to a command that is mostly for runs."""

from __future__ import annotations

import argparse
import importlib
from pathlib import Path

from drivers.errors import InputError
from hil.store.frozen import NOUNS, OF_DIGITS, Kind, kind_of
from hil.store.runfile import RunFile


def sweep_kind(path: Path) -> Kind | None:
    """The kind of a recorded sweep, None for a run, an evaluation or an import; raises RunFileError."""
    with RunFile.open(path) as run_file:
        kind = kind_of(run_file)
    return None if kind in (*OF_DIGITS, "import") else kind


def is_import(path: Path) -> bool:
    """Whether a run file holds recordings that were imported; raises RunFileError."""
    with RunFile.open(path) as run_file:
        return kind_of(run_file) == "import"


def hand_over(kind: Kind, how: str, path: Path, *, as_json: bool, unfit: dict[str, object]) -> int:
    """Let the command that recorded a sweep go on with it (`how` "resume") or evaluate it again ("replay").

    `unfit` are options that mean nothing there, by name: raises InputError when one was given. Returns the exit code.
    """
    for option, value in unfit.items():
        if value:
            raise InputError(f"{option} is for runs; {path} is a recorded {NOUNS[kind]}")
    command = importlib.import_module(f"hil.commands.{kind}")
    parser = argparse.ArgumentParser(prog=f"hil {kind}")
    command.add_arguments(parser)
    return int(command.run(parser.parse_args([f"--{how}", str(path), *(["--json"] if as_json else [])])))

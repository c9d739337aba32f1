"""Completion scripts for shells, through shtab: made once, so that a press of TAB starts no Python."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Mapping
from pathlib import Path

from drivers.errors import InputError

SHELLS = ("bash", "zsh", "fish")


def completion_script(shell: str, parser: argparse.ArgumentParser, commands: Mapping[str, str]) -> str:
    """The script that completes `hil` in a shell; `commands` are name → what it does. Raises InputError."""
    if shell not in SHELLS:
        raise InputError(f"--print-completion {shell}: one of {', '.join(SHELLS)}")
    import shtab

    below = parser.add_subparsers()
    for name, text in commands.items():
        command = below.add_parser(name, help=text)
        importlib.import_module(f"hil.commands.{name}").add_arguments(command)
        for action in command._actions:
            if action.type is Path or action.metavar in ("FILE", "NAME|FILE", "RUN", "DIR"):
                action.complete = shtab.FILE  # type: ignore[attr-defined]
    return shtab.complete(parser, shell=shell, root_prefix="hil")

"""How commands take a run file: by its path, or `latest`."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hil.store.frozen import Kind

LATEST = "latest"


def run_path(text: str) -> Path:
    """The path, or for `latest` that of the run that was begun last under runs/; for argparse."""
    if text != LATEST:
        return Path(text)
    from hil.run.session import RUNS, SUFFIX

    found = sorted(RUNS.glob(f"*{SUFFIX}"))  # their names begin with the time
    if not found:
        raise argparse.ArgumentTypeError(f"there is no run in {RUNS.absolute()}; `hil run` records one")
    return found[-1]


def latest_of(kind: Kind, folder: Path) -> Callable[[str], Path]:
    """The same for what `hil calibrate` and `hil characterize` record, which lies in `folder` under any name."""

    def run_path(text: str) -> Path:
        if text != LATEST:
            return Path(text)
        found = sorted(_recorded(kind, folder))
        if not found:
            raise argparse.ArgumentTypeError(f"nothing in {folder.absolute()} was recorded by `hil {kind}`")
        return found[-1][1]

    return run_path


def _recorded(kind: Kind, folder: Path) -> Iterator[tuple[str, Path]]:
    """When each run file of a kind was begun, and where it is."""
    from drivers.errors import RunFileError
    from hil.run.session import SUFFIX
    from hil.store.frozen import kind_of
    from hil.store.runfile import RunFile

    for path in folder.glob(f"*{SUFFIX}"):
        try:
            with RunFile.open(path) as run:
                if kind_of(run) == kind:
                    yield str(run.fact("begun")), path
        except RunFileError:
            continue  # some other file: nobody named it

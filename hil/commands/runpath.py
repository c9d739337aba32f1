"""How commands take a run file: by its path, or `latest`."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hil.store.frozen import Kind
    from hil.store.order import Begun

LATEST = "latest"


def run_path(text: str) -> Path:
    """The path, or for `latest` that of the run that was begun last under runs/; for argparse."""
    if text != LATEST:
        return Path(text)
    from hil.run.session import RUNS
    from hil.store.frozen import KINDS

    return _latest(KINDS, RUNS, f"there is no run in {RUNS.absolute()}; `hil run` records one")


def latest_of(kind: Kind, folder: Path) -> Callable[[str], Path]:
    """The same for what `hil calibrate` and `hil characterize` record, which lies in `folder` under any name."""

    def run_path(text: str) -> Path:
        if text != LATEST:
            return Path(text)
        return _latest((kind,), folder, f"nothing in {folder.absolute()} was recorded by `hil {kind}`")

    return run_path


def _latest(kinds: Collection[Kind], folder: Path, none: str) -> Path:
    """By what the files hold: names of runs of one second do not sort, nor do those that people give."""
    from hil.store.order import in_order

    found = in_order(_recorded(kinds, folder))
    if not found:
        raise argparse.ArgumentTypeError(none)
    return found[-1]


def _recorded(kinds: Collection[Kind], folder: Path) -> Iterator[tuple[Begun, Path]]:
    """When each run file of these kinds was begun, and where it is."""
    from drivers.errors import RunFileError
    from hil.run.session import SUFFIX
    from hil.store.frozen import kind_of
    from hil.store.order import begun
    from hil.store.runfile import RunFile

    for path in folder.glob(f"*{SUFFIX}"):
        try:
            with RunFile.open(path) as run:
                if kind_of(run) in kinds:
                    yield begun(run), path
        except RunFileError:
            continue  # some other file: nobody named it

"""How commands take a run file: by its path, or `latest`."""

from __future__ import annotations

import argparse
from pathlib import Path

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

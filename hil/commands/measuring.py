"""A bench opened for a run, and what a person sees while its transfer curve is measured: how far, and the time left."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import Progress, TaskID

from hil.run.opening import open_measured

if TYPE_CHECKING:
    from contextlib import ExitStack

    from drivers.bench import Bench
    from hil.run.config import RunConfig

LONG = 1_000_000  # pulses; simulated one by one, they take half a minute
_SLOW = "simulated one by one, some 50,000 a second; with --fidelity counts some hundred times faster"


def open_watched(
    config: RunConfig, stack: ExitStack, calibration: str | None = None, *, quiet: bool
) -> tuple[Bench | None, RunConfig]:
    """`open_measured` with a progress bar on standard error, which says beforehand how many pulses it takes."""
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=quiet or not console.is_terminal) as bar:
        task: list[TaskID] = []

        def show(done: int, total: int) -> None:
            if not task:
                if total > LONG and config.fidelity == "pulses":
                    print(f"first the transfer curve: {total:,} pulses, {_SLOW}", file=sys.stderr)
                task.append(bar.add_task(f"transfer curve, {total:,} pulses", total=total))
            bar.update(task[0], completed=done)

        return open_measured(config, stack, calibration, show)

"""The options that say who works, and what a person sees meanwhile."""

from __future__ import annotations

import os
from contextlib import ExitStack
from types import TracebackType
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import Progress

from drivers.errors import InputError
from drivers.opening import drifts
from hil.terminal.interrupt import StopRequest, held_back, ignore_all
from hil.terminal.lines import Lines
from hil.workers.crew import Crew, Here, Processes, Watch

if TYPE_CHECKING:
    import argparse

    from hil.run.config import RunConfig


def add_workers_arguments(parser: argparse.ArgumentParser) -> None:
    """What a command takes whose work can be shared out."""
    parser.add_argument(
        "--workers", type=int, metavar="N", help="processes (default: one a core); the results are the same"
    )
    parser.add_argument("--cluster", metavar="ADDRESS", help="a Dask scheduler whose workers do it (extra 'cluster')")


def check_workers(workers: int | None, cluster: str | None) -> None:
    """Raises InputError for what cannot be, whatever the work."""
    if workers is not None and workers < 1:
        raise InputError(f"--workers {workers}: at least 1")
    if workers is not None and cluster is not None:
        raise InputError("--workers and --cluster: one or the other; a cluster has as many workers as it has")


def check_shared(config: RunConfig, workers: int | None, cluster: str | None) -> None:
    """Refuse to share out what one must do alone; raises InputError."""
    asked = f"--workers {workers}" if cluster is None else f"--cluster {cluster}"
    if workers in (None, 1) and cluster is None:
        return
    if config.bench.kind != "mock":
        raise InputError(f"{asked}: bench {config.bench.name!r} is one piece of hardware; use --workers 1")
    if config.parts and drifts(config.device):
        raise InputError(
            f"{asked}: device {config.device.id!r} drifts, and what it is at a digit depends on all before; "
            "use --workers 1"
        )


def crew_of(workers: int | None, cluster: str | None, pieces: int) -> Crew:
    """Who works off so many pieces; raises InputError. A single one is not worth another process."""
    check_workers(workers, cluster)
    if cluster is not None:
        from hil.workers.cluster import Cluster

        return Cluster(cluster)
    if pieces == 1:
        return Here()
    return Processes(min(workers or len(os.sched_getaffinity(0)), pieces), ignore_all, held_back)


class Shown:
    """What a person sees, on a terminal as a bar and elsewhere as a line now and then, and the first Ctrl-C, which asks
    to stop.
    """

    def __init__(self, *, quiet: bool) -> None:
        console = Console(stderr=True)
        self._stack = ExitStack()
        self._progress = Progress(console=console, transient=True, disable=quiet or not console.is_terminal)
        self._lines = None if quiet or console.is_terminal else Lines()
        self.stopping = StopRequest()

    def watch(self, text: str, total: int) -> Watch:
        """Another stretch of the work, of so many results."""
        for before in self._progress.task_ids:
            self._progress.remove_task(before)
        task = self._progress.add_task(text, total=None)  # until the first result is there, workers are being started
        if self._lines is not None:
            self._lines.begin(text, total)
            return Watch(self._lines.tell, self.stopping)
        return Watch(lambda done: self._progress.update(task, completed=done, total=total), self.stopping)

    def __enter__(self) -> Shown:
        self._stack.enter_context(self.stopping)
        self._stack.enter_context(self._progress)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

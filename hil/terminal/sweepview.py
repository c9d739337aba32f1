"""What a person sees during a calibration: progress with the time left, and the points measured so far as a plot."""

from __future__ import annotations

import time
from types import TracebackType
from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from hil.terminal.chart import chart

if TYPE_CHECKING:
    from hil.calibrate.view import Axes

_EVERY_S = 0.2  # between redraws of the plot


class SweepView:
    """Shown on standard error; quiet when that is not a terminal."""

    def __init__(self, *, quiet: bool = False) -> None:
        console = Console(stderr=True)
        self._quiet = quiet or not console.is_terminal
        self._width = max(20, min(console.width - 14, 70))
        self._progress = Progress(
            TextColumn("{task.description}"), BarColumn(bar_width=16), TimeRemainingColumn(), console=console
        )
        self._task = self._progress.add_task("starting", total=1.0)
        self._live = Live(self._progress, console=console, transient=True, auto_refresh=not self._quiet)
        self._drawn_at = 0.0

    def __enter__(self) -> SweepView:
        if not self._quiet:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._quiet:
            self._live.stop()

    def show(self, done: float, text: str) -> None:
        """Move the progress line; one that goes back is of the next sweep, with a time of its own."""
        if done < self._progress.tasks[0].completed:
            self._progress.reset(self._task)
        self._progress.update(self._task, completed=done, description=text)

    def plot(self, x: list[float], y: list[float], axes: Axes) -> None:
        """Draw the points, a few times a second at most."""
        now = time.monotonic()
        if self._quiet or now - self._drawn_at < _EVERY_S:
            return
        self._drawn_at = now
        picture = chart(x, y, axes, width=self._width, height=12)
        self._live.update(Group(Text(picture), self._progress))

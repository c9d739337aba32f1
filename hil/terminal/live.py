"""What a person sees while digits are played: which digit, kernel and slot, spikes so far, time left, bench time."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from hil.network.layers import LAYERS

if TYPE_CHECKING:
    from drivers.signals import Capture


class Live:
    """A progress line on standard error; quiet when that is not a terminal."""

    def __init__(self, slots: int, images: int, *, quiet: bool = False) -> None:
        console = Console(stderr=True)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[state]}"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=quiet or not console.is_terminal,
        )
        self._task = self._progress.add_task("starting", total=max(slots * images, 1), state="")
        self._spikes = 0
        self.bench_s = 0.0

    def __enter__(self) -> Live:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def show(self, line: str) -> None:
        """Print a result on standard output, above the progress line."""
        if self._progress.disable:
            print(line, flush=True)
        else:
            self._progress.print(line, highlight=False)

    def watch(self, capture: Capture) -> None:
        """Show one shot."""
        frame = capture.frame
        self._spikes += int(capture.spikes.sum())
        self.bench_s += capture.bench_s
        layer = int(frame.layer[-1])
        where = f"{LAYERS[layer].name} kernel {frame.channel[-1]} slot {frame.position[-1]}" if layer >= 0 else "sweep"
        self._progress.update(
            self._task,
            advance=len(frame),
            description=f"digit {frame.key.image}  {where}",
            state=f"{self._spikes:,} spikes  {self.bench_s:.2f} s on the bench",
        )

"""What a person sees while digits are played: how far, how right, the map being filled, the last trace, time left.

A terminal of 24 lines and 80 columns gets all of it, a narrower one a line that fits. Where nothing can be redrawn
(no terminal, TERM=dumb) there is a line a digit and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np
from rich import live
from rich.console import Console, Group
from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from calibration.estimate import wilson_interval
from hil.network.layers import LAYERS
from hil.terminal.again import Again
from hil.terminal.pictures import blocks, strip

if TYPE_CHECKING:
    from drivers.signals import Capture, Frame, Trace
    from hil.run.digits import DigitResult

FULL_WIDTH, FULL_HEIGHT = 80, 24
NARROW = 60  # columns; below, the line says only what is most wanted
_A_SECOND = 5  # redraws
_TRACE_LINES, _TRACE_COLUMNS = 6, 46
_TRACE_S = 2e-3  # of the end of a shot


@dataclass
class Seen:
    """What has come so far: sums, the map under way, the end of the last trace."""

    spikes: int = 0
    bench_s: float = 0.0
    stray: int = 0
    right: int = 0
    digits: int = 0
    drift: Mapping[str, float] | None = None
    kernel: tuple[int, int, int] | None = None  # image, layer, channel
    counts: Any = field(default_factory=lambda: np.zeros((0, 0), dtype=np.int32))
    trace: Trace | None = None
    at: str = "starting"

    def add(self, capture: Capture) -> None:
        """Count one shot, and fill the map of the kernel that it ended in."""
        frame = capture.frame
        self.spikes += int(capture.spikes.sum())
        self.bench_s += capture.bench_s
        self.stray += capture.stray.before + capture.stray.guard + capture.stray.after
        layer, channel = int(frame.layer[-1]), int(frame.channel[-1])
        if layer < 0:
            self.at = "sweep"
            return
        self.at = f"digit {frame.key.image}: {LAYERS[layer].name} {channel}"
        self._fill(capture, (frame.key.image, layer, channel))
        self.trace = next((trace for trace in capture.traces if trace.name == "axon"), self.trace)

    def _fill(self, capture: Capture, kernel: tuple[int, int, int]) -> None:
        side = LAYERS[kernel[1]].side
        if kernel != self.kernel:
            self.kernel, self.counts = kernel, np.full((side, side), -1, dtype=np.int32)
        mine = (capture.frame.channel == kernel[2]) & capture.ok
        self.counts.ravel()[capture.frame.position[mine]] = capture.spikes[mine]

    def accuracy(self) -> str:
        """Of the digits done, with its 95 % interval."""
        if not self.digits:
            return ""
        low, high = wilson_interval(self.right, self.digits)
        return f"{self.right} of {self.digits} right, {self.right / self.digits:.1%} ({low:.1%} to {high:.1%})"


class Live:
    """Shown on standard error, results on standard output above it; quiet when that is not a terminal."""

    def __init__(self, slots: int, images: int, *, quiet: bool = False, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True)
        self.disable = quiet or not self._console.is_terminal or self._console.is_dumb_terminal
        self._full = self._console.width >= FULL_WIDTH and self._console.height >= FULL_HEIGHT
        self.seen = Seen()
        self._progress = Progress(*_columns(self._console.width), console=self._console)
        self._task = self._progress.add_task("starting", total=max(slots * images, 1), digits=f"0/{images}")
        self._images = images
        self._quiet = quiet
        self._again = Again(self._say)
        self._played_s = 0.0
        self._live = live.Live(
            console=self._console,
            transient=True,
            refresh_per_second=_A_SECOND,
            get_renderable=self._picture,
            auto_refresh=not self.disable,
        )

    @property
    def bench_s(self) -> float:
        """Time that the bench has played so far; what was recorded before is not counted."""
        return self._played_s

    def __enter__(self) -> Live:
        if not self.disable:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self.disable:
            self._live.stop()

    def show(self, line: str) -> None:
        """Print a line about a result on standard output, above what is redrawn."""
        if self.disable:
            print(line, flush=True)
        else:
            self._live.console.print(Text(line), highlight=False, soft_wrap=True)

    def count(self, result: DigitResult) -> None:
        """A digit is done."""
        self.seen.digits += 1
        self.seen.right += result.correct
        self._progress.update(self._task, digits=f"{self.seen.digits}/{self._images}")

    def gauge(self, reading: Mapping[str, Any]) -> None:
        """What the bench said of itself after a digit, see `hil.run.gauges`."""
        self.seen.drift = reading["drift"]

    def retaking(self, frame: Frame, why: str) -> None:
        """Slots are about to be played again: counted at once, and told, every kind of reason once."""
        self._again(frame, why)

    def played(self, capture: Capture) -> None:
        """The bench has played this shot, which a run file held back or answered from is not."""
        self._played_s += capture.bench_s

    def _say(self, text: str) -> None:
        if not self._quiet:
            self._console.print(Text(text), highlight=False, soft_wrap=True)

    def watch(self, capture: Capture) -> None:
        """Show one shot; what it has to say is told on standard error, every kind once."""
        self.seen.add(capture)
        for note in capture.notes:
            if self._again.news(note):
                self._say(f"digit {capture.frame.key.image}: {note}")
        self._progress.update(self._task, advance=len(capture.frame), description=self.seen.at)

    def _picture(self) -> Group:
        seen = self.seen
        if not self._full:
            return Group(self._progress)
        costs = f"{seen.spikes:,} spikes, {seen.bench_s:.2f} s on the bench"
        again = f"{self._again.retaken.slots:,} slots again in {self._again.retaken.shots:,} shots"
        troubles = f"{again}, {seen.stray:,} strays"
        if seen.drift is not None:
            troubles += f", drift {seen.drift['statistic']:.1f} of {seen.drift['limit']:.1f}"
        lines = [Text(line) for line in (seen.accuracy(), costs, troubles) if line]
        return Group(*_drawn(seen), *lines, self._progress)


def _drawn(seen: Seen) -> list[Table]:
    """The map being filled beside the end of the last trace."""
    if seen.kernel is None or not seen.counts.size or seen.counts.shape[0] == 1:
        return []
    table = Table.grid(padding=(0, 2))
    captions = [f"spikes of {LAYERS[seen.kernel[1]].name} kernel {seen.kernel[2]}"]
    parts = [blocks(seen.counts)]
    if seen.trace is not None:
        trace = seen.trace
        kept = replace(trace, codes=trace.codes[-max(int(_TRACE_S / trace.x_increment_s), 2) :]).volts
        shown_ms = len(kept) * trace.x_increment_s * 1e3
        parts.append(strip(kept, _TRACE_COLUMNS, _TRACE_LINES))
        captions.append(f"axon, the last {shown_ms:.3g} ms, {kept.min():.1f} to {kept.max():.1f} V")
    table.add_row(*parts)
    table.add_row(*(Text(caption, style="dim") for caption in captions))
    return [table]


def _columns(width: int) -> list[ProgressColumn]:
    """A bar and a time left, in a line that fits."""
    digits = TextColumn("{task.fields[digits]}")
    if width < NARROW:
        return [BarColumn(bar_width=max(width - 24, 4)), digits, TimeRemainingColumn(compact=True)]
    return [TextColumn("{task.description}"), BarColumn(bar_width=24), digits, TimeRemainingColumn(compact=True)]

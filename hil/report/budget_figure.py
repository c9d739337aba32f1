"""A loss budget as a picture: accuracy step by step with its intervals, what each lost and won, and the lost digits."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from calibration.picture import new_figure, printed, save_figure
from hil.network.source import load_digits
from hil.run.config import noisy
from hil.run.digits import heading

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from hil.budget.losses import Step
    from hil.run.config import RunConfig

_DOWN = 6  # lost digits shown of a step


@printed
def draw_budget(file: Path, steps: Sequence[Step], config: RunConfig) -> None:
    """Draw it; the suffix chooses the format. Raises InputError when the file cannot be written."""
    figure = new_figure(7.2, 6.0)
    above, below = figure.subfigures(2, 1, squeeze=False, height_ratios=(1.25, 1))[:, 0]
    accuracy, turned = above.subplots(2, 1, sharex=True, height_ratios=(2, 1))
    _accuracies(accuracy, steps)
    _turned(turned, steps)
    _lost(below, steps, config)
    noise = f", {config.noise[0]} % of the pixels zeroed" if config.noise[0] else ""
    figure.suptitle(heading(config) + noise, fontsize=6, color="dimgray", x=0.01, ha="left")
    save_figure(figure, file, dpi=200)


def _accuracies(axes: Axes, steps: Sequence[Step]) -> None:
    at = np.arange(len(steps))
    shares = np.array([step.accuracy for step in steps])
    low, high = np.array([step.interval for step in steps]).T
    axes.errorbar(at, 100 * shares, yerr=100 * np.array([shares - low, high - shares]), fmt="o", capsize=3, color="C0")
    axes.step(at, 100 * shares, where="mid", color="C0", linewidth=0.7)
    for x, step in zip(at, steps, strict=True):
        axes.annotate(f"{step.accuracy:.1%}", (float(x), 100 * step.accuracy), (4, 4), textcoords="offset points")
    axes.set_ylabel("recognised, %")
    axes.set_title("accuracy with 95 % intervals")


def _turned(axes: Axes, steps: Sequence[Step]) -> None:
    at = np.arange(len(steps))
    lost, won = [len(step.lost) for step in steps], [len(step.won) for step in steps]
    axes.bar(at, won, color="C2", width=0.5, label="won against the step before")
    axes.bar(at, np.negative(lost), color="C3", width=0.5, label="lost")
    for x, up, down, step in zip(at, won, lost, steps, strict=True):
        if step.before is not None:
            axes.annotate(f"+{up} −{down}", (float(x) + 0.28, 0), va="center")
    axes.axhline(0, color="gray", linewidth=0.5)
    axes.set_xticks(at, [f"{step.name}\n{len(step.results):,} digits" for step in steps])
    axes.set_xlim(-0.5, len(steps) - 0.5)
    axes.set_ylabel("digits")
    axes.legend(loc="lower left", ncols=2)


def _lost(figure: Figure, steps: Sequence[Step], config: RunConfig) -> None:
    """A column a step: the first of the digits that it lost, each with its index, label and answer."""
    every = load_digits(config.source)[0]
    down = max(1, min(_DOWN, max(len(step.lost) for step in steps)))
    grid = figure.subplots(down, len(steps), squeeze=False)
    for axes in grid.ravel():
        axes.set_axis_off()
    for column, step in enumerate(steps):
        for row, index in enumerate(step.lost[:down]):
            result, axes = step.by_index[index], grid[row, column]
            image = noisy(every[[index]], np.array([index]), config.noise[0], config.seed)[0]
            axes.imshow(image, cmap="gray_r", vmin=0, vmax=255)
            axes.set_title(f"{index}: {result.label}→{result.answer}", fontsize=6, pad=1)
    shown = "lost digits" if all(len(step.lost) <= down for step in steps) else f"the first {down} lost digits"
    figure.suptitle(f"{shown} of each step: index, label → answer", fontsize=8)

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

_ACROSS, _DOWN = 2, 5  # lost digits shown of a step


@printed
def draw_budget(file: Path, steps: Sequence[Step], config: RunConfig) -> None:
    """Draw it; the suffix chooses the format. Raises InputError when the file cannot be written."""
    figure = new_figure(7.2, 5.6)
    above, below = figure.subfigures(2, 1, squeeze=False, height_ratios=(1.5, 1))[:, 0]
    accuracy, turned = above.subplots(2, 1, sharex=True, height_ratios=(2, 1))
    _accuracies(accuracy, steps)
    _turned(turned, steps)
    _lost(below, steps, config)
    noise = f", {config.noise[0]} % of the pixels zeroed" if config.noise[0] else ""
    figure.suptitle(heading(config) + noise, fontsize=6, color="dimgray", x=0.01, ha="left")
    save_figure(figure, file, dpi=200)


def _accuracies(axes: Axes, steps: Sequence[Step]) -> None:
    """Steps of fewer digits than the others are drawn open, and their wider intervals may leave the picture."""
    most = max(len(step.results) for step in steps)
    for x, step in enumerate(steps):
        share, (low, high) = step.accuracy, step.interval
        axes.errorbar(
            x,
            100 * share,
            yerr=[[100 * (share - low)], [100 * (high - share)]],
            fmt="o",
            capsize=3,
            color="C0",
            fillstyle="full" if len(step.results) == most else "none",
        )
        axes.annotate(f"{share:.2%}", (x, 100 * share), (5, 3), textcoords="offset points")
    whole = [step for step in steps if len(step.results) == most]
    axes.step(range(len(whole)), [100 * step.accuracy for step in whole], where="mid", color="C0", linewidth=0.7)
    low = min(step.interval[0] for step in whole)
    high = max(*(step.interval[1] for step in whole), *(step.accuracy for step in steps))
    margin = 0.15 * (high - low)
    axes.set_ylim(100 * (low - margin), 100 * (high + margin))
    axes.set_ylabel("recognised, %")
    axes.set_title("accuracy with 95 % intervals; open: of fewer digits")


def _turned(axes: Axes, steps: Sequence[Step]) -> None:
    for x, step in enumerate(steps):
        won, lost = len(step.won), len(step.lost)
        axes.bar(x, won, color="C2", width=0.5)
        axes.bar(x, -lost, color="C3", width=0.5)
        if step.before is not None:
            axes.annotate(f"+{won} −{lost}", (x, won), (0, 2), textcoords="offset points", ha="center")
    axes.axhline(0, color="gray", linewidth=0.5)
    axes.margins(y=0.25)
    axes.set_xticks(range(len(steps)), [f"{step.name}\n{len(step.results):,} digits" for step in steps])
    axes.set_xlim(-0.5, len(steps) - 0.4)
    axes.set_ylabel("digits")
    axes.set_title("won and lost against the step before")


def _lost(figure: Figure, steps: Sequence[Step], config: RunConfig) -> None:
    """A column a step: the first of the digits that it lost, each with its index, label and answer."""
    every = load_digits(config.source)[0]
    down = max(1, min(_DOWN, max(-(-len(step.lost) // _ACROSS) for step in steps)))
    grid = figure.subplots(down, _ACROSS * len(steps), squeeze=False)
    for axes in grid.ravel():
        axes.set_axis_off()
    for number, step in enumerate(steps):
        for place, index in enumerate(step.lost[: down * _ACROSS]):
            result, axes = step.by_index[index], grid[place // _ACROSS, _ACROSS * number + place % _ACROSS]
            image = noisy(every[[index]], np.array([index]), config.noise[0], config.seed)[0]
            axes.imshow(image, cmap="gray_r", vmin=0, vmax=255)
            axes.set_title(f"{index}: {result.label}→{result.answer}", fontsize=5, pad=1)
    shown = "lost digits" if all(len(step.lost) <= down * _ACROSS for step in steps) else "the first lost digits"
    figure.suptitle(f"{shown} of each step: index, label → answer", fontsize=8)

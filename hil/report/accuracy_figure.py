"""Accuracy against the share of zeroed pixels, as the paper's Figure 4b shows it, beside software alone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from calibration.picture import new_figure, printed, save_figure

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from hil.run.accuracy import Level

# Wang et al., Sci. Rep. 8:12546 (2018): about 97.1 % of all 10,000 test digits clean, above 90 % at 40 % zeroed. The
# other points of their figure are not in its text.
PAPER_CLEAN = 0.971
PAPER_ABOVE = (0.4, 0.90)


@printed
def draw_accuracy(file: Path, levels: Sequence[Level], software: Sequence[Level], about: str) -> None:
    """Draw it; the suffix chooses the format. Raises InputError when the file cannot be written."""
    figure = new_figure(4.6, 3.4)
    axes = figure.subplots()
    seeds = len(levels[0].seeds)
    of_seeds = f", mean of {seeds} seeds" if seeds > 1 else ""
    _line(axes, software, "gray", "s--", f"software alone{of_seeds}")
    _line(axes, levels, "C0", "o-", f"on the simulated neuron{of_seeds}")
    axes.plot(0, 100 * PAPER_CLEAN, "k*", markersize=8, label="paper: about 97.1 % clean")
    at, above = PAPER_ABOVE
    label = "paper: above 90 % at 40 % zeroed"
    axes.errorbar(100 * at, 100 * above, yerr=3, lolims=True, fmt="k_", markersize=8, capsize=3, label=label)
    axes.set_xlabel("pixels set to zero, %")
    axes.set_ylabel("digits recognised, %")
    axes.set_title(f"{max(levels[0].digits):,} test digits; bars: " + _bars(seeds))
    axes.legend(loc="lower left")
    figure.suptitle(about, fontsize=6, color="dimgray", x=0.01, ha="left")
    save_figure(figure, file, dpi=200)


def _bars(seeds: int) -> str:
    return "95 % intervals" if seeds == 1 else "largest and least of the seeds"


def _line(axes: Axes, levels: Sequence[Level], colour: str, form: str, label: str) -> None:
    below, above = zip(*(_reach(level) for level in levels), strict=True)
    axes.errorbar(
        [level.noise for level in levels],
        [100 * level.accuracy for level in levels],
        yerr=(below, above),
        fmt=form,
        color=colour,
        markersize=4,
        capsize=2,
        label=label,
    )


def _reach(level: Level) -> tuple[float, float]:
    """How far the bar goes below and above the mean, %."""
    shares = [correct / digits for correct, digits in zip(level.correct, level.digits, strict=True)]
    low, high = level.interval if len(shares) == 1 else (min(shares), max(shares))
    return 100 * (level.accuracy - low), 100 * (high - level.accuracy)

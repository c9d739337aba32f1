"""The paper's Figure 2 as a picture fit to print: volts on every axis, the threshold named, models told apart.

Panels a to f show what an oscilloscope saw; g has the bars that the counts tell, the Monte-Carlo fit of the best model,
and beside them how far every model is from the best.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from calibration.figure2 import HISTOGRAM_HZ, HISTOGRAM_V, LETTERS, SHOWN_PULSES
from calibration.picture import new_figure, printed, save_figure

if TYPE_CHECKING:
    from calibration.figure2 import Panel
    from calibration.fit.firing import Fit, Histogram
    from calibration.tally import Ints
    from drivers.signals import Trace

_SHOWN = 0.995  # of the best fit's firings
SYNTHETIC = 20_000  # neurons drawn from the best fit: the Monte-Carlo fit of panel g
_ROWS = (("dendrite", 0.7, "C0"), ("membrane", 1.5, "C2"), ("axon", 0.7, "C1"))  # name, height, colour
_MARKERS = "osD^vP"


@printed
def draw(panels: list[Panel], measured: Histogram, gaps: Ints, fits: list[Fit], about: str, files: list[Path]) -> None:
    """Draw panels a-g into the files, whose suffixes choose the format; `about` says whence they are.

    Without an oscilloscope panels a-f have their numbers only. Raises InputError.
    """
    figure = new_figure(7.2, 7.6)
    top, bottom = np.asarray(figure.subfigures(2, 1, height_ratios=(2.5, 1))).tolist()
    for part, panel, letter in zip(np.asarray(top.subfigures(2, 3)).ravel(), panels, LETTERS, strict=False):
        _draw_panel(part, panel, letter)
    left, right = bottom.subplots(1, 2, width_ratios=(1.5, 1))
    _draw_histogram(left, measured, gaps, fits[0])
    _draw_models(right, fits)
    figure.suptitle(about, fontsize=7, color="dimgray", x=0.01, ha="left")
    save_figure(figure, *files, dpi=200)


def _draw_panel(part: Any, panel: Panel, letter: str) -> None:
    """Dendrite, membrane and axon one below the other, each with its volts, for one slot of pulses."""
    named = {trace.name: trace for trace in panel.traces}
    shown_s = SHOWN_PULSES / panel.clock_hz  # what comes after its last period belongs to the next slot
    rows = [row for row in _ROWS if row[0] in named]
    part.suptitle(
        f"{letter}   V_th {panel.vth_v:g} V, {panel.clock_hz:g} Hz\n"
        f"{panel.per_second:.3g} spikes a second, {panel.per_pulse:.3f} a pulse",
        fontsize=7.5,
        x=0.02,
        ha="left",
    )
    axes = np.atleast_1d(
        part.subplots(max(len(rows), 1), 1, sharex=True, height_ratios=[row[1] for row in rows] or [1])
    )
    if not rows:
        axes[0].set_axis_off()
        axes[0].text(0.5, 0.5, "no oscilloscope", ha="center", va="center", transform=axes[0].transAxes)
        return
    unit, factor = ("s", 1.0) if shown_s >= 1 else ("ms", 1e3)
    for axis, (name, _, colour) in zip(axes, rows, strict=True):
        t_s, volts = _thinned(named[name], shown_s)
        axis.plot(t_s * factor, volts, color=colour, lw=0.6)
        axis.set_ylabel(f"{name}, V", fontsize=6)
        axis.tick_params(labelsize=6)
        axis.set_xlim(0, shown_s * factor)
        if name == "membrane":
            axis.axhline(panel.vth_v, color="black", ls="--", lw=0.7)
            axis.set_ylim(-0.05, max(1.35, panel.vth_v * 1.3))
            axis.text(
                0.99, panel.vth_v + 0.03, f"V_th {panel.vth_v:g} V", transform=axis.get_yaxis_transform(), **_NAME
            )
        else:
            axis.set_yticks([0, 3])
    axes[-1].set_xlabel(f"time, {unit}", fontsize=6.5)


_NAME: dict[str, Any] = {"ha": "right", "va": "bottom", "fontsize": 6}


def _thinned(trace: Trace, shown_s: float) -> tuple[Any, Any]:
    """Lowest and highest of each of some hundred pieces, so that no short pulse is lost between pixels."""
    count = min(len(trace.codes), int(shown_s / trace.x_increment_s))
    pieces = max(1, min(700, count // 2))
    size = count // pieces
    volts = trace.volts[: pieces * size].reshape(pieces, size)
    t_s = np.repeat(np.arange(pieces) * size * trace.x_increment_s, 2)
    return t_s, np.column_stack([volts.min(axis=1), volts.max(axis=1)]).ravel()


def _draw_histogram(axis: Any, measured: Histogram, gaps: Ints, best: Fit) -> None:
    """The firing histogram as counted, and as drawn from the best model."""
    # What hardly ever takes so many pulses cannot be counted: its intervals reach from 0 to 1.
    reach = min(len(measured.share), int(np.searchsorted(np.cumsum(best.pmf(len(measured.share))), _SHOWN)) + 1)
    share, lo, hi = (values[:reach] for values in (measured.share, measured.lo, measured.hi))
    n = np.arange(1, reach + 1)
    axis.bar(
        n,
        share,
        yerr=[share - lo, hi - share],
        color="lightgray",
        edgecolor="gray",
        ecolor="gray",
        label="counted, 95 %",
    )
    if len(gaps):
        seen = np.bincount(gaps, minlength=reach + 1)[1 : reach + 1] / len(gaps)
        axis.plot(n, seen, "x", color="C1", label=f"{len(gaps)} firings on the oscilloscope")
    cdf = np.cumsum(best.pmf(reach))
    drawn = np.searchsorted(cdf, np.random.default_rng(0).random(SYNTHETIC))
    shares = np.bincount(drawn, minlength=reach)[:reach] / SYNTHETIC
    axis.plot(n, shares, "k.-", lw=0.8, label=f"Monte-Carlo fit: {best.model.name}")
    axis.set_xlabel("dendrite pulses to fire")
    axis.set_ylabel("share")
    axis.set_title(f"g   firing at V_th {HISTOGRAM_V:g} V, {HISTOGRAM_HZ:g} Hz")
    axis.legend()


def _draw_models(axis: Any, fits: list[Fit]) -> None:
    """How far every model is from the best one, with its p-value as found: a mark and a name for each."""
    behind = [fit.aic - fits[0].aic for fit in fits]
    for row, (fit, more) in enumerate(zip(fits, behind, strict=True)):
        axis.plot(more, row, marker=_MARKERS[row % len(_MARKERS)], color=f"C{row % 7}", ls="none", clip_on=False)
        axis.annotate(
            f"{fit.model.name}, p = {fit.p_value:.2g}", (more, row), xytext=(6, 0), textcoords="offset points", **_LABEL
        )
    axis.set_xscale("symlog", linthresh=10)
    axis.set_xlim(-1, max(*behind, 100) * 30)  # room for the names
    axis.set_ylim(len(fits) - 0.5, -0.5)
    axis.set_yticks([])
    axis.spines["left"].set_visible(False)
    axis.set_xlabel("AIC above the best")


_LABEL: dict[str, Any] = {"va": "center", "fontsize": 6}

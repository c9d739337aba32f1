"""The picture a threshold calibration ends with: pulses to fire against V_th, the window and the chosen V_th."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from drivers.bench import InputError

if TYPE_CHECKING:
    from calibration.estimate import Estimate
    from calibration.threshold import ThresholdResult


def draw_threshold(result: ThresholdResult, device: str, file: Path) -> None:
    """Mean and spread of pulses to fire with their 95 % bands over the window; raises InputError."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt
    from matplotlib import ticker

    figure, axis = plt.subplots(figsize=(8, 5), layout="constrained")
    volts = np.array([point.vth_v for point in result.curve])
    for name, colour, estimates in (
        ("mean", "tab:blue", [point.mean for point in result.curve]),
        ("standard deviation", "tab:orange", [point.spread for point in result.curve]),
    ):
        axis.plot(volts, [_or_nan(e.value) for e in estimates], color=colour, label=f"pulses to fire, {name}")
        lo, hi = ([_or_nan(end) for end in ends] for ends in zip(*((e.lo, e.hi) for e in estimates), strict=True))
        axis.fill_between(volts, lo, hi, color=colour, alpha=0.2)
    for edge, text in ((result.window.lower_v, "low state fires"), (result.window.upper_v, "high state never fires")):
        _draw_edge(axis, edge, text)
    axis.axhline(result.target, color="gray", ls=":", lw=0.8)
    label = f"V_th {result.vth_v:g} V: {result.gain.value:.3g} pulses a spike"
    axis.plot([result.vth_v], [_or_nan(result.gain.value)], "ko", label=label)
    axis.set_yscale("log")
    axis.yaxis.set_major_locator(ticker.LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.yaxis.set_major_formatter(ticker.FormatStrFormatter("%g"))
    axis.yaxis.set_minor_formatter(ticker.NullFormatter())
    axis.set_xlabel("V_th, V")
    axis.set_ylabel("dendrite pulses")
    axis.set_title(f"device {device}: {result.pulses_spent:,} pulses spent")
    axis.legend()
    try:
        figure.savefig(file, dpi=130)
    except (OSError, ValueError) as error:
        raise InputError(f"figure {file}: {error}") from error
    finally:
        plt.close(figure)


def _draw_edge(axis: Any, edge: Estimate, text: str) -> None:
    if edge.value is None:
        return
    axis.axvline(edge.value, color="tab:red", lw=1)
    axis.annotate(
        text, (edge.value, 0.98), xycoords=("data", "axes fraction"), rotation=90, va="top", ha="right", fontsize=8
    )


def _or_nan(value: float | None) -> float:
    return float("nan") if value is None else value

"""A recording as a picture: its traces, where pulses were counted and doubted, and the counts of its intervals."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from calibration.picture import new_figure, printed, save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from drivers.signals import FloatArray, Trace
    from hil.offline.decoding import Decoded

_COLUMNS = 2_000  # points of a drawn trace: least and greatest sample of each stretch


def envelope(trace: Trace) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Times (columns,) s, and the least and greatest voltage of each stretch, V."""
    edges = np.linspace(0, len(trace.codes), min(_COLUMNS, len(trace.codes)) + 1).astype(np.intp)[:-1]
    ends = np.stack([np.minimum.reduceat(trace.codes, edges), np.maximum.reduceat(trace.codes, edges)])
    volts: FloatArray = (ends.astype(np.float64) - trace.y_origin - trace.y_reference) * trace.y_increment_v
    times = edges.astype(np.float64) * trace.x_increment_s + trace.x_origin_s
    return times, volts.min(axis=0), volts.max(axis=0)


@printed
def draw_recording(file: Path, found: Decoded, title: str) -> None:
    """Draw one recording; the suffix chooses the format. Raises InputError when the file cannot be written."""
    figure = new_figure(7.2, 1.4 * len(found.capture.traces) + 1.6)
    axes = figure.subplots(len(found.capture.traces) + 1, 1, sharex=True, squeeze=False)[:, 0]
    for axis, trace in zip(axes, found.capture.traces, strict=False):
        times, low, high = envelope(trace)
        axis.fill_between(times * 1e3, low, high, linewidth=0.5, color="C0", edgecolor="C0")
        axis.set_ylabel(f"{trace.name}, V")
        if trace.name == "axon":
            _mark(axis, found, float(high.max()))
    _counts(axes[-1], found)
    axes[0].set_title(title)
    save_figure(figure, file, dpi=150)


def _mark(axis: Axes, found: Decoded, at: float) -> None:
    seen = found.look
    rises = seen.judged.pulses.rise_s
    axis.axhline(seen.line.threshold_v, color="gray", linewidth=0.5)
    if len(rises) <= _COLUMNS:
        axis.plot(rises * 1e3, np.full(len(rises), at), "|", color="C1", label=f"{len(rises)} pulses")
    doubts = seen.judged.doubts[np.isfinite(seen.judged.doubts).all(axis=1)]
    if len(doubts):
        middle = doubts.mean(axis=1) * 1e3
        axis.plot(middle, np.full(len(doubts), at), "x", color="C3", label=f"{len(doubts)} doubtful")
    if axis.get_legend_handles_labels()[0]:
        axis.legend(loc="upper right")


def _counts(axis: Axes, found: Decoded) -> None:
    edges, spikes = found.look.intervals_s * 1e3, found.look.spikes
    axis.stairs(spikes, edges, fill=True, color="C1")
    axis.set_ylabel("pulses")
    axis.set_xlabel("time from the trigger, ms")

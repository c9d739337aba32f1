"""The paper's Figure 2 on any bench: axon spikes against threshold and clock, and the firing histogram with its fit.

Wang et al., Sci. Rep. 8:12546 (2018), Figure 2: a-c at V_th 0.5, 0.8, 1.0 V and 100 Hz, d-f at 0.7 V and 10, 100,
1000 Hz, g the histogram of firing against the number of input spikes with a Monte-Carlo fit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from calibration.firing import FiringCounts, Fit
from drivers.bench import CalibrationError, InputError
from drivers.signals import Trace, probe_frame

if TYPE_CHECKING:
    from drivers.bench import Bench
    from drivers.signals import Capture, SlotTiming

CONDITIONS = ((0.5, 100.0), (0.8, 100.0), (1.0, 100.0), (0.7, 10.0), (0.7, 100.0), (0.7, 1000.0))
LETTERS = "abcdefg"
SHOWN_PULSES = 20
COUNTED_SLOTS = 30  # of as many pulses, for the numbers beside the traces
MEMBRANE_GAIN = 2.5  # in the picture
HISTOGRAM_V, HISTOGRAM_HZ = 0.7, 1000.0
LONGEST_TRAIN = 24
HISTOGRAM_SLOTS = 250
SYNTHETIC = 20_000  # neurons drawn from the best fit: the Monte-Carlo fit of panel g


@dataclass(frozen=True)
class Panel:
    """One condition: spikes of the counted slots, and the traces of one more where the bench has an oscilloscope."""

    vth_v: float
    clock_hz: float
    spikes: int
    pulses: int
    traces: tuple[Trace, ...]

    @property
    def per_pulse(self) -> float:
        """Axon spikes a dendrite pulse."""
        return self.spikes / self.pulses

    @property
    def per_second(self) -> float:
        """Axon spikes a second while pulses come."""
        return self.per_pulse * self.clock_hz


def measure_traces(bench: Bench, timing: SlotTiming, vth_v: float, clock_hz: float) -> tuple[Trace, ...]:
    """One slot of panels a-f as the oscilloscope shows it; empty on a bench without one."""
    return _play(bench, timing, vth_v, clock_hz, 1)[0].traces


def measure_panel(bench: Bench, timing: SlotTiming, vth_v: float, clock_hz: float, traces: tuple[Trace, ...]) -> Panel:
    """The numbers of panels a-f, counted in many slots."""
    captures = _play(bench, timing, vth_v, clock_hz, COUNTED_SLOTS)
    spikes = sum(int(capture.spikes.sum()) for capture in captures)
    pulses = sum(capture.frame.total_pulses for capture in captures)
    return Panel(vth_v, clock_hz, spikes, pulses, traces)


def _play(bench: Bench, timing: SlotTiming, vth_v: float, clock_hz: float, slots: int) -> list[Capture]:
    bench.set_threshold(vth_v)
    slow = timing.model_copy(update={"mode": "adaptive", "dendrite_clock_hz": clock_hz})
    frame = probe_frame(f"figure2/{vth_v:g}V/{clock_hz:g}Hz", slow, [SHOWN_PULSES] * slots)
    captures = list(bench.play([frame]))
    if not all(capture.ok.all() for capture in captures):
        raise CalibrationError(f"slots at {vth_v:g} V, {clock_hz:g} Hz were late or missing: run hil doctor")
    return captures


def measure_firing(bench: Bench, timing: SlotTiming, progress: Callable[[float], None] | None = None) -> FiringCounts:
    """Play panel g: slots of 1…24 pulses, and in how many the neuron fired."""
    bench.set_threshold(HISTOGRAM_V)
    clock = timing.model_copy(update={"mode": "adaptive", "dendrite_clock_hz": HISTOGRAM_HZ})
    pulses = np.arange(1, LONGEST_TRAIN + 1)
    order = np.random.default_rng(0).permutation(np.repeat(pulses, HISTOGRAM_SLOTS))
    fired = np.zeros(LONGEST_TRAIN + 1, dtype=np.int64)
    for capture in bench.play([probe_frame("figure2/histogram", clock, order.astype(np.int32))]):
        np.add.at(fired, capture.frame.pulses, capture.spikes > 0)
        if progress is not None:
            progress((capture.frame.first_slot + len(capture.frame)) / len(order))
    return FiringCounts(pulses, np.full(LONGEST_TRAIN, HISTOGRAM_SLOTS), fired[1:])


def draw(panels: list[Panel], counts: FiringCounts, fits: list[Fit], device: str, files: list[Path]) -> None:
    """Draw panels a-g into the files, whose suffixes choose the format; raises InputError."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure = plt.figure(figsize=(12, 9), layout="constrained")
    parts = np.asarray(figure.subfigures(2, 1, height_ratios=(1.9, 1)))
    top, bottom = parts[0], parts[1]
    axes = top.subplots(2, 3)
    for axis, panel, letter in zip(axes.ravel(), panels, LETTERS, strict=False):
        _draw_panel(axis, panel, letter)
    _draw_histogram(bottom.subplots(), counts, fits)
    top.suptitle(f"device {device}")
    try:
        for file in files:
            figure.savefig(file, dpi=150)
    except (OSError, ValueError) as error:
        raise InputError(f"figure: {error}") from error
    finally:
        plt.close(figure)


def _draw_panel(axis: Any, panel: Panel, letter: str) -> None:
    named = {trace.name: trace for trace in panel.traces}
    # One slot: what comes after its last period belongs to the next.
    shown_s = SHOWN_PULSES / panel.clock_hz
    for offset_v, name, colour in (
        (9.0, "dendrite", "tab:blue"),
        (4.5, "membrane", "tab:green"),
        (0.0, "axon", "tab:orange"),
    ):
        if name in named:
            t_s, volts = _thinned(named[name], shown_s)
            gain = MEMBRANE_GAIN if name == "membrane" else 1.0
            axis.plot(t_s * 1e3, gain * volts + offset_v, color=colour, lw=0.7)
            axis.text(-0.02, offset_v + 0.3, name, transform=axis.get_yaxis_transform(), ha="right", fontsize=7)
    if "membrane" in named:
        axis.axhline(4.5 + MEMBRANE_GAIN * panel.vth_v, color="black", ls=":", lw=0.7)
    axis.set_yticks([])
    axis.set_xlabel("time, ms")
    axis.set_title(
        f"{letter}   V_th {panel.vth_v:g} V, {panel.clock_hz:g} Hz\n"
        f"{panel.per_pulse:.3f} spikes a pulse, {panel.per_second:.3g} a second",
        fontsize=9,
        loc="left",
    )


def _thinned(trace: Trace, shown_s: float) -> tuple[Any, Any]:
    """Lowest and highest of each of some hundred pieces, so that no short pulse is lost between pixels."""
    count = min(len(trace.codes), int(shown_s / trace.x_increment_s))
    pieces = max(1, min(1_500, count // 2))
    size = count // pieces
    volts = trace.volts[: pieces * size].reshape(pieces, size)
    t_s = np.repeat(np.arange(pieces) * size * trace.x_increment_s, 2)
    return t_s, np.column_stack([volts.min(axis=1), volts.max(axis=1)]).ravel()


def _draw_histogram(axis: Any, counts: FiringCounts, fits: list[Fit]) -> None:
    from scipy.optimize import isotonic_regression

    rising = isotonic_regression(counts.share, weights=counts.slots).x  # a distribution function never falls
    pmf = np.diff(np.concatenate([[0.0], rising]))
    axis.bar(
        counts.pulses, pmf, color="lightgray", edgecolor="gray", label=f"measured, {int(counts.slots.sum())} slots"
    )
    n = np.arange(len(counts.pulses) + 1, dtype=np.float64)
    best = fits[0]
    sampled = np.searchsorted(best.cdf(n[1:]), np.random.default_rng(0).random(SYNTHETIC))
    shares = np.bincount(sampled, minlength=len(n))[: len(counts.pulses)] / SYNTHETIC
    axis.plot(counts.pulses, shares, "k.", ms=5, label=f"Monte-Carlo of {best.model.name}")
    for fit in fits:
        curve = np.diff(np.where(n > 0, fit.cdf(np.maximum(n, _ALMOST_NONE)), 0.0))
        text = f"{fit.model.name}: AIC {fit.aic - best.aic:+.1f}, p = {fit.p_value:.2g}"
        axis.plot(counts.pulses, curve, lw=1.6 if fit is best else 0.8, label=text)
    axis.set_xlabel("dendrite pulses to fire")
    axis.set_ylabel("share")
    axis.set_title(f"g   firing at V_th {HISTOGRAM_V:g} V, {HISTOGRAM_HZ:g} Hz", fontsize=9, loc="left")
    axis.legend(fontsize=8)


_ALMOST_NONE = 1e-6  # pulses; a logarithm of none has no value

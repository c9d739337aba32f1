"""The pictures that calibrations end with."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from calibration.picture import new_figure, save_figure

if TYPE_CHECKING:
    from calibration.estimate import Estimate
    from calibration.measure.frequency import FrequencyResult
    from calibration.measure.quality import TransferResult
    from calibration.measure.threshold import ThresholdResult
    from calibration.transfer import TransferCurve


def draw_threshold(result: ThresholdResult, device: str, file: Path) -> None:
    """Mean and spread of pulses to fire with their 95 % bands over the window; raises InputError."""
    from matplotlib import ticker

    figure = new_figure(8, 5)
    axis = figure.subplots()
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
    save_figure(figure, file)


def draw_transfer(curve: TransferCurve, result: TransferResult, device: str, file: Path) -> None:
    """The whole distribution of spikes with its mean and what decoding uses; memory of slots; raises InputError."""
    figure = new_figure(10, 4.5)
    left, right = figure.subplots(1, 2)
    share = curve.histogram / curve.slots[:, None]
    spikes = np.arange(curve.histogram.shape[1])
    mesh = left.pcolormesh(curve.pulses, spikes, np.ma.masked_less_equal(share.T, 0), cmap="Blues", shading="nearest")
    figure.colorbar(mesh, ax=left, label="share of slots")
    left.plot(curve.pulses, curve.mean_spikes, color="tab:red", label="mean")
    left.plot(*reversed(curve.monotone), "k.", ms=3, label="monotone fit, inverted to decode")
    left.set_xlabel("dendrite pulses in a slot")
    left.set_ylabel("axon spikes")
    left.legend(loc="upper left")
    repeatability = result.repeatability
    lags = np.arange(1, len(repeatability.autocorrelation) + 1)
    right.bar(lags, repeatability.autocorrelation, color="tab:blue")
    for sign in (-1, 1):
        right.axhline(sign * repeatability.autocorrelation_limit, color="gray", ls=":")
    right.set_xlabel("lag, slots")
    right.set_ylabel("autocorrelation (dotted: 95 % without memory)")
    limit = max(3 * repeatability.autocorrelation_limit, 1.2 * float(np.abs(repeatability.autocorrelation).max()))
    right.set_ylim(-limit, limit)
    drift = repeatability.drift_per_megapulse
    right.set_title(f"drift {100 * (drift.value or 0.0):+.2g} % a million pulses", fontsize=10)
    figure.suptitle(f"device {device}, V_th {curve.vth_v:g} V, {curve.timing_key}")
    save_figure(figure, file)


def draw_frequency(result: FrequencyResult, device: str, file: Path) -> None:
    """Spikes a pulse and a second against the dendrite clock; raises InputError."""
    figure = new_figure(10, 4.5)
    left, right = figure.subplots(1, 2)
    clock = [point.clock_hz for point in result.points]
    value, lo, hi = (
        np.array([getattr(point.spikes_per_pulse, name) for point in result.points]) for name in ("value", "lo", "hi")
    )
    left.errorbar(clock, value, yerr=[value - lo, hi - value], fmt="o", ms=4, capsize=2)
    left.set_ylabel("axon spikes a dendrite pulse")
    left.set_ylim(bottom=0)
    right.plot(clock, [max(point.spikes_per_s, 1e-3) for point in result.points], "o-", ms=4)
    right.set_yscale("log")
    right.set_ylabel("axon spikes a second")
    for axis in (left, right):
        axis.set_xscale("log")
        axis.set_xlabel("dendrite clock, Hz")
        axis.axvline(result.fastest_hz, color="tab:red", lw=1, label=f"fastest usable clock {result.fastest_hz:g} Hz")
    if result.leak_s is not None and result.leak_s.value is not None:
        left.axvline(1 / result.leak_s.value, color="tab:green", lw=1, label=f"1/leak, {result.leak_s.shown('s')}")
    left.legend(loc="lower center", fontsize=8)
    figure.suptitle(f"device {device}, V_th {result.vth_v:g} V")
    save_figure(figure, file)


def _draw_edge(axis: Any, edge: Estimate, text: str) -> None:
    if edge.value is None:
        return
    axis.axvline(edge.value, color="tab:red", lw=1)
    axis.annotate(
        text, (edge.value, 0.98), xycoords=("data", "axes fraction"), rotation=90, va="top", ha="right", fontsize=8
    )


def _or_nan(value: float | None) -> float:
    return float("nan") if value is None else value

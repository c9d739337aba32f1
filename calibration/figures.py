"""The pictures that calibrations end with."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from calibration.picture import new_figure, printed, save_figure

if TYPE_CHECKING:
    from calibration.estimate import Estimate
    from calibration.measure.frequency import FrequencyResult
    from calibration.measure.quality import TransferResult
    from calibration.measure.threshold import ThresholdResult
    from calibration.transfer import TransferCurve


@printed
def draw_threshold(result: ThresholdResult, device: str, file: Path) -> None:
    """Mean and spread of pulses to fire with their 95 % bands over the window; raises InputError."""
    from matplotlib import ticker

    figure = new_figure(8, 5)
    axis = figure.subplots()
    volts = np.array([point.vth_v for point in result.curve])
    for name, colour, estimates in (
        ("mean", "C0", [point.mean for point in result.curve]),
        ("standard deviation", "C1", [point.spread for point in result.curve]),
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


@printed
def draw_transfer(curve: TransferCurve, result: TransferResult, device: str, file: Path) -> None:
    """The whole distribution of spikes with its mean and what decoding uses; memory of slots; raises InputError."""
    figure = new_figure(10, 4.5)
    left, right = figure.subplots(1, 2)
    share = curve.histogram / curve.slots[:, None]
    spikes = np.arange(curve.histogram.shape[1])
    mesh = left.pcolormesh(curve.pulses, spikes, np.ma.masked_less_equal(share.T, 0), cmap="Blues", shading="nearest")
    figure.colorbar(mesh, ax=left, label="share of slots")
    left.plot(curve.pulses, curve.mean_spikes, color="C1", label="mean")
    left.plot(*reversed(curve.monotone), "k.", ms=3, label="monotone fit, inverted to decode")
    left.set_xlabel("dendrite pulses in a slot")
    left.set_ylabel("axon spikes")
    left.legend(loc="upper left")
    repeatability = result.repeatability
    lags = np.arange(1, len(repeatability.autocorrelation) + 1)
    right.bar(lags, repeatability.autocorrelation, color="C0")
    for sign in (-1, 1):
        right.axhline(sign * repeatability.autocorrelation_limit, color="gray", ls=":")
    right.set_xlabel("lag, slots")
    right.set_ylabel("autocorrelation (dotted: 95 % without memory)")
    limit = max(3 * repeatability.autocorrelation_limit, 1.2 * float(np.abs(repeatability.autocorrelation).max()))
    right.set_ylim(-limit, limit)
    drift = repeatability.drift_per_megapulse
    right.set_title(f"drift {100 * (drift.value or 0.0):+.2g} % a million pulses")
    figure.suptitle(f"device {device}, V_th {curve.vth_v:g} V, {curve.timing_key}")
    save_figure(figure, file)


@printed
def draw_frequency(result: FrequencyResult, device: str, file: Path) -> None:
    """Spikes a pulse and a second against the dendrite clock; raises InputError."""
    figure = new_figure(10, 4.5)
    left, right = figure.subplots(1, 2)
    clock = [point.clock_hz for point in result.points]
    value, lo, hi = (
        np.array([getattr(point.spikes_per_pulse, name) for point in result.points]) for name in ("value", "lo", "hi")
    )
    left.errorbar(clock, value, yerr=[value - lo, hi - value], fmt="o", label="measured, 95 % intervals")
    fitted = [(point.clock_hz, point.fitted) for point in result.points if point.fitted is not None]
    if fitted:
        ratio = "" if result.deviance_ratio is None else f", deviance ratio {result.deviance_ratio:.2f}"
        left.plot(*zip(*fitted, strict=True), "k--", label=f"fit of equation (1){ratio}")
    left.set_ylabel("axon spikes a dendrite pulse")
    left.set_ylim(bottom=0)
    right.plot(clock, [max(point.spikes_per_s, 1e-3) for point in result.points], "o")
    if fitted:
        right.plot([hz for hz, _ in fitted], [hz * spikes for hz, spikes in fitted], "k--")
    right.set_yscale("log")
    right.set_ylabel("axon spikes a second")
    for axis in (left, right):
        axis.set_xscale("log")
        axis.set_xlabel("dendrite clock, Hz")
        axis.axvline(result.fastest_hz, color="C1", lw=1, label=f"fastest usable clock {result.fastest_hz:g} Hz")
    if result.leak_s is not None and result.leak_s.value is not None:
        left.axvline(1 / result.leak_s.value, color="C2", lw=1, label=f"1/leak, {result.leak_s.shown('s')}")
    left.legend(loc="best")
    figure.suptitle(f"device {device}, V_th {result.vth_v:g} V")
    save_figure(figure, file)


def _draw_edge(axis: Any, edge: Estimate, text: str) -> None:
    if edge.value is None:
        return
    axis.axvline(edge.value, color="black", lw=1, ls="--")
    axis.annotate(text, (edge.value, 0.98), xycoords=("data", "axes fraction"), rotation=90, va="top", ha="right")


def _or_nan(value: float | None) -> float:
    return float("nan") if value is None else value

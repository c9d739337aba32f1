"""A calibration's findings as lines for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from calibration.measure.frequency import FrequencyResult
    from calibration.measure.quality import TransferResult
    from calibration.measure.threshold import ThresholdResult
    from calibration.transfer import TransferCurve
    from hil.calibrate.sweeps import Findings

_BAR = 40  # characters


def lines(found: Findings, vth_v: float) -> list[str]:
    """Everything that was found, each kind under its name."""
    text: list[str] = []
    if found.threshold is not None:
        text += _threshold(found.threshold)
    if found.curve is not None and found.transfer is not None:
        text += _transfer(found.curve, found.transfer)
    if found.frequency is not None:
        text += _frequency(found.frequency)
    return [*text, f"V_th            {vth_v:g} V"]


def _threshold(result: ThresholdResult) -> list[str]:
    window, source = result.window, result.source
    reading = []
    if source is not None:
        gain = f", gain {source.gain.shown('', 4)}" if source.gain is not None else ""
        reading = [
            f"V_th source     the oscilloscope reads {source.offset_v.scaled(1e3).shown('mV')} more than set{gain}"
        ]
        if not source.believable:
            reading.append("                that is not the V_th net: look at what scope.channels calls vth")
    return [
        *reading,
        f"window          {window.lower_v.shown('V', 4)} to {window.upper_v.shown('V', 4)}",
        f"at {result.vth_v:.3f} V      {result.gain.shown('pulses a spike', 4)}, "
        f"standard deviation {result.spread.shown('')}",
        f"gain {result.target:<6g}     at {result.asked_v.shown('V', 4)}",
    ]


def _transfer(curve: TransferCurve, result: TransferResult) -> list[str]:
    most = max(float(curve.mean_spikes.max()), 1e-9)
    bars = [
        f"{pulses:>6} pulses  {mean:8.2f} ± {sd:5.2f} spikes  {'▇' * round(_BAR * mean / most)}"
        for pulses, mean, sd in zip(curve.pulses, curve.mean_spikes, curve.sd_spikes, strict=True)
    ]
    again = result.repeatability
    memory = max(map(abs, again.autocorrelation), default=0.0)
    slope = f"{result.pulses_per_spike:.3f} pulses a spike" if result.pulses_per_spike is not None else "no slope"
    address = "" if again.address_p is None else f", equal addresses p = {again.address_p:.2f}"
    return [
        *bars,
        f"straight line   {slope}, farthest point {result.nonlinearity:.1%} of full scale, "
        f"slope of the last quarter × {result.saturation:.2f}",
        f"repeatability   autocorrelation up to {memory:.3f} (95 % limit without memory "
        f"{again.autocorrelation_limit:.3f}){address}",
        f"drift           {_percent(again.drift_per_megapulse.value)} a million pulses "
        f"({_percent(again.drift_per_megapulse.lo)}…{_percent(again.drift_per_megapulse.hi)})",
    ]


def _frequency(result: FrequencyResult) -> list[str]:
    most = max(point.spikes_per_pulse.value or 0.0 for point in result.points) or 1e-9
    bars = [
        f"{point.clock_hz:>8g} Hz  {point.spikes_per_pulse.shown('spikes a pulse'):<36}"
        f"{point.spikes_per_s:>10.4g} a second  {'▇' * round(_BAR / 2 * (point.spikes_per_pulse.value or 0.0) / most)}"
        for point in result.points
    ]
    leak = result.leak_s.shown("s") if result.leak_s is not None else f"not known: {result.leak_note}"
    fit = f", deviance ratio {result.deviance_ratio:.2f}" if result.deviance_ratio is not None else ""
    return [
        *bars,
        f"leak            time constant {leak}{fit}",
        f"fastest clock   {result.fastest_hz:g} Hz (bench limit {result.limit_hz:g} Hz)",
    ]


def _percent(share: float | None) -> str:
    return "?" if share is None else f"{100 * share:+.2f} %"

"""What `hil calibrate` does on a bench: sweeps in the order asked for, all recorded, into one calibration record."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from calibration.measure.frequency import SLOWEST_HZ, FrequencyResult, at_clock, measure_frequency
from calibration.measure.quality import TransferResult, characterise_transfer
from calibration.measure.threshold import MOST_GAIN, ThresholdResult, measure_threshold
from calibration.measure.window import Window, measure_window
from calibration.record import CalibrationRecord
from calibration.sweep import Sweep
from calibration.transfer import TransferCurve, transfer_slots
from drivers.benchfile import BenchFile
from drivers.device import DeviceFile
from drivers.signals import SlotTiming
from drivers.timing import fastest_clock_hz
from hil.calibrate.view import Axes

if TYPE_CHECKING:
    from calibration.measure.search import Progress
    from drivers.bench import Bench
    from drivers.signals import Capture
    from hil.calibrate.view import View

What = Literal["threshold", "transfer", "frequency"]


class CalibrateConfig(BaseModel):
    """One calibration's settings, frozen in its run file. `base` is the record whose results are taken over."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="constants")

    what: tuple[What, ...]
    bench: BenchFile
    device: DeviceFile
    timing: SlotTiming
    vth_v: float | None = Field(description="None: the V_th that the threshold sweep or the base found")
    gain: float = Field(default=4.0, gt=1, le=MOST_GAIN)
    full_scale: int = Field(default=32, ge=1, le=65_535)
    slowest_hz: float = Field(default=SLOWEST_HZ, gt=0)
    seed: int = 0
    odometer: int = Field(default=0, ge=0)
    base: CalibrationRecord | None = None

    @property
    def limits_v(self) -> tuple[float, float]:
        """Of V_th on this bench."""
        return self.bench.limits.vth_min_v, self.bench.limits.vth_max_v

    @property
    def steady_timing(self) -> SlotTiming:
        """Slots whose pulses come at one clock whatever their number, as pulses to fire need them.

        For slots of fixed length that is the clock at full scale.
        """
        if self.timing.mode == "adaptive":
            return self.timing
        return at_clock(self.timing, self.full_scale / self.timing.window_s)

    @property
    def fastest_hz(self) -> float:
        """The dendrite clock that this bench may make at most with these pulses."""
        limits = self.bench.limits
        return fastest_clock_hz(self.timing, self.bench.tick_s, limits.pulse_rate_max_hz, limits.duty_max)


@dataclass
class Findings:
    """What the sweeps found so far."""

    threshold: ThresholdResult | None = None
    curve: TransferCurve | None = None
    transfer: TransferResult | None = None
    frequency: FrequencyResult | None = None
    window: Window | None = None
    pulses_spent: int = 0
    results: dict[str, Any] = field(default_factory=dict)


def calibrate(config: CalibrateConfig, bench: Bench, view: View) -> tuple[Findings, float]:
    """Do all sweeps; returns what they found and the V_th to use. Raises CalibrationError, BenchError."""
    found = Findings(window=_base_window(config))
    vth_v = _first_vth(config)
    for what in config.what:
        timing = config.timing if what == "transfer" else config.steady_timing
        sweep = Sweep(bench, timing, f"calibrate/{what}", config.odometer + found.pulses_spent)
        if what == "threshold":
            found.threshold = _threshold(config, sweep, view)
            found.window = found.threshold.window
            vth_v = vth_v if config.vth_v is not None else found.threshold.vth_v
        elif what == "transfer":
            found.curve, found.transfer = _transfer(config, sweep, vth_v, view)
        else:
            if found.window is None:
                view.show(0.0, "the threshold window")
                found.window, _ = measure_window(sweep, config.limits_v)
            found.frequency = _frequency(config, sweep, vth_v, found.window, view)
        found.pulses_spent += sweep.pulses_spent
    for name in ("threshold", "transfer", "frequency"):
        result = getattr(found, name)
        if result is not None:
            found.results[name] = result.model_dump(mode="json")
    return found, vth_v


def _first_vth(config: CalibrateConfig) -> float:
    """As asked for, else as the base found, else the bench's."""
    if config.vth_v is not None:
        return config.vth_v
    return config.base.vth_v if config.base is not None else config.bench.vth_v


def _base_window(config: CalibrateConfig) -> Window | None:
    if config.base is None or "threshold" not in config.base.results:
        return None
    return ThresholdResult.model_validate(config.base.results["threshold"]).window


def _threshold(config: CalibrateConfig, sweep: Sweep, view: View) -> ThresholdResult:
    def show(progress: Progress) -> None:
        at = f", V_th about {progress.vth_v:.3f} V" if progress.vth_v is not None else ""
        view.show(progress.done, f"{progress.stage}{at}, {sweep.pulses_spent:,} pulses")
        spikes = [(v, tally.total_pulses / tally.total_spikes) for v, tally in progress.data if tally.total_spikes]
        view.plot([v for v, _ in spikes], [n for _, n in spikes], Axes("V_th, V", "pulses a spike", log_y=True))

    return measure_threshold(sweep, config.limits_v, target=config.gain, show=show)


def _transfer(config: CalibrateConfig, sweep: Sweep, vth_v: float, view: View) -> tuple[TransferCurve, TransferResult]:
    total = len(transfer_slots(config.timing, config.full_scale))
    pulses: dict[int, int] = {}
    spikes: dict[int, int] = {}

    def watch(capture: Capture) -> None:
        for n, s in zip(capture.frame.pulses.tolist(), capture.spikes.tolist(), strict=True):
            pulses[n], spikes[n] = pulses.get(n, 0) + 1, spikes.get(n, 0) + s
        view.show(sum(pulses.values()) / total, f"transfer curve, {sweep.bench_s:.1f} s on the bench")
        view.plot([float(n) for n in pulses], [spikes[n] / pulses[n] for n in pulses], Axes("pulses", "spikes a slot"))

    sweep.watch = watch
    return characterise_transfer(sweep, vth_v, full_scale=config.full_scale, addresses=config.bench.board.addresses)


def _frequency(config: CalibrateConfig, sweep: Sweep, vth_v: float, window: Window, view: View) -> FrequencyResult:
    def show(done: float, points: tuple[Any, ...]) -> None:
        view.show(done, f"{points[-1].clock_hz:g} Hz, {sweep.bench_s:.1f} s on the bench")
        rates = [point.spikes_per_pulse.value for point in points]
        view.plot([p.clock_hz for p in points], rates, Axes("dendrite clock, Hz", "spikes a pulse", log_x=True))

    return measure_frequency(sweep, vth_v, config.fastest_hz, window, slowest_hz=config.slowest_hz, show=show)

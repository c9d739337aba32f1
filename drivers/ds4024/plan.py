"""Planning an oscilloscope capture: the slowest sampling that cannot miss an axon pulse, and the part to be read.

RIGOL DS4024: 14 horizontal divisions in 1-2-5 steps, and depth = sample rate × s/div × 14 (MSO4000/DS4000 user's guide,
"Memory Depth"); with both channels of a pair (1|2, 3|4) in use the depths are halved and so is the fastest rate.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from drivers.errors import LimitError
from drivers.settings import SAMPLES_A_GAP

if TYPE_CHECKING:
    from drivers.settings import ScopeSettings

DIVISIONS = 14
TIMEBASES_S = tuple(float(f"{m}e{e}") for e in range(-9, 4) for m in (1, 2, 5) if 2e-9 <= float(f"{m}e{e}") <= 1e3)
DEPTHS_SINGLE = (14_000, 140_000, 1_400_000, 14_000_000, 140_000_000)
DEPTHS_PAIR = (7_000, 70_000, 700_000, 7_000_000, 70_000_000)
RATE_MAX_SINGLE_HZ, RATE_MAX_PAIR_HZ = 4e9, 2e9
LONGEST_TRANSFER = 10.0  # times playing; beyond it the plan advises another way to count
_MARGIN = 0.01  # of the shot, kept before the trigger and after the end: clocks differ by far less
_MARGIN_LEAST_S = 50e-6
_VERNIER_ROOM = 1.005  # more than needed: time bases of three digits, and steps of the offset
_OFFSET_STEPS = 50  # the horizontal offset is planned in this many steps a division


@dataclass(frozen=True)
class CapturePlan:
    """How one shot is captured.

    `record_s` = 14 · `s_per_div` = `depth` / `rate_hz`. The trigger, the shot's first sync edge, lies `pre_s` after the
    start of the record; `offset_s` is the horizontal offset that puts it there. Samples `start`…`stop` (from 1,
    inclusive, as `:WAVeform:STARt` counts) hold the shot of `shot_s` with `margin_s` on either side; reading them from
    `channels` channels moves `bytes` in `transfer_s`. `advice` is empty unless that is far longer than playing. With
    `peak` detect every pair of samples is the least and the greatest of the time that it stands for; with `vernier` the
    time base is no 1-2-5 step.
    """

    shot_s: float
    s_per_div: float
    depth: int
    rate_hz: float
    pre_s: float
    margin_s: float
    start: int
    stop: int
    channels: int
    transfer_s: float
    advice: str = ""
    peak: bool = False
    vernier: bool = False

    @property
    def record_s(self) -> float:
        """Length of the record."""
        return DIVISIONS * self.s_per_div

    @property
    def offset_s(self) -> float:
        """`:TIMebase:OFFSet`: from the trigger to the middle of the screen."""
        return self.record_s / 2 - self.pre_s

    @property
    def points(self) -> int:
        """Samples to be read from each channel."""
        return self.stop - self.start + 1

    @property
    def bytes(self) -> int:
        """Bytes to be moved: one a sample and channel."""
        return self.points * self.channels


def plan_capture(shot_s: float, axon_width_s: float, settings: ScopeSettings, gap_s: float = math.inf) -> CapturePlan:
    """Choose time base, depth and rate that give at least `samples_per_axon` samples in every axon pulse.

    `gap_s` is the shortest other time that has to be resolved (`BoardSettings.gap_s`).

    Of those that hold the shot with its margins, the plan moves the fewest bytes, and of these it takes the shortest
    record. Raises LimitError when the memory is too small.
    """
    rate_least_hz = max(settings.samples_per_axon / axon_width_s, SAMPLES_A_GAP / gap_s)
    best = _slowest(shot_s, rate_least_hz, margin(shot_s, axon_width_s), TIMEBASES_S, settings)
    if best is None:
        raise LimitError(
            f"a shot of {shot_s:.4g} s at {settings.samples_per_axon} samples in an axon pulse of {axon_width_s:.4g} s "
            f"needs more than the oscilloscope's {depths(settings)[-1]:,} samples: {_remedy(settings, gap_s)}"
        )
    return replace(best, advice=_advice(best, settings, gap_s))


def plan_peaks(
    shot_s: float,
    interval_s: float,
    axon_width_s: float,
    settings: ScopeSettings,
    *,
    vernier: bool,
    bytes_per_s: float | None = None,
) -> CapturePlan | None:
    """A capture with peak detect, of which each pair of samples stands for `interval_s` at the most; None: impossible.

    With the vernier the record may be as long as the shot with its margins, to 1 %, or longer with samples further
    apart: whichever is there sooner at so many bytes a second.
    """
    if interval_s <= 0:
        return None
    margin_s, rate_hz = margin(shot_s, axon_width_s), 2 / interval_s
    scales = [(scale,) for scale in TIMEBASES_S]
    if vernier:
        least = max((shot_s + 2 * margin_s) * _VERNIER_ROOM / DIVISIONS, TIMEBASES_S[0])
        fine = [least, *(depth / (DIVISIONS * rate_hz) for depth in depths(settings))]
        scales += [(_digits(scale, up=scale == least),) for scale in fine if least <= scale <= TIMEBASES_S[-1]]
    found = [plan for scale in scales if (plan := _slowest(shot_s, rate_hz, margin_s, scale, settings)) is not None]
    handed_s = 1 / (bytes_per_s or settings.transfer_bytes_per_s)
    best = min(found, key=lambda plan: plan.record_s + plan.points * handed_s, default=None)
    if best is None:
        return None
    start = best.start - (best.start - 1) % 2  # pairs are whole
    stop = best.stop - (best.stop - start + 1) % 2
    return replace(best, start=start, stop=stop, peak=True, vernier=vernier)


def margin(shot_s: float, axon_width_s: float) -> float:
    """What is recorded before the trigger and after the end, s."""
    return max(_MARGIN * shot_s, _MARGIN_LEAST_S, 10 * axon_width_s)


def _slowest(
    shot_s: float, rate_least_hz: float, margin_s: float, scales: tuple[float, ...], settings: ScopeSettings
) -> CapturePlan | None:
    best: CapturePlan | None = None
    for s_per_div in scales:
        pre_s = _pre_trigger(margin_s, s_per_div)
        if pre_s + shot_s + margin_s > DIVISIONS * s_per_div:
            continue
        for depth in depths(settings):
            rate_hz = sample_rate_hz(depth, s_per_div)
            if rate_least_hz * (1 - 1e-9) <= rate_hz <= rate_max_hz(settings):
                if best is None or rate_hz < best.rate_hz:  # records grow longer: of equal rates the first is shortest
                    best = _fit(shot_s, s_per_div, depth, pre_s, margin_s, settings)
                break
    return best


def _digits(value: float, *, up: bool) -> float:
    """The next number of three digits, up or down."""
    step = 10.0 ** (math.floor(math.log10(value)) - 2)
    whole = math.ceil(value / step - 1e-9) if up else math.floor(value / step + 1e-9)
    return float(f"{whole * step:.3e}")


def refit(plan: CapturePlan, to: CapturePlan, settings: ScopeSettings, cost_s: float) -> CapturePlan:
    """The plan `to` on the time base and depth of `plan`, if that saves changing them (`cost_s`); else `to` itself."""
    covers = plan.pre_s >= to.margin_s and plan.pre_s + to.shot_s + to.margin_s <= plan.record_s
    alike = plan.rate_hz == to.rate_hz or (to.peak and plan.rate_hz >= to.rate_hz)
    if plan.peak != to.peak or not alike or not covers or plan.record_s - to.record_s > cost_s:
        return to
    kept = _fit(to.shot_s, plan.s_per_div, plan.depth, plan.pre_s, to.margin_s, settings)
    start = kept.start - (kept.start - 1) % 2 if to.peak else kept.start
    stop = kept.stop - (kept.stop - start + 1) % 2 if to.peak else kept.stop
    return replace(kept, start=start, stop=stop, advice=to.advice, peak=to.peak, vernier=to.vernier)


def at_depth(plan: CapturePlan, depth: int, settings: ScopeSettings) -> CapturePlan | None:
    """The same shot with another memory depth, on the 1-2-5 time base that samples as slowly as may be; None: none."""
    for s_per_div in reversed(TIMEBASES_S):
        rate_hz, pre_s = sample_rate_hz(depth, s_per_div), _pre_trigger(plan.margin_s, s_per_div)
        if rate_hz < plan.rate_hz * (1 - 1e-9):
            continue
        if pre_s + plan.shot_s + plan.margin_s > DIVISIONS * s_per_div or rate_hz > rate_max_hz(settings):
            return None
        return replace(_fit(plan.shot_s, s_per_div, depth, pre_s, plan.margin_s, settings), advice=plan.advice)
    return None


def paired(settings: ScopeSettings) -> bool:
    """Whether both channels of a pair are in use."""
    used = set(settings.channels.values())
    return {1, 2} <= used or {3, 4} <= used


def depths(settings: ScopeSettings) -> tuple[int, ...]:
    """The memory depths that can be chosen."""
    return DEPTHS_PAIR if paired(settings) else DEPTHS_SINGLE


def rate_max_hz(settings: ScopeSettings) -> float:
    """The fastest sample rate."""
    return RATE_MAX_PAIR_HZ if paired(settings) else RATE_MAX_SINGLE_HZ


def sample_rate_hz(depth: int, s_per_div: float) -> float:
    """Depth = rate · s/div · 14, to the 12 digits that such a quotient of round numbers needs."""
    return float(f"{depth / (DIVISIONS * s_per_div):.12g}")


def _pre_trigger(margin_s: float, s_per_div: float) -> float:
    """At least the margin, in steps that the horizontal offset can be set in."""
    step = s_per_div / _OFFSET_STEPS
    return math.ceil(margin_s / step * (1 - 1e-12)) * step


def _fit(
    shot_s: float, s_per_div: float, depth: int, pre_s: float, margin_s: float, settings: ScopeSettings
) -> CapturePlan:
    rate_hz = sample_rate_hz(depth, s_per_div)
    start = max(1, math.floor((pre_s - margin_s) * rate_hz) + 1)
    stop = min(depth, math.ceil((pre_s + shot_s + margin_s) * rate_hz) + 1)
    channels = len(settings.channels)
    transfer_s = (stop - start + 1) * channels / settings.transfer_bytes_per_s
    return CapturePlan(shot_s, s_per_div, depth, rate_hz, pre_s, margin_s, start, stop, channels, transfer_s)


def _advice(plan: CapturePlan, settings: ScopeSettings, gap_s: float) -> str:
    if plan.transfer_s <= LONGEST_TRANSFER * plan.shot_s:
        return ""
    return (
        f"reading {plan.bytes:,} bytes takes about {plan.transfer_s:.3g} s, {plan.transfer_s / plan.shot_s:.0f} times "
        f"the {plan.shot_s:.3g} s of playing: {_remedy(settings, gap_s)}"
    )


def _remedy(settings: ScopeSettings, gap_s: float) -> str:
    rate_hz = LONGEST_TRANSFER * settings.transfer_bytes_per_s / len(settings.channels)
    pico = 'count with the Pico (axon_reader = "pico", or "both" with the oscilloscope auditing)'
    if rate_hz < SAMPLES_A_GAP / gap_s:  # a longer pulse would not make the gaps beside it any longer
        return pico
    return f"stretch the axon pulse (one-shot) to {settings.samples_per_axon / rate_hz:.2g} s or more, or {pico}"

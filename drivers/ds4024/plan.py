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
SPARSE, SPARSE_A_GAP = 2.1, 1.2  # samples: a glitch that falls on one is told from a pulse, and two pulses from one
LONGEST_TRANSFER = 10.0  # times playing; beyond it the plan advises another way to count
_MARGIN = 0.01  # of the shot, kept after its end: clocks differ by far less
_MARGIN_LEAST_S = 50e-6  # there, and before the trigger
_VERNIER_ROOM = 1.005  # more than needed: time bases of three digits, and steps of the offset
_OFFSET_STEPS = 50  # the horizontal offset is planned in this many steps a division
_WHOLE = 1 << 12  # samples
_STEPS = 1 / (DIVISIONS * _OFFSET_STEPS)


@dataclass(frozen=True)
class CapturePlan:
    """How one shot is captured.

    `record_s` = 14 · `s_per_div` = `depth` / `rate_hz`. The trigger, the shot's first sync edge, lies `pre_s` after the
    start of the record; `offset_s` is the horizontal offset that puts it there. Samples `start`…`stop` (from 1,
    inclusive, as `:WAVeform:STARt` counts) hold the shot of `shot_s` with `before_s` before and `margin_s` after it;
    reading them from `channels` channels moves `bytes` in `transfer_s`. `least_hz` is the slowest sampling that would
    do. `advice` is empty unless reading takes far longer than playing. A `sparse` plan has two samples in a pulse; with
    `vernier` the time base is no 1-2-5 step.
    """

    shot_s: float
    s_per_div: float
    depth: int
    rate_hz: float
    pre_s: float
    before_s: float
    margin_s: float
    start: int
    stop: int
    channels: int
    transfer_s: float
    least_hz: float = 0.0
    advice: str = ""
    sparse: bool = False
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
    best = _slowest(shot_s, rate_least_hz, margins(shot_s, axon_width_s), TIMEBASES_S, settings)
    if best is None:
        raise LimitError(
            f"a shot of {shot_s:.4g} s at {settings.samples_per_axon} samples in an axon pulse of {axon_width_s:.4g} s "
            f"needs more than the oscilloscope's {depths(settings)[-1]:,} samples: {_remedy(settings, gap_s)}"
        )
    return replace(best, least_hz=rate_least_hz, advice=_advice(best, settings, gap_s))


def plan_sparse(
    shot_s: float,
    axon_width_s: float,
    gap_s: float,
    settings: ScopeSettings,
    *,
    vernier: bool,
    bytes_per_s: float | None = None,
) -> CapturePlan | None:
    """A capture that has two samples in every axon pulse, and one in most gaps; None: impossible.

    With the vernier the record may be as long as the shot with its margins, to 1 %, or longer with samples further
    apart: whichever is there sooner at so many bytes a second.
    """
    around_s, rate_hz = margins(shot_s, axon_width_s), max(SPARSE / axon_width_s, SPARSE_A_GAP / gap_s)
    scales = [(scale,) for scale in TIMEBASES_S]
    if vernier:
        least = max((shot_s + sum(around_s)) * _VERNIER_ROOM / DIVISIONS, TIMEBASES_S[0])
        fine = [least, *(depth / (DIVISIONS * rate_hz) for depth in depths(settings))]
        scales += [(_digits(scale, up=scale == least),) for scale in fine if least <= scale <= TIMEBASES_S[-1]]
    found = [plan for scale in scales if (plan := _slowest(shot_s, rate_hz, around_s, scale, settings)) is not None]
    handed_s = 1 / (bytes_per_s or settings.transfer_bytes_per_s)
    best = min(found, key=lambda plan: plan.record_s + plan.points * handed_s, default=None)
    return None if best is None else _whole(replace(best, least_hz=rate_hz, sparse=True, vernier=vernier))


def longest_sparse_s(axon_width_s: float, gap_s: float, settings: ScopeSettings) -> tuple[float, ...]:
    """Shots that fill a record of each depth where there are two samples in a pulse, s."""
    rate_hz = max(SPARSE / axon_width_s, SPARSE_A_GAP / gap_s)
    return tuple(depth / rate_hz / (1 + _MARGIN + _STEPS) / _VERNIER_ROOM for depth in depths(settings))


def margins(shot_s: float, axon_width_s: float) -> tuple[float, float]:
    """What is recorded before the trigger and after the end, s."""
    least_s = max(_MARGIN_LEAST_S, 10 * axon_width_s)
    return least_s, max(_MARGIN * shot_s, least_s)


def _slowest(
    shot_s: float,
    rate_least_hz: float,
    around_s: tuple[float, float],
    scales: tuple[float, ...],
    settings: ScopeSettings,
) -> CapturePlan | None:
    best: CapturePlan | None = None
    for s_per_div in scales:
        if _pre_trigger(around_s[0], s_per_div) + shot_s + around_s[1] > DIVISIONS * s_per_div:
            continue
        for depth in depths(settings):
            rate_hz = sample_rate_hz(depth, s_per_div)
            if rate_least_hz * (1 - 1e-9) <= rate_hz <= rate_max_hz(settings):
                if best is None or rate_hz < best.rate_hz:  # records grow longer: of equal rates the first is shortest
                    best = _fit(shot_s, s_per_div, depth, around_s, settings)
                break
    return best


def _digits(value: float, *, up: bool) -> float:
    """The next number of three digits, up or down."""
    step = 10.0 ** (math.floor(math.log10(value)) - 2)
    whole = math.ceil(value / step - 1e-9) if up else math.floor(value / step + 1e-9)
    return float(f"{whole * step:.3e}")


@dataclass(frozen=True)
class Changing:
    """What it costs to change a time base, and a memory depth, s."""

    times_s: float
    depth_s: float


def soonest(
    to: CapturePlan, has: CapturePlan, settings: ScopeSettings, bytes_per_s: float, changing: Changing
) -> CapturePlan:
    """`to` itself, or on what the instrument `has` been set to: its memory depth, or its time base too.

    Whichever has been changed to, recorded and read first.
    """

    def takes_s(plan: CapturePlan) -> float:
        changes_s = 0.0
        if (plan.s_per_div, plan.pre_s) != (has.s_per_div, has.pre_s):
            changes_s = changing.times_s
        if plan.depth != has.depth:
            changes_s = changing.depth_s
        return changes_s + _read_s(plan, bytes_per_s)

    kept = [_as_it_is(to, has, settings), at_depth(to, has.depth, settings, bytes_per_s)]
    return min([to, *(plan for plan in kept if plan is not None)], key=takes_s)


def _as_it_is(to: CapturePlan, has: CapturePlan, settings: ScopeSettings) -> CapturePlan | None:
    """The plan `to` on the time base and depth of another; None where that is too slow or too short."""
    covers = has.pre_s >= to.before_s and has.pre_s + to.shot_s + to.margin_s <= has.record_s
    if has.rate_hz < to.least_hz * (1 - 1e-9) or not covers:
        return None
    return _like(to, _fit(to.shot_s, has.s_per_div, has.depth, (to.before_s, to.margin_s), settings, has.pre_s))


def at_depth(to: CapturePlan, depth: int, settings: ScopeSettings, bytes_per_s: float) -> CapturePlan | None:
    """The plan `to` with another memory depth, on the 1-2-5 time base that is recorded and read soonest; None: none."""
    found = []
    for s_per_div in TIMEBASES_S:
        rate_hz, pre_s = sample_rate_hz(depth, s_per_div), _pre_trigger(to.before_s, s_per_div)
        fits = pre_s + to.shot_s + to.margin_s <= DIVISIONS * s_per_div
        if fits and to.least_hz * (1 - 1e-9) <= rate_hz <= rate_max_hz(settings):
            found.append(_like(to, _fit(to.shot_s, s_per_div, depth, (to.before_s, to.margin_s), settings)))
    return min(found, key=lambda plan: _read_s(plan, bytes_per_s), default=None)


def _read_s(plan: CapturePlan, bytes_per_s: float) -> float:
    channels = 1 if plan.sparse else plan.channels  # of sync only the end is read then
    return plan.record_s + plan.points * channels / bytes_per_s


def _like(to: CapturePlan, fitted: CapturePlan) -> CapturePlan:
    made = replace(fitted, least_hz=to.least_hz, advice=to.advice, sparse=to.sparse, vernier=to.vernier)
    return _whole(made) if made.sparse else made


def _whole(plan: CapturePlan) -> CapturePlan:
    """Shots of about one length end with one sample, which need not be told again."""
    return replace(plan, stop=min(plan.depth, -(-plan.stop // _WHOLE) * _WHOLE))


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
    shot_s: float,
    s_per_div: float,
    depth: int,
    around_s: tuple[float, float],
    settings: ScopeSettings,
    pre_s: float | None = None,
) -> CapturePlan:
    before_s, after_s = around_s
    pre_s = _pre_trigger(before_s, s_per_div) if pre_s is None else pre_s
    rate_hz = sample_rate_hz(depth, s_per_div)
    start = max(1, math.floor((pre_s - before_s) * rate_hz) + 1)
    stop = min(depth, math.ceil((pre_s + shot_s + after_s) * rate_hz) + 1)
    channels = len(settings.channels)
    transfer_s = (stop - start + 1) * channels / settings.transfer_bytes_per_s
    return CapturePlan(shot_s, s_per_div, depth, rate_hz, pre_s, before_s, after_s, start, stop, channels, transfer_s)


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

"""Slots in whole ticks of a pulse source: what is really made of a slot's times, and frames cut into shots."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from drivers.signals import FloatArray, Frame, SlotTiming


LONGEST_SHOT_S = 1.0  # where no part of the bench says otherwise


@dataclass(frozen=True)
class SlotTicks:
    """A `SlotTiming` in whole ticks of one pulse source, as a source compiles it."""

    tick_s: float
    break_: int
    guard: int
    reset: int
    width: int
    settle: int

    @property
    def lead(self) -> int:
        """Ticks from the start of a slot to its first pulse."""
        return self.break_ + 2 * self.guard + self.reset


@lru_cache(maxsize=64)
def slot_ticks(timing: SlotTiming, tick_s: float) -> SlotTicks:
    """Round a slot's fixed times up to whole ticks (at least one), so that no guard gets shorter."""

    def up(seconds: float) -> int:
        return max(1, int(np.ceil(seconds / tick_s - 1e-6)))

    return SlotTicks(
        tick_s,
        up(timing.break_s),
        up(timing.guard_s),
        up(timing.reset_width_s),
        up(timing.pulse_width_s),
        up(timing.settle_s),
    )


@dataclass(frozen=True)
class Made:
    """The pulses that a source really makes: as wide and as far apart as its steps allow, at their fastest."""

    width_s: float
    period_s: float

    @property
    def rate_hz(self) -> float:
        """Pulses a second while a slot's pulses last."""
        return 1 / self.period_s

    @property
    def duty(self) -> float:
        """Share of that time for which the dendrite is high."""
        return self.width_s / self.period_s


def made(timing: SlotTiming, tick_s: float, most_pulses: int = 1) -> Made:
    """What a source with steps of `tick_s` makes of a slot of `most_pulses`, the fullest of its shot."""
    period = int(_periods(timing, np.array([max(most_pulses, 1)], dtype=np.int64), tick_s)[0])
    return Made(slot_ticks(timing, tick_s).width * tick_s, max(period, 1) * tick_s)


def made_clock_hz(timing: SlotTiming, tick_s: float) -> float | None:
    """The adaptive dendrite clock really made, Hz; None where it is as asked, and for slots of fixed length."""
    if timing.mode == "fixed":
        return None
    rate_hz = made(timing, tick_s).rate_hz
    return None if abs(rate_hz / timing.dendrite_clock_hz - 1) < 1e-9 else rate_hz


def fastest_clock_hz(timing: SlotTiming, tick_s: float, rate_max_hz: float, duty_max: float) -> float:
    """The fastest adaptive dendrite clock that a source with steps of `tick_s` really makes within both limits."""
    width = slot_ticks(timing, tick_s).width
    least = max(1 / (rate_max_hz * tick_s), width / duty_max)
    return 1 / (int(np.ceil(least * (1 - 1e-9))) * tick_s)


def period_ticks(frame: Frame, tick_s: float) -> NDArray[np.int64]:
    """(slots,) dendrite period of every slot in ticks, 0 for an empty slot.

    Adaptive: 1/clock to the nearest tick. Fixed: window/n rounded down, so that all pulses fit the window.
    """
    return np.where(frame.pulses > 0, _periods(frame.timing, frame.pulses, tick_s), 0).astype(np.int64)


def _periods(timing: SlotTiming, pulses: NDArray[np.integer], tick_s: float) -> NDArray[np.int64]:
    """(slots,) period in ticks of slots of `pulses`, empty ones as if they had one."""
    if timing.mode == "adaptive":
        return np.full(len(pulses), max(1, round(1 / (timing.dendrite_clock_hz * tick_s))), dtype=np.int64)
    window = int(timing.window_s / tick_s + 1e-6)
    return np.asarray(window // np.maximum(pulses, 1), dtype=np.int64)


def length_ticks(frame: Frame, tick_s: float) -> NDArray[np.int64]:
    """(slots,) planned length of every slot in ticks: lead + n periods (or the window) + settle; 0 if not played."""
    ticks = slot_ticks(frame.timing, tick_s)
    if frame.timing.mode == "fixed":
        body = np.full(len(frame), int(frame.timing.window_s / tick_s + 1e-6), dtype=np.int64)
    else:  # an empty slot has no pulses and is not played: it comes to 0 by itself
        period = max(1, round(1 / (frame.timing.dendrite_clock_hz * tick_s)))
        length: NDArray[np.int64] = np.multiply(frame.pulses, period, dtype=np.int64)
        length += np.multiply(frame.played, ticks.lead + ticks.settle, dtype=np.int64)
        return length
    return np.where(frame.played, ticks.lead + body + ticks.settle, 0).astype(np.int64)


def seconds(ticks: NDArray[np.int64], tick_s: float) -> FloatArray:
    """Whole ticks as seconds."""
    found = ticks.astype(np.float64)
    found *= tick_s
    return found


def ramped(frame: Frame, slots: Sequence[int]) -> Iterator[Frame]:
    """A frame in parts, of which the first have so many played slots, and the last has the rest."""
    played = np.cumsum(frame.played, dtype=np.int64)
    start = had = 0
    for count in slots:
        had += count
        stop = int(np.searchsorted(played, had)) + 1
        if stop >= len(frame):
            break
        yield frame.part(start, stop)
        start = stop
    yield frame.part(start, len(frame))


def begun(shot: Frame, tick_s: float, longest_s: float | None = None, most_slots: int | None = None) -> Iterator[Frame]:
    """A shot in two: slots that last `longest_s` at the most and of which `most_slots` are played, one at the least,
    and the others, if any.
    """
    stop = len(shot)
    if longest_s is not None:
        stop = int(np.searchsorted(np.cumsum(length_ticks(shot, tick_s)), int(longest_s / tick_s), side="right"))
    if most_slots is not None:
        stop = min(stop, int(np.searchsorted(np.cumsum(shot.played, dtype=np.int64), most_slots, side="right")))
    stop = max(1, stop)
    yield shot.part(0, stop)
    if stop < len(shot):
        yield shot.part(stop, len(shot))


def shots(
    frame: Frame,
    tick_s: float,
    *,
    longest_s: float = LONGEST_SHOT_S,
    most_slots: int | None = None,
    most_pulses: int | None = None,
) -> Iterator[Frame]:
    """Cut a frame at slot boundaries into shots within `longest_s`, `most_slots` played slots and `most_pulses`.

    As few as these bounds allow, and as even as slots allow: a short shot leaves little time in which the next can be
    made. A single slot is never cut. A shot bounds what Ctrl-C, a power cut or a lost link can cost. The closing sync
    pulse is not counted.
    """
    budgets = [(np.cumsum(length_ticks(frame, tick_s)), int(longest_s / tick_s))]
    if most_slots is not None:
        budgets.append((np.cumsum(frame.played, dtype=np.int64), most_slots))
    if most_pulses is not None:
        budgets.append((np.cumsum(frame.pulses, dtype=np.int64), most_pulses))
    start = 0
    while start < len(frame):
        spent = [int(total[start - 1]) if start else 0 for total, _ in budgets]
        left = [int(total[-1]) - before for (total, _), before in zip(budgets, spent, strict=True)]
        needed = [-(-rest // most) for rest, (_, most) in zip(left, budgets, strict=True)]
        stops = [
            int(np.searchsorted(total, before + most, side="right"))
            for (total, most), before in zip(budgets, spent, strict=True)
        ]
        if (count := max(needed)) > 1:  # the bound that asks for most shots is shared out evenly
            tight = needed.index(count)
            share = spent[tight] + -(-left[tight] // count)
            stops.append(int(np.searchsorted(budgets[tight][0], share)) + 1)
        stop = max(min(stops), start + 1)
        yield frame.part(start, stop)
        start = stop

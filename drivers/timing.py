"""Slots in whole ticks of a pulse source: what is really made of a slot's times, and frames cut into shots."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from drivers.signals import FloatArray, Frame, SlotTiming


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


def period_ticks(frame: Frame, tick_s: float) -> NDArray[np.int64]:
    """(slots,) dendrite period of every slot in ticks, 0 for an empty slot.

    Adaptive: 1/clock to the nearest tick. Fixed: window/n rounded down, so that all pulses fit the window.
    """
    if frame.timing.mode == "adaptive":
        period = max(1, round(1 / (frame.timing.dendrite_clock_hz * tick_s)))
        return np.where(frame.pulses > 0, period, 0).astype(np.int64)
    window = int(frame.timing.window_s / tick_s + 1e-6)
    return np.where(frame.pulses > 0, window // np.maximum(frame.pulses, 1), 0).astype(np.int64)


def length_ticks(frame: Frame, tick_s: float) -> NDArray[np.int64]:
    """(slots,) planned length of every slot in ticks: lead + n periods (or the window) + settle; 0 if not played."""
    ticks = slot_ticks(frame.timing, tick_s)
    if frame.timing.mode == "fixed":
        body = np.full(len(frame), int(frame.timing.window_s / tick_s + 1e-6), dtype=np.int64)
    else:
        body = period_ticks(frame, tick_s) * frame.pulses
    return np.where(frame.played, ticks.lead + body + ticks.settle, 0).astype(np.int64)


def seconds(ticks: NDArray[np.int64], tick_s: float) -> FloatArray:
    """Whole ticks as seconds."""
    return ticks.astype(np.float64) * tick_s


def shots(
    frame: Frame,
    tick_s: float,
    *,
    longest_s: float = 1.0,
    most_slots: int | None = None,
    most_pulses: int | None = None,
) -> Iterator[Frame]:
    """Cut a frame at slot boundaries into shots within `longest_s`, `most_slots` played slots and `most_pulses`.

    A single slot is never cut. A shot bounds what Ctrl-C, a power cut or a lost link can cost. The closing sync pulse
    is not counted.
    """
    budgets = [(np.cumsum(length_ticks(frame, tick_s)), int(longest_s / tick_s))]
    if most_slots is not None:
        budgets.append((np.cumsum(frame.played, dtype=np.int64), most_slots))
    if most_pulses is not None:
        budgets.append((np.cumsum(frame.pulses, dtype=np.int64), most_pulses))
    start = 0
    while start < len(frame):
        spent = [int(total[start - 1]) if start else 0 for total, _ in budgets]
        stops = [
            int(np.searchsorted(total, before + most, side="right"))
            for (total, most), before in zip(budgets, spent, strict=True)
        ]
        stop = max(min(stops), start + 1)
        yield frame.part(start, stop)
        start = stop

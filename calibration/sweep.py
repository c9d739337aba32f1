"""Sweeps: frames of chosen counts, played through the bench, and what they cost."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from calibration.tally import Tally
from drivers.errors import CalibrationError
from drivers.signals import Capture, probe_frame

if TYPE_CHECKING:
    from drivers.bench import Bench
    from drivers.signals import SlotTiming

Ints = NDArray[np.int64]
Watcher = Callable[[Capture], None]


@dataclass
class Sweep:
    """Plays probe frames on a bench and counts what that spends.

    Every step is a frame of its own, named by (purpose, number of the step), so that a sweep can be recorded, resumed
    and replayed like any run. `pulses_before` is what the device had before the sweep. `vth_v` is the V_th asked for,
    `made_v` what the bench really made of it. `vth_readings` are (made, read) in volts, where an oscilloscope has the
    V_th net on a channel.
    """

    bench: Bench
    timing: SlotTiming
    purpose: str
    pulses_before: int = 0
    watch: Watcher | None = None
    steps: int = 0
    pulses_spent: int = 0
    resets_spent: int = 0
    bench_s: float = 0.0
    vth_v: float | None = field(default=None, init=False)
    made_v: float = field(default=0.0, init=False)
    vth_readings: list[tuple[float, float]] = field(default_factory=list, init=False)

    def captures(
        self, vth_v: float, pulses: NDArray[np.integer], timing: SlotTiming | None = None
    ) -> Iterator[Capture]:
        """Play slots of `pulses` (slots,) at V_th, in order; raises CalibrationError when a slot cannot be trusted."""
        if vth_v != self.vth_v:
            self.made_v = self.bench.set_threshold(vth_v)
            self.vth_v = vth_v
        frame = probe_frame(self.purpose, timing or self.timing, pulses.astype(np.int32), image=self.steps)
        frame = replace(frame, pulses_before=self.pulses_before + self.pulses_spent)
        self.steps += 1
        self.pulses_spent += frame.total_pulses
        self.resets_spent += int(frame.played.sum())
        for capture in self.bench.play([frame]):
            self.bench_s += capture.bench_s
            self.pulses_spent += capture.retaken.pulses
            self.resets_spent += capture.retaken.resets
            if not capture.ok.all():
                bad = capture.frame.first_slot + int(np.flatnonzero(~capture.ok)[0])
                why = f" ({capture.notes[-1]})" if capture.notes else ""
                raise CalibrationError(
                    f"slot {bad} of sweep step {self.steps - 1} ({self.purpose}) was late or missing{why}: "
                    "check the bench with `hil doctor`, then calibrate again"
                )
            read_v = vth_reading(capture)
            if read_v is not None:
                self.vth_readings.append((self.made_v, read_v))
            if self.watch is not None:
                self.watch(capture)
            yield capture

    def spikes(self, vth_v: float, pulses: NDArray[np.integer], timing: SlotTiming | None = None) -> Ints:
        """(slots,) spikes of slots of `pulses` (slots,), in the order they were played."""
        found = [capture.spikes for capture in self.captures(vth_v, pulses, timing)]
        return np.concatenate(found).astype(np.int64) if found else np.zeros(0, dtype=np.int64)

    def tally(self, vth_v: float, slots: dict[int, int], timing: SlotTiming | None = None) -> Tally:
        """Play `slots` (pulses → how many slots) in mixed order, so that drift does not look like a slope."""
        pulses = np.repeat(list(slots), list(slots.values()))
        pulses = pulses[np.random.default_rng(self.steps).permutation(len(pulses))]
        return Tally.of(pulses, self.spikes(vth_v, pulses, timing))

    def silent_firings(self, vth_v: float, slots: int, timing: SlotTiming) -> int:
        """Spikes in empty slots, those in their guard included; `timing` must play empty slots (mode fixed)."""
        count = 0
        for capture in self.captures(vth_v, np.zeros(slots, dtype=np.int64), timing):
            count += int(capture.spikes.sum()) + capture.stray.guard
        return count


def vth_reading(capture: Capture) -> float | None:
    """The mean of the capture's trace of the V_th net, V; None where that is not on a channel."""
    for trace in capture.traces:
        if trace.name == "vth" and len(trace.codes):
            return float(trace.volts.mean())
    return None

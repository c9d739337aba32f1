"""The paper's Figure 2 on any bench: axon spikes against threshold and clock, and the firing histogram with its fit.

Wang et al., Sci. Rep. 8:12546 (2018), Figure 2: a-c at V_th 0.5, 0.8, 1.0 V and 100 Hz, d-f at 0.7 V and 10, 100,
1000 Hz, g the histogram of firing against the number of input spikes with a Monte-Carlo fit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from calibration.fit.firing import spikes_after
from calibration.sweep import Sweep
from calibration.tally import Ints, Tally
from drivers.decode.schmitt import find_pulses
from drivers.errors import CalibrationError
from drivers.signals import Trace, probe_frame

if TYPE_CHECKING:
    from drivers.bench import Bench
    from drivers.signals import Capture, SlotTiming

CONDITIONS = ((0.5, 100.0), (0.8, 100.0), (1.0, 100.0), (0.7, 10.0), (0.7, 100.0), (0.7, 1000.0))
LETTERS = "abcdefg"
SHOWN_PULSES = 20
COUNTED_SLOTS = 30  # of as many pulses, for the numbers beside the traces, …
COUNTED_S = 16.0  # … as far as they fit in this: a bench with an oscilloscope only hands over every sample of it
HISTOGRAM_V, HISTOGRAM_HZ = 0.7, 1000.0
LONGEST_TRAIN = 24
HISTOGRAM_SLOTS = 250
TRACED_SLOTS, TRACED_PULSES = 10, 60
LOW_V, HIGH_V = 1.35, 1.95  # a Schmitt trigger for 3.3 V logic


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
    slots = min(COUNTED_SLOTS, max(1, int(COUNTED_S * clock_hz / SHOWN_PULSES)))
    captures = _play(bench, timing, vth_v, clock_hz, slots)
    spikes = sum(int(capture.spikes.sum()) for capture in captures)
    pulses = sum(capture.frame.total_pulses for capture in captures)
    return Panel(vth_v, clock_hz, spikes, pulses, traces)


def _play(bench: Bench, timing: SlotTiming, vth_v: float, clock_hz: float, slots: int) -> list[Capture]:
    bench.set_threshold(vth_v)
    slow = timing.model_copy(update={"mode": "adaptive", "dendrite_clock_hz": clock_hz})
    frame = probe_frame(f"figure2/{vth_v:g}V/{clock_hz:g}Hz", slow, [SHOWN_PULSES] * slots, image=slots)
    captures = list(bench.play([frame]))
    if not all(capture.ok.all() for capture in captures):
        raise CalibrationError(f"slots at {vth_v:g} V, {clock_hz:g} Hz were late or missing: run hil doctor")
    return captures


def measure_firing(bench: Bench, timing: SlotTiming, progress: Callable[[float], None] | None = None) -> Tally:
    """Play panel g: slots of 1…24 pulses, and how many spikes each gave."""
    clock = timing.model_copy(update={"mode": "adaptive", "dendrite_clock_hz": HISTOGRAM_HZ})
    pulses = np.random.default_rng(0).permutation(np.repeat(np.arange(1, LONGEST_TRAIN + 1), HISTOGRAM_SLOTS))

    def watch(capture: Capture) -> None:
        if progress is not None:
            progress((capture.frame.first_slot + len(capture.frame)) / len(pulses))

    return Tally.of(pulses, Sweep(bench, clock, "figure2/histogram", watch=watch).spikes(HISTOGRAM_V, pulses))


def measure_gaps(bench: Bench, timing: SlotTiming) -> Ints:
    """(firings,) pulses to fire as an oscilloscope shows them: spike times between dendrite pulses; empty without one.

    A firing is missed when its slot ends first, so long ones are rarer here than they are; slots are long for that.
    """
    clock = timing.model_copy(update={"mode": "adaptive", "dendrite_clock_hz": HISTOGRAM_HZ})
    pulses = np.full(TRACED_SLOTS, TRACED_PULSES)
    gaps = [np.zeros(0, dtype=np.int64)]
    for capture in Sweep(bench, clock, "figure2/traced").captures(HISTOGRAM_V, pulses):
        times = {trace.name: find_pulses(trace, LOW_V, HIGH_V) for trace in capture.traces}
        if {"axon", "dendrite", "sync"} <= times.keys():
            starts_s = times["sync"].fall_s[:-1]  # the last sync pulse closes the shot
            spikes_s = times["axon"].rise_s[times["axon"].rise_s > starts_s[0]]
            gaps.append(spikes_after(times["dendrite"].rise_s, spikes_s, starts_s - 1e-6))
    return np.concatenate(gaps)

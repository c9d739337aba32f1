"""Spikes in records of peak detect that follow one another within one period of the dendrite clock."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from drivers.decode.envelope import longest_interval_s
from drivers.decode.spikes import decode
from drivers.settings import BoardSettings, SpikeSettings
from drivers.signals import Frame, SlotTiming, Trace, probe_frame
from drivers.timing import length_ticks, slot_ticks

TICK_S = 1e-6
BOARD = BoardSettings()
TIMING = SlotTiming()
LOW, HIGH = 31, 242  # codes of 0 and 3.3 V at 0.5 V a division, three divisions below the middle
BEFORE_S = 20e-6


def shot(pulses: list[int]) -> Frame:
    frame = probe_frame("run", TIMING, pulses)
    return replace(frame, layer=np.zeros_like(frame.layer))


def peaks(name: str, highs: list[tuple[float, float]], interval_s: float, until_s: float) -> Trace:
    """What peak detect makes of a line that is high in these times."""
    edges = np.arange(-BEFORE_S, until_s, interval_s)
    codes = np.full((len(edges), 2), LOW, dtype=np.uint8)
    for rise, fall in highs:
        codes[(edges < fall) & (edges + interval_s > rise), 1] = HIGH
        codes[(edges >= rise) & (edges + interval_s <= fall), 0] = HIGH
    settings = {":ACQ:TYPE": "PEAK", "volts_per_div": "0.5"}
    return Trace(name, codes.ravel(), 0.5 / 32, -96, 127, interval_s / 2, -BEFORE_S, settings)


def counted(spikes_s: list[float], interval_s: float) -> tuple[int, bool]:
    """Spikes of a slot of 12 pulses between two others, and whether it is ok; the axon is high for 2 µs each."""
    frame = shot([4, 12, 4])
    ends_s = np.concatenate([[0.0], np.cumsum(length_ticks(frame, TICK_S))]) * TICK_S
    lead_s = slot_ticks(TIMING, TICK_S).lead * TICK_S
    sync = [(float(at), float(at) + lead_s) for at in ends_s]
    others = [float(at) + lead_s + 13e-6 for at in (ends_s[0], ends_s[2])]
    begins_s = float(ends_s[1]) + lead_s
    axon = sorted([*others, *(begins_s + at for at in spikes_s)])
    highs = [(at, at + BOARD.axon_width_s) for at in axon]
    until_s = float(ends_s[-1]) + lead_s + BEFORE_S
    traces = [peaks("axon", highs, interval_s, until_s), peaks("sync", sync, interval_s, until_s)]
    capture = decode(frame, traces, SpikeSettings(), BOARD, TICK_S, until_s)
    return int(capture.spikes[1]), bool(capture.ok[1])


@pytest.mark.parametrize("share", [0.6, 0.8, 1.0])
def test_a_neuron_that_fires_twice_after_one_pulse_is_never_counted_once(share: float) -> None:
    interval_s = share * longest_interval_s(shot([4, 12, 4]), BOARD, TICK_S)
    told = []
    for phase_s in np.arange(0.0, interval_s, interval_s / 9):
        for low_s in (1.3e-6, 1.6e-6, 2.2e-6, 3.1e-6, 4.5e-6):  # a comparator's delay, and the membrane's rise
            first_s = 23e-6 + phase_s
            spikes, ok = counted([first_s, first_s + BOARD.axon_width_s + low_s, first_s + 40e-6], interval_s)
            told.append(ok)
            assert spikes == 3 or not ok
    assert np.mean(told) > 0.6  # the others are taken again


@pytest.mark.parametrize("share", [0.6, 0.8, 1.0])
def test_spikes_of_pulses_in_a_row_are_told_at_the_longest_interval(share: float) -> None:
    interval_s = share * longest_interval_s(shot([4, 12, 4]), BOARD, TICK_S)
    for phase_s in np.arange(0.0, interval_s, interval_s / 9):
        spikes_s = [23e-6 + phase_s + k * 10e-6 for k in range(4)]
        assert counted(spikes_s, interval_s) == (4, True)

"""Two samples in an axon pulse: what they have to tell all the same."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from drivers.decode.spikes import decode
from drivers.ds4024.plan import SPARSE
from drivers.mock import defects
from drivers.mock.defects import Wire
from drivers.settings import BoardSettings, SpikeSettings
from drivers.signals import Capture
from tests.drivers.synthetic import TICK_S, Shot, shot_of

BOARD = BoardSettings()
SLOTS, PULSES, RARE = 300, 8, 10
STEP_S = BOARD.axon_width_s / SPARSE
RISE_S = 150e-9  # of an open collector's pull-up
SEEN_NS = 1_900  # of an axon pulse: what its slow rise leaves of it


def shot_with(spikes_us: tuple[float, ...], twice_us: float = 0.0) -> Shot:
    """Spikes at these times after the fall of sync, in every slot a little later, so that all phases come.

    With `twice_us`, in every tenth slot the neuron fires once more so long after its first axon pulse has fallen.
    """
    shot = shot_of([PULSES] * SLOTS)
    for slot in range(SLOTS):
        for at_us in spikes_us:
            shot.spike(slot, round(at_us * 1_000) + 7 * slot)
        if twice_us and slot % RARE == 0:
            shot.spike(slot, round((spikes_us[0] + 2.0 + twice_us) * 1_000) + 7 * slot)
    return shot


def seen(shot: Shot, step_s: float, wire: Wire | None = None) -> Capture:
    wires = shot.wires(SEEN_NS)
    wires["axon"] = wire or defects.slow_edges(wires["axon"], RISE_S)
    traces = shot.seen(wires, step_s=step_s, phase_ns=0, volts_per_div=0.5, seed=3, snr_db=40)
    return decode(shot.frame, traces, SpikeSettings(), BOARD, TICK_S, 0.1)


@pytest.mark.parametrize("step_s", [STEP_S, 0.8e-6, 0.5e-6, 0.4e-6])
@pytest.mark.parametrize("low_us", [1.3, 1.6, 2.2, 3.1, 4.5])  # a comparator's delay, and the membrane's rise
def test_a_neuron_that_fires_twice_after_one_pulse_is_counted_twice(low_us: float, step_s: float) -> None:
    capture = seen(shot_with((3.3, 33.3), low_us), step_s)
    played = np.where(np.arange(SLOTS) % RARE == 0, 3, 2)
    assert (capture.spikes == played)[capture.ok].all()
    assert capture.ok.all()


@pytest.mark.parametrize("step_s", [STEP_S, 0.8e-6, 0.4e-6])
@pytest.mark.parametrize("low_us", [0.3, 0.5, 0.7, 0.9])  # of a comparator with a large signal
def test_two_pulses_with_hardly_a_rest_between_them_are_never_counted_as_one(low_us: float, step_s: float) -> None:
    capture = seen(shot_with((3.3, 33.3), low_us), step_s)
    played = np.where(np.arange(SLOTS) % RARE == 0, 3, 2)
    assert (capture.spikes == played)[capture.ok].all()
    assert capture.ok[played == 2].all()


@pytest.mark.parametrize("step_s", [STEP_S, 0.8e-6])
def test_an_echo_is_none_the_less_doubted(step_s: float) -> None:
    shot = shot_with((3.3, 33.3))
    capture = seen(shot, step_s, defects.echo(shot.wires()["axon"], 2.1 / 3.3, 5_000))
    assert not (capture.ok & (capture.spikes != 2)).any()


@pytest.mark.parametrize("length_ns", [200, 500, 900])
def test_glitches_that_fall_on_one_sample_are_not_counted(length_ns: int) -> None:
    shot = shot_with((3.3, 33.3))
    wire = defects.glitches(defects.slow_edges(shot.wires()["axon"], RISE_S), length_ns, 1_700_000, 3.3)
    capture = seen(shot, STEP_S, wire)
    assert (capture.spikes[capture.ok] == 2).all()
    assert capture.ok.mean() > 0.9


def test_spikes_of_pulses_in_a_row_are_told() -> None:
    capture = seen(shot_with(tuple(3.3 + 10.0 * k for k in range(7))), STEP_S)
    assert capture.ok.all()
    assert np.all(capture.spikes == 7)


def test_finer_samples_ask_for_no_more_than_edges_keep() -> None:
    """Edges that DMA makes wander by some 0.2 µs: with ten samples a microsecond some spikes come early."""
    rng = np.random.default_rng(4)
    shot = shot_of([PULSES] * SLOTS)
    shot.frame = replace(shot.frame, layer=np.zeros_like(shot.frame.layer))  # of a network
    for slot in range(SLOTS):
        for pulse in (1, 3, 6):
            lag_us = 2.6 + rng.exponential(0.6) + rng.normal(0.0, 0.2)
            shot.spike(slot, round((10.0 * pulse + lag_us) * 1_000))
    capture = seen(shot, 0.1e-6)
    assert capture.ok.all(), capture.notes
    assert (capture.spikes == 3).all()

"""Samples that were repeated or left out on the way, with nothing else to show it: rightly counted, or not trusted.

The traces are those of a network's shot: slots of many lengths, each spike a little after its pulse.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from drivers.decode.displaced import steps
from drivers.decode.spikes import decode
from drivers.errors import CaptureError
from drivers.settings import BoardSettings, SpikeSettings
from drivers.signals import Frame, Trace
from tests.drivers.synthetic import TICK_S, Shot, shot_of

SLOTS, ALTERED = 240, 60
LENGTHS = (5, 10, 30, 100, 300, 1000, 3000)


@pytest.fixture(scope="module")
def played() -> tuple[Frame, list[Trace], NDArray[np.int32]]:
    """A shot of a network's layer, its traces, and what was fired."""
    rng = np.random.default_rng(3)
    pulses = np.where(rng.random(SLOTS) < 0.6, rng.integers(1, 4, SLOTS), rng.integers(1, 13, SLOTS))
    shot: Shot = shot_of([int(n) for n in pulses])
    spikes = np.zeros(SLOTS, dtype=np.int32)
    for slot, count in enumerate(pulses.tolist()):
        for pulse in np.flatnonzero(rng.random(count) < 0.3).tolist():
            shot.spike(slot, 3_600 + 10_000 * pulse + int(rng.integers(0, 1_500)))
            spikes[slot] += 1
    frame = replace(shot.frame, layer=np.zeros(SLOTS, dtype=np.int32))
    return frame, shot.traces(seed=2), spikes


def altered(codes: NDArray[np.uint8], at: int, count: int, *, twice: bool) -> NDArray[np.uint8]:
    """As many samples, `count` of them twice or not at all; what is short at the end is filled up with its rest."""
    if twice:
        return np.concatenate([codes[:at], codes[at - count : at], codes[at:]])[: len(codes)]
    return np.concatenate([codes[:at], codes[at + count :], np.resize(codes[-20:], count)])


def test_a_sound_shot_of_a_network_is_trusted(played: tuple[Frame, list[Trace], NDArray[np.int32]]) -> None:
    frame, traces, spikes = played
    found = decode(frame, traces, SpikeSettings(), BoardSettings(), TICK_S, 0.1)
    assert found.ok.all()
    assert found.spikes.tolist() == spikes.tolist()
    assert found.stray.guard == 0


@pytest.mark.parametrize("twice", [False, True])
@pytest.mark.parametrize("lines", [("axon",), ("sync",), ("axon", "sync")])
def test_altered_samples_are_never_wrong_unseen(
    played: tuple[Frame, list[Trace], NDArray[np.int32]], lines: tuple[str, ...], twice: bool
) -> None:
    frame, traces, spikes = played
    rng = np.random.default_rng([len(lines), lines[0] == "axon", twice])
    wrong = []
    for _ in range(ALTERED):
        count = int(rng.choice(LENGTHS))
        at = int(rng.integers(count + 100, len(traces[0].codes) - count - 100))
        seen = [replace(t, codes=altered(t.codes, at, count, twice=twice)) if t.name in lines else t for t in traces]
        try:
            found = decode(frame, seen, SpikeSettings(), BoardSettings(), TICK_S, 0.1)
        except CaptureError:
            continue
        wrong.append(int(np.count_nonzero(found.ok & (found.spikes != spikes))))
    assert np.count_nonzero(wrong) == 0  # a third of them in up to three quarters of the slots, if nobody looks


STEP_S = 4e-7


def test_a_late_edge_is_no_step_and_missing_time_is_one() -> None:
    rng = np.random.default_rng(5)
    planned = (31e-6 + 10e-6 * rng.integers(1, 13, 200)).astype(np.float64)
    edges = np.concatenate([[0.0], np.cumsum(planned)]) * (1 + 8e-5) + rng.normal(0, 1e-7, 201)
    edges[[1, 40, 87, 162]] += 1.8e-6
    assert not steps(np.diff(edges), planned, STEP_S).any()
    edges[101:] -= 2e-6
    found = np.flatnonzero(steps(np.diff(edges), planned, STEP_S))
    assert 100 in found
    assert set(found) <= {98, 99, 100, 101, 102}


@pytest.mark.parametrize(("late_share", "lag_ns"), [(0.0, 3_600), (0.004, 3_600), (0.0, 2_000)])
def test_a_network_with_late_edges_is_trusted(late_share: float, lag_ns: int) -> None:
    """Each late edge of sync makes its own slot's spikes come sooner; few pulses above, many below, as in a picture."""
    rng = np.random.default_rng(11)
    pulses = [*rng.integers(1, 3, 200).tolist(), *rng.integers(4, 13, 100).tolist()]
    late = {int(slot): 1_500 for slot in np.flatnonzero(rng.random(300) < late_share)}
    shot = shot_of(pulses)
    edges = shot.edges_ns.copy()
    for slot, count in enumerate(pulses):
        for pulse in np.flatnonzero(rng.random(count) < 0.3).tolist():
            shot.spike(slot, lag_ns + 10_000 * pulse + int(rng.exponential(800) + rng.normal(0, 300)))
    for slot, by_ns in late.items():
        shot.edges_ns[slot] = edges[slot] + by_ns
    network = replace(shot.frame, layer=np.zeros(300, dtype=np.int32))
    found = decode(network, shot.traces(), SpikeSettings(), BoardSettings(), TICK_S, 0.1)
    assert (~found.ok).sum() <= 8 * len(late)


def test_a_spike_as_late_as_one_in_a_hundred_thousand_is_trusted() -> None:
    """Lags of the twin's comparator: 4.4 µs in the middle, 4.8 at the upper quarter, three of 187,025 at 10.0."""
    rng = np.random.default_rng(12)
    pulses = rng.integers(1, 9, 300).tolist()
    shot = shot_of(pulses)
    for slot, count in enumerate(pulses):
        for pulse in np.flatnonzero(rng.random(count) < 0.3).tolist():
            shot.spike(slot, 3_600 + 10_000 * pulse + int(rng.gamma(3, 330)))
    shot.spike(107, 10_000 * pulses[107])  # since the last pulse
    network = replace(shot.frame, layer=np.zeros(300, dtype=np.int32))
    found = decode(network, shot.traces(), SpikeSettings(), BoardSettings(), TICK_S, 0.1)
    assert found.ok.all(), found.notes


def test_a_line_that_falls_silent_among_firing_slots_is_not_believed() -> None:
    shot = shot_of([6] * 100)
    for slot in range(85):
        shot.spike(slot, 3_600)
    network = replace(shot.frame, layer=np.zeros(100, dtype=np.int32))
    found = decode(network, shot.traces(), SpikeSettings(), BoardSettings(), TICK_S, 0.1)
    assert found.ok.all()  # 15 slots that were due 12.8 spikes
    shot.axon_ns = shot.axon_ns[:80]
    found = decode(network, shot.traces(), SpikeSettings(), BoardSettings(), TICK_S, 0.1)
    assert not found.ok.any()
    assert any("no spike for a stretch that was due 16" in note for note in found.notes)


def test_a_spike_in_a_guard_spoils_its_neighbours_and_a_sweep_may_have_them(
    played: tuple[Frame, list[Trace], NDArray[np.int32]],
) -> None:
    shot = shot_of([4] * 300)
    for slot in range(300):
        shot.spike(slot, 3_600)
    shot.spike(7, -6_000)
    network = replace(shot.frame, layer=np.zeros(300, dtype=np.int32))
    found = decode(network, shot.traces(), SpikeSettings(), BoardSettings(), TICK_S, 0.1)
    assert np.flatnonzero(~found.ok).tolist() == [6, 7]
    said = "2 slots doubtful, first slot 6 of the shot: axon pulses out of step with sync in or beside 2"
    assert said in found.notes
    for slot in (40, 90):
        shot.spike(slot, -6_000)
    found = decode(network, shot.traces(), SpikeSettings(), BoardSettings(), TICK_S, 0.1)
    assert not found.ok.any()
    assert any("rise while sync is high: samples of one line were lost" in note for note in found.notes)
    assert decode(shot.frame, shot.traces(), SpikeSettings(), BoardSettings(), TICK_S, 0.1).ok.all()


@pytest.mark.parametrize("step_s", [5e-8, STEP_S])
def test_few_spikes_with_a_long_tail_of_lags_are_trusted(step_s: float) -> None:
    """Few spikes tell little of how late others come, and six in a row may come together: no shot of 60 is spoilt, as
    one in 10,000 may be. Lags of the twin's comparator: 3.6 µs at the least, half within 0.4, one in 5,000 at 8.
    """
    rng = np.random.default_rng(13)
    refused = []
    for _ in range(60):
        pulses = rng.integers(1, 4, 80).tolist()
        shot = shot_of(pulses)
        for slot, count in enumerate(pulses):
            for pulse in np.flatnonzero(rng.random(count) < 0.3).tolist():
                shot.spike(slot, 3_600 + 10_000 * pulse + min(int(rng.exponential(550)), 4_400))
        network = replace(shot.frame, layer=np.zeros(80, dtype=np.int32))
        found = decode(network, shot.traces(step_s=step_s), SpikeSettings(), BoardSettings(), TICK_S, 0.1)
        refused.append(int((~found.ok).sum()))
    assert sum(refused) == 0

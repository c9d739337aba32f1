"""The neuron's physics. Statistical tests use fixed seeds; a stated rate is that of a false alarm for a fresh seed."""

from __future__ import annotations

import numpy as np
import pytest

from drivers.device import load_device
from drivers.errors import InputError
from drivers.mock.physics.neuron import Firings, NeuronModel, Trains, fire, neuron_model, regular_trains, rise_time
from drivers.mock.physics.random import normal, sequence_keys, uniform
from drivers.mock.physics.train import go_on
from drivers.settings import BoardSettings

BOARD = BoardSettings()
NOMINAL = neuron_model(load_device("nominal"))


def play(model: NeuronModel, vth_v: float, clock_hz: float, pulses: int = 200, neurons: int = 400) -> Firings:
    period = np.full(neurons, 1 / clock_hz)
    end = 3e-6 + pulses * period + 8e-6
    trains = regular_trains(np.full(neurons, pulses), 3e-6, period, 1e-6, end)
    return fire(model, BOARD, vth_v, trains, sequence_keys(1, 0, neurons))


def pulses_a_spike(firings: Firings, pulses: int = 200, neurons: int = 400) -> float:
    return pulses * neurons / len(firings.segment)


def pulses_to_fire(firings: Firings) -> np.ndarray:
    same = np.diff(firings.segment) == 0
    return np.asarray(np.diff(firings.pulse)[same])


def test_nominal_fires_every_fourth_pulse_on_average_and_irregularly() -> None:
    """Mean 4 within 2 % and variation at least 0.5, as the design asks; the mean's standard error is 0.3 %."""
    firings = play(NOMINAL, 0.7, 100e3)
    gaps = pulses_to_fire(firings)
    assert pulses_a_spike(firings) == pytest.approx(4.0, rel=0.02)
    assert gaps.std() / gaps.mean() >= 0.5
    assert len(np.unique(gaps)) >= 10


def test_a_higher_threshold_gives_fewer_spikes() -> None:
    """Figure 2 a-c: V_th 0.5, 0.8, 1.0 V at 100 Hz."""
    spikes = [len(play(NOMINAL, vth, 100).segment) for vth in (0.5, 0.8, 1.0)]
    assert spikes[0] > 1.5 * spikes[1] > 2 * spikes[2] > 0


def test_a_higher_clock_gives_more_spikes_per_second_and_per_pulse() -> None:
    """Figure 2 d-f: 10, 100, 1000 Hz at 0.7 V; the leak makes it more per pulse too (false alarm below 1e-6)."""
    per_pulse = [1 / pulses_a_spike(play(NOMINAL, 0.7, hz)) for hz in (10, 100, 1000)]
    assert per_pulse[0] < per_pulse[1] < per_pulse[2]
    assert per_pulse[2] > 1.5 * per_pulse[1]


def test_the_node_limits_the_clock() -> None:
    slow = NOMINAL.model_copy(update={"node_s": 5e-6})
    assert len(play(slow, 0.7, 100e3).segment) < len(play(NOMINAL, 0.7, 100e3).segment)


def test_below_the_low_state_it_fires_by_itself_and_above_the_high_state_never() -> None:
    low_v = NOMINAL.i_sense_a * NOMINAL.r_lrs_ohm
    high_v = low_v * np.exp(NOMINAL.y_hrs)
    assert len(play(NOMINAL, 0.5 * low_v, 100e3, pulses=0).segment) >= 400
    assert len(play(NOMINAL, 1.05 * high_v, 100e3).segment) == 0


def test_ideal_fires_after_every_pulse_at_any_clock() -> None:
    ideal = neuron_model(load_device("ideal"))
    for clock in (10, 1e3, 100e3):
        firings = play(ideal, 0.7, clock, pulses=20, neurons=5)
        assert firings.pulse.tolist() == list(range(20)) * 5


def test_the_axon_rises_after_its_pulse_and_never_while_high() -> None:
    firings = play(NOMINAL, 0.35, 200e3)
    same = np.diff(firings.segment) == 0
    assert np.diff(firings.axon_s)[same].min() >= BOARD.axon_width_s
    fall = 3e-6 + firings.pulse / 200e3 + 1e-6
    assert (firings.axon_s >= fall + BOARD.axon_delay_s - 1e-12)[firings.pulse >= 0].all()


def test_neurons_are_a_function_of_their_key_alone() -> None:
    keys = sequence_keys(7, 0, 50)
    pulses = np.arange(50)
    period = np.full(50, 1e-5)
    trains = regular_trains(pulses, 3e-6, period, 2e-6, pulses * period + 2e-5)
    order = np.random.default_rng(0).permutation(50)
    shuffled = regular_trains(pulses[order], 3e-6, period, 2e-6, (pulses * period + 2e-5)[order])
    counts = np.bincount(fire(NOMINAL, BOARD, 0.7, trains, keys).segment, minlength=50)
    again = np.bincount(fire(NOMINAL, BOARD, 0.7, shuffled, keys[order]).segment, minlength=50)
    assert counts[order].tolist() == again.tolist()


def test_drift_enters_through_pulses_before() -> None:
    worn = NOMINAL.model_copy(update={"step_drift_per_gigapulse": -0.5})
    assert worn.aged(1_000_000_000).step == pytest.approx(0.5 * NOMINAL.step)
    changed = NOMINAL.model_copy(update={"change_at_pulses": 100, "change_factor": 0.8})
    assert changed.aged(99).step == NOMINAL.step
    assert changed.aged(100).step == pytest.approx(0.8 * NOMINAL.step)


def test_random_numbers_are_uniform_normal_and_independent() -> None:
    """Bounds at five standard errors: a false alarm in 2 million."""
    n = 100_000
    keys = sequence_keys(3, 0, n)
    u, v, z = uniform(keys, 0), uniform(keys, 1), normal(keys, 2)
    assert abs(u.mean() - 0.5) < 5 / np.sqrt(12 * n)
    assert abs(np.corrcoef(u, v)[0, 1]) < 5 / np.sqrt(n)
    assert abs(np.corrcoef(u[1:], u[:-1])[0, 1]) < 5 / np.sqrt(n)
    assert abs(z.mean()) < 5 / np.sqrt(n)
    assert abs(z.std() - 1) < 5 / np.sqrt(2 * n)


def test_a_device_without_or_with_a_wrong_model_is_refused() -> None:
    device = load_device("nominal")
    with pytest.raises(InputError, match=r"no \[model\] table"):
        neuron_model(device.model_copy(update={"model": None}))
    with pytest.raises(InputError, match="step = -1: Input should be greater than 0"):
        neuron_model(device.model_copy(update={"model": {**(device.model or {}), "step": -1}}))


@pytest.mark.parametrize("cuts", [[], [1], [7, 8, 40], list(range(1, 60))])
def test_a_train_taken_in_parts_fires_as_the_whole_train_does(cuts: list[int]) -> None:
    """Whatever the parts: the same equations and draws, to rounding."""
    key = sequence_keys(5, 0, 1)
    rise: np.ndarray = 20e-6 + np.arange(60) * 10e-6
    whole = fire(NOMINAL, BOARD, 0.55, Trains(np.array([0, 60]), rise, rise + 2e-6, np.array([700e-6])), key)
    found, midway, start = [], None, 0.0
    for lo, hi in zip([0, *cuts], [*cuts, 60], strict=True):
        end = rise[hi] - 1e-9 if hi < 60 else 700e-6
        part: np.ndarray = rise[lo:hi] - start
        trains = Trains(np.array([0, hi - lo]), part, part + 2e-6, np.array([end - start]))
        axon, midway = go_on(NOMINAL, BOARD, 0.55, trains, key, midway)
        found.append(axon + start)
        start = end
    assert np.concatenate(found) == pytest.approx(whole.axon_s, abs=1e-12)
    assert len(whole.axon_s) > 10


@pytest.mark.parametrize("cuts_us", [[150], [31, 33, 300, 301, 640], list(range(25, 690, 7))])
def test_a_neuron_that_fires_by_itself_does_so_alike_whenever_it_is_looked_at(cuts_us: list[int]) -> None:
    """Three pulses and long rests, cut anywhere but within a pulse, at a V_th below the resting membrane."""
    key = sequence_keys(6, 0, 1)
    rise = np.array([20e-6, 120e-6, 220e-6])
    whole = fire(NOMINAL, BOARD, 0.2, Trains(np.array([0, 3]), rise, rise + 2e-6, np.array([700e-6])), key)
    found, midway, start = [], None, 0.0
    cuts = [us * 1e-6 for us in cuts_us if not any(0 <= us - r * 1e6 <= 2 for r in rise)]
    for end in [*cuts, 700e-6]:
        part = rise[(rise >= start) & (rise < end)] - start
        trains = Trains(np.array([0, len(part)]), part, part + 2e-6, np.array([end - start]))
        axon, midway = go_on(NOMINAL, BOARD, 0.2, trains, key, midway)
        found.append(axon + start)
        start = end
    assert np.concatenate(found) == pytest.approx(whole.axon_s, abs=1e-12)
    assert len(whole.axon_s) > 50


PUSHED = NOMINAL.model_copy(update={"injected_v": 0.015, "crosstalk_v": 0.03})


def test_what_a_pulse_takes_off_the_node_delays_the_firing_by_what_an_integration_gives() -> None:
    """Charge injection and crosstalk act where the comparator looks, not only on a probe."""
    theta, end_v = np.array([0.3, 0.55, 0.7]), np.array([0.7, 0.72, 0.75])
    t = np.arange(0, 20e-6, 1e-9)
    for k in range(3):
        pull = -PUSHED.injected_v * np.exp(-t / PUSHED.node_s) - PUSHED.crosstalk_v * np.exp(-t / PUSHED.crosstalk_s)
        volts = end_v[k] * (1 - np.exp(-t / PUSHED.node_s)) + pull
        passes_s = t[np.argmax(volts >= theta[k])]
        found = rise_time(PUSHED, theta, end_v, after_pulse=True)[k]
        assert found == pytest.approx(passes_s, abs=2e-9)
        assert found > rise_time(PUSHED, theta, end_v, after_pulse=False)[k]
    assert np.isinf(rise_time(PUSHED, np.array([0.8]), np.array([0.7]), after_pulse=True)).all()


def test_a_pushed_node_fires_later_and_one_neuron_as_many_do() -> None:
    period = np.full(1, 10e-6)
    trains = regular_trains(np.full(1, 60), 3e-6, period, 1e-6, 3e-6 + 60 * period + 8e-6)
    key = sequence_keys(3, 0, 1)
    whole, clean = fire(PUSHED, BOARD, 0.5, trains, key), fire(NOMINAL, BOARD, 0.5, trains, key)
    alone, _ = go_on(PUSHED, BOARD, 0.5, trains, key, None)
    assert alone == pytest.approx(whole.axon_s, abs=1e-12)
    assert len(whole.axon_s) > 5
    assert whole.axon_s[0] > clean.axon_s[0]


@pytest.mark.parametrize(("few", "together"), [(0, 1), (0, 1 << 14), (400, 1), (400, 300)])
def test_draws_are_the_same_however_many_are_made_at_once(
    monkeypatch: pytest.MonkeyPatch, few: int, together: int
) -> None:
    counts = np.random.default_rng(5).integers(0, 60, 40)
    period = np.full(40, 10e-6)
    trains = regular_trains(counts, 3e-6, period, 2e-6, 18e-6 + counts * period)
    model, keys = neuron_model(load_device("nominal")), sequence_keys(1, 2, 40)
    usual = fire(model, BoardSettings(), 0.6, trains, keys)
    monkeypatch.setattr("drivers.mock.physics.draws.FEW", few)
    monkeypatch.setattr("drivers.mock.physics.draws.TOGETHER", together)
    found = fire(model, BoardSettings(), 0.6, trains, keys)
    assert len(usual.axon_s) > 100
    for name in ("segment", "pulse", "axon_s"):
        assert (getattr(found, name) == getattr(usual, name)).all(), name

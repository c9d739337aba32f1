"""Simulated devices with parameters drawn at random, and what is true of them by brute force on the simulated neuron.

The fitters never see any of this; only the study and its test do.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtr

from calibration.measure.window import SATURATED_LEVEL, SATURATING_PULSES, SILENT_LEVEL
from drivers.device import DeviceFile
from drivers.mock.physics.neuron import (
    Firings,
    NeuronModel,
    State,
    apply_pulse,
    fire,
    fresh,
    neuron_model,
    regular_trains,
    sense,
)
from drivers.mock.physics.random import sequence_keys
from drivers.settings import BoardSettings
from drivers.signals import SlotTiming

_SEED = 0x57D7  # of the neurons that tell the truth, which no calibration ever sees


def draw_device(number: int, *, leak_s: float | None = None) -> DeviceFile:
    """Device `number` of an endless row: every parameter drawn independently, over ranges that contain the nominal."""
    rng = np.random.default_rng([2018, number])

    def between(lo: float, hi: float) -> float:
        return float(rng.uniform(lo, hi))

    def about(lo: float, hi: float) -> float:
        return float(np.exp(rng.uniform(np.log(lo), np.log(hi))))

    model = {
        "r_lrs_ohm": about(25e3, 60e3),
        "lrs_spread": between(0.05, 0.20),
        "y_hrs": between(1.4, 2.0),
        "step": between(0.20, 0.45),
        "step_spread": between(0.5, 1.1),
        "jump_probability": between(0.01, 0.12),
        "jump_least": between(0.3, 0.7),
        "leak_s": about(2e-3, 50e-3),
        "node_s": between(0.2e-6, 0.6e-6),
        "i_sense_a": between(5e-6, 8e-6),
        "comparator_offset_v": between(-9e-3, 9e-3),
        "comparator_noise_v": between(1e-3, 8e-3),
    }
    if leak_s is not None:
        model["leak_s"] = leak_s
    life = 10**12
    return DeviceFile(id=f"drawn-{number}", endurance_pulses=life, endurance_resets=life, model=model)


@dataclass(frozen=True)
class Truth:
    """What is true of a device at one slot timing."""

    model: NeuronModel
    board: BoardSettings
    timing: SlotTiming

    @classmethod
    def of(cls, device: DeviceFile, board: BoardSettings, timing: SlotTiming) -> Truth:
        """For a simulated device."""
        return cls(neuron_model(device), board, timing)

    def lower_v(self) -> float:
        """V_th at which 1 % of fresh neurons fire: by quadrature over the low-resistance state."""
        m = self.model
        z = np.linspace(-6, 6, 4001)
        weight = np.exp(-(z**2) / 2) / np.exp(-(z**2) / 2).sum()
        volts = m.i_sense_a * m.r_lrs_ohm * np.exp(m.lrs_spread * z)

        def excess(v: float) -> float:
            chance = ndtr((volts - v - m.comparator_offset_v) / m.comparator_noise_v)
            return float(weight @ chance) - SILENT_LEVEL

        root: float = brentq(excess, 0.01, 3.0)
        return root

    def upper_v(self, neurons: int = 4_000) -> float:
        """V_th at which half of the saturated slots do not fire, by bisection on the same neurons at every step."""
        lo, hi = np.log(0.2), np.log(6.0)
        for _ in range(14):
            middle = (lo + hi) / 2
            firings = self._play(float(np.exp(middle)), SATURATING_PULSES, neurons)
            if len(np.unique(firings.segment)) > SATURATED_LEVEL * neurons:
                lo = middle
            else:
                hi = middle
        return float(np.exp((lo + hi) / 2))

    def pulses_to_fire(self, vth_v: float, neurons: int = 40_000, longest: int = 400) -> tuple[float, float]:
        """Mean and standard deviation of the pulses to fire from rest."""
        period_s, keys = 1 / self.timing.dendrite_clock_hz, sequence_keys(_SEED, 0, neurons)
        state, fired = fresh(self.model, keys), []
        for k in range(longest):
            rise_s = np.full(len(keys), self.timing.guard_s + k * period_s)
            apply_pulse(self.model, state, keys, k, rise_s, rise_s + self.timing.pulse_width_s)
            rounds = sense(self.model, self.board, vth_v, state, keys, k, rise_s + period_s)
            who = rounds[0][0] if rounds else np.empty(0, dtype=np.intp)
            fired.append(len(who))
            waiting = np.ones(len(keys), dtype=np.bool_)
            waiting[who] = False
            state, keys = State(state.y[waiting], state.since_s[waiting]), keys[waiting]
            if not len(keys):
                break
        count, n = np.array([*fired, len(keys)]), np.arange(1, len(fired) + 2)
        mean = float(count @ n / neurons)
        return mean, float(np.sqrt(count @ (n - mean) ** 2 / neurons))

    def _play(self, vth_v: float, pulses: int, neurons: int) -> Firings:
        guard_s, period_s = self.timing.guard_s, 1 / self.timing.dendrite_clock_hz
        end_s = guard_s + pulses * period_s + self.timing.settle_s
        full = np.full(neurons, pulses)
        trains = regular_trains(
            full, guard_s, np.full(neurons, period_s), self.timing.pulse_width_s, np.full(neurons, end_s)
        )
        return fire(self.model, self.board, vth_v, trains, sequence_keys(_SEED, 0, neurons))

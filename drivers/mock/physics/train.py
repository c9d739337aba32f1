"""One long train pulse by pulse: the neuron of `physics.neuron` for a segment that is looked at before it ends.

The same equations and the same draws as there, a part of the train at a time, so that what a board does between two
looks costs what happened between them, however long it has had no reset.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from drivers.mock.physics.draws import DRAWS, REFIRE
from drivers.mock.physics.neuron import (
    OVERDRIVE_SHARES,
    Floats,
    Midway,
    NeuronModel,
    State,
    Trains,
    rise_time,
)
from drivers.mock.physics.random import U64, normal, uniforms_at

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from drivers.settings import BoardSettings


def go_on(
    model: NeuronModel, board: BoardSettings, vth_v: float, trains: Trains, key: U64, midway: Midway | None
) -> tuple[Floats, Midway]:
    """Play one train, to its end_s or to where the segment's next pulse rises; the axon's rises (m,), s, and what to
    go on with then. `key` (1,) decides the draws of the whole segment; without `midway` it begins here.
    """
    neuron = _Neuron(model, board, vth_v, key)
    had = 0
    ends = [*trains.rise_s.tolist(), float(trains.end_s[0])]
    if midway is None:
        neuron.y = _low_state(model, key, -1, 0)
        neuron.sense(-1, None, ends[0])
    else:
        had = midway.pulses
        neuron.y, neuron.since = float(midway.state.y[0]), float(midway.state.since_s[0])
        neuron.sense(had - 1, None, ends[0], midway.again)
    draws = _draws(model, key, had, len(trains.rise_s))
    pulses = zip(trains.rise_s.tolist(), trains.fall_s.tolist(), ends[1:], *draws, strict=True)
    for k, (rise, fall, end, jump, fraction, step, noise) in enumerate(pulses, had):
        if neuron.since <= rise:
            neuron.pulse(rise, fraction if jump < model.jump_probability else None, step)
        neuron.since = max(neuron.since, fall)
        neuron.sense(k, noise, end)
    ended = State(np.array([neuron.y]), np.array([neuron.since]))
    return np.array(neuron.axons, dtype=np.float64), Midway(ended, had + len(trains.rise_s), neuron.again).later(
        ends[-1]
    )


class _Neuron:
    """One neuron: its state y as it was at `since`, s, and when its axon has risen."""

    def __init__(self, model: NeuronModel, board: BoardSettings, vth_v: float, key: U64) -> None:
        self._model, self._board, self._key = model, board, key
        self._theta_v = vth_v + model.comparator_offset_v
        self._low_v = model.i_sense_a * model.r_lrs_ohm
        self.y = self.since = 0.0
        self.again = 0  # how often it has fired since the last pulse
        self.axons: list[float] = []

    def pulse(self, rise: float, fraction: float | None, step: float) -> None:
        """What a pulse adds: a step, or a fraction of the way to the high-resistance state."""
        model = self._model
        now = self.y * math.exp((self.since - rise) / model.leak_s)
        if fraction is None:
            new = now + model.step * max(1 - now / model.y_hrs, 0.0) * step
        else:
            new = now + fraction * max(model.y_hrs - now, 0.0)
        self.y = min(new, max(model.y_hrs, now))

    def _delay(self, ratio: float) -> float:
        """The comparator's, as in `physics.neuron`; ratio is its threshold over what the membrane goes to."""
        slow_v, delay_s = self._model.slow_overdrive_v, self._board.axon_delay_s
        if slow_v == 0:
            return delay_s
        overdrive_v = self._low_v * math.exp(self.y) * (1 - ratio)
        low, high = OVERDRIVE_SHARES
        return delay_s * min(max(math.sqrt(slow_v / max(overdrive_v, 1e-6)), low), high)

    def _rise_time(self, ratio: float, *, after_pulse: bool) -> float:
        """The node's, as in `physics.neuron`."""
        if not after_pulse or not (self._model.injected_v or self._model.crosstalk_v):
            return -self._model.node_s * math.log1p(-max(ratio, 0.0))
        end_v = np.array([self._low_v * math.exp(self.y)])
        return float(rise_time(self._model, ratio * end_v, end_v, after_pulse=True)[0])

    def sense(self, k: int, noise_v: float | None, end: float, again: int = 0) -> None:
        """The comparator until `end`; after pulse k, whose first draw of noise may be known, having fired so often."""
        self.again = again
        while self.since < end:
            level = (
                noise_v if self.again == 0 and noise_v is not None else _noise(self._model, self._key, k, self.again)
            )
            ratio = (self._theta_v + level) / (self._low_v * math.exp(self.y))
            if ratio >= 1:
                return
            cross = self.since + self._rise_time(ratio, after_pulse=k >= 0 and self.again == 0)
            if cross >= end:
                return
            self.again += 1
            self.axons.append(cross + self._delay(ratio))
            self.y = _low_state(self._model, self._key, k, self.again)
            self.since = self.axons[-1] + self._board.axon_width_s


def _draws(
    model: NeuronModel, key: U64, first: int, count: int
) -> tuple[list[float], list[float], list[float], list[float]]:
    """For each of `count` pulses from number `first` on: jump, how far, factor of the step, noise of the comparator."""
    from scipy.special import ndtri

    index = (np.arange(first, first + count, dtype=np.int64) + 1) * DRAWS
    none: NDArray[np.float64] = np.zeros(count)
    jump = uniforms_at(key[0], index) if model.jump_probability > 0 else none + 1
    fraction = model.jump_least + (1 - model.jump_least) * uniforms_at(key[0], index + 1)
    spread = model.step_spread
    step = np.exp(spread * ndtri(uniforms_at(key[0], index + 2)) - spread**2 / 2) if spread > 0 else none + 1
    noise = model.comparator_noise_v * ndtri(uniforms_at(key[0], index + 3)) if model.comparator_noise_v > 0 else none
    return jump.tolist(), fraction.tolist(), step.tolist(), noise.tolist()


def _noise(model: NeuronModel, key: U64, k: int, again: int) -> float:
    if model.comparator_noise_v == 0:
        return 0.0
    return model.comparator_noise_v * float(normal(key, (k + 1) * DRAWS + 3 + again * REFIRE)[0])


def _low_state(model: NeuronModel, key: U64, k: int, again: int) -> float:
    if model.lrs_spread == 0:
        return 0.0
    return model.lrs_spread * float(normal(key, (k + 1) * DRAWS + 4 + again * REFIRE)[0])

"""What chance decides about pulses: drawn for many pulses of many neurons at once, by the address of each draw."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from drivers.mock.physics.random import U64, uniforms_at

Floats = NDArray[np.float64]
REFIRE = 1 << 24  # where the draws of further firings within one sensing interval begin
FEW = 400  # neurons side by side: of so few it is cheaper to draw what only those need that fire, at once too
DRAWS = 5  # random numbers set aside for a pulse: jump, fraction, step, noise, low-resistance state
TOGETHER = 1 << 14  # pulses that are drawn for at once: what they need stays in the processor's cache


class Chances(Protocol):
    """Of a model, what decides how its draws are spread; see `physics.neuron`."""

    @property
    def step_spread(self) -> float:
        """Standard deviation of ln step."""

    @property
    def jump_probability(self) -> float:
        """Of a pulse."""

    @property
    def jump_least(self) -> float:
        """Least fraction of the way that a jump goes."""

    @property
    def lrs_spread(self) -> float:
        """Standard deviation of ln R in the low-resistance state."""

    @property
    def comparator_noise_v(self) -> float:
        """Rms."""


@dataclass(frozen=True)
class Drawn:
    """For pulses (n,): the factor of each step, which jump (j,) and how far, the noise at the comparator after it, V;
    with `fired` also the state to which the neuron returns if it fires then, and the noise after that.
    """

    step: Floats | float
    jumps: NDArray[np.intp]
    fraction: Floats
    noise_v: Floats | float
    fired: tuple[Floats | float, Floats | float] | None = None

    def part(self, first: int, stop: int) -> Drawn:
        """Those of some pulses in a row."""
        here = slice(*self.jumps.searchsorted((first, stop))) if len(self.jumps) else slice(0)
        return Drawn(
            _part(self.step, first, stop),
            self.jumps[here] - first,
            self.fraction[here],
            _part(self.noise_v, first, stop),
            None if self.fired is None else (_part(self.fired[0], first, stop), _part(self.fired[1], first, stop)),
        )


def _part(values: Floats | float, first: int, stop: int) -> Floats | float:
    return values if isinstance(values, float) else values[first:stop]


def drawn(model: Chances, keys: U64, pulse: NDArray[np.int64], *, few: bool = False) -> Drawn:
    """The draws for pulses (n,), by the key of each one's neuron and its number in that neuron's train."""
    from scipy.special import ndtri

    def normal(spread: float, index: int) -> Floats | float:
        return spread * ndtri(uniforms_at(keys, base + index)) if spread > 0 else 0.0

    base, spread = (pulse + 1) * DRAWS, model.step_spread
    step: Floats | float = 1.0
    if spread > 0:
        step = np.exp(normal(spread, 2) - spread**2 / 2)
    jumps, fraction = np.empty(0, dtype=np.intp), np.empty(0)
    if model.jump_probability > 0:
        jumps = np.flatnonzero(uniforms_at(keys, base) < model.jump_probability)
        least = model.jump_least
        fraction = least + (1 - least) * uniforms_at(keys[jumps], base[jumps] + 1)
    fired = (normal(model.lrs_spread, 4 + REFIRE), normal(model.comparator_noise_v, 3 + REFIRE)) if few else None
    return Drawn(step, jumps, fraction, normal(model.comparator_noise_v, 3), fired)


@dataclass(frozen=True)
class Pulses:
    """Pulse number k of the first m neurons: (m,) when it rises and falls, until when its neuron is sensed then, s."""

    k: int
    rise_s: Floats
    fall_s: Floats
    until_s: Floats
    drawn: Drawn


def pulse_by_pulse(
    model: Chances,
    keys: U64,
    trains: tuple[NDArray[np.int64], Floats, Floats, Floats],
    count: NDArray[np.int64],
    had: int,
) -> Iterator[Pulses]:
    """The pulses of trains side by side, those with most pulses first: first pulse of each (n,) in the flat arrays of
    rises and falls, ends (n,), how many it has (n,) descending, and how many its neuron has `had` before.
    """
    first, rise_s, fall_s, end_s = trains
    most = int(count[0]) if len(count) else 0
    neurons = np.searchsorted(-count, -np.arange(most), side="left")  # that have a pulse number k
    bounds = np.concatenate([[0], np.cumsum(neurons)])
    k, few = 0, len(count) <= FEW
    while k < most:
        stop = max(k + 1, int(np.searchsorted(bounds, bounds[k] + TOGETHER, side="right")) - 1)
        number = np.repeat(np.arange(k, stop), neurons[k:stop])
        who = np.arange(len(number)) - np.repeat(bounds[k:stop] - bounds[k], neurons[k:stop])
        at = first[who] + number
        until_s, goes_on = end_s[who], number + 1 < count[who]
        until_s[goes_on] = rise_s[at[goes_on] + 1]
        rise, fall, chance = rise_s[at], fall_s[at], drawn(model, keys[who], had + number, few=few)
        for i in range(k, stop):
            a, b = int(bounds[i] - bounds[k]), int(bounds[i + 1] - bounds[k])
            yield Pulses(i, rise[a:b], fall[a:b], until_s[a:b], chance.part(a, b))
        k = stop

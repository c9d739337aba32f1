"""Counts only: the spike-count distribution of the pulse-by-pulse model, tabulated once and then sampled.

The tables are the model's own: they are made by playing many neurons pulse by pulse (physics.neuron), never by a
formula. Sampling is one look-up a slot, fast enough for whole test sets. For long trains, whose table would be huge,
the pulses from one firing to the next are tabulated and added up: after each firing the neuron begins anew.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from drivers.mock.physics.neuron import NeuronModel, State, apply_pulse, fire, fresh, regular_trains, sense
from drivers.mock.physics.random import U64, sequence_keys, uniforms
from drivers.timing import SlotTicks

if TYPE_CHECKING:
    from drivers.settings import BoardSettings

NESTED_NEURONS = 1 << 16
GUIDE_PARTS = 1 << 10  # of (0, 1); a power of two, so that a part is found without rounding
FIXED_NEURONS = 1 << 14
GAP_NEURONS, GAP_PULSES = 1 << 10, 1 << 11
RAREST_FIRING = 0.02  # spikes a pulse: gaps must be short against GAP_PULSES, or the long ones are missed
BY_ITSELF = 1e-4  # share of firings without a pulse since the last
_SEED = 0x5EED  # of the neurons that make a table: a property of the method, so that every worker has the same table


@dataclass(frozen=True)
class SpikeTable:
    """P(spikes ≤ s | n pulses) for n = 0…N, flat: entry n·width + s is n + that probability."""

    flat: NDArray[np.float64]
    width: int

    @property
    def most_pulses(self) -> int:
        """N."""
        return len(self.flat) // self.width - 1

    def sample(self, pulses: NDArray[np.int32], u: NDArray[np.float64]) -> NDArray[np.int32]:
        """(slots,) spikes for `pulses` (slots,), by inversion of u (slots,) in (0, 1).

        Most draws fall in a part of (0, 1) that has one outcome only, which a guide table knows (Chen, Asau, AIIE
        Transactions 6:163, 1974); the others are looked up. The outcome is that of looking all of them up.
        """
        part = np.minimum((u * GUIDE_PARTS).astype(np.int32), GUIDE_PARTS - 1)  # a draw may be rounded to 1
        spikes: NDArray[np.int32] = self._guide[pulses * GUIDE_PARTS + part]
        (unknown,) = np.nonzero(spikes < 0)
        spikes[unknown] = self._looked_up(pulses[unknown], u[unknown])
        return spikes

    def _looked_up(self, pulses: NDArray[np.int32], u: NDArray[np.float64]) -> NDArray[np.int32]:
        row = pulses.astype(np.float64)
        spikes = np.searchsorted(self.flat, row + u, side="right") - pulses.astype(np.int64) * self.width
        return spikes.astype(np.int32)

    @cached_property
    def _guide(self) -> NDArray[np.int32]:
        """Entry n·GUIDE_PARTS + k: the spikes of n pulses for every u in k…k + 1 parts, −1 where these differ."""
        pulses = np.arange(self.most_pulses + 1, dtype=np.int32)[:, None]
        edges = np.broadcast_to(np.arange(GUIDE_PARTS + 1) / GUIDE_PARTS, (len(pulses), GUIDE_PARTS + 1))
        at = self._looked_up(np.broadcast_to(pulses, edges.shape), edges)
        return np.where(at[:, :-1] == at[:, 1:], at[:, :-1], -1).astype(np.int32).ravel()


@dataclass(frozen=True)
class GapTable:
    """P(pulses from one firing to the next ≤ g) for g = 0…G."""

    cdf: NDArray[np.float64]
    mean: float

    def sample(self, pulses: NDArray[np.int32], keys: U64) -> NDArray[np.int32]:
        """(slots,) spikes for long trains of `pulses` (slots,): how many gaps fit."""
        spikes = np.zeros(len(pulses), dtype=np.int32)
        reached = np.zeros(len(pulses), dtype=np.int64)
        open_, first = np.arange(len(pulses)), 1
        while len(open_):
            left = float((pulses[open_] - reached[open_]).max())
            draws = int(left / self.mean * 1.1) + 16
            gaps = np.searchsorted(self.cdf, uniforms(keys[open_], first, draws))
            at = reached[open_, None] + np.cumsum(gaps, axis=1)
            spikes[open_] += (at <= pulses[open_, None]).sum(axis=1, dtype=np.int32)
            reached[open_] = at[:, -1]
            open_, first = open_[at[:, -1] <= pulses[open_]], first + draws
        return spikes


@dataclass(frozen=True)
class SlotPlan:
    """Times of a slot from the fall of its reset, s."""

    guard_s: float
    width_s: float
    settle_s: float

    @classmethod
    def of(cls, ticks: SlotTicks) -> SlotPlan:
        """From whole ticks, so that the model sees what a source would make."""
        return cls(ticks.guard * ticks.tick_s, ticks.width * ticks.tick_s, ticks.settle * ticks.tick_s)


def nested_table(
    model: NeuronModel, board: BoardSettings, vth_v: float, plan: SlotPlan, period_s: float, most_pulses: int
) -> SpikeTable:
    """The table for one dendrite period: one long train, looked at after every pulse as if it were the last."""
    keys = sequence_keys(_SEED, 0, NESTED_NEURONS)
    state = fresh(model, keys)
    rows = [_ended(model, board, vth_v, state, keys, -1, (plan.guard_s, plan.guard_s + plan.settle_s))]
    total = _counted(
        sense(model, board, vth_v, state, keys, -1, np.full(len(keys), plan.guard_s)), len(keys), plan.guard_s, np.inf
    )
    for k in range(most_pulses):
        rise = np.full(len(keys), plan.guard_s + k * period_s)
        apply_pulse(model, state, keys, k, rise, rise + plan.width_s)
        end = plan.guard_s + (k + 1) * period_s + plan.settle_s
        rows.append(total + _ended(model, board, vth_v, state, keys, k, (plan.guard_s, end)))
        rounds = sense(model, board, vth_v, state, keys, k, rise + period_s)
        total = total + _counted(rounds, len(keys), plan.guard_s, np.inf)
    return _tabulate(rows)


def fixed_table(
    model: NeuronModel,
    board: BoardSettings,
    vth_v: float,
    plan: SlotPlan,
    window_s: float,
    periods_s: NDArray[np.float64],
) -> SpikeTable:
    """The table for slots of one window, whose period differs with the count: periods_s (N + 1,)."""
    rows = []
    end = plan.guard_s + window_s + plan.settle_s
    for n, period in enumerate(periods_s):
        m = max(1 << 10, min(FIXED_NEURONS, (1 << 24) // max(n, 1)))
        full = np.full(m, end)
        trains = regular_trains(np.full(m, n), plan.guard_s, np.full(m, period), plan.width_s, full)
        firings = fire(model, board, vth_v, trains, sequence_keys(_SEED, n * FIXED_NEURONS, m))
        inside = (firings.axon_s >= plan.guard_s) & (firings.axon_s < end)
        rows.append(np.bincount(firings.segment[inside], minlength=m))
    return _tabulate(rows)


def gap_table(
    model: NeuronModel, board: BoardSettings, vth_v: float, plan: SlotPlan, period_s: float
) -> GapTable | None:
    """The gaps at one dendrite period, from neurons played for GAP_PULSES.

    None where gaps do not tell all: neurons that fire too rarely, or without pulses, when V_th is within the low state.
    """
    period = np.full(GAP_NEURONS, period_s)
    end = plan.guard_s + GAP_PULSES * period + plan.settle_s
    trains = regular_trains(np.full(GAP_NEURONS, GAP_PULSES), plan.guard_s, period, plan.width_s, end)
    firings = fire(model, board, vth_v, trains, sequence_keys(_SEED, 0, GAP_NEURONS))
    if len(firings.pulse) < GAP_NEURONS * RAREST_FIRING * GAP_PULSES:
        return None
    gaps = np.diff(firings.pulse)[np.diff(firings.segment) == 0]
    if (gaps == 0).mean() > BY_ITSELF:
        return None
    return GapTable(np.cumsum(np.bincount(gaps)) / len(gaps), max(float(gaps.mean()), 0.5))


def _ended(
    model: NeuronModel,
    board: BoardSettings,
    vth_v: float,
    state: State,
    keys: U64,
    k: int,
    within_s: tuple[float, float],
) -> NDArray[np.int64]:
    """Spikes after pulse k, from when to when the slot ends; `state` is left alone."""
    begin_s, end_s = within_s
    last = State(state.y.copy(), state.since_s.copy())
    rounds = sense(model, board, vth_v, last, keys, k, np.full(len(keys), end_s))
    return _counted(rounds, len(keys), begin_s, end_s)


def _counted(
    rounds: list[tuple[NDArray[np.intp], NDArray[np.float64]]], neurons: int, begin_s: float, end_s: float
) -> NDArray[np.int64]:
    total = np.zeros(neurons, dtype=np.int64)
    for who, axon in rounds:
        total[who[(axon >= begin_s) & (axon < end_s)]] += 1
    return total


def _tabulate(rows: list[NDArray[np.int64]]) -> SpikeTable:
    width = max(int(r.max()) for r in rows) + 1
    cdf = np.stack([np.cumsum(np.bincount(r, minlength=width)) / len(r) for r in rows])
    return SpikeTable((np.arange(len(rows))[:, None] + cdf).ravel(), width)

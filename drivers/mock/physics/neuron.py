"""The memristive neuron: what dendrite pulses do to it, and when its axon fires.

The state is y = ln(R / R_LRS). Equation (1) of Wang et al. (Sci. Rep. 8:12546, 2018), dy/dt = −L(y) + g(y, t)·u,
becomes

* L: y relaxes to 0 with time constant `leak_s`;
* g·u: a dendrite pulse adds `step`·(1 − y/y_HRS)·ξ with ξ lognormal of mean 1, or, with `jump_probability`, carries y a
  random fraction of the way to the high-resistance state: "most pulses change little, some jump".

While no pulse is applied a fixed current turns R into the membrane voltage, which approaches I_sense·R with the time
constant of its node: V_m = I_sense·R·(1 − exp(−t/τ_node)), starting from 0 after every pulse, or where the pulse's end
has pushed it (charge injection, crosstalk). The comparator fires when
V_m passes V_th + offset + noise (one draw a sensing interval); the axon rises after its delay, and the board meanwhile
returns the memristor to a freshly drawn low-resistance state. A slot's reset does the same. Pulses that arrive while
the board is doing that have no effect. The leak is slow against the node, so y counts as constant while V_m rises.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from drivers.device import validation_line
from drivers.errors import InputError
from drivers.mock.physics.draws import DRAWS, REFIRE, Drawn, drawn, pulse_by_pulse
from drivers.mock.physics.random import U64, normal

if TYPE_CHECKING:
    from drivers.device import DeviceFile
    from drivers.settings import BoardSettings

Floats = NDArray[np.float64]
OVERDRIVE_SHARES = (0.25, 2.0)  # of axon_delay_s: 300 ns with a large overdrive; assumed with hardly any
CROSSTALK_ROUNDS = 3  # to find when a threshold is passed that dies away meanwhile: to 1 ns


class NeuronModel(BaseModel):
    """Parameters of the simulated neuron; every one is fitted or assumed, none is measured on the paper's device.

    Sources: 40 kΩ initial resistance, Hu et al. (Nat. Commun. 6:7522, 2015); lognormal steps in ln R and lognormal low
    state, "Statistical assessment of endurance degradation …" (2013); offset ±2 / ±5 mV, TI LM339.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    r_lrs_ohm: float = Field(gt=0)
    lrs_spread: float = Field(ge=0, le=1, description="standard deviation of ln R in the low-resistance state")
    y_hrs: float = Field(gt=0, le=20, description="ln(R_HRS / R_LRS)")
    step: float = Field(gt=0, description="mean step of ln R a pulse, from the low-resistance state")
    step_spread: float = Field(ge=0, le=3, description="standard deviation of ln step")
    jump_probability: float = Field(ge=0, le=1)
    jump_least: float = Field(
        default=0.5, ge=0, le=1, description="least fraction of the way to y_HRS that a jump goes"
    )
    leak_s: float = Field(gt=0, description="time constant of the relaxation of y; inf for none")
    node_s: float = Field(ge=0, description="time constant of the membrane node")
    i_sense_a: float = Field(gt=0)
    comparator_offset_v: float = 0.0
    comparator_noise_v: float = Field(default=0.0, ge=0)
    slow_overdrive_v: float = Field(
        default=0.0, ge=0, description="overdrive at which the comparator takes axon_delay_s; 0: always does"
    )
    injected_v: float = Field(default=0.0, ge=0, description="what a pulse's end takes off the node: a switch's charge")
    crosstalk_v: float = Field(default=0.0, ge=0, description="what its edge takes off besides, dying away")
    crosstalk_s: float = Field(default=80e-9, gt=0, description="time constant of the latter")
    step_drift_per_gigapulse: float = Field(default=0.0, description="relative change of step in 1e9 pulses")
    lrs_drift_per_gigapulse: float = Field(default=0.0, description="change of ln R_LRS in 1e9 pulses")
    change_at_pulses: int | None = Field(default=None, ge=0, description="from here on the step is changed abruptly")
    change_factor: float = Field(default=1.0, gt=0)

    def aged(self, pulses: int) -> NeuronModel:
        """The model after `pulses` dendrite pulses: slow history enters only here."""
        gigapulses = pulses * 1e-9
        changed = self.change_at_pulses is not None and pulses >= self.change_at_pulses
        step = self.step * (1 + self.step_drift_per_gigapulse * gigapulses) * (self.change_factor if changed else 1.0)
        r_lrs = self.r_lrs_ohm * float(np.exp(self.lrs_drift_per_gigapulse * gigapulses))
        if (step, r_lrs) == (self.step, self.r_lrs_ohm):
            return self
        return self.model_copy(update={"step": max(step, 1e-9), "r_lrs_ohm": r_lrs})


def neuron_model(device: DeviceFile) -> NeuronModel:
    """The parameters in a device file; raises InputError where they are missing or wrong."""
    if device.model is None:
        raise InputError(f"device {device.id!r} has no [model] table: it can be used on a real bench only")
    try:
        return NeuronModel.model_validate(device.model)
    except ValidationError as error:
        raise InputError(f"device {device.id!r}: [model]: {validation_line(error)}") from error


@dataclass(frozen=True)
class Trains:
    """Pulse trains of many segments, a segment being the time from one reset to the next.

    `offsets` (segments + 1,) into the flat arrays `rise_s`, `fall_s` (pulses,); `end_s` (segments,). Times are seconds
    from the fall of the reset that begins the segment.
    """

    offsets: NDArray[np.int64]
    rise_s: Floats
    fall_s: Floats
    end_s: Floats

    def __len__(self) -> int:
        return len(self.end_s)


def regular_trains(
    pulses: NDArray[np.integer], first_s: float, period_s: Floats, width_s: float, end_s: Floats
) -> Trains:
    """Trains of `pulses` (segments,) equally spaced pulses, the first `first_s` after the reset."""
    offsets = np.concatenate([[0], np.cumsum(pulses, dtype=np.int64)])
    k = np.arange(offsets[-1]) - np.repeat(offsets[:-1], pulses)
    rise = first_s + k * np.repeat(period_s, pulses)
    return Trains(offsets, rise, rise + width_s, end_s)


@dataclass(frozen=True)
class Firings:
    """Axon spikes: segment (spikes,), pulse after which it fired (−1: before any), and when the axon rose, s."""

    segment: NDArray[np.intp]
    pulse: NDArray[np.int64]
    axon_s: Floats


@dataclass(frozen=True)
class Pieces:
    """The membrane's history: from `start_s` on the node senses y (nan: it is grounded) until the next piece."""

    segment: NDArray[np.intp]
    start_s: Floats
    y: Floats


@dataclass
class State:
    """Neurons side by side: y as it was at `since_s`; the board holds each until then if it has just fired."""

    y: Floats
    since_s: Floats


def fresh(model: NeuronModel, keys: U64) -> State:
    """Neurons just reset."""
    return State(_low_state(model, keys, -1), np.zeros(len(keys)))


def _low_state(model: NeuronModel, keys: U64, k: int, again: int = 0) -> Floats:
    if model.lrs_spread == 0:
        return np.zeros(len(keys))
    return model.lrs_spread * normal(keys, (k + 1) * DRAWS + 4 + again * REFIRE)


def apply_pulse(
    model: NeuronModel, state: State, keys: U64, k: int, rise_s: Floats, fall_s: Floats, chance: Drawn | None = None
) -> None:
    """Let pulse number k act on the first len(rise_s) neurons (in place); `chance` is drawn here if it has not been."""
    m = len(rise_s)
    chance = _drawn(model, keys[:m], k) if chance is None else chance
    y, since = state.y[:m], state.since_s[:m]
    now = y if np.isinf(model.leak_s) else y * np.exp(np.minimum(since - rise_s, 0.0) / model.leak_s)
    new = now + model.step * np.maximum(1 - now / model.y_hrs, 0.0) * chance.step
    if len(jumps := chance.jumps):
        new[jumps] = now[jumps] + chance.fraction * np.maximum(model.y_hrs - now[jumps], 0.0)
    np.minimum(new, np.maximum(model.y_hrs, now), out=new)
    np.copyto(y, new, where=since <= rise_s)  # else the board holds it
    np.maximum(since, fall_s, out=since)  # the comparator is blanked while the pulse lasts


def _drawn(model: NeuronModel, keys: U64, k: int) -> Drawn:
    return drawn(model, keys, np.full(len(keys), k, dtype=np.int64))


def sense(
    model: NeuronModel,
    board: BoardSettings,
    vth_v: float,
    state: State,
    keys: U64,
    k: int,
    end_s: Floats,
    chance: Drawn | None = None,
) -> list[tuple[NDArray[np.intp], Floats]]:
    """Sense the first len(end_s) neurons after pulse k until `end_s`; returns (neuron, axon rise) of each round.

    A neuron that fires is returned to a low-resistance state, and may fire again if that is above the threshold too.
    """
    rounds: list[tuple[NDArray[np.intp], Floats]] = []
    m, low_v = len(end_s), model.i_sense_a * model.r_lrs_ohm
    theta = _threshold(model, vth_v, keys[:m], k, 0) if chance is None else _noisy(model, vth_v, m, chance.noise_v)
    start, end, v_end = state.since_s[:m], end_s, low_v * np.exp(state.y[:m])
    who, again = np.arange(m), 0
    while len(above := np.flatnonzero((theta / v_end < 1) & (start < end))):
        theta, v_end, end = theta[above], v_end[above], end[above]
        cross = start[above] + _crossing(model, theta, v_end, after_pulse=k >= 0 and again == 0)
        fired = np.flatnonzero(cross < end)
        who = who[above[fired]]
        if not len(who):
            break
        axon = cross[fired] + _delay(model, board, v_end[fired] - theta[fired])
        rounds.append((who, axon))
        again += 1
        low, theta = _begun_anew(model, vth_v, keys, who, (k, again), chance)
        state.y[who] = low
        state.since_s[who] = start = axon + board.axon_width_s
        end, v_end = end_s[who], low_v * np.exp(low)
    return rounds


def _begun_anew(
    model: NeuronModel, vth_v: float, keys: U64, who: NDArray[np.intp], after: tuple[int, int], chance: Drawn | None
) -> tuple[Floats, Floats]:
    """Neurons that have fired so often after pulse k: y, and the thresholds that they meet next."""
    k, again = after
    if again == 1 and chance is not None and chance.fired is not None:
        low, noise_v = (each if isinstance(each, float) else each[who] for each in chance.fired)
        return np.zeros(len(who)) + low, _noisy(model, vth_v, len(who), noise_v)
    return _low_state(model, keys[who], k, again), _threshold(model, vth_v, keys[who], k, again)


def _noisy(model: NeuronModel, vth_v: float, m: int, noise_v: Floats | float) -> Floats:
    return np.full(m, vth_v + model.comparator_offset_v) + noise_v


def _threshold(model: NeuronModel, vth_v: float, keys: U64, k: int, again: int) -> Floats:
    level = np.full(len(keys), vth_v + model.comparator_offset_v)
    if model.comparator_noise_v > 0:
        level += model.comparator_noise_v * normal(keys, (k + 1) * DRAWS + 3 + again * REFIRE)
    return level


def _delay(model: NeuronModel, board: BoardSettings, overdrive_v: Floats) -> Floats:
    """How long the comparator takes: as the square root of what the membrane will pass its threshold by (TI LM339)."""
    if model.slow_overdrive_v == 0:
        return np.full(len(overdrive_v), board.axon_delay_s)
    share = np.sqrt(model.slow_overdrive_v / np.maximum(overdrive_v, 1e-6))
    return board.axon_delay_s * np.clip(share, *OVERDRIVE_SHARES)


def rise_time(model: NeuronModel, theta: Floats, v_end: Floats, *, after_pulse: bool) -> Floats:
    """When a node passes theta on its way to v_end; inf if it never does.

    It starts at 0, or below it where the end of a pulse has taken charge off it; for a while the edge of that pulse
    takes off more.
    """
    time = np.full(len(theta), np.inf)
    passes = theta / v_end < 1
    time[passes] = _crossing(model, theta[passes], v_end[passes], after_pulse=after_pulse)
    return time


def _crossing(model: NeuronModel, goal: Floats, end: Floats, *, after_pulse: bool) -> Floats:
    """The same of nodes that do pass."""
    start_v = -model.injected_v if after_pulse else 0.0
    way = end - start_v
    found = -model.node_s * np.log1p(-np.maximum((goal - start_v) / way, 0.0))
    if after_pulse and model.crosstalk_v > 0:
        most = (goal + end) / 2
        for _ in range(CROSSTALK_ROUNDS):
            lifted = np.minimum(goal + model.crosstalk_v * np.exp(-found / model.crosstalk_s), most)
            found = -model.node_s * np.log1p(-np.maximum((lifted - start_v) / way, 0.0))
    return found


@dataclass(frozen=True)
class Midway:
    """A neuron in the middle of a segment: its state, how many pulses of it it has had, how often it fired since."""

    state: State
    pulses: int
    again: int = 0

    def later(self, by_s: float) -> Midway:
        """The same, with times counted from `by_s` later."""
        return Midway(State(self.state.y, self.state.since_s - by_s), self.pulses, self.again)


def fire(model: NeuronModel, board: BoardSettings, vth_v: float, trains: Trains, keys: U64) -> Firings:
    """Play the trains, one neuron a segment; `keys` (segments,) decides every random draw."""
    return _play(model, board, vth_v, trains, keys, None, None)


def membrane(
    model: NeuronModel, board: BoardSettings, vth_v: float, trains: Trains, keys: U64, midway: Midway | None = None
) -> Pieces:
    """The same neurons' membrane history, as pieces in order of segment and time.

    One train alone may go on with a neuron that is `midway`; it is taken not to fire before the train's first pulse.
    """
    log: list[tuple[NDArray[np.intp], Floats, Floats]] = []
    firings = _play(model, board, vth_v, trains, keys, log, midway)
    count = np.diff(trains.offsets)
    grounded = [
        (np.repeat(np.arange(len(trains)), count), trains.rise_s, np.full(len(trains.rise_s), np.nan)),
        (firings.segment, firings.axon_s, np.full(len(firings.axon_s), np.nan)),
    ]
    segment, start, y = (np.concatenate(columns) for columns in zip(*log, *grounded, strict=True))
    order = np.lexsort((start, segment))
    return Pieces(segment[order], start[order], y[order])


def _play(
    model: NeuronModel,
    board: BoardSettings,
    vth_v: float,
    trains: Trains,
    keys: U64,
    log: list[tuple[NDArray[np.intp], Floats, Floats]] | None,
    midway: Midway | None,
) -> Firings:
    count = np.diff(trains.offsets)
    order = np.argsort(-count, kind="stable")  # so that the neurons with a k-th pulse are always the first m
    count, first, end, keys = count[order], trains.offsets[:-1][order], trains.end_s[order], keys[order]
    state = fresh(model, keys) if midway is None else State(midway.state.y.copy(), midway.state.since_s.copy())
    had = 0 if midway is None else midway.pulses
    if midway is not None and log is not None:
        log.append((order, state.since_s.copy(), state.y.copy()))
    found: list[tuple[NDArray[np.intp], NDArray[np.int64], Floats]] = []

    def look(k: int, until_s: Floats, chance: Drawn | None) -> None:
        m = len(until_s)
        if log is not None:
            log.append((order[:m], state.since_s[:m].copy(), state.y[:m].copy()))
        for who, axon in sense(model, board, vth_v, state, keys, had + k, until_s, chance):
            found.append((order[who], np.full(len(who), k), axon))
            if log is not None:
                log.append((order[who], state.since_s[who].copy(), state.y[who].copy()))

    if midway is None:
        until = end.copy()
        pulsed = count > 0
        until[pulsed] = trains.rise_s[first[pulsed]]
        look(-1, until, None)
    flat = (first, trains.rise_s, trains.fall_s, end)
    for pulses in pulse_by_pulse(model, keys, flat, count, had):
        apply_pulse(model, state, keys, had + pulses.k, pulses.rise_s, pulses.fall_s, pulses.drawn)
        look(pulses.k, pulses.until_s, pulses.drawn)
    if not found:
        return Firings(np.empty(0, np.intp), np.empty(0, np.int64), np.empty(0))
    segment, pulse, axon = (np.concatenate(columns) for columns in zip(*found, strict=True))
    sort = np.lexsort((axon, segment))
    return Firings(segment[sort], pulse[sort], axon[sort])

"""The mock bench: the twin's neuron in process, behind the same seam as the hardware."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from drivers.errors import UnsafeError
from drivers.mock.physics.counts import GapTable, SlotPlan, SpikeTable, fixed_table, gap_table, nested_table
from drivers.mock.physics.neuron import NeuronModel, fire, neuron_model, regular_trains
from drivers.mock.physics.random import slot_keys, uniform
from drivers.signals import Capture, Frame, IntArray, SlotTiming, Stray, nothing_played
from drivers.timing import length_ticks, period_ticks, seconds, shots, slot_ticks

if TYPE_CHECKING:
    from drivers.benchfile import BenchFile
    from drivers.device import DeviceFile
    from drivers.mock.scoped import ScopedBoard

TICK_S = 1e-6  # as pigpio: what is planned here can be played there
SIDE_BY_SIDE_PULSES = 1 << 22  # simulated at a time: some 150 MB for their times
LONG_TRAIN = 128  # pulses; longer trains are sampled firing by firing
_SPIKE_DRAW = 0


class MockBench:
    """A bench without hardware.

    fidelity "pulses" plays every pulse; "counts" samples the spike-count distribution of the same model. With `traces`
    every shot is also put through a simulated oscilloscope and decoded from its codes, as on a real bench.
    Every draw depends on (seed, frame key, slot identity) alone.
    """

    def __init__(
        self,
        file: BenchFile,
        device: DeviceFile,
        *,
        seed: int = 0,
        fidelity: Literal["pulses", "counts"] = "pulses",
        traces: bool = False,
    ) -> None:
        self.file = file
        self.device = device
        self.seed = seed
        self.fidelity = fidelity
        self._model = neuron_model(device)
        self._vth_v: float | None = None
        self._tables: dict[tuple[SlotTiming, float, NeuronModel], _Tables] = {}
        self._scoped = _scoped(file, device) if traces else None

    @property
    def identity(self) -> dict[str, str]:
        """What is behind the seam."""
        return {"bench": self.file.name, "kind": "mock", "device": self.device.id, "fidelity": self.fidelity}

    @property
    def tick_s(self) -> float:
        """1 µs, as pigpio."""
        return TICK_S

    @property
    def temperature_c(self) -> float | None:
        """None: the twin's neuron has no temperature."""
        return None

    @property
    def spent_s(self) -> dict[str, float]:
        """Empty: nobody waits for anything."""
        return {}

    @property
    def threshold_v(self) -> float | None:
        """V_th, None while parked."""
        return self._vth_v

    def set_threshold(self, volts: float) -> float:
        """Set V_th, made just as asked; raises InputError outside the bench's limits."""
        self.file.check_threshold(volts)
        self._vth_v = volts
        return volts

    def make_safe(self) -> None:
        """Park V_th; there is nothing else to bring to rest."""
        self._vth_v = None

    def __enter__(self) -> MockBench:
        return self

    def __exit__(self, *exc: object) -> None:
        self.make_safe()

    def play(self, frames: Iterable[Frame]) -> Iterator[Capture]:
        """Play frames shot by shot; see `drivers.bench.Bench.play`."""
        try:
            for frame in frames:
                self.file.check_frame(frame)
                for together in self._side_by_side(shots(frame, TICK_S)):
                    yield from self._play_shots(together)
        except BaseException:
            self.make_safe()
            raise

    def _side_by_side(self, cut: Iterable[Frame]) -> Iterator[list[Frame]]:
        """Consecutive shots of a frame in groups whose neurons may be simulated together, which saves time only.

        A step of the simulation takes one pulse of all of them, and hardly longer for many; a shot of long trains has
        few. What a neuron draws is its own affair, so the counts are those of shots one by one.
        """
        group: list[Frame] = []
        pulses = 0
        for shot in cut:
            pulses += shot.total_pulses
            alone = not self._pulse_by_pulse or pulses > SIDE_BY_SIDE_PULSES
            if group and (alone or self._aged(shot) != self._aged(group[0])):
                yield group
                group, pulses = [], shot.total_pulses
            group.append(shot)
        if group:
            yield group

    @property
    def _pulse_by_pulse(self) -> bool:
        return self._scoped is None and self.fidelity == "pulses"

    def _aged(self, shot: Frame) -> NeuronModel:
        return self._model.aged(shot.pulses_before)

    def _play_shots(self, group: list[Frame]) -> Iterator[Capture]:
        """One after another, at the V_th that each finds."""
        played: list[_Fired] = []
        at_v: float | None = None
        for i, shot in enumerate(group):
            if self._pulse_by_pulse and self._vth_v is not None and self._vth_v != at_v:
                at_v = self._vth_v
                played = self._played([(each, np.flatnonzero(each.played)) for each in group[i:]], at_v)
            yield self._play_shot(shot, played.pop(0) if played else None)

    def _play_shot(self, shot: Frame, fired: _Fired | None) -> Capture:
        if self._vth_v is None:
            raise UnsafeError("V_th is parked: set_threshold before playing")
        slots = np.flatnonzero(shot.played)
        if not len(slots):
            return nothing_played(shot)
        if self._scoped is not None:
            return self._scoped.play(shot, self._vth_v, slot_keys(self.seed, shot, slots))
        lengths = length_ticks(shot, TICK_S)
        spikes = np.zeros(len(shot), dtype=np.int32)
        fired = _Fired(self._sampled(shot, slots, self._vth_v)) if fired is None else fired
        spikes[slots] = fired.spikes
        lead = slot_ticks(shot.timing, TICK_S).lead
        return Capture(
            frame=shot,
            spikes=spikes,
            slot_s=seconds(lengths, TICK_S),
            ok=np.ones(len(shot), dtype=np.bool_),
            bench_s=float(lengths.sum() + lead) * TICK_S,
            stray=Stray(guard=fired.in_guard),
        )

    def _played(self, group: list[tuple[Frame, NDArray[np.intp]]], vth_v: float) -> list[_Fired]:
        """Pulse by pulse, some slots of each shot: axons in a slot's window count, those in its guard are stray."""
        ticks = slot_ticks(group[0][0].timing, TICK_S)
        guard_s = ticks.guard * TICK_S
        pulses, length, period, keys = (
            np.concatenate(columns)
            for columns in zip(
                *(
                    (
                        shot.pulses[slots],
                        length_ticks(shot, TICK_S)[slots],
                        period_ticks(shot, TICK_S)[slots],
                        slot_keys(self.seed, shot, slots),
                    )
                    for shot, slots in group
                ),
                strict=True,
            )
        )
        end_s = seconds(length - ticks.lead + ticks.guard, TICK_S)
        trains = regular_trains(pulses, guard_s, seconds(period, TICK_S), ticks.width * TICK_S, end_s)
        firings = fire(self._aged(group[0][0]), self.file.board, vth_v, trains, keys)
        inside = (firings.axon_s >= guard_s) & (firings.axon_s < end_s[firings.segment])
        bounds = np.cumsum([len(slots) for _, slots in group])[:-1]
        counts, strays = (
            np.split(np.bincount(firings.segment[which], minlength=len(pulses)), bounds) for which in (inside, ~inside)
        )
        return [_Fired(count.astype(np.int32), int(stray.sum())) for count, stray in zip(counts, strays, strict=True)]

    def _sampled(self, shot: Frame, slots: NDArray[np.intp], vth_v: float) -> IntArray:
        """From tables: one for short trains, another for long ones; played where there is no table."""
        model = _coarsely_aged(self._model, shot.pulses_before)
        tables = self._tables_for(shot.timing, vth_v, model)
        pulses, keys = shot.pulses[slots], slot_keys(self.seed, shot, slots)
        spikes = np.zeros(len(slots), dtype=np.int32)
        short = pulses <= LONG_TRAIN
        most = int(pulses[short].max(initial=0))
        if tables.short is None or tables.short.most_pulses < most:
            tables.short = self._short_table(model, shot.timing, max(32, 1 << (most - 1).bit_length()), vth_v)
        spikes[short] = tables.short.sample(pulses[short], uniform(keys[short], _SPIKE_DRAW))
        long = np.flatnonzero(~short)
        if len(long) and shot.timing.mode == "adaptive" and not tables.long_tried:
            tables.long = gap_table(model, self.file.board, vth_v, _plan(shot.timing), _period_s(shot.timing))
            tables.long_tried = True
        if len(long) and tables.long is not None:
            spikes[long] = tables.long.sample(pulses[long], keys[long])
        elif len(long):
            spikes[long] = self._played([(shot, slots[long])], vth_v)[0].spikes
        return spikes

    def _tables_for(self, timing: SlotTiming, vth_v: float, model: NeuronModel) -> _Tables:
        return self._tables.setdefault((timing, vth_v, model), _Tables())

    def _short_table(self, model: NeuronModel, timing: SlotTiming, most: int, vth_v: float) -> SpikeTable:
        if timing.mode == "adaptive":
            return nested_table(model, self.file.board, vth_v, _plan(timing), _period_s(timing), most)
        window = int(timing.window_s / TICK_S + 1e-6)
        periods_s = window // np.maximum(np.arange(most + 1), 1) * TICK_S
        return fixed_table(model, self.file.board, vth_v, _plan(timing), window * TICK_S, periods_s)


@dataclass(frozen=True)
class _Fired:
    """What a shot's played slots counted, and how many more spikes came in the guard times."""

    spikes: IntArray
    in_guard: int = 0


@dataclass
class _Tables:
    """What one V_th and timing of one (aged) model needs to be sampled; each made when first wanted."""

    short: SpikeTable | None = None
    long: GapTable | None = None
    long_tried: bool = False  # not every model and timing has one


def _plan(timing: SlotTiming) -> SlotPlan:
    return SlotPlan.of(slot_ticks(timing, TICK_S))


def _period_s(timing: SlotTiming) -> float:
    return max(1, round(1 / (timing.dendrite_clock_hz * TICK_S))) * TICK_S


def _scoped(file: BenchFile, device: DeviceFile) -> ScopedBoard:
    from drivers.mock.scoped import ScopedBoard

    return ScopedBoard(file, device)


def _coarsely_aged(model: NeuronModel, pulses: int) -> NeuronModel:
    """The aged model in steps of 0.1 %, so that slow drift does not ask for a new table every frame."""
    aged = model.aged(pulses)
    step, r_lrs = (round(aged.step / model.step, 3), round(aged.r_lrs_ohm / model.r_lrs_ohm, 3))
    if (step, r_lrs) == (1.0, 1.0):
        return model
    return model.model_copy(update={"step": model.step * step, "r_lrs_ohm": model.r_lrs_ohm * r_lrs})

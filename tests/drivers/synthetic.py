"""Shots as voltages, written down edge by edge: a signal source that knows no neuron."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from drivers.mock.defects import Wire
from drivers.mock.probe import CODES_A_DIVISION, NOISE_CODES, Screen, render
from drivers.signals import Frame, SlotTiming, Trace, probe_frame
from drivers.timing import length_ticks, slot_ticks

TICK_S = 1e-6
AXON_S = 2e-6
STEP_S = AXON_S / 5
HIGH_V = 3.3


@dataclass
class Shot:
    """Where every slot of a frame starts (ns), and the axon pulses somebody puts on it."""

    frame: Frame
    begin_ns: int = 20_000
    axon_ns: list[int] = field(default_factory=list)
    late_ns: dict[int, int] = field(default_factory=dict)  # played slot → how much longer it lasts

    def __post_init__(self) -> None:
        ticks = length_ticks(self.frame, TICK_S)[self.frame.played]
        lengths = np.round(ticks * (TICK_S * 1e9)).astype(np.int64)
        for slot, extra in self.late_ns.items():
            lengths[slot] += extra
        self.edges_ns = self.begin_ns + np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        self.lead_ns = round(slot_ticks(self.frame.timing, TICK_S).lead * TICK_S * 1e9)

    @property
    def end_ns(self) -> int:
        return int(self.edges_ns[-1]) + self.lead_ns + 20_000

    def spike(self, slot: int, after_sync_fall_ns: int) -> None:
        self.axon_ns.append(int(self.edges_ns[slot]) + self.lead_ns + after_sync_fall_ns)

    def traces(
        self, *, step_s: float = STEP_S, phase_ns: int = 0, volts_per_div: float = 0.5, seed: int = 1, gain: float = 1.0
    ) -> list[Trace]:
        sync = levels(self.edges_ns, self.lead_ns)
        axon = levels(np.sort(np.array(self.axon_ns, dtype=np.int64)), round(AXON_S * 1e9))
        return self.rendered({"axon": axon, "sync": sync}, step_s, phase_ns, volts_per_div, seed, gain)

    def rendered(
        self,
        sources: dict[str, Levels],
        step_s: float = STEP_S,
        phase_ns: int = 0,
        volts_per_div: float = 0.5,
        seed: int = 1,
        gain: float = 1.0,
    ) -> list[Trace]:
        def volts(name: str, t_ns: NDArray[np.int64]) -> NDArray[np.float64]:
            return gain * sources[name].volts(t_ns)

        n = int((self.end_ns - phase_ns) * 1e-9 / step_s)
        return [render(volts, name, Screen(phase_ns, step_s, n, volts_per_div), seed) for name in sources]

    def wires(self, axon_ns: int = round(AXON_S * 1e9)) -> dict[str, Wire]:
        """`axon` and `sync`, to put defects on."""
        made = {}
        for name, rise, width in (
            ("axon", np.sort(np.array(self.axon_ns, dtype=np.int64)), axon_ns),
            ("sync", self.edges_ns, self.lead_ns),
        ):
            made[name] = Wire(levels(rise, width).volts, between(rise), width)
        return made

    def seen(
        self,
        wires: dict[str, Wire],
        *,
        step_s: float = STEP_S,
        phase_ns: int = 0,
        volts_per_div: float = 0.5,
        seed: int = 1,
        snr_db: float | None = None,
    ) -> list[Trace]:
        """Traces of wires; `snr_db` is the pulses' height over the rms of white noise."""
        n = int((self.end_ns - phase_ns) * 1e-9 / step_s)
        noise = NOISE_CODES if snr_db is None else HIGH_V * 10 ** (-snr_db / 20) * CODES_A_DIVISION / volts_per_div
        origin = round(-1.65 * CODES_A_DIVISION / volts_per_div)
        screen = Screen(phase_ns, step_s, n, volts_per_div, noise_codes=noise, origin=origin)
        return [render(lambda name, t: wires[name].volts(t), name, screen, seed) for name in wires]


def between(rise_ns: NDArray[np.int64]) -> Callable[[int, int], NDArray[np.int64]]:
    return lambda t0, t1: rise_ns[np.searchsorted(rise_ns, t0) : np.searchsorted(rise_ns, t1)]


@dataclass(frozen=True)
class Levels:
    """A logic signal by its edges: high from rise_ns to fall_ns."""

    rise_ns: NDArray[np.int64]
    fall_ns: NDArray[np.int64]

    def volts(self, t_ns: NDArray[np.int64]) -> NDArray[np.float64]:
        if not len(self.rise_ns):
            return np.zeros(len(t_ns))
        at = np.searchsorted(self.rise_ns, t_ns, side="right") - 1
        high = (at >= 0) & (t_ns < self.fall_ns[np.maximum(at, 0)])
        return np.where(high, HIGH_V, 0.0)


def levels(rise_ns: NDArray[np.int64], width_ns: int) -> Levels:
    return Levels(rise_ns, rise_ns + width_ns)


def shot_of(pulses: Sequence[int], timing: SlotTiming | None = None, **more: object) -> Shot:
    frame = probe_frame("test", timing or SlotTiming(), np.asarray(pulses, dtype=np.int32))
    return Shot(frame, **more)  # type: ignore[arg-type]

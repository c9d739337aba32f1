"""What the board's nets did in some stretch of time: levels, axon pulses and voltages, worked out of a copy.

An instrument keeps the stretch it has recorded; the board itself remembers for a while only.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from drivers.edges import DENDRITE, RESET, SELECT0, SYNC, Levels, Times
from drivers.errors import InputError
from drivers.mock.analog import coupled, shaped, wandering
from drivers.mock.physics.membrane import Segments, membrane_volts
from drivers.mock.roughness import LOGIC_V, MEMBRANE_SHARE, SMOOTH, Roughness

if TYPE_CHECKING:
    from drivers.mock.physics.neuron import NeuronModel
    from drivers.settings import BoardSettings

BITS = {"dendrite": DENDRITE, "reset": RESET, "sync": SYNC}


@dataclass(frozen=True)
class Past:
    """A stretch of the board's history; times are the board's, ns."""

    settings: BoardSettings
    faults: frozenset[str]
    model: NeuronModel
    t_ns: Times  # level changes (n,), the first the one that was in force when the stretch began
    levels: Levels
    segments: Sequence[Segments]
    vth: tuple[tuple[int, float], ...]  # since when, V
    rough: Roughness = SMOOTH

    def lines(self, t0_ns: int, t1_ns: int) -> tuple[Times, Levels]:
        """Level changes in [t0, t1): times and words; the first row is the state at t0."""
        first = max(0, int(np.searchsorted(self.t_ns, t0_ns, side="right")) - 1)
        last = int(np.searchsorted(self.t_ns, t1_ns, side="left"))
        t = self.t_ns[first:last].copy()
        if len(t):
            t[0] = max(int(t[0]), t0_ns)
        return t, self.levels[first:last].copy()

    def axon(self, t0_ns: int, t1_ns: int) -> tuple[Times, Times]:
        """Axon pulses that rise in [t0, t1): when they rise and fall, as the comparator's output pin shows them."""
        width = round(self.settings.axon_width_s * 1e9)
        rise = self._rises(t0_ns, t1_ns)
        if "stuck_axon_low" in self.faults:
            return rise[:0], rise[:0]
        if "stuck_axon_high" in self.faults:
            return np.array([t0_ns]), np.array([t1_ns])
        if "inverted_comparator" in self.faults:
            low = self._rises(t0_ns - width, t1_ns)
            rises, falls = np.append(t0_ns, low + width), np.append(low, t1_ns)
            return rises[rises < falls], falls[rises < falls]
        return rise, rise + width

    def axon_levels(self, t0_ns: int, t1_ns: int) -> tuple[Times, NDArray[np.bool_]]:
        """Levels of the axon in [t0, t1): times and whether it is high; the first row is the state at t0."""
        width = round(self.settings.axon_width_s * 1e9)
        rise = self._rises(t0_ns - width, t1_ns)
        if self.faults & {"stuck_axon_high", "stuck_axon_low"}:
            rise = rise[:0]
        slow = round(math.log(2) * self.rough.axon_rise_s * 1e9)  # the pull-up reaches half of the supply later
        edges = np.stack([rise + slow, rise + width], axis=1).ravel()
        high = np.arange(1, len(edges) + 1) % 2 == 1
        before = int(np.searchsorted(edges, t0_ns, side="right"))
        inside = slice(before, int(np.searchsorted(edges, t1_ns)))
        t, levels = np.append(t0_ns, edges[inside]), np.append(before % 2 == 1, high[inside])
        return t, levels ^ bool(self.faults & {"stuck_axon_high", "inverted_comparator"})

    def volts(self, signal: str, t_ns: Times) -> NDArray[np.float64]:
        """What a ×1 probe on `signal` sees at the times t_ns (n,), ascending; V, without the scope's noise."""
        if len(t_ns) == 0:
            return np.empty(0)
        if "sync_axon_swapped" in self.faults:
            signal = {"sync": "axon", "axon": "sync"}.get(signal, signal)
        volts = self._clean_volts(signal, t_ns) if not self.rough.rough else self._rough_volts(signal, t_ns)
        return volts + wandering(t_ns, self.rough) if self.rough.rough else volts

    def _rough_volts(self, signal: str, t_ns: Times) -> NDArray[np.float64]:
        """With finite edges that ring, and what couples in from the dendrite."""
        rough = self.rough
        dendrite_ns, dendrite_v = self._edges(DENDRITE)
        if signal in ("membrane", "vth"):
            volts = self._clean_volts(signal, t_ns)
            if signal == "membrane":
                volts = volts + coupled(
                    t_ns, dendrite_ns, np.diff(dendrite_v), rough.crosstalk * MEMBRANE_SHARE, rough.crosstalk_decay_s
                )
                injected = np.where(np.diff(dendrite_v) < 0, -rough.charge_injection_v, 0.0)
                volts += coupled(t_ns, dendrite_ns, injected, 1.0, max(self.model.node_s, 1e-9))
            return volts
        if signal == "axon":
            edges_ns, levels_v = self._axon_edges(t_ns)
            volts = shaped(t_ns, edges_ns, levels_v, rough.axon_rise_s, rough.line_rise_s, rough)
            return volts + coupled(t_ns, dendrite_ns, np.diff(dendrite_v), rough.crosstalk, rough.crosstalk_decay_s)
        if signal == "sync" and "sync_missing" in self.faults:
            return np.zeros(len(t_ns))
        return shaped(t_ns, *self._edges(self._bit(signal)), rough.line_rise_s, rough.line_rise_s, rough)

    def _edges(self, bit: int) -> tuple[Times, NDArray[np.float64]]:
        """When a line changes (k,), and its volts before and after each (k + 1,)."""
        high = (self.levels & bit) != 0
        changed = np.flatnonzero(high[1:] != high[:-1]) + 1
        return self.t_ns[changed], np.where(np.concatenate([high[:1], high[changed]]), LOGIC_V, 0.0)

    def _axon_edges(self, t_ns: Times) -> tuple[Times, NDArray[np.float64]]:
        width = round(self.settings.axon_width_s * 1e9)
        rise = self._rises(int(t_ns[0]) - 2 * width, int(t_ns[-1]) + 1)
        if "stuck_axon_low" in self.faults or "stuck_axon_high" in self.faults:
            rise = rise[:0]
        edges = np.stack([rise, rise + width], axis=1).ravel()
        high = np.arange(len(edges) + 1) % 2 == 1
        if self.faults & {"stuck_axon_high", "inverted_comparator"}:
            high = ~high
        return edges, np.where(high, LOGIC_V, 0.0)

    def _clean_volts(self, signal: str, t_ns: Times) -> NDArray[np.float64]:
        if signal == "axon":
            return self._axon_volts(t_ns)
        if signal == "membrane":
            return membrane_volts(self.model, self.settings, self.segments, t_ns)
        if signal == "vth":
            since, volts = (np.array(column) for column in zip(*self.vth, strict=True))
            return np.asarray(volts[np.maximum(np.searchsorted(since, t_ns, side="right") - 1, 0)], dtype=np.float64)
        return self._logic_volts(signal, t_ns)

    @staticmethod
    def _bit(signal: str) -> int:
        if signal.startswith("select") and signal[6:].isdigit():
            return SELECT0 << int(signal[6:])
        if signal not in BITS:
            raise InputError(f"no signal {signal!r} on the board")
        return BITS[signal]

    def _logic_volts(self, signal: str, t_ns: Times) -> NDArray[np.float64]:
        bit = self._bit(signal)
        if signal == "sync" and "sync_missing" in self.faults:
            return np.zeros(len(t_ns))
        at = np.maximum(np.searchsorted(self.t_ns, t_ns, side="right") - 1, 0)
        return np.where(self.levels[at] & bit, LOGIC_V, 0.0)

    def _axon_volts(self, t_ns: Times) -> NDArray[np.float64]:
        if "stuck_axon_high" in self.faults:
            return np.full(len(t_ns), LOGIC_V)
        width = round(self.settings.axon_width_s * 1e9)
        rise = self._rises(int(t_ns[0]) - width, int(t_ns[-1]) + 1)
        last = np.searchsorted(rise, t_ns, side="right") - 1
        high = (last >= 0) & (t_ns < rise[np.maximum(last, 0)] + width) if len(rise) else np.zeros(len(t_ns), np.bool_)
        if "stuck_axon_low" in self.faults:
            high[:] = False
        if "inverted_comparator" in self.faults:
            high = ~high
        return np.where(high, LOGIC_V, 0.0)

    def _rises(self, t0_ns: int, t1_ns: int) -> Times:
        rise = np.sort(np.concatenate([s.axon_ns for s in self.segments]))
        return rise[np.searchsorted(rise, t0_ns) : np.searchsorted(rise, t1_ns)]

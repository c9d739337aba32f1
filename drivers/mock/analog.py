"""What wires, probes and grounds make of logic levels: finite edges, ringing, crosstalk, hum, drift."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from drivers.mock.roughness import Roughness

Times = NDArray[np.int64]
Volts = NDArray[np.float64]
_SETTLED = 12  # time constants after which an edge is over
_DRIFT_HZ = 1 / 97.0


def steps(t_ns: Times, edges_ns: Times, levels_v: Volts) -> tuple[NDArray[np.intp], Volts]:
    """For samples (n,): which edge was last (−1: none), and the level since; levels_v (k + 1,) around the edges."""
    last = np.searchsorted(edges_ns, t_ns, side="right") - 1
    return last, levels_v[last + 1]


def shaped(t_ns: Times, edges_ns: Times, levels_v: Volts, rise_s: float, fall_s: float, rough: Roughness) -> Volts:
    """A logic signal with edges (k,) between levels (k + 1,), at samples (n,): exponential edges that ring.

    An edge begins where the one before had got to.
    """
    last, volts = steps(t_ns, edges_ns, levels_v)
    if not len(edges_ns):
        return volts
    step = np.diff(levels_v)
    tau_ns = np.where(step > 0, rise_s, fall_s) * 1e9
    gap_ns = np.diff(edges_ns, prepend=edges_ns[0] - (1 << 40))
    missing = np.zeros(len(step))  # what the edge before had still to go
    missing[1:] = -step[:-1] * np.exp(-gap_ns[1:] / np.maximum(tau_ns[:-1], 1e-3))
    total = step - missing
    since = t_ns - edges_ns[np.maximum(last, 0)]
    moving = np.flatnonzero((last >= 0) & (since < _SETTLED * (tau_ns.max() + rough.ringing_decay_s * 1e9)))
    edge, dt = last[moving], since[moving]
    volts[moving] -= total[edge] * np.exp(-dt / np.maximum(tau_ns[edge], 1e-3))
    if rough.ringing > 0:
        swing = np.sin(dt * (2e-9 * np.pi * rough.ringing_hz)) * np.exp(-dt / (rough.ringing_decay_s * 1e9))
        volts[moving] += rough.ringing * step[edge] * swing
    return volts


def coupled(t_ns: Times, edges_ns: Times, step_v: Volts, share: float, decay_s: float) -> Volts:
    """What edges (k,) of another wire, with steps (k,), leave at samples (n,): a share that dies away."""
    volts = np.zeros(len(t_ns))
    if not len(edges_ns) or share == 0:
        return volts
    last = np.searchsorted(edges_ns, t_ns, side="right") - 1
    since = t_ns - edges_ns[np.maximum(last, 0)]
    near = np.flatnonzero((last >= 0) & (since < _SETTLED * decay_s * 1e9))
    volts[near] = share * step_v[last[near]] * np.exp(-since[near] / (decay_s * 1e9))
    return volts


def wandering(t_ns: Times, rough: Roughness) -> Volts:
    """Hum and drift at samples (n,)."""
    t = t_ns * 1e-9
    wander: Volts = rough.hum_v * np.sin(2 * np.pi * rough.hum_hz * t)
    wander += rough.drift_v * np.sin(2 * np.pi * _DRIFT_HZ * t)
    return wander

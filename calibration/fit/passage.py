"""Pulses to fire by equation (1) of the paper: a first passage with leak, computed on a grid of y = ln(R / R_LRS).

Wang et al. (Sci. Rep. 8:12546, 2018): dy/dt = −L(y) + g(y, t)·u. Between pulses y relaxes to 0 with the time constant
τ; a pulse adds a lognormal step that gets smaller towards the high-resistance state, or, with some probability, jumps
part of the way there; y starts from a normal low-resistance state and fires above ln(V_th / V_LRS). The distribution of
y is carried along from pulse to pulse, so there is no Monte-Carlo noise in what is fitted.
"""

from __future__ import annotations

import numpy as np
from scipy.special import expit, ndtr

from calibration.tally import Floats

PARAMETERS = (
    "threshold",  # ln(V_th / V_LRS)
    "ln lrs_spread",
    "ln y_hrs",
    "ln step",
    "ln step_spread",
    "logit jump_probability",
    "logit jump_least",
    "ln leak_s",
)
LEAK = PARAMETERS.index("ln leak_s")
_CELLS = 96
_BLUR = 0.01  # of the comparator, in ln V: noise of about 1 %; freeing it changes nothing
_EXTREME = np.full(len(PARAMETERS), 5.0)  # where a search may step on its way, and exp() must not overflow
_EXTREME[LEAK] = 40.0
_LOWEST = -0.8  # of y: four standard deviations of a wide low state


def first_passage(theta: Floats, periods_s: Floats, reach: int) -> tuple[Floats, Floats]:
    """P(N = k) of the first firing after a reset and of later ones, both (batch, clocks, reach), for θ (batch, 8).

    A later one differs where the leak is fast: after a firing a whole period passes before the next pulse.
    """
    theta = np.clip(theta, -_EXTREME, _EXTREME)
    threshold, y_hrs, leak_s = theta[:, 0], np.exp(theta[:, 2]), np.exp(theta[:, LEAK])
    width = (y_hrs - _LOWEST) / _CELLS
    y = _LOWEST + width[:, None] * (np.arange(_CELLS) + 0.5)  # (batch, cells)
    edges = _LOWEST + width[:, None] * np.arange(_CELLS + 1)
    step = _step_kernel(theta, y, edges, y_hrs)
    leak = _Leak(np.exp(-periods_s[None, :] / leak_s[:, None]), y, width)
    start = np.diff(ndtr(edges / np.exp(theta[:, 1])[:, None]), axis=1)
    start = np.repeat((start / start.sum(axis=1, keepdims=True))[:, None, :], len(periods_s), axis=1)
    fires = ndtr((y - threshold[:, None]) / _BLUR)[:, None, :]
    early, late = start @ step, leak.after(start) @ step
    return _absorb(early, leak, step, fires, reach), _absorb(late, leak, step, fires, reach)


def _absorb(now: Floats, leak: _Leak, step: Floats, fires: Floats, reach: int) -> Floats:
    """(batch, clocks, reach) what fires after each pulse; `now` (batch, clocks, cells) is y after the first."""
    pmf = np.empty((*now.shape[:2], reach))
    for k in range(reach):
        fired = now * fires
        pmf[..., k] = fired.sum(axis=-1)
        now = leak.after(now - fired) @ step
    return pmf


class _Leak:
    """One period of leak: y of every cell shrinks by `decay` (batch, clocks), its mass shared between two cells."""

    def __init__(self, decay: Floats, y: Floats, width: Floats) -> None:
        to = (decay[..., None] * y[:, None, :] - y[:, None, :1]) / width[:, None, None]
        below = np.clip(np.floor(to).astype(np.int64), 0, _CELLS - 2)
        self._share = np.clip(to - below, 0.0, 1.0)
        self._into = (below + _CELLS * np.arange(decay.size).reshape(*decay.shape, 1)).ravel()

    def after(self, mass: Floats) -> Floats:
        """(batch, clocks, cells) → the same, a period later."""
        upper = mass * self._share
        moved: Floats = np.bincount(self._into, (mass - upper).ravel(), mass.size).astype(np.float64)
        moved += np.bincount(self._into + 1, upper.ravel(), mass.size)
        after: Floats = moved.reshape(mass.shape)
        return after


def _step_kernel(theta: Floats, y: Floats, edges: Floats, y_hrs: Floats) -> Floats:
    """(batch, cells, cells) where a pulse takes y: row from, column to."""
    step, spread = np.exp(theta[:, 3]), np.exp(theta[:, 4])
    jump, least = expit(theta[:, 5]), expit(theta[:, 6])
    left = np.maximum(y_hrs[:, None] - y, 1e-9)  # (batch, cells) way to go
    scale = step[:, None] * left / y_hrs[:, None]
    gone = np.maximum(edges[:, None, :] - y[:, :, None], 0.0)  # (batch, from, edges)
    ln = np.log(np.maximum(gone / scale[:, :, None], 1e-12))
    gradual = ndtr((ln + spread[:, None, None] ** 2 / 2) / spread[:, None, None])
    share = (gone / left[:, :, None] - least[:, None, None]) / np.maximum(1 - least, 1e-6)[:, None, None]
    total = (1 - jump)[:, None, None] * gradual + jump[:, None, None] * np.clip(share, 0.0, 1.0)
    total[..., -1] = 1.0  # beyond the high-resistance state there is nothing
    kernel: Floats = np.diff(total, axis=-1)
    kernel[..., 0] += total[..., 0]
    return kernel

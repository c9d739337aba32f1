"""A neuron that forgets when it fires: from the distribution of pulses to fire to that of spikes in a slot.

After a firing, as after a reset, the memristor is in a fresh low-resistance state, so the numbers of pulses between
firings are independent and alike: a renewal process (Cox, "Renewal Theory", 1962, chapter 3). Then
P(S ≥ s | n pulses) = P(N₁ + … + N_s ≤ n), and P(S = 0 | n) = P(N > n).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
_LEAST = 1e-12  # a probability that rounding made zero or negative


def hazard_to_pmf(hazard: Floats) -> Floats:
    """P(N = k) (…, K) for k = 1…K from P(N = k | N ≥ k) (…, K)."""
    survival = np.cumprod(1 - hazard, axis=-1)
    before = np.concatenate([np.ones_like(survival[..., :1]), survival[..., :-1]], axis=-1)
    pmf: Floats = hazard * before
    return pmf


def count_probabilities(pmf: Floats, pulses: Ints, most_spikes: int, first: Floats | None = None) -> Floats:
    """P(S = s | n) (…, len(pulses), most_spikes + 1) for P(N = k) (…, K), k = 1…K, with K ≥ max(pulses).

    The last column is P(S ≥ most_spikes | n). `first` (…, K) is that of the first firing, where it differs.
    """
    reach = int(pulses.max(initial=0)) + 1
    size = 2 * reach
    step, total = np.zeros((2, *pmf.shape[:-1], size))
    step[..., 1:reach] = pmf[..., : reach - 1]
    total[..., 1:reach] = (pmf if first is None else first)[..., : reach - 1]
    transform = np.fft.rfft(step)
    at_least = [np.ones((*pmf.shape[:-1], len(pulses)))]
    for spikes in range(most_spikes):
        if spikes > 0:
            total = np.fft.irfft(np.fft.rfft(total) * transform, size)
            total[..., reach:] = 0.0
        at_least.append(np.cumsum(total, axis=-1)[..., pulses])
    at_least.append(np.zeros_like(at_least[0]))
    tail = np.stack(at_least, axis=-1)
    chances: Floats = np.clip(tail[..., :-1] - tail[..., 1:], _LEAST, 1.0)
    return chances


def moments(hazard: Floats) -> tuple[Floats, Floats]:
    """Mean and standard deviation of N (…) for hazards (…, K), the last of which goes on for ever."""
    survival = np.concatenate([np.ones_like(hazard[..., :1]), np.cumprod(1 - hazard, axis=-1)], axis=-1)
    k = np.arange(hazard.shape[-1])
    last, q = survival[..., -1], 1 - hazard[..., -1]
    h, reach = hazard[..., -1], hazard.shape[-1]
    mean = survival[..., :-1].sum(axis=-1) + last / h
    square = (survival[..., :-1] * (2 * k + 1)).sum(axis=-1) + last * ((2 * reach + 1) / h + 2 * q / h**2)
    return mean, np.sqrt(np.maximum(square - mean**2, 0.0))


def sample_counts(pmf: Floats, pulses: Ints, rng: np.random.Generator) -> Ints:
    """(slots,) spikes of slots of `pulses` (slots,), drawn from P(N = k) (K,), k = 1…K, with K ≥ max(pulses)."""
    levels, row = np.unique(pulses, return_inverse=True)
    cdf = np.cumsum(count_probabilities(pmf, levels, int(pulses.max(initial=0))), axis=-1)
    u = rng.random(len(pulses)) * cdf[row, -1]
    spikes: Ints = (u[:, None] > cdf[row]).sum(axis=1).astype(np.int64)
    return spikes

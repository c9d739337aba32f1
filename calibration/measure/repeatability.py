"""Is a slot like every other? Correlation from slot to slot, drift over the sweep, differences between addresses."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from calibration.estimate import Z_95, Estimate, Result
from calibration.tally import Floats

_LAGS = 8


class Repeatability(Result):
    """How slots of equal pulses differ beyond chance.

    `autocorrelation` of the standardised counts at lags of 1, 2, … slots: without memory all but one in twenty lie
    within ± `autocorrelation_limit`. `drift_per_megapulse` is the relative change of spikes in a million dendrite
    pulses, by regression. `address_p` is the p-value of equal means at all select addresses (one-way analysis of
    variance), null where there is one address.
    """

    autocorrelation: tuple[float, ...]
    autocorrelation_limit: float
    drift_per_megapulse: Estimate
    address_p: float | None


def repeatability(pulses: NDArray[np.integer], spikes: NDArray[np.integer], addresses: int) -> Repeatability:
    """From the pulses and spikes of slots (slots,), in the order they were played."""
    z, relative, weight = _standardised(pulses, spikes)
    lags = range(1, min(_LAGS, len(z) - 1) + 1)
    power = float(z @ z) or 1.0
    return Repeatability(
        autocorrelation=tuple(float(z[:-lag] @ z[lag:] / power) for lag in lags),
        autocorrelation_limit=Z_95 / float(np.sqrt(len(z))),
        drift_per_megapulse=_drift(np.cumsum(pulses) * 1e-6, relative, weight),
        address_p=_address_p(z, addresses),
    )


def _standardised(pulses: NDArray[np.integer], spikes: NDArray[np.integer]) -> tuple[Floats, Floats, Floats]:
    """(slots,) deviations from the mean of equal pulses: in standard deviations; relative; and the latter's weight."""
    level = np.unique(pulses, return_inverse=True)[1].reshape(-1)
    slots = np.bincount(level)
    mean = np.bincount(level, weights=spikes) / slots
    variance = np.bincount(level, weights=(spikes - mean[level]) ** 2) / np.maximum(slots - 1, 1)
    varies = (variance > 0)[level]
    sd, middle = np.sqrt(np.where(variance > 0, variance, 1.0))[level], np.where(mean > 0, mean, 1.0)[level]
    deviation = np.where(varies, spikes - mean[level], 0.0)
    return deviation / sd, deviation / middle, np.where(varies, (middle / sd) ** 2, 0.0)


def _drift(megapulses: Floats, relative: Floats, weight: Floats) -> Estimate:
    if not weight.any() or megapulses[-1] == megapulses[0]:
        return Estimate(value=0.0, lo=None, hi=None)
    x = megapulses - np.average(megapulses, weights=weight)
    precision = float(weight @ x**2)
    slope = float(weight @ (x * relative)) / precision
    half = Z_95 / float(np.sqrt(precision))
    return Estimate(value=slope, lo=slope - half, hi=slope + half)


def _address_p(z: Floats, addresses: int) -> float | None:
    if addresses < 2 or not z.any():
        return None
    from scipy.stats import chi2

    address = np.arange(len(z)) % addresses
    means = np.bincount(address, weights=z, minlength=addresses) / np.bincount(address, minlength=addresses)
    statistic = float(np.bincount(address, minlength=addresses) @ (means - z.mean()) ** 2)
    return float(chi2.sf(statistic, addresses - 1))

"""Automatic measurements of a simulated DS4024, taken from the screen's record.

RIGOL MSO4000&DS4000 programming guide, :MEASure; 9.9e37 stands for a measurement that is not possible.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

INVALID = 9.9e37

Volts = NDArray[np.float64]


def _middle(volts: Volts) -> float:
    return float(volts.max() + volts.min()) / 2


def _top(volts: Volts) -> float:
    return float(np.median(volts[volts >= _middle(volts)]))


def _base(volts: Volts) -> float:
    return float(np.median(volts[volts <= _middle(volts)]))


def _share(volts: float, of: Volts) -> float:
    return volts / max(_top(of) - _base(of), 1e-12)


LEVELS: dict[str, Callable[[Volts], float]] = {
    "VMAX": lambda v: float(v.max()),
    "VMIN": lambda v: float(v.min()),
    "VPP": lambda v: float(np.ptp(v)),
    "VAVG": lambda v: float(v.mean()),
    "VRMS": lambda v: float(np.sqrt(np.mean(v**2))),
    "VTOP": _top,
    "VBASe": _base,
    "VAMP": lambda v: _top(v) - _base(v),
    "OVERshoot": lambda v: _share(float(v.max()) - _top(v), v),
    "PREShoot": lambda v: _share(_base(v) - float(v.min()), v),
}
TIMES = ("FREQuency", "PERiod", "PWIDth", "NWIDth", "PDUTy", "NDUTy")
EDGES = ("RTIMe", "FTIMe")


def measure(item: str, volts: Volts, step_s: float, least_v: float) -> float:
    """One item of a record; INVALID where the record has no sample, or no whole period of a swing of `least_v`."""
    if not len(volts):
        return INVALID
    if item in LEVELS:
        return LEVELS[item](volts)
    if np.ptp(volts) < least_v:
        return INVALID
    if item in EDGES:
        return _slope(volts if item == "RTIMe" else -volts, step_s)
    rise, fall = _edges(volts)
    if len(rise) < 2:
        return INVALID
    period = float(np.diff(rise).mean()) * step_s
    following = np.searchsorted(fall, rise[:-1], side="right")
    width = float((fall[following] - rise[:-1]).mean()) * step_s
    found = {
        "FREQuency": 1 / period,
        "PERiod": period,
        "PWIDth": width,
        "NWIDth": period - width,
        "PDUTy": width / period,
        "NDUTy": 1 - width / period,
    }
    return found[item]


def _slope(volts: Volts, step_s: float) -> float:
    """From 10 to 90 % of the first rising edge that has both, between samples."""
    base, top = _base(volts), _top(volts)
    low, high = base + 0.1 * (top - base), base + 0.9 * (top - base)
    ends = np.flatnonzero((volts[:-1] < high) & (volts[1:] >= high))
    for end in ends.tolist():
        starts = np.flatnonzero((volts[: end + 1] < low) & (volts[1 : end + 2] >= low))
        if len(starts):
            begin = starts[-1] + (low - volts[starts[-1]]) / (volts[starts[-1] + 1] - volts[starts[-1]])
            return float(end + (high - volts[end]) / (volts[end + 1] - volts[end]) - begin) * step_s
    return INVALID


def _edges(volts: Volts) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rises and falls through the middle."""
    high = volts > _middle(volts)
    return np.flatnonzero(~high[:-1] & high[1:]), np.flatnonzero(high[:-1] & ~high[1:])

"""Values as 8-bit codes: exactly where they lie on a grid of at most 256 steps, and with a word where they do not."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drivers.errors import InputError
from drivers.signals import FloatArray

_EDGE = 2  # codes kept free at either end, where that is possible: there an oscilloscope's screen ends
_PARTS = 12  # the smallest difference seen may be so many steps
_OFF_GRID = 0.2  # of a step: values printed with few digits lie so far off
_LOOKED_AT = 1 << 20  # values that the grid is looked for in first


@dataclass(frozen=True, eq=False)
class Coded:
    """`codes` (samples,) with volts = (code − origin) · increment_v; `said` tells what was lost, if anything was."""

    codes: NDArray[np.uint8]
    increment_v: float
    origin: float
    said: str = ""


def from_volts(volts: NDArray[np.floating], name: str) -> Coded:
    """Codes of volts (samples,); raises InputError where they are not finite."""
    low, high = float(volts.min()), float(volts.max())
    if not np.isfinite([low, high]).all():
        raise InputError(f"{name} holds values that are no numbers: where a channel was not recorded, leave it out")
    step = _grid(volts, low, high)
    if step is not None:
        first = max(0, min(_EDGE, 255 - round((high - low) / step)))
        first = max(first, (256 - round((high - low) / step)) // 2)
        codes = np.rint((volts - low) / step).astype(np.int64) + first
        return Coded(codes.astype(np.uint8), *_line(volts, codes))
    step = (high - low) / (255 - 2 * _EDGE)
    codes = (np.rint((volts - low) / step) + _EDGE).astype(np.uint8)
    return Coded(
        codes, step, _EDGE - low / step, f"{name} has more than 256 levels: kept in steps of {step:.3g} V, 8 bits"
    )


def from_codes(
    raw: NDArray[np.integer], increment_v: float, origin: float, name: str, *, flipped: bool | None = None
) -> Coded:
    """Codes as an oscilloscope gave them; more than 8 bits are made 8, and a negative increment is turned over.

    `flipped` turns them over, or not, where the file says so otherwise.
    """
    if not np.isfinite([increment_v, origin]).all() or increment_v == 0:
        raise InputError(f"{name} has {increment_v:g} V a code and its zero at code {origin:g}: it has no scale")
    turn = increment_v < 0 if flipped is None else flipped
    low, high = int(raw.min()), int(raw.max())
    if low >= 0 and high <= 255:
        codes = np.asarray(raw, dtype=np.uint8)
        return Coded(255 - codes, -increment_v, 255 - origin) if turn else Coded(codes, increment_v, origin)
    if high - low <= 255:  # wide numbers that hold no more than 8 bits
        codes = (raw - low).astype(np.uint8)
        return from_codes(codes, increment_v, origin - low, name, flipped=flipped)
    return _said(from_volts((raw - origin) * increment_v, name), f"{name} has codes {low}…{high}")


def of_logic(high: NDArray[np.bool_], volts: float = 3.3) -> Coded:
    """A logic line (samples,) as 0 V and `volts`."""
    low_code, high_code = 28, 228
    codes = np.where(high, np.uint8(high_code), np.uint8(low_code))
    return Coded(codes, volts / (high_code - low_code), float(low_code))


def _said(coded: Coded, what: str) -> Coded:
    return Coded(coded.codes, coded.increment_v, coded.origin, f"{what}: kept in steps of {coded.increment_v:.3g} V")


def _grid(volts: NDArray[np.floating], low: float, high: float) -> float | None:
    """The step of the grid that all values lie on, None where there is none of at most 256 values."""
    some = np.unique(volts[:: max(1, len(volts) // _LOOKED_AT)])
    if len(some) > 256 * 4:
        return None
    if low == high:
        return max(abs(low) / 100, 1e-3)
    apart = np.diff(some)
    slack = max(abs(low), abs(high)) * 1e-6
    least = float(apart[apart > slack].min(initial=np.inf))
    for parts in range(1, _PARTS + 1):
        step = _fitted(some, low, least / parts)
        if (high - low) / step > 255.5:
            return None
        every = np.unique(volts) if len(some) < len(volts) else some
        if np.abs((every - low) / step - np.rint((every - low) / step)).max() < _OFF_GRID:
            return step
    return None


def _fitted(values: FloatArray | NDArray[np.floating], low: float, step: float) -> float:
    """The step that values on a grid have, from all of them: the difference of two printed values is known badly."""
    for _ in range(3):
        index = np.rint((values - low) / step)
        total = float((index * index).sum())
        if not total:
            return step
        step = float((index * (values - low)).sum() / total)
    return step


def _line(volts: NDArray[np.floating], codes: NDArray[np.int64]) -> tuple[float, float]:
    """Increment and origin of the straight line through all values."""
    mean_code, mean_volt = float(codes.mean()), float(volts.mean(dtype=np.float64))
    spread = codes - mean_code
    total = float((spread * spread).sum())
    if not total:
        step = max(abs(mean_volt) / 100, 1e-3)
        return step, mean_code - mean_volt / step
    step = float((spread * (volts - mean_volt)).sum() / total)
    step = _tidy(step)
    return step, mean_code - mean_volt / step


def _tidy(step: float) -> float:
    """The round number that was meant where rounding alone keeps it from being one."""
    near = float(f"{step:.6g}")
    return near if abs(near - step) < 1e-9 * abs(step) else step

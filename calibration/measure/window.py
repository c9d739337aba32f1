"""The window of V_th: below it the low-resistance state fires already, above it the high-resistance state never.

Lower edge: V_th at which 1 % of freshly reset neurons fire without any pulse, seen in empty slots of fixed length,
which cost no dendrite pulse. Upper edge: V_th at which half of the slots with so many pulses that the memristor has
reached its high-resistance state (48) do not fire at all. Both are resistances times the sense current, as
the comparator sees them, so following them over a device's life follows its two resistance states.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from calibration.estimate import Estimate, Result
from calibration.fit.edge import Edge, fit_edge
from calibration.tally import Tally

if TYPE_CHECKING:
    from calibration.sweep import Sweep
    from drivers.signals import SlotTiming

SILENT_LEVEL = 0.01
SATURATING_PULSES = 48
SATURATED_LEVEL = 0.5
_SILENT_WINDOW_S = 20e-6
_FEW_SLOTS, _FIRST_SLOTS, _MORE_SLOTS, _LIMIT_SLOTS = 64, 128, 1024, 2048  # empty slots a V_th
_LEAST_V = 0.01  # there is no logarithm of nothing
_STEP_DOWN, _SURELY = 0.85, 0.1  # from V_th to V_th, until so many slots fire
_BEYOND = 1.25  # how far outside the bench's limits an edge may be inferred from slots within
_BISECT_SLOTS, _REFINE_SLOTS = 2, 8  # slots of 48 pulses a V_th
_WANTED_HALF_WIDTH = 0.003  # of the upper edge, in ln V
Row = tuple[float, float, float]  # volts made, fired, tries
Data = list[Row]
Share = Callable[[float, int], Row]  # at volts asked for, in so many slots


class Window(Result):
    """Both edges in volts; one that lies beyond what the bench can make is known from one side only.

    `lrs_v` is the median voltage of the low-resistance state, `hrs_v` the upper edge again: the two states as seen by
    the comparator; `lrs_spread` and `hrs_spread` are the widths of the edges in ln V.
    """

    lower_v: Estimate
    upper_v: Estimate
    lrs_v: float | None
    lrs_spread: float | None
    hrs_v: float | None
    hrs_spread: float | None


def measure_window(sweep: Sweep, limits_v: tuple[float, float]) -> tuple[Window, list[tuple[float, Tally]]]:
    """Find both edges within the bench's limits; also returns what the saturated slots counted at each V_th."""
    limits_v = (max(limits_v[0], _LEAST_V), limits_v[1])
    upper, tallies = _upper(sweep, limits_v)
    top = limits_v[1] if upper is None or upper.at_v.value is None else upper.at_v.value
    lower = _lower(sweep, (limits_v[0], top))
    return Window(
        lower_v=_known(lower.at_v, limits_v) if lower is not None else Estimate(value=None, lo=None, hi=limits_v[0]),
        upper_v=_known(upper.at_v, limits_v) if upper is not None else Estimate(value=None, lo=limits_v[1], hi=None),
        lrs_v=lower.median_v if lower is not None else None,
        lrs_spread=lower.width if lower is not None else None,
        hrs_v=upper.at_v.value if upper is not None else None,
        hrs_spread=upper.width if upper is not None else None,
    ), tallies


def _upper(sweep: Sweep, limits_v: tuple[float, float]) -> tuple[Edge | None, list[tuple[float, Tally]]]:
    tallies: list[tuple[float, Tally]] = []

    def share(vth_v: float, slots: int) -> Row:
        tally = sweep.tally(vth_v, {SATURATING_PULSES: slots})
        tallies.append((sweep.made_v, tally))
        return sweep.made_v, float(tally.fired[0]), float(slots)

    data: Data = [share(limits_v[1], _REFINE_SLOTS)]
    if data[0][1] == data[0][2]:  # by chance once in 256, were the edge just there
        return None, tallies
    reach = (limits_v[0], limits_v[1] * _BEYOND)
    _bisect(share, data, limits_v, _BISECT_SLOTS, SATURATED_LEVEL, steps=8)
    edge = _fit(data, reach, SATURATED_LEVEL, two_sided=True)
    for i in range(10):
        if edge.half_width < _WANTED_HALF_WIDTH and i >= 5:
            break
        offset = max(edge.width, edge.half_width / 2, 1e-3) * (0.8 if i % 2 else -0.8)
        _measure(
            share, data, _within((edge.at_v.value or limits_v[1]) * float(np.exp(offset)), limits_v), _REFINE_SLOTS
        )
        edge = _fit(data, reach, SATURATED_LEVEL, two_sided=True)
    return edge, tallies


def _lower(sweep: Sweep, limits_v: tuple[float, float]) -> Edge | None:
    timing = silent_timing(sweep.timing)

    def share(vth_v: float, slots: int) -> Row:
        # A neuron that has fired is fresh again and may fire once more: every reset and every firing is one try.
        fired = sweep.silent_firings(vth_v, slots, timing)
        return sweep.made_v, float(fired), float(slots + fired)

    # Down in steps: a low state well above V_th fires all the time, more often than a reader may want to count.
    data: Data = []
    vth_v = limits_v[1]
    while vth_v > limits_v[0]:
        vth_v = _within(vth_v * _STEP_DOWN, limits_v)
        _measure(share, data, vth_v, _FEW_SLOTS)
        if data[-1][1] > _SURELY * data[-1][2]:
            break
    else:
        data.append(share(limits_v[0], _LIMIT_SLOTS))
        _, fired, slots = data[-1]
        if fired < SILENT_LEVEL * slots - 3 * np.sqrt(SILENT_LEVEL * slots):
            return None
    reach = (limits_v[0] / _BEYOND, limits_v[1])
    above_v = min((row[0] for row in data if row[0] > vth_v), default=limits_v[1])
    _bisect(share, data, (vth_v, above_v), _FIRST_SLOTS, SILENT_LEVEL, steps=4)
    edge = _fit(_near(data), reach, SILENT_LEVEL, two_sided=False)
    for score in (1.2, 0.4, -0.2, 0.8, 0.2, 1.0):  # standard scores above the 1 % point: 13 %, 3 %, 0.6 %, …
        _measure(
            share,
            data,
            _within((edge.at_v.value or limits_v[0]) * float(np.exp(-score * edge.width)), limits_v),
            _MORE_SLOTS,
        )
        edge = _fit(_near(data), reach, SILENT_LEVEL, two_sided=False)
    return edge


def _known(at_v: Estimate, limits_v: tuple[float, float]) -> Estimate:
    """An end of the interval where the fit's range ended is not known."""
    lo, hi = at_v.lo, at_v.hi
    return Estimate(
        value=at_v.value,
        lo=lo if lo is not None and lo > limits_v[0] / _BEYOND * 1.001 else None,
        hi=hi if hi is not None and hi < limits_v[1] * _BEYOND * 0.999 else None,
    )


def silent_timing(timing: SlotTiming) -> SlotTiming:
    """Short slots of fixed length, which are played when they are empty."""
    return timing.model_copy(update={"mode": "fixed", "window_s": _SILENT_WINDOW_S})


def _near(data: Data) -> Data:
    """Leave out where a quarter or more fire: the low state is only nearly lognormal, and its tail is what counts."""
    kept = [row for row in data if row[1] < 0.25 * row[2]]
    fullest = min((row for row in data if row[1] >= 0.25 * row[2]), key=lambda row: -row[0], default=None)
    return [*kept, fullest] if fullest is not None and len([r for r in kept if r[1] > 0]) < 2 else kept


def _fit(data: Data, limits_v: tuple[float, float], level: float, *, two_sided: bool) -> Edge:
    v, fired, tries = (np.array(column) for column in zip(*data, strict=True))
    return fit_edge(v, fired, tries, limits_v, level=level, two_sided=two_sided)


def _measure(share: Share, data: Data, vth_v: float, slots: int) -> None:
    data.append(share(vth_v, slots))


def _bisect(
    share: Share,
    data: Data,
    limits_v: tuple[float, float],
    slots: int,
    level: float,
    *,
    steps: int,
) -> None:
    lo, hi = limits_v
    for _ in range(steps):
        middle = round(float(np.sqrt(lo * hi)), 4)
        _measure(share, data, middle, slots)
        if data[-1][1] > level * slots:
            lo = middle
        else:
            hi = middle


def _within(vth_v: float, limits_v: tuple[float, float]) -> float:
    return float(np.clip(round(vth_v, 4), *limits_v))

"""Which measured interval between sync edges is which planned slot."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drivers.errors import CaptureError
from drivers.signals import BoolArray, FloatArray


@dataclass(frozen=True, eq=False)
class Alignment:
    """For each planned slot: `interval` (slots,), index of the measured interval, −1 if unknown; `ok` (slots,)."""

    interval: NDArray[np.intp]
    ok: BoolArray


def align(measured_s: FloatArray, planned_s: FloatArray, allowed_s: FloatArray) -> Alignment:
    """Match measured intervals (k,) with planned slot lengths (slots,), each good to within allowed_s (slots,).

    A slot that lasted too long is known but not ok. Where a sync edge was lost or added, the slots around it are
    unknown, those before the first and after the last fault are found from either end, and those between by the time
    at which they were due. Raises CaptureError when time is missing, so that
    slots cannot have been captured, or when more than one match is possible.
    """
    if len(measured_s) == len(planned_s):
        return _align_equal(measured_s, planned_s, allowed_s)
    return _align_unequal(measured_s, planned_s, allowed_s)


def _align_equal(measured_s: FloatArray, planned_s: FloatArray, allowed_s: FloatArray) -> Alignment:
    excess = measured_s - planned_s
    ok = np.abs(excess) <= allowed_s
    interval = np.arange(len(planned_s))
    bad = np.flatnonzero(~ok)
    # A lost edge joins two slots; an added one elsewhere makes up the number. All between is then displaced.
    short = excess < -allowed_s
    joined = np.abs(excess[:-1] - planned_s[1:]) <= allowed_s[:-1] + allowed_s[1:]
    if len(bad) and (short.any() or joined.any()):
        damaged = slice(bad[0], bad[-1] + 1 if short.any() else len(ok))
        _check_time(measured_s[damaged], planned_s[damaged], allowed_s[damaged])
        first = int(damaged.start)
        interval[damaged] = _by_time(measured_s[damaged], planned_s[damaged], allowed_s[damaged], first)
        ok[damaged] = interval[damaged] >= 0
        if not ok.any():
            raise CaptureError(_unlike(measured_s, planned_s))
    return Alignment(interval, ok)


def _align_unequal(measured_s: FloatArray, planned_s: FloatArray, allowed_s: FloatArray) -> Alignment:
    k, slots = len(measured_s), len(planned_s)
    n = min(k, slots)
    forward = _matching(measured_s[:n], planned_s[:n], allowed_s[:n])
    backward = _matching(measured_s[::-1][:n], planned_s[::-1][:n], allowed_s[::-1][:n])
    # Where both directions claim the same intervals, only what either reading leaves in place is certain.
    head, tail = min(forward, n - backward), min(backward, n - forward)
    _check_time(measured_s[head : k - tail], planned_s[head : slots - tail], allowed_s[head : slots - tail])
    interval = np.full(slots, -1, dtype=np.intp)
    interval[:head] = np.arange(head)
    interval[slots - tail :] = np.arange(k - tail, k)
    middle = slice(head, slots - tail)
    interval[middle] = _by_time(measured_s[head : k - tail], planned_s[middle], allowed_s[middle], head)
    if (interval < 0).all():
        raise CaptureError(_unlike(measured_s, planned_s))
    return Alignment(interval, interval >= 0)


def _by_time(measured_s: FloatArray, planned_s: FloatArray, allowed_s: FloatArray, first: int) -> NDArray[np.intp]:
    """(slots,) intervals of a damaged stretch whose both edges are where the plan has them, −1 for the others.

    Only where the stretch lasted just as planned: then no slot in it was late, and edges were only lost or added.
    """
    interval = np.full(len(planned_s), -1, dtype=np.intp)
    if not len(measured_s) or not len(planned_s):
        return interval
    seen, due = (np.concatenate([[0.0], np.cumsum(lengths)]) for lengths in (measured_s, planned_s))
    if abs(seen[-1] - due[-1]) > allowed_s.min():
        return interval
    seen *= due[-1] / seen[-1]  # the two clocks
    near = np.clip(np.searchsorted(seen, due), 1, len(seen) - 1)
    near -= due - seen[near - 1] < seen[near] - due
    at_hand = np.abs(seen[near] - due) <= allowed_s.min()
    known = at_hand[:-1] & at_hand[1:] & (np.diff(near) == 1)
    interval[known] = near[:-1][known] + first
    return interval


def _check_time(measured_s: FloatArray, planned_s: FloatArray, allowed_s: FloatArray) -> None:
    """Refuse a damaged stretch that lasted less than planned: there, slots are missing and not only edges."""
    if measured_s.sum() < planned_s.sum() - allowed_s.sum():
        raise CaptureError(
            f"sync shows {len(measured_s)} slots in {measured_s.sum():.4g} s where {len(planned_s)} slots in "
            f"{planned_s.sum():.4g} s were planned: part of the shot was not played or not recorded"
        )


def _matching(measured_s: FloatArray, planned_s: FloatArray, allowed_s: FloatArray) -> int:
    """How many leading intervals are as planned."""
    wrong = np.flatnonzero(np.abs(measured_s - planned_s) > allowed_s)
    return int(wrong[0]) if len(wrong) else len(planned_s)


def _unlike(measured_s: FloatArray, planned_s: FloatArray) -> str:
    return (
        f"sync shows {len(measured_s)} slots of {measured_s.min():.4g}…{measured_s.max():.4g} s, planned were "
        f"{len(planned_s)} of {planned_s.min():.4g}…{planned_s.max():.4g} s: no slot can be told from "
        "another; check the sync line and the pulse source's clock (hil doctor)"
    )

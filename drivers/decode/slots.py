"""Which measured interval between sync edges is which planned slot."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drivers.errors import CaptureError
from drivers.signals import BoolArray, FloatArray

_CLOCKS = 1e-3  # of a stretch's length: by how much two clocks may differ, with room
_BY_CHANCE = 1e-6
_EDGES_LOST = 4  # slots that one lost edge and one that was added leave unknown
_AT_HAND = 0.5  # of the edges of a damaged stretch are where they should be, if only edges were lost or added


class SlotsMissingError(CaptureError):
    """Time is missing: a part of the shot was not played, or not recorded."""


@dataclass(frozen=True, eq=False)
class Alignment:
    """For each planned slot: `interval` (slots,), index of the measured interval, −1 if unknown; `ok` (slots,)."""

    interval: NDArray[np.intp]
    ok: BoolArray


def align(measured_s: FloatArray, planned_s: FloatArray, allowed_s: FloatArray) -> Alignment:
    """Match measured intervals (k,) with planned slot lengths (slots,), each good to within allowed_s (slots,).

    A slot that lasted too long is known but not ok. Where a sync edge was lost or added, the slots around it are
    unknown, those before the first and after the last fault are found from either end, and those between by the time
    at which they were due. Raises CaptureError when time is missing, so that slots cannot have been captured, or when
    more than one match is possible.
    """
    if len(measured_s) == len(planned_s):
        return _align_equal(measured_s, planned_s, allowed_s)
    return _align_unequal(measured_s, planned_s, allowed_s)


def align_held(measured_s: FloatArray, planned_s: FloatArray, allowed_s: FloatArray, rest_s: float) -> Alignment:
    """As `align`, of a record that goes on for `rest_s` after its last edge: it may have ended before the shot did.

    Raises SlotsMissingError where it had not, so that a part was not played.
    """
    k = len(measured_s)
    ended = k < len(planned_s) and rest_s <= planned_s[k] + allowed_s.max()
    begun = _align_begun(measured_s, planned_s, allowed_s) if ended else None
    try:
        found = align(measured_s, planned_s, allowed_s)
    except SlotsMissingError:
        if begun is None:
            raise
        return begun
    return found if begun is None or found.ok.sum() >= begun.ok.sum() else begun


def _align_begun(measured_s: FloatArray, planned_s: FloatArray, allowed_s: FloatArray) -> Alignment | None:
    """Slots in a record that ended too soon; None where none is known.

    Those that were late are known but not ok, if as many slots follow as never match by chance. Where anything else is
    not as planned, only those before it are known.
    """
    held = len(measured_s)
    excess = measured_s - planned_s[:held]
    wrong = np.flatnonzero(np.abs(excess) > allowed_s[:held])
    spare = _alike(planned_s, allowed_s) if len(wrong) else 0
    lost = wrong[(excess[wrong] < 0) | (np.diff(wrong, append=held) <= spare)]
    known = held if not len(lost) else int(lost[0]) - spare
    if known <= 0:
        return None
    at = np.arange(len(planned_s))
    ok = at < known
    ok[wrong[wrong < known]] = False
    return Alignment(np.where(at < known, at, -1), ok)


def _align_equal(measured_s: FloatArray, planned_s: FloatArray, allowed_s: FloatArray) -> Alignment:
    excess = measured_s - planned_s
    ok = np.abs(excess) <= allowed_s
    interval = np.arange(len(planned_s))
    if ok.all():
        return Alignment(interval, ok)
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
        if not ok[damaged].any() and len(interval[damaged]) > _EDGES_LOST:
            spare = _alike(planned_s, allowed_s)  # slots went and came: those beside them may match by chance
            beside = slice(max(0, first - spare), int(bad[-1]) + 1 + spare)
            interval[beside], ok[beside] = -1, False
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
    lasted = _lasted(measured_s[head : k - tail], planned_s[head : slots - tail], allowed_s[head : slots - tail])
    if not lasted:
        # Time is missing or too much, so that slots were, and those beside the damage may match by chance.
        spare = _alike(planned_s, allowed_s)
        head, tail = max(0, head - spare), max(0, tail - spare)
    _check_time(measured_s[head : k - tail], planned_s[head : slots - tail], allowed_s[head : slots - tail])
    interval = np.full(slots, -1, dtype=np.intp)
    interval[:head] = np.arange(head)
    interval[slots - tail :] = np.arange(k - tail, k)
    middle = slice(head, slots - tail)
    interval[middle] = _by_time(measured_s[head : k - tail], planned_s[middle], allowed_s[middle], head)
    if lasted and slots - tail - head > _EDGES_LOST and (interval[middle] < 0).all():
        # It may have lasted as planned by chance alone: nothing in it is where it was due.
        spare = _alike(planned_s, allowed_s)
        interval[max(0, head - spare) : slots - tail + spare] = -1
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
    if at_hand.mean() < _AT_HAND:  # what is where it should be is so by chance: the stretch was displaced
        return interval
    known = at_hand[:-1] & at_hand[1:] & (np.diff(near) == 1)
    interval[known] = near[:-1][known] + first
    return interval


def _check_time(measured_s: FloatArray, planned_s: FloatArray, allowed_s: FloatArray) -> None:
    """Refuse a damaged stretch that lasted less than planned: there, slots are missing and not only edges."""
    if measured_s.sum() < planned_s.sum() - _slack_s(planned_s, allowed_s):
        raise SlotsMissingError(
            f"sync shows {len(measured_s)} slots in {measured_s.sum():.4g} s where {len(planned_s)} slots in "
            f"{planned_s.sum():.4g} s were planned: part of the shot was not played or not recorded"
        )


def _slack_s(planned_s: FloatArray, allowed_s: FloatArray) -> float:
    """By how much a stretch of slots may differ from its plan: its two edges, and two clocks; what lies between them
    adds nothing.
    """
    return 2 * float(allowed_s.max(initial=0.0)) + _CLOCKS * float(planned_s.sum())


def _lasted(measured_s: FloatArray, planned_s: FloatArray, allowed_s: FloatArray) -> bool:
    """Whether a damaged stretch lasted as planned, so that in it edges were lost or added, and nothing else."""
    return bool(abs(measured_s.sum() - planned_s.sum()) <= _slack_s(planned_s, allowed_s))


def _alike(planned_s: FloatArray, allowed_s: FloatArray) -> int:
    """How many slots in a row match by chance once in a million: the more alike they are, the more."""
    same = np.searchsorted(ordered := np.sort(planned_s), planned_s + allowed_s, side="right") - np.searchsorted(
        ordered, planned_s - allowed_s, side="left"
    )
    chance = min(float(same.mean()) / len(planned_s), 0.99)
    return min(math.ceil(math.log(_BY_CHANCE) / math.log(chance)), len(planned_s))


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

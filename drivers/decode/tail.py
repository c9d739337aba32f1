"""Sync of which only the end was read: when each slot of the shot was, all the same.

A pulse source that was late once is late ever after. So edges at the end of a shot that come when they are due prove
all those before them, where the ratio of the oscilloscope's clock to the pulse source's is known: a record whose sync
was read in full tells it. See docs/explanation/scope-speed.md.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from drivers.decode.schmitt import Pulses
from drivers.errors import CaptureError
from drivers.signals import CLOCK_RATIO
from drivers.timing import length_ticks, seconds

if TYPE_CHECKING:
    from drivers.signals import Capture, FloatArray, Frame, Trace

_RATIOS = (0.99, 1.01)


def is_tail(trace: Trace) -> bool:
    """Whether only the end of it was read."""
    return CLOCK_RATIO in trace.settings


def due_s(shot: Frame, tick_s: float) -> FloatArray:
    """(played slots + 1,) s from the first edge of sync to each, by the pulse source's clock."""
    lengths_s = seconds(length_ticks(shot, tick_s)[shot.played], tick_s)
    return np.concatenate([[0.0], np.cumsum(lengths_s)])


def whole_sync(tail: Pulses, trace: Trace, due_s: FloatArray, lead_s: float, slack_s: float) -> Pulses:
    """All pulses of sync, `lead_s` long and due at `due_s` (n,), by those at its end; edges are known to `slack_s`.

    Raises CaptureError where these are not when they are due: then all of sync has to be read.
    """
    ratio = _ratio_of(trace)
    there_s = ratio * due_s
    there_s = there_s[there_s > trace.x_origin_s + slack_s]
    if len(there_s) < 2 or len(there_s) != len(tail):
        raise CaptureError(f"sync shows {len(tail)} pulses at the end of the shot, due were {len(there_s)}")
    late_s = tail.rise_s - there_s
    if np.abs(late_s).max() > slack_s or abs(late_s.mean()) > slack_s / 2:
        raise CaptureError(f"sync at the end of the shot is {late_s.mean() * 1e6:.3g} µs from where it is due")
    ratio *= 1 + float(late_s.mean()) / float(there_s.mean())
    return Pulses(ratio * due_s, ratio * (due_s + lead_s), starts_high=False, ends_high=False)


def clock_ratio(capture: Capture, tick_s: float, slack_s: float) -> float | None:
    """The oscilloscope's clock to the pulse source's, where all slots of a capture lie on one line; None otherwise."""
    played = capture.frame.played
    if not capture.ok.all() or played.sum() < 2:
        return None
    planned_s = due_s(capture.frame, tick_s)
    seen_s = np.concatenate([[0.0], np.cumsum(capture.slot_s[played])])
    slope, start = np.polyfit(planned_s, seen_s, 1)
    fits = np.abs(start + slope * planned_s - seen_s).max() <= slack_s and _RATIOS[0] < slope < _RATIOS[1]
    return float(slope) if fits else None


def _ratio_of(trace: Trace) -> float:
    try:
        ratio = float(trace.settings[CLOCK_RATIO])
    except (KeyError, ValueError):
        ratio = math.nan
    if not _RATIOS[0] < ratio < _RATIOS[1]:
        raise CaptureError(
            f"of {trace.name} only the end was read, and the clocks' ratio is {trace.settings.get(CLOCK_RATIO)!r}: "
            f"it must be {_RATIOS[0]:g}…{_RATIOS[1]:g}"
        )
    return ratio

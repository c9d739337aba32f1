"""A long trace piece by piece, cut where nothing happens, so that no more pulses are held at a time than a piece has.

What all pulses must be like is told by a sample of them, from all over the trace.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from drivers.decode.levels import Thresholds, Upright
from drivers.decode.schmitt import Edges, Pulses, pulses_of
from drivers.signals import FloatArray, Trace

_STRETCHES, _SAMPLE = 8, 1 << 18  # of a sample of pulses, and samples that it takes


@dataclass(frozen=True)
class Quiet:
    """Where a trace may be cut: so long after a rise, and so long after a fall, before the next rise; s."""

    after_rise_s: float
    after_fall_s: float


@dataclass(frozen=True, eq=False)
class Piece:
    """The pulses from sample `start` to before `stop`; none goes on, or has anything to do with one, beyond."""

    start: int
    stop: int
    pulses: Pulses


def pieces(edges: Edges, trace: Trace, quiet: Quiet, size: int) -> Iterator[Piece]:
    """Pieces of some `size` samples, and as many more as it takes to find a place to cut."""
    start, stop, high = 0, 0, edges.first
    pending: list[FloatArray] = []
    for stop, found in edges:
        pending.append(found)
        if stop - start < size:
            continue
        edge_s = np.concatenate(pending)
        count, cut_s = _last_quiet(edge_s, high, trace.x_origin_s + (stop - 1) * trace.x_increment_s, quiet)
        cut = int((cut_s - trace.x_origin_s) / trace.x_increment_s) if count is not None else start
        if count is None or cut <= start:
            pending = [edge_s]
            continue
        yield Piece(start, cut, pulses_of(edge_s[:count], high))
        start, high, pending = cut, False, [edge_s[count:].copy()]
    yield Piece(start, stop, pulses_of(np.concatenate(pending), high))


def _last_quiet(edge_s: FloatArray, high: bool, until_s: float, quiet: Quiet) -> tuple[int | None, float]:
    """How many edges come before the last place to cut, None where there is none, and its time; the next rise may come
    at `until_s`.
    """
    low = high == bool(len(edge_s) % 2)
    rise = np.append(edge_s[int(high) :: 2], [until_s] if low else [])
    before = np.concatenate([[-np.inf], rise[:-1]])[: len(rise)]  # the rise before each, and the fall
    fall = edge_s[::2] if high else np.concatenate([[-np.inf], edge_s[1::2]])
    fall = fall[: len(rise)]
    good = np.flatnonzero((rise - before > quiet.after_rise_s) & (rise - fall > quiet.after_fall_s))
    if not len(good):
        return None, 0.0
    last = int(good[-1])
    cut_s = rise[last] - quiet.after_fall_s / 2
    return int(high) + 2 * last, float(cut_s)


def sampled(trace: Trace, samples: Upright, levels: Thresholds) -> Pulses:
    """Whole pulses from stretches all over a trace."""
    length = min(_SAMPLE, len(samples)) // _STRETCHES
    found: list[Pulses] = []
    for start in np.linspace(0, len(samples) - length, _STRETCHES).astype(np.intp).tolist():
        edges = Edges(trace, samples, levels, start, start + length)
        there = pulses_of(np.concatenate([edge_s for _, edge_s in edges]), edges.first)
        found.append(there.where(np.isfinite(there.fall_s) | (start + length == len(samples))))
    rise_s, fall_s = (np.concatenate(every) for every in zip(*((p.rise_s, p.fall_s) for p in found), strict=True))
    return Pulses(rise_s, fall_s, found[0].starts_high, found[-1].ends_high, found[0].begins_low_s)

"""The axon's spikes of a shot: what counts and what is doubtful, and between which edges of sync it came.

A long trace is read in pieces by what a sample of its pulses has told, so that no more of them are held at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from drivers.decode.faint import faint_pulses
from drivers.decode.judge import REASONS, SHIFTED, Judged, Shape, sort_out, unrest
from drivers.decode.lines import Line, in_pieces
from drivers.decode.measured import Reading
from drivers.decode.pieces import Quiet
from drivers.decode.schmitt import Pulses
from drivers.decode.shapes import TAIL
from drivers.signals import FloatArray, Stray

LONG = 1 << 19  # samples: of a longer trace, a sample tells what its pulses are like
_PIECE = 1 << 16  # samples read at a time
_APART, _APART_SAMPLES = 3, 4  # widths of a pulse, and samples, after which nothing has to do with what was before


@dataclass(eq=False)
class Heard:
    """Spikes in the sync-low time of each interval (k,), those that belong to none, and all `doubts` (n, 2), s.

    `usual` are the pulses that told what others must be like. `spikes` are kept if that was asked for.
    """

    usual: Judged
    counts: NDArray[np.intp]
    doubts: FloatArray
    stray: Stray = field(default_factory=Stray)
    pulses: int = 0
    counted: int = 0
    glitches: int = 0
    torn: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    spikes: Pulses | None = None


def hear(seen: Reading, line: Line, shape: Shape, sync: Pulses, *, keep: bool) -> Heard:
    """All pulses of an axon, of which all or a sample were read."""
    usual, moves = sort_out(seen, shape), unrest(seen)
    heard = Heard(usual, np.zeros(max(len(sync) - 1, 0), dtype=np.intp), moves)
    doubts, spikes = [], []
    for piece, judged in _judged(seen, line, shape, usual):
        doubts += [judged.doubts, faint_pulses(piece)]
        _tally(judged.pulses.rise_s, sync, heard)
        heard.pulses += len(piece.pulses)
        heard.counted += len(judged.pulses)
        heard.glitches += judged.glitches
        heard.torn += int(piece.torn.sum())
        for kind, count in judged.reasons.items():
            heard.reasons[kind] = heard.reasons.get(kind, 0) + count
        if keep:
            spikes.append((judged.pulses.rise_s, judged.pulses.fall_s))
    heard.reasons = {kind: heard.reasons[kind] for kind in REASONS if kind in heard.reasons}
    if len(moves):
        heard.reasons[SHIFTED] = len(moves)
    heard.doubts = np.concatenate([*doubts, moves])
    if keep:
        rise_s, fall_s = (np.concatenate(every) for every in zip(*spikes, strict=True))
        heard.spikes = Pulses(rise_s, fall_s, seen.pulses.starts_high, seen.pulses.ends_high)
    return heard


def _judged(seen: Reading, line: Line, shape: Shape, usual: Judged) -> Iterator[tuple[Reading, Judged]]:
    if seen.whole:
        yield seen, usual
        return
    step_s = seen.trace.x_increment_s
    quiet = Quiet(
        after_rise_s=max((TAIL * seen.window + 2 * seen.smoothed) * step_s, shape.echo_s, shape.apart_s) + 2 * step_s,
        after_fall_s=(_APART * seen.window + _APART_SAMPLES + 2 * seen.smoothed) * step_s,
    )
    for piece in in_pieces(seen, line, quiet, _PIECE):
        yield piece, sort_out(piece, shape, usual.usual)


def _tally(spike_s: FloatArray, sync: Pulses, heard: Heard) -> None:
    """Count spikes (n,) in order of time for the intervals between edges of sync."""
    at = np.searchsorted(sync.rise_s, spike_s, side="right") - 1
    after = at >= len(heard.counts)
    inside = (at >= 0) & ~after
    guard = inside.copy()
    guard[inside] = spike_s[inside] < sync.fall_s[at[inside]]
    inside &= ~guard
    if inside.any():
        first, last = int(at[inside][0]), int(at[inside][-1])
        heard.counts[first : last + 1] += np.bincount(at[inside] - first, minlength=last - first + 1)
    stray = heard.stray
    if not len(sync):
        heard.stray = Stray(before=stray.before + len(spike_s))
        return
    heard.stray = Stray(
        before=stray.before + int((at < 0).sum()),
        guard=stray.guard + int(guard.sum()),
        after=stray.after + int(after.sum()),
    )

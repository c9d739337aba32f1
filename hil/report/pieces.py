"""A shot with its traces as a page draws it: where slots begin, spikes, codes; and the raster of a kernel."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from drivers.decode.spikes import counted_pulses
from drivers.errors import CaptureError
from drivers.timing import length_ticks
from hil.report.views import frame_keys, packed

if TYPE_CHECKING:
    from drivers.signals import Capture, Trace
    from hil.network.physical import Physical
    from hil.run.config import RunConfig
    from hil.store.runfile import RunFile

AROUND = 6  # slots on either side of the chosen one
_NS = 9  # digits after the point: times are sent in whole nanoseconds


@dataclass(frozen=True)
class Seen:
    """A capture and what its traces show: indices of its played slots (n,), rise and fall of sync (n + 1,), spikes, s.

    Without a readable sync line the times are empty.
    """

    capture: Capture
    played: NDArray[np.intp]
    rise_s: NDArray[np.float64]
    fall_s: NDArray[np.float64]
    axon_s: NDArray[np.float64]


def seen(capture: Capture, config: RunConfig) -> Seen:
    """Find the slots of a capture in its traces."""
    played = np.flatnonzero(capture.frame.played)
    none = np.zeros(0)
    try:
        rise, fall = _edges(capture, config, "sync")
        axon, _ = _edges(capture, config, "axon")
    except CaptureError:
        return Seen(capture, played, none, none, none)
    if len(rise) != len(played) + 1:
        return Seen(capture, played, none, none, axon)
    return Seen(capture, played, rise, fall, axon)


def _edges(capture: Capture, config: RunConfig, name: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Rise and fall times of the pulses on a trace that count; none where the trace was not recorded."""
    trace = next((trace for trace in capture.traces if trace.name == name), None)
    if trace is None:
        return np.zeros(0), np.zeros(0)
    pulses = counted_pulses(capture.frame, trace, config.bench.spikes, config.bench.board, config.bench.tick_s)
    return pulses.rise_s, pulses.fall_s


def shots_with(run: RunFile, config: RunConfig, noise: int, index: int, part: Physical, slot: int) -> list[int]:
    """Row ids of the shots that took this slot of a digit's frames, the last attempt of each helping."""
    found = []
    for key in frame_keys(config, noise, index):
        covering = [row for row in run.shots_of(key, part.layer.index, 0, slot + 1) if row.stop > slot]
        latest = sorted(covering, key=lambda row: -row.attempt)
        if latest:
            took = (row.id for row in latest if run.counts(row.id).frame.played[slot - row.first_slot])
            found.append(next(took, latest[-1].id))
    return found


def row_of(run: RunFile, capture: Capture, part: Physical) -> int:
    """Row id of a capture that was read without its traces."""
    key, first = capture.frame.key, capture.frame.first_slot
    rows = run.shots_of(key, part.layer.index, first, first + 1)
    return next(row.id for row in rows if row.attempt == key.attempt)


def piece(shot: Seen, config: RunConfig, tick_s: float, around: int | None = None) -> dict[str, Any]:
    """The played slots of a shot with their traces, deflated; or those about the slot with this index in it, plain."""
    frame, first, last = shot.capture.frame, 0, len(shot.played)
    if around is not None:
        at = int(np.searchsorted(shot.played, around))
        first, last = max(at - AROUND, 0), min(at + 1 + AROUND, last)
    kept = shot.played[first:last]
    rise = shot.rise_s[first : last + 1]
    ends = (float(rise[0]), float(rise[-1])) if len(rise) else None
    axon = shot.axon_s[(shot.axon_s >= ends[0]) & (shot.axon_s <= ends[1])] if ends else shot.axon_s[:0]
    return {
        "vth_v": config.vth_v,
        "addresses": config.bench.board.addresses,
        "attempt": frame.key.attempt,
        "helping": frame.key.helping,
        "number": (kept + frame.first_slot).tolist(),
        "channel": frame.channel[kept].tolist(),
        "position": frame.position[kept].tolist(),
        "pulses": frame.pulses[kept].tolist(),
        "spikes": shot.capture.spikes[kept].tolist(),
        "slot_s": shot.capture.slot_s[kept].round(_NS).tolist(),
        "planned_s": (length_ticks(frame, tick_s)[kept] * tick_s).round(_NS).tolist(),
        "rise_s": rise.round(_NS).tolist(),
        "axon_s": axon.round(_NS).tolist(),
        "traces": [_trace(trace, ends, deflated=around is None) for trace in shot.capture.traces] if ends else [],
    }


def _trace(trace: Trace, ends: tuple[float, float], *, deflated: bool) -> dict[str, Any]:
    """The samples between two times."""
    a, b = (
        int(np.clip((end - trace.x_origin_s) / trace.x_increment_s + more, 0, len(trace.codes)))
        for end, more in zip(ends, (0, 1), strict=True)
    )
    codes = trace.codes[a:b].tobytes()
    return {
        "name": trace.name,
        "codes": packed(codes) if deflated else base64.b64encode(codes).decode("ascii"),
        "volts": trace.y_increment_v,
        "zero": trace.y_origin + trace.y_reference,
        "step_s": trace.x_increment_s,
        "start_s": trace.x_origin_s + a * trace.x_increment_s,
    }


def raster(shots: list[Seen], config: RunConfig, channel: int) -> dict[str, Any] | None:
    """Every spike of one kernel's played slots, s after the slot's sync fell, by row; None without traces.

    A row is one playing of a slot that counts: where a slot had several helpings, it has as many.
    """
    timing = config.timing
    positions: list[int] = []
    pulsed_s: list[float] = []
    row: list[int] = []
    after_s: list[float] = []
    for shot in shots:
        frame = shot.capture.frame
        mine = (frame.channel[shot.played] == channel) & shot.capture.ok[shot.played]
        if not len(shot.rise_s) or not mine.any():
            continue
        rows = len(positions) + np.cumsum(mine) - 1
        positions += frame.position[shot.played][mine].tolist()
        clock = frame.pulses[shot.played][mine] / timing.dendrite_clock_hz
        pulsed_s += clock.round(_NS).tolist() if timing.mode == "adaptive" else [timing.window_s] * int(mine.sum())
        interval = np.searchsorted(shot.rise_s, shot.axon_s, side="right") - 1
        inside = (interval >= 0) & (interval < len(shot.played))
        interval, axon = interval[inside], shot.axon_s[inside]
        after = axon - shot.fall_s[interval]
        keep = mine[interval] & (after >= 0)
        row += rows[interval[keep]].tolist()
        after_s += after[keep].round(_NS).tolist()
    if not positions:
        return None
    return {"played": positions, "pulsed_s": pulsed_s, "row": row, "after_s": after_s}

"""Traces → axon spikes per slot.

`sync` is high during the lead of each slot and low during its pulses and settling; one more sync pulse closes the shot.
So every slot lies between two rising edges on the oscilloscope's own clock, and no two clocks have to agree.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from drivers.decode.schmitt import CLIPPED_HIGH, CLIPPED_LOW, Pulses, find_pulses
from drivers.decode.slots import Alignment, align
from drivers.errors import CaptureError
from drivers.signals import Capture, Stray, Trace
from drivers.timing import length_ticks, seconds, slot_ticks

if TYPE_CHECKING:
    from drivers.benchfile import SpikeSettings
    from drivers.signals import FloatArray, Frame

_LEAD_TOLERANCE = 0.1  # of the sync pulse's width; its ends bound the guard, not the slot


def decode(shot: Frame, traces: Sequence[Trace], settings: SpikeSettings, tick_s: float, bench_s: float) -> Capture:
    """Count the axon spikes of every slot of a shot from its traces, which must hold `axon` and `sync`.

    A spike belongs to the slot during whose sync-low time its axon rises; spikes while sync is high, before the first
    slot or after the last are reported as stray. Slots of the wrong length are not ok. Raises CaptureError when a
    trace is missing, empty, flat, clipped, upside down or swapped, or when slots cannot be told apart.
    """
    axon_trace, sync_trace = _trace(traces, "axon"), _trace(traces, "sync")
    _check_time_base(axon_trace, sync_trace)
    axon_all = _pulses(axon_trace, settings, inverted=settings.inverted)
    sync_all = _pulses(sync_trace, settings, inverted=False)
    lead_s = slot_ticks(shot.timing, tick_s).lead * tick_s
    played = np.flatnonzero(shot.played)
    sync = sync_all.at_least(max(settings.min_width_s, lead_s / 2))
    if len(played):
        _check_sync(sync, sync_all, axon_all, lead_s, len(played), sync_trace, settings)
    _check_axon(axon_all, axon_trace, settings)
    axon = axon_all.at_least(settings.min_width_s)
    notes = [f"{len(axon_all) - len(axon)} axon pulses shorter than {settings.min_width_s:g} s ignored"]

    slots, measured = _slots(shot, sync, settings, tick_s, sync_trace.x_increment_s)
    counts, stray = _count(axon.rise_s, sync)
    known = slots.interval >= 0
    spikes = np.zeros(len(shot), dtype=np.int32)
    slot_s = np.zeros(len(shot))
    ok = np.ones(len(shot), dtype=np.bool_)
    spikes[played[known]] = counts[slots.interval[known]]
    slot_s[played[known]] = measured[slots.interval[known]]
    ok[played] = slots.ok
    unclaimed = int(counts.sum() - spikes.sum())
    return Capture(
        frame=shot,
        spikes=spikes,
        slot_s=slot_s,
        ok=ok,
        bench_s=bench_s,
        stray=stray,
        traces=tuple(traces),
        notes=(*notes[: len(axon_all) > len(axon)], *_slot_notes(played, slots, len(measured), unclaimed)),
    )


def levels_v(trace: Trace) -> tuple[float, float]:
    """The lowest and highest voltage of a trace, V."""
    ends = np.array([trace.codes.min(), trace.codes.max()]).astype(np.float64)
    low, high = (ends - trace.y_origin - trace.y_reference) * trace.y_increment_v
    return float(low), float(high)


def _trace(traces: Sequence[Trace], name: str) -> Trace:
    for trace in traces:
        if trace.name == name:
            return trace
    raise CaptureError(f"no {name!r} trace among {[t.name for t in traces]}: name its channel in [scope] channels")


def _check_time_base(axon: Trace, sync: Trace) -> None:
    bases = [(len(t.codes), t.x_increment_s, t.x_origin_s) for t in (axon, sync)]
    step = axon.x_increment_s
    if bases[0][0] != bases[1][0] or not np.allclose(bases[0][1:], bases[1][1:], rtol=1e-9, atol=1e-3 * step):
        raise CaptureError(
            f"axon and sync do not share a time base: (samples, step, start) = {bases[0]} and {bases[1]}; "
            "read both channels from one acquisition"
        )


def _pulses(trace: Trace, settings: SpikeSettings, *, inverted: bool) -> Pulses:
    low_v = settings.threshold_v - settings.hysteresis_v / 2
    high_v = settings.threshold_v + settings.hysteresis_v / 2
    pulses = find_pulses(trace, low_v, high_v, inverted=inverted)
    _check_clipping(trace, pulses)
    return pulses


def _check_clipping(trace: Trace, pulses: Pulses) -> None:
    """Refuse a trace whose resting or pulse level lies at the edge of the screen; ringing beyond it is no harm."""
    some = slice(None, None, max(1, len(pulses) // 4096))
    rise_s, fall_s = pulses.rise_s[some], pulses.fall_s[some]
    middle_s = (rise_s + np.minimum(fall_s, rise_s + 2 * trace.x_increment_s)) / 2
    index = np.round((middle_s - trace.x_origin_s) / trace.x_increment_s).astype(np.intp)
    thinned = trace.codes[:: max(1, len(trace.codes) // 4096)]
    for level in (trace.codes[np.minimum(index, len(trace.codes) - 1)], thinned):
        if not len(level):
            continue
        code = float(np.median(level))
        if code <= CLIPPED_LOW or code >= CLIPPED_HIGH:
            edge = "top" if code >= CLIPPED_HIGH else "bottom"
            raise CaptureError(
                f"trace {trace.name!r} is clipped at the {edge} of the screen: check that the probe's switch agrees "
                "with scope.probe and that scope.volts_per_div shows the whole signal"
            )


def _check_sync(
    sync: Pulses, sync_all: Pulses, axon_all: Pulses, lead_s: float, slots: int, trace: Trace, settings: SpikeSettings
) -> None:
    if len(sync) >= 2:
        return
    if len(axon_all.at_least(lead_s / 2)) == slots + 1:
        raise CaptureError(
            f"the axon channel shows the {slots + 1} sync pulses of this shot: sync and axon are swapped; exchange the "
            "probes or [scope] channels"
        )
    if len(sync_all):
        raise CaptureError(
            f"sync shows {len(sync_all)} pulses of {np.median(sync_all.width_s):.3g} s, expected {slots + 1} of "
            f"{lead_s:.3g} s: check which line is on the sync channel"
        )
    raise CaptureError(_flat("sync", trace, settings))


def _check_axon(axon: Pulses, trace: Trace, settings: SpikeSettings) -> None:
    if axon.starts_high and axon.ends_high:
        rest = "low" if settings.inverted else "high"
        raise CaptureError(
            f"the axon is {rest} before and after the shot: it is stuck, or the comparator's polarity is not "
            f"spikes.inverted = {str(settings.inverted).lower()}"
        )
    low, high = levels_v(trace) if not len(axon) else (0.0, 0.0)
    if high - low > settings.threshold_v / 8:  # a ×10 probe read as ×1 shows a tenth
        raise CaptureError(_flat("axon", trace, settings))


def _flat(name: str, trace: Trace, settings: SpikeSettings) -> str:
    low, high = levels_v(trace)
    return (
        f"{name} stays within {low:.3g}…{high:.3g} V and never passes {settings.threshold_v:g} ± "
        f"{settings.hysteresis_v / 2:g} V: check the probe, its switch against scope.probe, and the {name} line"
    )


def _slots(
    shot: Frame, sync: Pulses, settings: SpikeSettings, tick_s: float, step_s: float
) -> tuple[Alignment, FloatArray]:
    """Planned slots matched with sync edges, and the measured intervals (k,) in s."""
    played = shot.played
    planned_s = seconds(length_ticks(shot, tick_s)[played], tick_s)
    measured_s = np.diff(sync.rise_s)
    if not len(planned_s):
        return Alignment(np.empty(0, np.intp), np.empty(0, np.bool_)), measured_s
    # Either edge is known to half a sample at worst; the rest is for the two clocks and for edges made late by DMA.
    allowed_s = settings.slot_tolerance * planned_s + 1.5 * step_s + settings.edge_slack_s
    found = align(measured_s, planned_s, allowed_s)
    lead_s = slot_ticks(shot.timing, tick_s).lead * tick_s
    lead_good = np.abs(sync.width_s[:-1] - lead_s) <= _LEAD_TOLERANCE * lead_s + 1.5 * step_s + settings.edge_slack_s
    return Alignment(found.interval, found.ok & lead_good[found.interval]), measured_s


def _count(spike_s: FloatArray, sync: Pulses) -> tuple[NDArray[np.intp], Stray]:
    """Spikes in the sync-low time of each interval (k,), and those that belong to none."""
    if not len(sync):
        return np.empty(0, np.intp), Stray(before=len(spike_s))
    until_rise = np.searchsorted(spike_s, sync.rise_s)  # spikes before each sync edge
    until_fall = np.searchsorted(spike_s, sync.fall_s[:-1])
    counts = until_rise[1:] - until_fall
    guard = int((until_fall - until_rise[:-1]).sum())
    return counts, Stray(before=int(until_rise[0]), guard=guard, after=len(spike_s) - int(until_rise[-1]))


def _slot_notes(played: NDArray[np.intp], slots: Alignment, intervals: int, unclaimed: int) -> list[str]:
    notes = []
    if intervals != len(played) and len(played):
        notes.append(f"sync shows {intervals} slots, planned were {len(played)}")
    bad = played[~slots.ok]
    if len(bad):
        notes.append(f"{len(bad)} slots late, missing or unreadable, first slot {int(bad[0])} of the shot")
    if unclaimed:
        notes.append(f"{unclaimed} spikes in slots that cannot be told apart")
    return notes

"""How often the daemon samples its pins (`pigpiod -s`): measured, since no command tells it, and what it has to be."""

from __future__ import annotations

import math
import threading
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from drivers.errors import BenchError
from drivers.pigpio.reports import Reports, gathered

if TYPE_CHECKING:
    from drivers.pigpio.link import Clock, PigpioLink
    from drivers.pigpio.reports import ReportStream
    from drivers.settings import BoardSettings

CPU_PERCENT = {
    1: 25,
    2: 16,
    4: 11,
    5: 10,
    8: 15,
    10: 14,
}  # of a core, by µs between samples (pigpio.h v79, gpioCfgClock)
SAMPLES_AN_AXON = 2  # what lasts two samples is never missed
_EDGES, _TRIES = 1_000, 3
_SHARE = 0.6  # of the intervals are whole samples; of any other step, half of them at most are so by chance
_PATIENCE_S = 2.0
_REPORTS_S = 1.0  # what reports are late where the network or this computer is busy


def measure_sample_us(link: PigpioLink, stream: ReportStream, pin: int, clock: Clock) -> int:
    """Time between samples, µs: how far apart the ticks of edges on an output are, in whole steps.

    Plays some 40 ms of pulses on `pin`, which may be wired to no switch; nothing else may be playing. The edges are
    odd numbers of µs apart as often as even ones, and so on. Where some are missing or come twice it is done again.
    Raises BenchError where too few of them are reported.
    """
    for _ in range(_TRIES):
        reports = _played(link, stream, pin, clock)
        if len(reports) == _EDGES and not reports.after_gap[1:].any():
            break
    if len(reports) < _EDGES // 2:
        raise BenchError(
            f"pigpiod reported {len(reports)} of {_EDGES} edges on GPIO {pin}: is its sampling switched off "
            "(pigpiod -m)? Start it without -m"
        )
    return step_us(np.diff(reports.ticks).astype(np.int64))  # unsigned: the tick may wrap


def _played(link: PigpioLink, stream: ReportStream, pin: int, clock: Clock) -> Reports:
    """What is reported of the pulses, once."""
    import pigpio

    gaps = edge_gaps_us()
    bit = 1 << pin
    pulses = [pigpio.pulse(*((bit, 0) if i % 2 == 0 else (0, bit)), int(gap)) for i, gap in enumerate(gaps)]
    link.call("write", pin, 0)
    stream.take()
    link.call("notify_begin", stream.handle, bit)
    link.call("wave_add_new")
    link.call("wave_add_generic", pulses)
    wid = link.call("wave_create")
    link.call("wave_send_once", wid)
    found: list[Reports] = []
    until_s = clock.now_s() + _PATIENCE_S
    while link.call("wave_tx_busy") and clock.now_s() < until_s:
        clock.wait(threading.Event(), 0.005)
    while sum(map(len, found)) < len(gaps) and stream.wait(_REPORTS_S):
        found.append(stream.take())
    link.call("notify_pause", stream.handle)
    link.call("wave_tx_stop")
    link.call("wave_delete", wid)
    return gathered(found)


def edge_gaps_us() -> NDArray[np.int64]:
    """(_EDGES,) times between the edges that are played: all longer than two of the slowest samples, all residues."""
    return np.random.default_rng(1).integers(22, 62, _EDGES)


def step_us(intervals_us: NDArray[np.int64]) -> int:
    """The longest step of which most intervals are whole numbers; the daemon puts some of its ticks right."""
    for step in sorted(CPU_PERCENT, reverse=True):
        if (intervals_us % step == 0).mean() > _SHARE:
            return step
    return 1


def slowest_us(board: BoardSettings) -> int | None:
    """The longest time between samples with which no axon pulse is missed; None where the shortest is too long."""
    fit = [us for us in CPU_PERCENT if SAMPLES_AN_AXON * us * 1e-6 <= board.axon_width_s * (1 + 1e-9)]
    # Sampling every 8 or 10 µs costs more than every 5 (gpioCfgClock).
    return min(fit, key=lambda us: (CPU_PERCENT[us], -us)) if fit else None


def unfit(board: BoardSettings, sample_us: int) -> str:
    """Why axon pulses would be missed with these samples, and what to do; empty where none is."""
    if SAMPLES_AN_AXON * sample_us * 1e-6 <= board.axon_width_s * (1 + 1e-9):
        return ""
    best = slowest_us(board)
    least_us = SAMPLES_AN_AXON * sample_us
    remedy = (
        f"start it with `pigpiod -s {best}` (about {CPU_PERCENT[best]} % of a core), or stretch the one-shot to "
        f"{least_us} µs"
        if best is not None
        else f"stretch the one-shot to {SAMPLES_AN_AXON} µs at least"
    )
    return (
        f"pigpiod samples every {sample_us} µs, and an axon pulse of {board.axon_width_s * 1e6:g} µs has to last "
        f"{SAMPLES_AN_AXON} samples or it may be missed: {remedy}"
    )


def describe(sample_us: int) -> str:
    """What it costs."""
    return f"every {sample_us} µs (-s {sample_us}), about {CPU_PERCENT[sample_us]} % of a core"


def longest_slot_s() -> float:
    """Longest slot in which a loss leaves a sign.

    The daemon's ring of samples holds 120 ms, or what -b says, which is 100 ms at least (pigpio.h v79). What it loses
    is a whole ring or more, so that in a shorter slot an edge of sync is lost with it.
    """
    return 0.1


def too_long(slot: int, slot_s: float) -> str:
    """Why a slot cannot be trusted."""
    pulses = math.floor(longest_slot_s() / slot_s * 100)
    return (
        f"slot {slot} lasts {slot_s:.3g} s: within more than {longest_slot_s():g} s pigpiod can lose samples without a "
        f"sign; give it {pulses} % of its pulses, or count with the Pico or the oscilloscope"
    )

"""Faster ways of reading an oscilloscope, each proven on the instrument itself with pulses whose number is known.

Peak detect: pulses of sync that are a quarter as long as what a pair of samples stands for; a plain record would miss
half of them. Then one frame twice, read in full and by peaks: as many spikes, and nothing on the axon that a record of
peaks could take for a spike. What is not proven is not used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

import numpy as np

from drivers.checks import Check
from drivers.decode.envelope import read_envelope
from drivers.decode.spikes import GLITCHES
from drivers.ds4024.known import Known
from drivers.errors import CaptureError, LimitError
from drivers.signals import probe_frame
from drivers.timing import length_ticks, seconds

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from drivers.signals import Capture, Frame, SlotTiming, Trace

COARSE_SLOTS, COARSE_PULSES = 200, 30  # slots of several times what a pair of samples stands for
SLOTS, MOST_PULSES = 1_000, 8  # whose edges tell the ratio of the clocks to 1 ppm
OK_SHARE = 0.98
TRIES = 3
SIGMAS = 5.0
Play = Callable[["Frame"], "Capture"]


class OnTrial(Protocol):
    """What a reader has to show: see `drivers.ds4024.reader.ScopeReader`."""

    seen: list[Trace]

    @property
    def known(self) -> Known:
        """What is known of the instrument."""
        ...

    @property
    def tick_s(self) -> float:
        """Of the pulse source."""
        ...

    @property
    def sync_level_v(self) -> float:
        """What sync passes."""
        ...

    def learn(self, known: Known) -> None:
        """Take something for known."""
        ...

    def keep(self) -> None:
        """Keep what is known."""
        ...

    def taking(self, mode: str) -> AbstractContextManager[None]:
        """Shots within are taken "full", by "peaks", or "coarse"."""
        ...

    def takes_vernier(self) -> bool:
        """Whether a time base between its steps is taken."""
        ...


def prove(reader: OnTrial, play: Play, timing: SlotTiming) -> Iterator[Check]:
    """Try each way on known pulses, say what came of it, and keep it; `play` plays one shot at the working V_th.

    Raises BenchError where the bench fails; a way that cannot be had is no fault of the bench.
    """
    was = reader.known
    known = was.model_copy(update={"peak": False, "vernier": False})
    reader.learn(known)
    if not was.serial:
        return
    fine = reader.takes_vernier()
    told = "any time base" if fine else "1-2-5 time bases only: records are longer than shots"
    yield Check("scope vernier", True, told)
    missing = ""
    for _ in range(TRIES):  # a host that was late spoils a shot, and no known pulse is where it is due
        reader.learn(known)
        missing = _unlike(reader, play, timing, known, fine) or _peaks_missing(reader, play, timing)
        if not missing:
            break
    reader.learn(known if missing else known.model_copy(update={"peak": True, "vernier": fine}))
    told = "every known pulse is in memory, and as many spikes as in full" if not missing else f"not used: {missing}"
    yield Check("scope peak detect", True, told)
    reader.keep()
    rate = reader.known.bytes_per_s
    told = "not measured yet" if rate is None else f"{rate / 1e6:.3g} MB/s"
    yield Check("scope link", True, f"{told}, {reader.known.ask_s * 1e3:.3g} ms a query")


def _peaks_missing(reader: OnTrial, play: Play, timing: SlotTiming) -> str:
    """Why peak detect cannot be used, by the pulses of sync; empty where each of them is found where it is due."""
    frame = probe_frame("peak detect", timing, np.full(COARSE_SLOTS, COARSE_PULSES, dtype=np.int32))
    try:
        with reader.taking("coarse"):
            play(frame)
    except LimitError as error:
        return str(error)
    due_s = np.concatenate([[0.0], np.cumsum(seconds(length_ticks(frame, reader.tick_s), reader.tick_s))])
    sync = next((trace for trace in reader.seen if trace.name == "sync"), None)
    if sync is None:
        return "no record came"
    try:
        found = read_envelope(sync, reader.sync_level_v)
    except CaptureError as error:
        return str(error)
    at_s = found.at_s(found.first)
    if len(at_s) != len(due_s) or np.abs(at_s - due_s).max() > 1.5 * found.step_s:
        return f"of {len(due_s)} known pulses of sync, shorter than a sample, its memory shows {len(at_s)}"
    return ""


def _unlike(reader: OnTrial, play: Play, timing: SlotTiming, known: Known, fine: bool) -> str:
    """Why reading by peaks cannot be used, by a frame that is played twice; empty where both are alike."""
    pulses = np.random.default_rng(5).integers(1, MOST_PULSES + 1, SLOTS).astype(np.int32)
    frame = probe_frame("in full", timing, pulses)
    with reader.taking("full"):
        full = play(frame)
    if not full.ok.all():
        return f"in full, {(~full.ok).sum()} of {SLOTS} slots cannot be told: {'; '.join(full.notes)}"
    if glitches := [note for note in full.notes if GLITCHES in note]:
        return f"{glitches[0]}, which by peaks would be counted"
    reader.learn(known.model_copy(update={"peak": True, "vernier": fine}))
    try:
        with reader.taking("peaks"):
            peaks = play(replace(frame, key=replace(frame.key, purpose="by peaks")))
    except LimitError as error:
        return str(error)
    if peaks.ok.mean() < OK_SHARE:
        return f"{(~peaks.ok).sum()} of {SLOTS} slots cannot be told: {'; '.join(peaks.notes)}"
    off = (full.spikes - peaks.spikes)[peaks.ok].astype(np.float64)
    if abs(off.sum()) > SIGMAS * np.sqrt((off**2).sum()):
        return f"{int(full.spikes[peaks.ok].sum())} spikes in full are {int(peaks.spikes[peaks.ok].sum())} by peaks"
    return ""

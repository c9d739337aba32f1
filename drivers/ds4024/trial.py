"""Faster ways of reading an oscilloscope, each proven on the instrument itself with pulses whose number is known.

One frame is played twice, read in full and with two samples in a pulse: as many spikes, of which none was doubtful, on
a line whose noise so few samples bear. What is not proven is not used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

import numpy as np

from drivers.checks import Check
from drivers.decode.spikes import GLITCHES
from drivers.ds4024.known import Known
from drivers.errors import LimitError
from drivers.signals import probe_frame

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from drivers.signals import Capture, Frame, SlotTiming

SLOTS, MOST_PULSES = 1_000, 8  # whose edges tell the ratio of the clocks to 1 ppm
OK_SHARE = 0.98
TRIES = 3
SIGMAS = 5.0
Play = Callable[["Frame"], "Capture"]


class OnTrial(Protocol):
    """What a reader has to show: see `drivers.ds4024.reader.ScopeReader`."""

    @property
    def known(self) -> Known:
        """What is known of the instrument."""
        ...

    def learn(self, known: Known) -> None:
        """Take something for known."""
        ...

    def keep(self) -> None:
        """Keep what is known."""
        ...

    def taking(self, *, sparse: bool) -> AbstractContextManager[None]:
        """Shots within are taken with few samples, or in full."""
        ...

    def takes_vernier(self) -> bool:
        """Whether a time base between its steps is taken."""
        ...


def prove(reader: OnTrial, play: Play, timing: SlotTiming) -> Iterator[Check]:
    """Try each way on known pulses, say what came of it, and keep it; `play` plays one shot at the working V_th.

    Raises BenchError where the bench fails; a way that cannot be had is no fault of the bench.
    """
    was = reader.known
    known = was.model_copy(update={"sparse": False, "vernier": False})
    reader.learn(known)
    if not was.serial:
        return
    fine = reader.takes_vernier()
    told = "any time base" if fine else "1-2-5 time bases only: records are longer than shots"
    yield Check("scope vernier", True, told)
    missing = ""
    for _ in range(TRIES):  # a host that was late spoils a shot, and no known pulse is where it is due
        reader.learn(known)
        missing = _unlike(reader, play, timing, known, fine)
        if not missing:
            break
    reader.learn(known if missing else known.model_copy(update={"sparse": True, "vernier": fine}))
    told = "as many spikes with two samples a pulse as in full" if not missing else f"not used: {missing}"
    yield Check("scope few samples", True, told)
    reader.keep()
    rate = reader.known.bytes_per_s
    told = "not measured yet" if rate is None else f"{rate / 1e6:.3g} MB/s"
    yield Check("scope link", True, f"{told}, {reader.known.ask_s * 1e3:.3g} ms a query")


def _unlike(reader: OnTrial, play: Play, timing: SlotTiming, known: Known, fine: bool) -> str:
    """Why few samples cannot be used, by a frame that is played twice; empty where both are alike."""
    pulses = np.random.default_rng(5).integers(1, MOST_PULSES + 1, SLOTS).astype(np.int32)
    frame = probe_frame("in full", timing, pulses)
    with reader.taking(sparse=False):
        full = play(frame)
    if not full.ok.all():
        return f"in full, {(~full.ok).sum()} of {SLOTS} slots cannot be told: {'; '.join(full.notes)}"
    if glitches := [note for note in full.notes if GLITCHES in note]:
        return f"{glitches[0]}: slots with those would be played again"
    reader.learn(known.model_copy(update={"sparse": True, "vernier": fine}))
    try:
        with reader.taking(sparse=True):
            few = play(replace(frame, key=replace(frame.key, purpose="with few samples")))
    except LimitError as error:
        return str(error)
    if few.ok.mean() < OK_SHARE:
        return f"{(~few.ok).sum()} of {SLOTS} slots cannot be told: {'; '.join(few.notes)}"
    off = (full.spikes - few.spikes)[few.ok].astype(np.float64)
    if abs(off.sum()) > SIGMAS * np.sqrt((off**2).sum()):
        return f"{int(full.spikes[few.ok].sum())} spikes in full are {int(few.spikes[few.ok].sum())} with few samples"
    return ""

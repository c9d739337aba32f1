"""How long a Pico takes for its requests, and how closely its shots follow one another, measured from its host.

firmware/README.md has the same figures from an emulated Pico, without USB.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from drivers.signals import Capture, Frame, SlotTiming, probe_frame

if TYPE_CHECKING:
    from drivers.pico.device import Pico
    from drivers.wear.account import Account

TIMES = 5  # a request is asked, of which the median is told
LOADS = (400, 1024)  # slots


@dataclass(frozen=True)
class Row:
    """Shots that were queued: what was counted, and the gaps between them as the Pico timed them, to 1 ms a gap."""

    captures: list[Capture]
    gaps_s: list[float]
    loading_s: list[float]  # each beside the shot before it
    reading_s: list[float]

    @property
    def share(self) -> float:
        """Of the time from the first edge to the last, what plays; gaps that read as less than 0 count as 0."""
        plays = sum(capture.bench_s for capture in self.captures)
        return plays / (plays + sum(max(0.0, gap) for gap in self.gaps_s))


def unlike(slots: int, most_pulses: int) -> list[int]:
    """Counts of 1…most, hardly two in a row alike: what takes longest to send."""
    return [1 + (7 * i) % most_pulses for i in range(slots)]


def request_times_s(pico: Pico, timing: SlotTiming) -> dict[str, float]:
    """Seconds of each kind of request; nothing is played. `pico` is prepared, and has no shot afterwards."""
    link = pico.link
    times = {verb: _median_s(lambda verb=verb: link.ask(verb)) for verb in ("id", "beat", "status")}  # type: ignore[misc]
    times["setup"] = _median_s(pico.set_up)
    for slots in LOADS:
        frame = probe_frame("accept", timing, unlike(slots, 32))
        found = []
        for _ in range(TIMES):
            found.append(_once_s(lambda frame=frame: _loaded(pico, frame)))  # type: ignore[misc]
            pico.stop()
        times[f"load {slots} slots"] = statistics.median(found)
    return times


def in_a_row(pico: Pico, account: Account, shots: Sequence[Frame]) -> Row:
    """Play shots, each loaded and queued while the one before it plays, and read their counts meanwhile.

    `pico` is prepared, V_th set; what the device gets goes to its account. Raises BenchError.
    """
    captures: list[Capture] = []
    gaps, loading, reading = [], [], []
    with account.playing():
        _begin(pico, account, shots[0])
        for k in range(len(shots)):
            if k + 1 < len(shots):
                following = shots[k + 1]
                loading.append(_once_s(lambda shot=following: _begin(pico, account, shot)))  # type: ignore[misc]
            pico.wait()
            reading.append(_once_s(lambda: captures.append(pico.read())))
            account.played(captures[k].bench_s)
            if k + 1 < len(shots):
                gaps.append(pico.elapsed_s - captures[k].bench_s)
    return Row(captures, gaps, loading, reading)


def _begin(pico: Pico, account: Account, shot: Frame) -> None:
    account.check(shot)
    account.promise(shot)
    pico.load(shot)
    pico.arm(shot)
    account.started()
    pico.start()


def _loaded(pico: Pico, shot: Frame) -> None:
    pico.load(shot)
    pico.link.settle_shot()


def _median_s(work: Callable[[], object]) -> float:
    return statistics.median(_once_s(work) for _ in range(TIMES))


def _once_s(work: Callable[[], object]) -> float:
    began = time.monotonic()
    work()
    return time.monotonic() - began


def strays(row: Row) -> int:
    """Spikes outside slots, of all shots."""
    found = [capture.stray for capture in row.captures]
    return int(np.sum([stray.before + stray.guard + stray.after for stray in found if stray is not None]))

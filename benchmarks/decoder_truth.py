"""How often a decoder is wrong and nobody is told: against noise, and against a grid of defects with severity.

    python benchmarks/decoder_truth.py [--slots N] [--markdown] [--only NAME]

Every slot has eight pulses and two spikes, so that the truth is known. Shots have twenty slots, where little tells what
is usual, or five hundred. Four decoders read them:

    ours       drivers.decode, which may also call a slot not ok, or refuse the shot
    crossing   every rise through 1.65 V
    peaks      scipy.signal.find_peaks with height, prominence and distance tuned on clean shots at 20 dB
    matched    the running mean over an axon pulse's width, peaks of at least half a pulse's height, a width apart

The rivals are given the true slot edges; ours finds them in sync. *Silent* is the share of slots that were called good
and have a wrong count; *refused* is the share of slots that were not called good. SNR is 3.3 V over the rms of white
noise. None of 30,000 slots means fewer than 1 in 10,000, 95 times in 100 (exact binomial, one-sided); that bound is
given for every row. Exits with 1 when a slot of ours is silently wrong at 20 dB or more, when more than 1 in 10,000
slots of a row that has to be read rightly are refused there, or when ours is silently wrong more often than the matched
filter at any SNR.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.signal import find_peaks
from scipy.stats import beta

from drivers.decode.spikes import decode
from drivers.errors import CaptureError
from drivers.mock import defects
from drivers.mock.defects import Wire
from drivers.settings import BoardSettings, SpikeSettings
from drivers.signals import SlotTiming, Trace
from tests.drivers.synthetic import TICK_S, Shot, shot_of

SHORT, LONG, PULSES, SPIKES = 20, 500, 8, 2  # slots of a shot, and what is in each
DEFECTIVE = 3_000  # slots of a row that need not be read
PERIOD_NS = 10_000
FIRST_NS, LAG_NS = 3_300, 3_000  # a spike comes so long after the fall of sync and its pulse, and up to so much later
SNR_DB = (40, 32, 26, 23, 20, 18, 16, 14, 12, 10, 8)
GRID_DB = (40, 26, 20)
HIGH_V = 3.3
REFUSED_MOST = 1e-4
Ints = NDArray[np.int64]
Change = Callable[[Wire, Shot], Wire]


@dataclass(frozen=True)
class Case:
    """One line that is bad in one way. `counts`: the right count is asked for, not only honesty."""

    name: str
    severity: str
    change: Change = lambda wire, _shot: wire
    counts: bool = False
    axon_ns: int = 2_000
    samples: float = 5
    volts_per_div: float = 1.0
    settings: SpikeSettings = field(default_factory=SpikeSettings)
    both: bool = False


def middle_ns(shot: Shot) -> int:
    return int(shot.edges_ns[len(shot.edges_ns) // 2])


def grid() -> Iterator[Case]:
    yield Case("none", "", counts=True)
    yield Case("none, 2 samples a pulse", "", counts=True, samples=2)
    yield from levels()
    yield from shapes()
    for width in (20, 50):
        yield Case("long axon", f"{width} µs", axon_ns=1_000 * width, counts=True)


def levels() -> Iterator[Case]:
    """Lines that stick, rest elsewhere, drift or hum."""
    for v in (3.3, 2.5, 1.65, 1.0):
        yield Case("stuck from mid-shot", f"{v} V", lambda w, s, v=v: defects.sticks(w, v, middle_ns(s)))
    low = SpikeSettings(threshold_v=0.5)
    for v in (0.2, 0.4):
        change = lambda w, _, v=v: defects.raised_rest(w, v)  # noqa: E731
        yield Case("rest level, threshold 0.5 V", f"{v} V", change, settings=low, counts=True)
    for v in (0.5, 1.0, 1.5):
        for sign in (1, -1):
            change = lambda w, s, v=sign * v: defects.drift(w, v, 0, s.end_ns)  # noqa: E731
            yield Case("drift", f"{sign * v} V", change, counts=True, both=True)
        for hz in (50, 120, 400):
            change = lambda w, _, v=v, f=hz: defects.hum(w, v, f)  # noqa: E731
            yield Case("hum", f"{v} V {hz} Hz", change, counts=True, both=True)


def shapes() -> Iterator[Case]:
    """Pulses that are low, slow, torn, doubled, short or foreign."""
    for v in (1.0, 1.3, 1.6, 1.9, 2.5):
        for part, name in ((0.5, "half are runts"), (0.95, "nearly all are runts")):
            change = lambda w, _, h=v / HIGH_V, p=part: defects.runts(w, h, p)  # noqa: E731
            yield Case(name, f"{v} V", change, counts=v >= 1.9)
    for us in (0.5, 1.0, 2.0):
        change = lambda w, _, r=us * 1e-6: defects.slow_edges(w, r)  # noqa: E731
        yield Case("slow edges", f"RC {us} µs", change, counts=True, both=True)
    for ns in (100, 200, 500):
        yield Case("notch", f"{ns} ns", lambda w, _, n=ns: defects.notches(w, 900, n), counts=ns <= 200)
    for v in (0.5, 1.0, 1.5, 2.1, 2.8):
        for ns in (2_600, 5_000):
            yield Case(f"echo after {ns} ns", f"{v} V", lambda w, _, h=v / HIGH_V, n=ns: defects.echo(w, h, n))
    for ns in (200, 400, 700, 1_000, 1_500):
        yield Case("narrow pulses", f"{ns} ns", lambda w, _, n=ns: defects.narrow(w, n))
    for ns in (100, 300):
        yield Case("glitches", f"{ns} ns", lambda w, _, n=ns: defects.glitches(w, n, 130_000, HIGH_V), counts=True)
    change = lambda w, _: defects.glitches(w, 1_000, 130_000, HIGH_V)  # noqa: E731
    yield Case("glitches, axon 20 µs", "1 µs", change, axon_ns=20_000, counts=True)


def known_shot(case: Case, seed: int, slots: int) -> Shot:
    """Two spikes a slot, each belonging to one of its pulses, no sooner after each other than the board allows."""
    rng = np.random.default_rng(seed)
    board = BoardSettings(axon_width_s=case.axon_ns * 1e-9)
    shot = shot_of([PULSES] * slots, SlotTiming(settle_s=board.settle_s))
    apart = int(np.ceil((case.axon_ns + 4_300) / PERIOD_NS))
    for slot in range(slots):
        first = int(rng.integers(0, PULSES - apart))
        for pulse in (first, int(rng.integers(first + apart, PULSES))):
            shot.spike(slot, pulse * PERIOD_NS + FIRST_NS + int(rng.integers(0, LAG_NS)))
    return shot


def seen(case: Case, shot: Shot, seed: int, snr_db: float) -> list[Trace]:
    board = BoardSettings(axon_width_s=case.axon_ns * 1e-9)
    wires = shot.wires(case.axon_ns)
    for name in ("axon", "sync") if case.both else ("axon",):
        wires[name] = case.change(wires[name], shot)
    step_s = board.sampling_s(shot.frame.timing, case.samples)
    phase = 97 * seed % round(step_s * 1e9)
    return shot.seen(wires, step_s=step_s, phase_ns=phase, volts_per_div=case.volts_per_div, seed=seed, snr_db=snr_db)


# ---- decoders: (spikes of each slot, whether each is called good) ---------------------------------------------------


def ours(case: Case, shot: Shot, traces: list[Trace]) -> tuple[Ints, NDArray[np.bool_]]:
    board = BoardSettings(axon_width_s=case.axon_ns * 1e-9)
    try:
        capture = decode(shot.frame, traces, case.settings, board, TICK_S, 0.1)
    except CaptureError:
        return np.zeros(len(shot.frame), np.int64), np.zeros(len(shot.frame), np.bool_)
    return capture.spikes.astype(np.int64), capture.ok


def in_slots(shot: Shot, times_s: NDArray[np.float64]) -> tuple[Ints, NDArray[np.bool_]]:
    begin = (shot.edges_ns[:-1] + shot.lead_ns) * 1e-9
    end = shot.edges_ns[1:] * 1e-9
    counts = np.searchsorted(times_s, end) - np.searchsorted(times_s, begin)
    return counts.astype(np.int64), np.ones(len(counts), np.bool_)


def crossing(case: Case, shot: Shot, traces: list[Trace]) -> tuple[Ints, NDArray[np.bool_]]:
    axon = traces[0]
    above = axon.volts > case.settings.threshold_v
    return in_slots(shot, axon.times_s[1:][above[1:] & ~above[:-1]])


def peaks(case: Case, shot: Shot, traces: list[Trace]) -> tuple[Ints, NDArray[np.bool_]]:
    axon = traces[0]
    width = max(1, round(case.axon_ns * 1e-9 / axon.x_increment_s))
    found, _ = find_peaks(axon.volts, height=1.65, prominence=1.5, distance=1.25 * width)
    return in_slots(shot, axon.times_s[found] - case.axon_ns * 0.5e-9)


def matched(case: Case, shot: Shot, traces: list[Trace]) -> tuple[Ints, NDArray[np.bool_]]:
    axon = traces[0]
    width = max(1, round(case.axon_ns * 1e-9 / axon.x_increment_s))
    mean = np.convolve(axon.volts, np.full(width, 1 / width), "same")
    found, _ = find_peaks(mean, height=HIGH_V / 2, distance=width)
    return in_slots(shot, axon.times_s[found] - case.axon_ns * 0.5e-9)


DECODERS = {"ours": ours, "crossing": crossing, "peaks": peaks, "matched": matched}


@dataclass
class Score:
    """Slots, and how many of them were silently wrong or refused."""

    slots: int = 0
    silent: int = 0
    refused: int = 0

    def add(self, counts: Ints, good: NDArray[np.bool_]) -> None:
        """One shot."""
        self.slots += len(counts)
        self.silent += int((good & (counts != SPIKES)).sum())
        self.refused += int((~good).sum())

    @property
    def refused_at_most(self) -> float:
        """The share that may be refused, 95 times in 100."""
        return float(beta.ppf(0.95, self.refused + 1, max(self.slots - self.refused, 1e-9)))


def row_of(number: int) -> Case:
    """A row by its number, which is all that goes from one process to another: defects have no names there."""
    return [Case("", "", samples=5), Case("", "", samples=2), *grid()][number]


def scores(number: int, snr_db: float, slots: int) -> dict[str, Score]:
    """All decoders on the same shots of a row, a fifth of the slots in short ones."""
    case = row_of(number)
    made = {name: Score() for name in DECODERS}
    lengths = [SHORT] * (slots // 5 // SHORT) + [LONG] * (slots * 4 // 5 // LONG)
    for seed, length in enumerate(lengths, 10_000 * number):
        shot = known_shot(case, seed, length)
        traces = seen(case, shot, seed, snr_db)
        for name, decoder in DECODERS.items():
            made[name].add(*decoder(case, shot, traces))
    return made


def percent(part: float) -> str:
    return f"{100 * part:.{2 if part < 0.1 else 3}g} %"


def share(part: int, whole: int) -> str:
    return "0" if part == 0 else percent(part / whole)


def line(cells: list[str], widths: list[int], markdown: bool) -> str:
    if markdown:
        return "| " + " | ".join(cells) + " |"
    return "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True))


def print_head(head: list[str], widths: list[int], markdown: bool) -> None:
    print(line(head, widths, markdown))
    if markdown:
        print("|" + "---|" * len(head))


def against_noise(pool: ProcessPoolExecutor, slots: int, markdown: bool) -> bool:
    good = True
    widths = [8, 14, 14, 14, 14, 14, 16]
    for number in (0, 1):
        samples = row_of(number).samples
        print(f"\nSilently wrong slots against noise, {samples} samples a pulse ({slots:,} slots each)\n")
        head = ["SNR, dB", *(f"{name} wrong" for name in DECODERS), "ours refused", "at most (95 %)"]
        print_head(head, widths, markdown)
        rows = [pool.submit(scores, number, db, slots) for db in SNR_DB]
        for snr_db, row in zip(SNR_DB, rows, strict=True):
            found = row.result()
            mine = found["ours"]
            cells = [f"{snr_db}", *(share(s.silent, s.slots) for s in found.values()), share(mine.refused, mine.slots)]
            print(line([*cells, percent(mine.refused_at_most)], widths, markdown), flush=True)
            good &= mine.silent <= found["matched"].silent
            if snr_db >= 20:
                good &= mine.silent == 0 and mine.refused <= REFUSED_MOST * mine.slots
    return good


def against_defects(pool: ProcessPoolExecutor, slots: int, only: str, markdown: bool) -> bool:
    good = True
    print(f"\nDefects: silently wrong slots, at {', '.join(map(str, GRID_DB))} dB together; ours refused at each")
    print(f"({slots:,} slots each and SNR where the count has to be right, marked *; {DEFECTIVE:,} elsewhere)\n")
    refusals = [*(f"refused {db} dB" for db in GRID_DB), "at most (95 %)"]
    head = ["defect", "severity", *(f"{name} wrong" for name in DECODERS), *refusals]
    widths = [30, 14, 12, 14, 12, 14, 13, 13, 13, 14]
    print_head(head, widths, markdown)
    cases = [(n, case) for n, case in enumerate(grid(), 2) if only in f"{case.name} {case.severity}"]
    rows = {n: [pool.submit(scores, n, db, slots if case.counts else DEFECTIVE) for db in GRID_DB] for n, case in cases}
    for n, case in cases:
        found = [row.result() for row in rows[n]]
        mine = [each["ours"] for each in found]
        wrong = [share(sum(f[name].silent for f in found), sum(f[name].slots for f in found)) for name in DECODERS]
        together = Score(sum(s.slots for s in mine), 0, sum(s.refused for s in mine))
        refused = [*(share(s.refused, s.slots) for s in mine), percent(together.refused_at_most)]
        cells = [case.name + (" *" if case.counts else ""), case.severity, *wrong, *refused]
        print(line(cells, widths, markdown), flush=True)
        good &= all(s.silent == 0 and not (case.counts and s.refused > REFUSED_MOST * s.slots) for s in mine)
    return good


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slots", type=int, default=30_000, help="for each row and SNR (default: 30000)")
    parser.add_argument("--only", default="", help="only the defects with this in their name; nothing against noise")
    parser.add_argument("--markdown", action="store_true", help="tables for the documentation")
    args = parser.parse_args()
    with ProcessPoolExecutor() as pool:
        honest = bool(args.only) or against_noise(pool, args.slots, args.markdown)
        return 0 if against_defects(pool, args.slots, args.only, args.markdown) and honest else 1


if __name__ == "__main__":
    sys.exit(main())

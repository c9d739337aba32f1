"""How fast traces are decoded: against a copy of memory, and against scipy.signal.find_peaks.

    python benchmarks/spikes.py [--samples 1e6,1.6e7,1.4e8]

Traces are sparse (two spikes in a slot of eight pulses) or dense (one for every pulse). Ratios are of the same trace
and machine: samples a second of edge finding over bytes a second of numpy.copyto, of what no cache holds, and time of
find_peaks over time of edge finding; the slow find_peaks reads a part of long traces. What is said besides, and not
judged: the same against a copy of the trace itself, which a cache may hold, and of two passes of numpy that no edge
finder can do without, a comparison and a search for what is true. The whole of `decode`, which reads two traces,
follows levels and judges every pulse, is timed too, and the memory that it takes beside the traces is measured. The
limits are those of docs/explanation/decisions/0012-limits-of-the-decoder.md.
"""

from __future__ import annotations

import argparse
import sys
import time
import tracemalloc
from collections.abc import Callable

import numpy as np
from scipy.signal import find_peaks

from drivers.decode.schmitt import find_pulses
from drivers.decode.spikes import decode
from drivers.mock.probe import CODES_A_DIVISION, REFERENCE
from drivers.settings import BoardSettings, SpikeSettings
from drivers.signals import SlotTiming, Trace, probe_frame
from drivers.timing import length_ticks, slot_ticks

TICK_S, STEP_S = 1e-6, 0.5e-6
LOW, HIGH = REFERENCE - 96, REFERENCE - 96 + 211  # codes of 0 and 3.3 V at 0.5 V/div, three divisions below the middle
LEAST_OF_COPY, LEAST_OF_PEAKS = 0.1, 10.0
MOST_MEMORY, WORKING_BYTES = 0.5, 1 << 20  # of a trace, and what may be added to that
MEMORY_BYTES = 1 << 28  # more than a cache holds
PEAKS_SAMPLES = 4_000_000  # that find_peaks gets
SPIKES = {"sparse": np.array([60, 150]), "dense": np.arange(10, 170, 20)}  # samples after the fall of sync


def best_s(work: Callable[[], object], repeats: int) -> float:
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def trace(name: str, slot: np.ndarray, slots: int, samples: int) -> Trace:
    """A trace of the same slot again and again, in noise."""
    margin = 50
    high = np.zeros(samples, dtype=np.bool_)
    high[margin : margin + slots * len(slot)].reshape(slots, len(slot))[:] = slot
    if name == "sync":
        high[margin + slots * len(slot) :][: int(slot.sum())] = True
    rng = np.random.default_rng(1)
    codes = np.where(high, np.uint8(HIGH), np.uint8(LOW))
    noise = np.rint(0.5 * rng.standard_normal(1 << 20)).astype(np.int8).view(np.uint8)
    for start in range(0, samples, len(noise)):
        codes[start : start + len(noise)] += noise[: samples - start]  # modulo 256, as two's complement adds
    return Trace(name, codes, 0.5 / CODES_A_DIVISION, -96, REFERENCE, STEP_S, 0.0)


def memory_copy_s() -> float:
    """Of one byte."""
    source = np.ones(MEMORY_BYTES, dtype=np.uint8)
    target = np.empty_like(source)
    np.copyto(target, source)
    return best_s(lambda: np.copyto(target, source), 5) / MEMORY_BYTES


def passes_s(codes: np.ndarray, level: int, repeats: int) -> float:
    """A comparison of all codes, and the search for where its result changes."""
    block = 1 << 18
    above, changed = np.empty((2, block), dtype=np.bool_)

    def both() -> None:
        for start in range(0, len(codes), block):
            part = codes[start : start + block]
            np.greater_equal(part, level, out=above[: len(part)])
            np.flatnonzero(np.not_equal(above[1 : len(part)], above[: len(part) - 1], out=changed[: len(part) - 1]))

    return best_s(both, repeats)


def measured(samples: int, kind: str, copied_s: float) -> bool:
    """Measure one trace; whether it is within the limits. Copying a byte of memory takes `copied_s`."""
    timing, board = SlotTiming(), BoardSettings()
    slot_s = length_ticks(probe_frame("b", timing, [8]), TICK_S)[0] * TICK_S
    per_slot, lead = round(slot_s / STEP_S), round(slot_ticks(timing, TICK_S).lead * TICK_S / STEP_S)
    slots = (samples - 1_000) // per_slot
    shot = probe_frame("benchmark", timing, np.full(slots, 8, dtype=np.int32))
    place = np.arange(per_slot)
    sync = trace("sync", place < lead, slots, samples)
    pulses = lead + np.add.outer(SPIKES[kind], np.arange(4)).ravel()
    axon = trace("axon", np.isin(place, pulses), slots, samples)
    settings = SpikeSettings()

    def decoded() -> object:
        return decode(shot, (axon, sync), settings, board, TICK_S, 1.0)

    capture = decode(shot, (axon, sync), settings, board, TICK_S, 1.0)
    assert capture.ok.all(), capture.notes
    assert (capture.spikes == len(SPIKES[kind])).all()
    target = np.empty_like(axon.codes)
    np.copyto(target, axon.codes)
    repeats = 60 if samples < 1e7 else 10  # the best of many: other work makes times longer, never shorter
    copy_s = best_s(lambda: np.copyto(target, axon.codes), 2 * repeats)
    edges_s = best_s(lambda: find_pulses(axon, 1.35, 1.95), repeats)
    decode_s = best_s(decoded, 3)
    part = axon.codes[:PEAKS_SAMPLES]
    peaks_s = best_s(lambda: find_peaks(part, height=REFERENCE), 6) * samples / len(part)
    tracemalloc.start()
    decoded()
    memory = tracemalloc.get_traced_memory()[1] / samples
    tracemalloc.stop()
    of_copy, of_peaks = copied_s * samples / edges_s, peaks_s / edges_s
    print(
        f"{samples / 1e6:7.1f} M {kind}: edges {edges_s / samples * 1e9:.3f} ns a sample = {of_copy:.3f} of a copy of "
        f"memory ({copy_s / edges_s:.3f} of one of itself, of which two passes alone are "
        f"{copy_s / passes_s(axon.codes, REFERENCE, repeats):.3f}), {of_peaks:5.1f} × find_peaks; decode "
        f"{decode_s / samples * 0.5e9:.2f} ns a sample = {2 * peaks_s / decode_s:.2f} × find_peaks; "
        f"memory {memory:.2f} of a trace",
        flush=True,
    )
    enough = memory <= MOST_MEMORY + WORKING_BYTES / samples
    return of_copy >= LEAST_OF_COPY and of_peaks >= LEAST_OF_PEAKS and enough


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", default="1e6,1.6e7,1.4e8", help="lengths of traces (default: 1e6,1.6e7,1.4e8)")
    args = parser.parse_args()
    copied_s = memory_copy_s()
    print(
        f"at least {LEAST_OF_COPY} of a copy of memory ({1e9 * copied_s:.3f} ns a byte) and {LEAST_OF_PEAKS:g} × "
        f"find_peaks; memory at most {MOST_MEMORY} of a trace and {WORKING_BYTES >> 20} MB"
    )
    found = [measured(int(float(text)), kind, copied_s) for text in args.samples.split(",") for kind in SPIKES]
    return 0 if all(found) else 1


if __name__ == "__main__":
    sys.exit(main())

"""How fast traces are decoded: against copying the same bytes, and against scipy.signal.find_peaks.

    python benchmarks/spikes.py [--samples 1e6,1.6e7,1.4e8]

Traces are sparse (two spikes in a slot of eight pulses) or dense (one for every pulse). Ratios are of the same trace
and machine: samples a second of edge finding over bytes a second of numpy.copyto, and time of find_peaks over time of
edge finding; the slow find_peaks reads a part of long traces. The whole of `decode`, which reads two traces, follows
levels and judges every pulse, is timed too, and the memory that it takes beside the traces is measured.
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
LEAST_OF_COPY, LEAST_OF_PEAKS, MOST_MEMORY = 0.1, 10.0, 0.5
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


def measured(samples: int, kind: str) -> bool:
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
    peaks_s = best_s(lambda: find_peaks(part, height=REFERENCE), 3) * samples / len(part)
    tracemalloc.start()
    decoded()
    memory = tracemalloc.get_traced_memory()[1] / samples
    tracemalloc.stop()
    of_copy, of_peaks = copy_s / edges_s, peaks_s / edges_s
    print(
        f"{samples / 1e6:7.1f} M {kind}: edges {samples / edges_s / 1e9:5.2f} GSa/s = {of_copy:.2f} of a copy, "
        f"{of_peaks:5.1f} × find_peaks; decode {2 * samples / decode_s / 1e9:5.2f} GSa/s = "
        f"{2 * copy_s / decode_s:.2f} of a copy, {2 * peaks_s / decode_s:5.1f} × find_peaks; "
        f"memory {memory:.2f} of a trace",
        flush=True,
    )
    return of_copy >= LEAST_OF_COPY and of_peaks >= LEAST_OF_PEAKS and memory <= MOST_MEMORY


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", default="1e6,1.6e7,1.4e8", help="lengths of traces (default: 1e6,1.6e7,1.4e8)")
    args = parser.parse_args()
    print(f"at least {LEAST_OF_COPY} of a copy and {LEAST_OF_PEAKS:g} × find_peaks; memory at most {MOST_MEMORY}")
    found = [measured(int(float(text)), kind) for text in args.samples.split(",") for kind in SPIKES]
    return 0 if all(found) else 1


if __name__ == "__main__":
    sys.exit(main())

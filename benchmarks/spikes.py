"""How fast traces are decoded: against copying the same bytes, and against scipy.signal.find_peaks.

    python benchmarks/spikes.py

The trace is long enough (64 MB) that no cache holds it. Both ratios are of the same trace and machine: samples a
second of edge finding over bytes a second of numpy.copyto, and time of find_peaks over time of edge finding. The whole
of `decode`, which reads two traces, is timed too.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import numpy as np
from scipy.signal import find_peaks

from drivers.benchfile import SpikeSettings
from drivers.decode.schmitt import find_pulses
from drivers.decode.spikes import decode
from drivers.mock.probe import CODES_A_DIVISION, REFERENCE
from drivers.signals import SlotTiming, Trace, probe_frame
from drivers.timing import length_ticks, slot_ticks

TICK_S, STEP_S = 1e-6, 0.5e-6
SAMPLES = 64_000_000
LOW, HIGH = REFERENCE - 96, REFERENCE - 96 + 211  # codes of 0 and 3.3 V at 0.5 V/div, three divisions below the middle
LEAST_OF_COPY, LEAST_OF_PEAKS = 0.1, 10.0


def best_s(work: Callable[[], object], repeats: int) -> float:
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def trace(name: str, high: np.ndarray) -> Trace:
    rng = np.random.default_rng(1)
    noise = np.resize(np.rint(0.5 * rng.standard_normal(1 << 20)).astype(np.int8), len(high))
    codes = np.where(high, np.uint8(HIGH), np.uint8(LOW))
    codes += noise.astype(np.uint8)  # modulo 256, as two's complement adds
    return Trace(name, codes, 0.5 / CODES_A_DIVISION, -96, REFERENCE, STEP_S, 0.0)


def main() -> int:
    timing = SlotTiming()
    slot_s = length_ticks(probe_frame("b", timing, [8]), TICK_S)[0] * TICK_S
    shot = probe_frame("benchmark", timing, np.full(int((SAMPLES - 1000) * STEP_S / slot_s), 8, dtype=np.int32))
    per_slot, margin = round(slot_s / STEP_S), 50
    lead = round(slot_ticks(timing, TICK_S).lead * TICK_S / STEP_S)
    place = (np.arange(SAMPLES) - margin) % per_slot
    inside = (np.arange(SAMPLES) >= margin) & (np.arange(SAMPLES) < margin + per_slot * len(shot) + lead)
    sync = trace("sync", inside & (place < lead))
    axon = trace("axon", inside & np.isin(place, lead + np.add.outer([60, 150], np.arange(4)).ravel()))
    settings = SpikeSettings()

    capture = decode(shot, (axon, sync), settings, TICK_S, 1.0)
    assert capture.ok.all()
    assert (capture.spikes == 2).all()

    target = np.empty_like(axon.codes)
    np.copyto(target, axon.codes)
    copy_s = best_s(lambda: np.copyto(target, axon.codes), 5)
    edges_s = best_s(lambda: find_pulses(axon, 1.35, 1.95), 5)
    decode_s = best_s(lambda: decode(shot, (axon, sync), settings, TICK_S, 1.0), 3)
    part = axon.codes[: SAMPLES // 8]
    peaks_s = best_s(lambda: find_peaks(part, height=REFERENCE), 2) * 8

    of_copy, of_peaks = copy_s / edges_s, peaks_s / edges_s
    print(f"trace                 {SAMPLES / 1e6:.0f} M samples, {2 * len(shot) / 1e3:.0f} k spikes")
    print(f"copy                  {SAMPLES / copy_s / 1e9:.2f} GB/s")
    print(f"find_pulses           {SAMPLES / edges_s / 1e9:.2f} GSa/s")
    print(f"decode (two traces)   {2 * SAMPLES / decode_s / 1e9:.2f} GSa/s")
    print(f"find_pulses ÷ copy    {of_copy:.2f}  (at least {LEAST_OF_COPY})")
    print(f"decode ÷ copy         {2 * copy_s / decode_s:.2f}")
    print(f"find_peaks            {SAMPLES / peaks_s / 1e9:.3f} GSa/s")
    print(f"find_pulses ÷ peaks   {of_peaks:.1f}×  (at least {LEAST_OF_PEAKS:g}×)")
    return 0 if of_copy >= LEAST_OF_COPY and of_peaks >= LEAST_OF_PEAKS else 1


if __name__ == "__main__":
    sys.exit(main())

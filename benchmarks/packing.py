"""How small traces get: against Zstandard's level 19 on codes or their differences, whichever is smaller.

    python benchmarks/packing.py

Traces of the twin, and two-valued and wandering signals in the noise of 0.3 to 0.5 codes that recordings of DS4000
oscilloscopes have. Each must pack to less than 1.1 times what level 19 makes of it, faster than the fastest link to
such an oscilloscope delivers (1.7 MB/s), in less than half of its own bytes of memory.
"""

from __future__ import annotations

import sys
import time
import tracemalloc

import numpy as np
import zstandard
from numpy.typing import NDArray

from drivers.benchfile import load_bench
from drivers.device import load_device
from drivers.mock.bench import MockBench
from drivers.signals import probe_frame
from hil.store.packing import pack_codes, unpack_codes

MOST, LINK_BYTES_PER_S, MOST_MEMORY = 1.1, 1.7e6, 0.5
SAMPLES = 1_000_000


def traces() -> dict[str, NDArray[np.uint8]]:
    rng = np.random.default_rng(1)
    file = load_bench("mock")
    made: dict[str, NDArray[np.uint8]] = {}
    with MockBench(file, load_device("nominal"), traces=True) as bench:
        bench.set_threshold(file.vth_v)
        pulses = rng.poisson(4, 600).astype(np.int32)
        for capture in bench.play([probe_frame("benchmark", file.slot, pulses)]):
            made |= {f"twin {trace.name}": trace.codes for trace in capture.traces}
    for noise in (0.3, 0.4, 0.5):
        for origin in (60.0, 60.4):
            level = np.full(SAMPLES, origin)
            for start in rng.integers(0, SAMPLES - 50, 3_000):
                level[start : start + 20] = 200
            codes = np.rint(level + noise * rng.standard_normal(SAMPLES)).astype(np.uint8)
            made[f"pulses, noise {noise}, origin {origin}"] = codes
    wander = 100 + 40 * np.sin(np.arange(SAMPLES) / 3_000) + 0.4 * rng.standard_normal(SAMPLES)
    made["wandering"] = np.rint(wander).astype(np.uint8)
    return made


def main() -> int:
    good = True
    level_19 = zstandard.ZstdCompressor(level=19)
    for name, codes in traces().items():
        differences = np.diff(codes, prepend=np.uint8(0))
        rival = min(len(level_19.compress(values.data)) for values in (codes, differences))
        start = time.perf_counter()
        packed = pack_codes(codes)
        pack_s = time.perf_counter() - start
        assert np.array_equal(unpack_codes(packed), codes)
        ratio, rate = len(packed) / rival, len(codes) / pack_s
        bits = 8 / len(codes)
        print(
            f"{name:<32} {bits * len(packed):5.2f} bit a sample, level 19 {bits * rival:5.2f}: {ratio:.2f} of it; "
            f"{rate / 1e6:.0f} MB/s"
        )
        good &= ratio < MOST and rate > LINK_BYTES_PER_S
    big = np.random.default_rng(2).normal(60, 0.4, 32 * SAMPLES).astype(np.uint8)
    tracemalloc.start()
    pack_codes(big)
    memory = tracemalloc.get_traced_memory()[1] / len(big)
    print(f"memory beside a trace of {len(big) / 1e6:.0f} M samples: {memory:.2f} of its bytes (below {MOST_MEMORY})")
    return 0 if good and memory < MOST_MEMORY else 1


if __name__ == "__main__":
    sys.exit(main())

"""How rough a world our reading rules bear: counts, retakes and failures over the wire at roughness 0…3.

    python -m benchmarks.roughness [--frames 6] [--seed 1]

The device is ideal (every pulse makes a spike), so that every count is known beforehand. At each roughness, for each
composition of parts: slots counted wrong (silently: they were called ok), slots that are to be retaken, the share of
bench time that costs, and how it failed where it did.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from dataclasses import replace

import numpy as np

from drivers.errors import HilError
from drivers.signals import SlotTiming, probe_frame
from tests.wire.twin import twin_bench

SPARSE = "scope, few samples"  # as it reads once that is proven
COMPOSITIONS = (
    ("pigpio", "gpio"),
    ("pigpio", SPARSE),
    ("pigpio", "scope"),
    ("pigpio", "pico"),
    ("pico", "scope"),
    ("pico", "pico"),
)
LEVELS = (0.0, 1.0, 2.0, 3.0)
SLOTS = 400


def measure(source: str, reader: str, rough: float, frames: int, seed: int) -> str:
    """One row of the table."""
    rng = np.random.default_rng(seed)
    wrong = retaken = played = 0
    bench_s = lost_s = 0.0
    try:
        parts = source, reader.partition(",")[0]
        with twin_bench(*parts, "ideal", rough=rough, seed=seed) as (bench, _board):
            if reader == SPARSE and not all("not used" not in check.detail for check in bench.prove()):
                return "few samples are not proven, and not used"
            bench.set_threshold(0.7)
            for image in range(frames):
                counts = rng.integers(0, 5, SLOTS).astype(np.int32)  # many one-pulse slots: the hardest to tell
                frame = probe_frame("roughness", SlotTiming(), counts, image=image)
                if reader == SPARSE:  # shots of a network alone are read so
                    frame = replace(frame, layer=np.zeros_like(frame.layer))
                for capture in bench.play([frame]):
                    shot = capture.frame
                    wrong += int(((capture.spikes != shot.pulses) & capture.ok).sum())
                    bad = int((~capture.ok & shot.played).sum())
                    retaken, played = retaken + bad, played + int(shot.played.sum())
                    bench_s += capture.bench_s
                    lost_s += capture.bench_s * bad / max(1, int(shot.played.sum()))
    except HilError as error:
        return f"fails: {type(error).__name__}: {str(error)[:90]}"
    return f"{wrong:5d} wrong  {retaken:5d} of {played} retaken  {lost_s / bench_s:6.2%} of bench time"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--frames", type=int, default=6, help="frames of 400 slots a row")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    os.environ["HIL_PASSPORTS"] = tempfile.mkdtemp()  # what is played here wears nobody's device
    for source, reader in COMPOSITIONS:
        for rough in LEVELS:
            row = measure(source, reader, rough, args.frames, args.seed)
            print(f"{source + ' + ' + reader:15} roughness {rough:g}  {row}", flush=True)


if __name__ == "__main__":
    main()

"""Calibrate many simulated devices with randomly drawn parameters that the fitter does not see: `make study`.

Prints how often the 95 % intervals of the window's edges and of the pulses to fire cover the truth, how often the
chosen V_th gives the asked gain within 5 %, and what a threshold calibration spends. `--devices N` chooses how many.
"""

from __future__ import annotations

import argparse
import os
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context

import numpy as np

from benchmarks.devices import Truth, draw_device
from calibration.estimate import Estimate
from calibration.sweep import Sweep
from calibration.threshold import measure_threshold
from drivers.bench import CalibrationError
from drivers.benchfile import load_bench
from drivers.mock.bench import MockBench

TARGET = 4.0
TOLERANCE = 0.05
QUANTITIES = ("lower edge", "upper edge", "mean", "spread")


@dataclass(frozen=True)
class Verdict:
    """One device: whether each interval covers the truth (None: one-sided), the gain's relative error, what it cost."""

    number: int
    covers: dict[str, bool | None]
    gain_error: float
    pulses: int


def covers(estimate: Estimate, truth: float) -> bool | None:
    """Whether the interval holds the truth; None when it has only one end."""
    if estimate.lo is None or estimate.hi is None:
        return None
    return estimate.lo <= truth <= estimate.hi


def calibrate(number: int) -> Verdict | str:
    """Calibrate device `number` and compare; the refusal's text where the device cannot give the asked gain."""
    device, file = draw_device(number), load_bench("mock")
    limits = (file.limits.vth_min_v, file.limits.vth_max_v)
    try:
        with MockBench(file, device, seed=number) as bench:
            found = measure_threshold(Sweep(bench, file.slot, "study"), limits, target=TARGET)
    except CalibrationError as error:
        return f"device {number}: {error}"
    truth = Truth.of(device, file.board, file.slot)
    mean, spread = truth.pulses_to_fire(found.vth_v)
    window = found.window
    return Verdict(
        number,
        {
            "lower edge": covers(window.lower_v, truth.lower_v()),
            "upper edge": covers(window.upper_v, truth.upper_v()),
            "mean": covers(found.gain, mean),
            "spread": covers(found.spread, spread),
        },
        mean / TARGET - 1,
        found.pulses_spent,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--devices", type=int, default=200)
    devices = parser.parse_args().devices
    start = time.perf_counter()
    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # inherited by the workers, one a core
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        results = list(pool.map(calibrate, range(devices)))
    verdicts = [r for r in results if isinstance(r, Verdict)]
    for refusal in (r for r in results if isinstance(r, str)):
        print(refusal)
    print(f"{len(verdicts)} of {devices} devices calibrated in {time.perf_counter() - start:.0f} s")
    for quantity in QUANTITIES:
        known = [v.covers[quantity] for v in verdicts if v.covers[quantity] is not None]
        print(f"  95 % interval of the {quantity:<10} covers the truth in {sum(map(bool, known))}/{len(known)}")
    close = sum(abs(v.gain_error) <= TOLERANCE for v in verdicts)
    spent = [v.pulses for v in verdicts]
    print(f"  gain within {TOLERANCE:.0%} of the asked one in {close}/{len(verdicts)}")
    print(f"  pulses a calibration: median {np.median(spent):,.0f}, most {max(spent):,}")


if __name__ == "__main__":
    main()

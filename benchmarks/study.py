"""Calibrate many simulated devices with randomly drawn parameters that the fitter does not see: `make study`.

Prints how often the 95 % intervals of the window's edges, of the pulses to fire and of the leak cover the truth, how
often the chosen V_th gives the asked gain within 5 %, what a threshold calibration spends, and how many times as many
pulses a plain grid of thresholds needs to know the gain as well. `--devices N` chooses how many, `--workers N` or
`--cluster ADDRESS` (whose workers must have this folder on their path) who calibrates them; the verdicts are the same.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from benchmarks.devices import Truth, draw_device
from calibration.estimate import Z_95, Estimate
from calibration.fit.hazard import fit_hazard
from calibration.measure.frequency import measure_frequency
from calibration.measure.search import block
from calibration.measure.threshold import ThresholdResult, measure_threshold
from calibration.sweep import Sweep
from drivers.benchfile import load_bench
from drivers.errors import CalibrationError
from drivers.mock.bench import MockBench
from hil.commands.working import Shown, add_workers_arguments, crew_of

TARGET = 4.0
TOLERANCE = 0.05
QUANTITIES = ("lower edge", "upper edge", "mean", "spread")
LEAK = "leak"
GRID_STEP_V = 0.05  # of the plain grid, over all that the bench can make
GRID_REACH = 0.2  # in ln V: grid points so close to the crossing are fitted together, as the adaptive sweep does


@dataclass(frozen=True)
class Verdict:
    """One device: whether each interval covers the truth (None: one-sided), the gain's relative error, what it cost.

    `grid_ratio` is how many times the pulses a plain grid takes for the same standard error of the gain.
    """

    number: int
    covers: dict[str, bool | None]
    gain_error: float
    pulses: int
    grid_ratio: float | None


def covers(estimate: Estimate, truth: float) -> bool | None:
    """Whether the interval holds the truth; None when it has only one end."""
    if estimate.lo is None or estimate.hi is None:
        return None
    return estimate.lo <= truth <= estimate.hi


def calibrate(number: int, *, everything: bool = True) -> Verdict | str:
    """Calibrate device `number` and compare; the refusal's text where the device cannot give the asked gain.

    The leak and the plain grid take most of the time, and are left out unless `everything`.
    """
    device, file = draw_device(number), load_bench("mock")
    limits = (file.limits.vth_min_v, file.limits.vth_max_v)
    truth = Truth.of(device, file.board, file.slot)
    with MockBench(file, device, seed=number) as bench:
        try:
            found = measure_threshold(Sweep(bench, file.slot, "study"), limits, target=TARGET)
        except CalibrationError as error:
            return f"device {number}: {error}"
        leak = _leak(Sweep(bench, file.slot, "study/leak"), found, truth) if everything else None
        ratio = _grid_ratio(Sweep(bench, file.slot, "study/grid"), found, limits) if everything else None
    mean, spread = truth.pulses_to_fire(found.vth_v)
    window = found.window
    return Verdict(
        number,
        {
            "lower edge": covers(window.lower_v, truth.lower_v()),
            "upper edge": covers(window.upper_v, truth.upper_v()),
            "mean": covers(found.gain, mean),
            "spread": covers(found.spread, spread),
            LEAK: leak,
        },
        mean / TARGET - 1,
        found.pulses_spent,
        ratio,
    )


def _leak(sweep: Sweep, found: ThresholdResult, truth: Truth) -> bool | None:
    result = measure_frequency(sweep, found.vth_v, 100e3, found.window)
    return covers(result.leak_s, truth.model.leak_s) if result.leak_s is not None else None


def _grid_ratio(sweep: Sweep, found: ThresholdResult, limits_v: tuple[float, float]) -> float | None:
    """Pulses times variance of ln(gain): of a grid at all thresholds alike, over that of the adaptive sweep."""
    volts = np.arange(limits_v[0], limits_v[1] + 1e-9, GRID_STEP_V)
    data = [(round(float(v), 4), sweep.tally(round(float(v), 4), block(TARGET))) for v in volts]
    near = [row for row in data if abs(np.log(row[0] / found.vth_v)) < GRID_REACH]
    fit = fit_hazard(near)
    if found.gain.lo is None or found.gain.hi is None:
        return None
    adaptive = np.log(found.gain.hi / found.gain.lo) / (2 * Z_95)
    grid = fit.standard_error(fit.log_mean(found.vth_v))
    return float(grid**2 * sweep.pulses_spent / (adaptive**2 * found.pulses_spent))


def verdict(number: int) -> Iterator[Verdict | str]:
    """For a crew, `calibrate`."""
    yield calibrate(number)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--devices", type=int, default=200)
    add_workers_arguments(parser)
    args = parser.parse_args()
    devices = args.devices
    start = time.perf_counter()
    with Shown(quiet=False) as shown, crew_of(args.workers, args.cluster, devices) as crew:
        found = crew.work_off(verdict, range(devices), shown.watch("calibrating", devices))
    results = [one for some in found for one in some]
    verdicts = [r for r in results if isinstance(r, Verdict)]
    for refusal in (r for r in results if isinstance(r, str)):
        print(refusal)
    print(f"{len(verdicts)} of {devices} devices calibrated in {time.perf_counter() - start:.0f} s")
    for quantity in (*QUANTITIES, LEAK):
        known = [v.covers[quantity] for v in verdicts if v.covers[quantity] is not None]
        print(f"  95 % interval of the {quantity:<10} covers the truth in {sum(map(bool, known))}/{len(known)}")
    close = sum(abs(v.gain_error) <= TOLERANCE for v in verdicts)
    spent = [v.pulses for v in verdicts]
    print(f"  gain within {TOLERANCE:.0%} of the asked one in {close}/{len(verdicts)}")
    ratios = [v.grid_ratio for v in verdicts if v.grid_ratio is not None]
    print(
        f"  a plain grid of {GRID_STEP_V * 1e3:.0f} mV takes {np.median(ratios):.1f} times the pulses for the same "
        f"uncertainty of the gain (median; nine in ten devices at least {np.quantile(ratios, 0.1):.1f})"
    )
    print(f"  pulses a calibration: median {np.median(spent):,.0f}, most {max(spent):,}")


if __name__ == "__main__":
    main()

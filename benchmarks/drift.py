"""Drift during a run: how soon the sentinel notices it, and what it costs in accuracy, with and without recalibration.

The simulated device's step is changed abruptly after the first hundred digits, so that it takes 1, 5 or 20 % more
pulses to fire. Undisturbed, uncorrected and corrected runs see the same digits and seeds; corrected ones measure the
transfer curve again when drift is noticed, as `hil run --drift recalibrate` does.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

import numpy as np

from calibration.sentinel import FALSE_ALARM_FRAMES
from calibration.transfer import measure_transfer
from drivers.benchfile import load_bench
from drivers.device import DeviceFile, load_device
from drivers.mock.bench import MockBench
from hil.network.weights import load_weights
from hil.run.config import RunConfig
from hil.run.digits import Course, recognise_digits
from hil.run.judge import Judge, Policy

DIGITS = 1_000
CHANGED_AFTER = 100
SEEDS = 9
BATCH = 10


@dataclass(frozen=True)
class Outcome:
    """Accuracy after the change; frames from the change to the alarm, None without one; false alarms before it; how
    often the curve was measured again; pulses of the digits before the change.
    """

    accuracy: float
    noticed: int | None
    false_alarms: int
    recalibrations: int
    pulses: int


def changed(factor: float, pulses: int) -> DeviceFile:
    device = load_device("nominal")
    return device.model_copy(
        update={"model": {**(device.model or {}), "change_at_pulses": pulses, "change_factor": factor}}
    )


def run(device: DeviceFile, seed: int, digits: int, policy: Policy) -> Outcome:
    weights, file = load_weights(), load_bench("mock")
    with MockBench(file, load_device("nominal"), seed=seed) as fresh:
        curve = measure_transfer(fresh, file.slot, file.vth_v, full_scale=32)
    config = RunConfig(
        command="run",
        digits=f"0:{digits}",
        vth_v=file.vth_v,
        timing=file.slot,
        bench=file,
        device=device,
        seed=seed,
        weights_digest=weights.digest,
        curve=curve.to_dict(),
    )
    alarms: list[int] = []
    judge = Judge(policy, lambda _: alarms.append(judged + judge.frames))
    judged = 0
    results = []
    with MockBench(file, device, seed=seed, fidelity="counts") as bench:
        bench.set_threshold(config.vth_v)

        def renewed(_number: int, _curve: object) -> None:
            nonlocal judged
            judged = len(results)

        for result, _ in recognise_digits(config, weights, bench, Course(batch=BATCH, judge=judge, renewed=renewed)):
            results.append(result)
    right = [r.correct for r in results if r.index >= CHANGED_AFTER]
    late = [frame - CHANGED_AFTER for frame in alarms if frame > CHANGED_AFTER]
    return Outcome(
        accuracy=float(np.mean(right)),
        noticed=late[0] if late else None,
        false_alarms=len(alarms) - len(late),
        recalibrations=judge.renewals,
        pulses=sum(r.pulses for r in results if r.index < CHANGED_AFTER),
    )


def main() -> None:
    seeds, digits = (SEEDS, DIGITS) if "--quick" not in sys.argv else (3, 200)
    calm = run(load_device("nominal"), 0, digits, "warn")
    print(
        f"one false alarm in {FALSE_ALARM_FRAMES:,} frames; undisturbed {calm.accuracy:.2%} on "
        f"{digits - CHANGED_AFTER} digits"
    )
    for percent in (1, 5, 20):
        device = changed(1 / (1 + percent / 100), calm.pulses)
        noticed = [run(device, seed, 2 * CHANGED_AFTER, "warn").noticed for seed in range(seeds)]
        found = [n if n is not None else np.inf for n in noticed]
        plain, corrected = run(device, 0, digits, "warn"), run(device, 0, digits, "recalibrate")
        print(
            f"{percent:>3} % more pulses to fire: noticed after a median of {np.median(found):g} frames "
            f"(of {seeds} runs); uncorrected {plain.accuracy:.2%}, corrected {corrected.accuracy:.2%} "
            f"(calibrated again {corrected.recalibrations} times)"
        )


if __name__ == "__main__":
    main()

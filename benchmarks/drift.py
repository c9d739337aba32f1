"""Drift during a run: how soon the sentinel notices it, and what it costs in accuracy, uncorrected and corrected.

The simulated device's step is changed abruptly after the first hundred digits, so that it takes 1, 5 or 20 % more
pulses to fire. Undisturbed, uncorrected and corrected runs see the same digits and seeds.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

import numpy as np

from calibration.sentinel import FALSE_ALARM_FRAMES, Sentinel, expected_spikes
from calibration.transfer import TransferCurve, measure_transfer
from drivers.benchfile import load_bench
from drivers.device import DeviceFile, load_device
from drivers.mock.bench import MockBench
from drivers.signals import IntArray, SlotTiming
from hil.mnist import load_test
from hil.physical import parse_physical
from hil.recognise import Odometer, Recogniser
from hil.weights import load_weights

DIGITS = 1_000
CHANGED_AFTER = 100
SEEDS = 5
FULL_SCALE = {"conv1": 32}


@dataclass
class Watching:
    """A judge that never refuses, remembers when it first noticed, and corrects if it is to."""

    corrects: bool
    sentinel: Sentinel
    frames: int = 0
    noticed: int | None = None

    def __call__(self, _key: object, curve: TransferCurve, pulses: IntArray, spikes: IntArray) -> float:
        """See hil.plausible.Judge."""
        self.frames += 1
        drift = self.sentinel.feed(expected_spikes(curve, pulses), int(spikes.sum()))
        if drift is not None:
            if self.noticed is None and self.frames > CHANGED_AFTER:
                self.noticed = self.frames - CHANGED_AFTER
            if self.corrects:
                self.sentinel.correct(drift)
        return self.sentinel.ratio


def changed(factor: float, pulses: int) -> DeviceFile:
    device = load_device("nominal")
    return device.model_copy(
        update={"model": {**(device.model or {}), "change_at_pulses": pulses, "change_factor": factor}}
    )


def run(device: DeviceFile, seed: int, digits: int, *, corrects: bool) -> tuple[float, Watching, int]:
    """Accuracy after the change, what the sentinel saw, and the pulses of the digits before the change."""
    images, labels = load_test()
    timing = SlotTiming()
    with MockBench(load_bench("mock"), load_device("nominal"), seed=seed) as fresh:
        curve = measure_transfer(fresh, timing, 0.7, full_scale=32)
    watching = Watching(corrects, Sentinel())
    with MockBench(load_bench("mock"), device, seed=seed, fidelity="counts") as bench:
        bench.set_threshold(0.7)
        host = Recogniser(
            load_weights(),
            parse_physical("conv1"),
            timing,
            curve,
            FULL_SCALE,
            Odometer(),
            judge=watching,  # type: ignore[arg-type]
        )
        batches = ((np.arange(i, i + 50), images[i : i + 50]) for i in range(0, digits, 50))
        answers = list(host.answers(bench, batches))
    right = [a.answer == labels[a.index] for a in answers if a.index >= CHANGED_AFTER]
    pulses = sum(a.spent.pulses for a in answers if a.index < CHANGED_AFTER)
    return float(np.mean(right)), watching, pulses


def main() -> None:
    seeds, digits = (SEEDS, DIGITS) if "--quick" not in sys.argv else (3, 200)
    calm, _, pulses = run(load_device("nominal"), 0, digits, corrects=False)
    print(
        f"one false alarm in {FALSE_ALARM_FRAMES:,} frames; undisturbed {calm:.2%} on {digits - CHANGED_AFTER} digits"
    )
    for percent in (1, 5, 20):
        device = changed(1 / (1 + percent / 100), pulses)
        noticed = [run(device, seed, 200, corrects=False)[1].noticed for seed in range(seeds)]
        found = [n if n is not None else np.inf for n in noticed]
        plain, corrected = (run(device, 0, digits, corrects=c)[0] for c in (False, True))
        print(
            f"{percent:>3} % more pulses to fire: noticed after a median of {np.median(found):g} frames "
            f"(of {seeds} runs); uncorrected {plain:.2%}, corrected {corrected:.2%}"
        )


if __name__ == "__main__":
    main()

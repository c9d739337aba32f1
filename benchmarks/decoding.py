"""Decoding by the calibrated transfer curve, against assuming 4 pulses a spike, on a device far from nominal.

The device's steps are 40 % smaller and its low-resistance state 15 % lower, as another die might be.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibration.transfer import TransferCurve, measure_transfer
from drivers.benchfile import load_bench
from drivers.device import DeviceFile, load_device
from drivers.mock.bench import MockBench
from hil.network.mnist import load_test
from hil.network.physical import parse_physical
from hil.network.weights import load_weights
from hil.run.config import DEFAULT_FULL_SCALE
from hil.run.loop import Odometer, Recogniser

DIGITS = 1_000
BATCH = 50
ASSUMED_PULSES_A_SPIKE = 4.0


@dataclass(frozen=True)
class FixedGain:
    """Stands where a transfer curve does: every spike counts as so many pulses."""

    pulses_a_spike: float

    def decode(self, spikes: NDArray[np.integer]) -> NDArray[np.float32]:
        """Estimated pulses."""
        return (spikes * self.pulses_a_spike).astype(np.float32)


def far_device() -> DeviceFile:
    nominal = load_device("nominal")
    model = nominal.model or {}
    changes = {"step": 0.6 * model["step"], "r_lrs_ohm": 0.85 * model["r_lrs_ohm"]}
    return nominal.model_copy(update={"id": "far", "model": {**model, **changes}})


def accuracy(device: DeviceFile, curve: TransferCurve | FixedGain) -> float:
    images, labels = load_test()
    file = load_bench("mock")
    with MockBench(file, device, fidelity="counts") as bench:
        bench.set_threshold(file.vth_v)
        host = Recogniser(
            load_weights(),
            parse_physical("conv1"),
            file.slot,
            curve,  # type: ignore[arg-type]
            DEFAULT_FULL_SCALE,
            Odometer(),
        )
        batches = ((np.arange(i, i + BATCH), images[i : i + BATCH]) for i in range(0, DIGITS, BATCH))
        return float(np.mean([answer.answer == labels[answer.index] for answer in host.answers(bench, batches)]))


def main() -> None:
    file = load_bench("mock")
    for device in (load_device("nominal"), far_device()):
        with MockBench(file, device) as bench:
            curve = measure_transfer(bench, file.slot, file.vth_v, full_scale=32)
        gain = 32 / curve.mean_spikes[-1]
        print(
            f"{device.id:<8} {gain:4.1f} pulses a spike: calibrated {accuracy(device, curve):.1%}, "
            f"assuming {ASSUMED_PULSES_A_SPIKE:g}: {accuracy(device, FixedGain(ASSUMED_PULSES_A_SPIKE)):.1%} "
            f"({DIGITS} digits)"
        )


if __name__ == "__main__":
    main()

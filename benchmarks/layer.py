"""The stochastic layer alone: conv1's neurons of some digits, simulated pulse by pulse, drawn from tables, in snnTorch.

    python -m benchmarks.layer

snnTorch (skipped where it is not installed) gets the same trains and the nearest neuron that it has: a leaky integrator
with lognormal steps and jumps that saturate, a noisy threshold, and a reset to rest. One thread each; processor time.
"""

from __future__ import annotations

import math
import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before numpy is imported

import numpy as np
from numpy.typing import NDArray

from benchmarks.clock import processor_s
from drivers.benchfile import load_bench
from drivers.device import load_device
from drivers.mock.bench import MockBench
from drivers.mock.physics.neuron import NeuronModel, neuron_model
from drivers.signals import Frame, FrameKey
from hil.network.encode import gain_for, slot_identities, to_frame, to_pulses
from hil.network.layers import LAYERS, as_maps, drives
from hil.network.mnist import load_test
from hil.network.physical import parse_physical
from hil.network.weights import load_weights

DIGITS = 10
FULL_SCALE = 32


def frames(digits: int = DIGITS) -> list[Frame]:
    """What conv1 of these test digits becomes."""
    (part,) = parse_physical("conv1")
    weights = load_weights().layers[0]
    timing = load_bench("mock").slot
    made = []
    for index, drive in enumerate(drives(LAYERS[0], weights, as_maps(load_test()[0][:digits]))):
        pulses, _ = to_pulses(gain_for(part, weights, FULL_SCALE, drive, "whole"), drive)
        made.append(to_frame(FrameKey("benchmark", index), timing, pulses, slot_identities(part), 0))
    return made


def ours(fidelity: str, played: list[Frame]) -> tuple[float, float]:
    """Processor seconds a digit, and pulses a spike."""
    file = load_bench("mock")
    with MockBench(file, load_device("nominal"), fidelity=fidelity) as bench:  # type: ignore[arg-type]
        bench.set_threshold(file.vth_v)
        spikes = 0

        def play() -> None:
            nonlocal spikes
            spikes = sum(int(capture.spikes.sum()) for capture in bench.play(played))

        taken = processor_s(play)
    return taken / len(played), sum(frame.total_pulses for frame in played) / spikes


def in_snntorch(played: list[Frame]) -> tuple[float, float] | None:
    """The same; None without snnTorch."""
    try:
        import snntorch as snn
        import torch
    except ModuleNotFoundError:
        return None
    torch.set_num_threads(1)
    file, model = load_bench("mock"), neuron_model(load_device("nominal"))
    threshold = math.log(file.vth_v / (model.i_sense_a * model.r_lrs_ohm))
    neuron = snn.Leaky(
        beta=math.exp(-1 / (file.slot.dendrite_clock_hz * model.leak_s)), threshold=threshold, reset_mechanism="zero"
    )
    noise = model.comparator_noise_v / file.vth_v
    spikes = 0

    def play() -> None:
        nonlocal spikes
        spikes = sum(int(_counts(neuron, model, noise, frame.pulses).sum()) for frame in played)

    with torch.inference_mode():
        taken = processor_s(play)
    return taken / len(played), sum(frame.total_pulses for frame in played) / spikes


def _counts(neuron: object, model: NeuronModel, noise: float, pulses: NDArray[np.int32]) -> NDArray[np.float32]:
    """Spikes (slots,) of trains of so many pulses, all slots side by side, one pulse a step."""
    import torch

    trains = torch.from_numpy(pulses.astype(np.float32))
    membrane = torch.zeros_like(trains)
    counted = torch.zeros_like(trains)
    mean = math.log(model.step) - model.step_spread**2 / 2
    for pulse in range(int(pulses.max())):
        left = 1 - membrane / model.y_hrs
        step = torch.exp(mean + model.step_spread * torch.randn_like(membrane))
        jump = torch.rand_like(membrane) < model.jump_probability
        reach = model.jump_least + (1 - model.jump_least) * torch.rand_like(membrane)
        step = torch.where(jump, reach * model.y_hrs, step) * left + noise * torch.randn_like(membrane)
        fired, membrane = neuron(step * (trains > pulse), membrane)  # type: ignore[operator]
        counted += fired * (trains > pulse)
    found: NDArray[np.float32] = counted.numpy()
    return found


def main() -> None:
    played = frames()
    pulses = sum(frame.total_pulses for frame in played) / len(played)
    print(f"conv1 of {len(played)} digits: {len(played[0]):,} neurons and {pulses:,.0f} pulses a digit, one thread")
    rival = in_snntorch(played)
    rows = {"from tables (counts)": ours("counts", played), "pulse by pulse": ours("pulses", played)}
    if rival is None:
        print("  snnTorch is not installed, and left out: pip install snntorch")
    else:
        rows["snnTorch"] = rival
    for name, (digit_s, gain) in rows.items():
        beside = "" if rival is None else f"{rival[0] / digit_s:6.2f} × as fast as snnTorch"
        rate = pulses / digit_s
        speed = f"{digit_s * 1e3:8.1f} ms a digit {rate:12,.0f} neuron-pulses/s"
        print(f"  {name:<22} {speed}  {gain:.2f} pulses a spike  {beside}")


if __name__ == "__main__":
    main()

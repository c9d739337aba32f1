"""Recognising test digits through the simulated neuron, against the same network in software and in PyTorch.

Prints digits a second of each and the ratio to PyTorch's forward pass (skipped where PyTorch is not installed).
"""

from __future__ import annotations

import json
import subprocess
import sys
import time

import numpy as np

DIGITS = 2_000


def hil_digits_a_second(*options: str) -> float:
    done = subprocess.run(
        [sys.executable, "-m", "hil.cli", "evaluate", "--digits", str(DIGITS), "--json", *options],
        capture_output=True,
        text=True,
        check=True,
    )
    return DIGITS / float(json.loads(done.stdout)["wall_s"])


def torch_digits_a_second() -> float | None:
    try:
        import torch
        import torch.nn.functional as F
    except ModuleNotFoundError:
        return None
    from hil.network.layers import as_maps
    from hil.network.mnist import load_test
    from hil.network.weights import load_weights

    maps = torch.from_numpy(as_maps(load_test()[0][:DIGITS]))
    (w1, b1), (w2, b2), (w3, b3), (w4, b4) = (
        (torch.from_numpy(layer.weight), torch.from_numpy(layer.bias)) for layer in load_weights().layers
    )
    start = time.perf_counter()
    answers = []
    with torch.inference_mode():
        for batch in maps.split(100):
            x = F.max_pool2d(F.relu(F.conv2d(batch, w1, b1, padding=2)), 2)
            x = F.max_pool2d(F.relu(F.conv2d(x, w2, b2, padding=2)), 2)
            answers.append(F.linear(F.relu(F.linear(x.flatten(1), w3, b3)), w4, b4).argmax(1).numpy())
    assert len(np.concatenate(answers)) == DIGITS
    return DIGITS / (time.perf_counter() - start)


def main() -> None:
    rival = torch_digits_a_second()
    rates = {
        "software only (--physical none)": hil_digits_a_second("--physical", "none"),
        "conv1 on the neuron, counts": hil_digits_a_second(),
        "conv1 on the neuron, pulse by pulse": hil_digits_a_second("--fidelity", "pulses"),
    }
    print(f"{DIGITS} test digits" + ("" if rival is None else f"; PyTorch forward pass: {rival:,.0f} digits/s"))
    for name, rate in rates.items():
        print(f"  {name:<38} {rate:7,.0f} digits/s" + ("" if rival is None else f"  {rate / rival:6.2f} × PyTorch"))


if __name__ == "__main__":
    main()

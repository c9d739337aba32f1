"""Recognising test digits through the simulated neuron, against the same network in software and in PyTorch.

Prints digits a second of each and the ratio to PyTorch's forward pass (skipped where PyTorch is not installed). Before
that, in one process and one thread, processor time of a digit beside that of the network's matrix products alone, which
no evaluation can do without: whoever else is on the machine does not count there.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before numpy is imported

import numpy as np

DIGITS = 2_000
BESIDE = 500  # digits for processor seconds
BATCH = 50


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


def products() -> None:
    """The matrix products of BESIDE digits, with their operands at hand."""
    from hil.network.weights import load_weights

    w1, w2, w3, w4 = (layer.weight.reshape(len(layer.weight), -1) for layer in load_weights().layers)
    rng = np.random.default_rng(0)
    columns1 = rng.random((BATCH, 25, 784), dtype=np.float32)
    columns2 = rng.random((BATCH, 800, 196), dtype=np.float32)
    flat, hidden = rng.random((BATCH, 3136), dtype=np.float32), rng.random((BATCH, 1024), dtype=np.float32)
    for _ in range(BESIDE // BATCH):
        np.matmul(w1, columns1)
        np.matmul(w2, columns2)
        flat @ w3.T
        hidden @ w4.T


def evaluation(*options: str) -> Callable[[], None]:
    """Recognising BESIDE digits in this process, with everything loaded and tabulated that is so once a run."""
    from contextlib import ExitStack

    from hil.commands.evaluate import add_arguments
    from hil.commands.options import settle
    from hil.run.digits import Course, recognise_digits
    from hil.run.opening import open_measured

    parser = argparse.ArgumentParser()
    add_arguments(parser)
    args = parser.parse_args(["--digits", str(BESIDE), *options])
    config, weights = settle(args, "evaluate", f"0:{BESIDE}", (0,), "counts", traces=False)

    bench, config = open_measured(config, ExitStack())  # in process: there is nothing to close

    def recognise() -> None:
        assert len(list(recognise_digits(config, weights, bench, Course(batch=BATCH)))) == BESIDE

    return recognise


def processor_s(work: Callable[[], None], repeats: int = 3) -> float:
    """The least of several tries, after one that warms up."""
    work()
    tries = []
    for _ in range(repeats):
        begun = time.process_time()
        work()
        tries.append(time.process_time() - begun)
    return min(tries)


def beside_the_products() -> None:
    alone = processor_s(products)
    print(f"processor time of a digit, one thread; its matrix products alone: {alone / BESIDE * 1e3:.2f} ms")
    for name, options in {
        "software only": ("--physical", "none"),
        "conv1 on the neuron, counts": (),
        "… pooled": ("--play", "pooled"),
        "… pooled, 8 pulses": ("--play", "pooled", "--full-scale", "conv1=8"),
    }.items():
        taken = processor_s(evaluation(*options))
        print(f"  {name:<38} {taken / BESIDE * 1e3:7.2f} ms  {taken / alone:6.2f} × the products")


def main() -> None:
    beside_the_products()
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

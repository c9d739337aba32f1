"""Recognising test digits through the simulated neuron, beside the network's matrix products and PyTorch.

    python -m benchmarks.evaluate

In one process and one thread, processor time of a digit beside that of the matrix products alone, which no evaluation
can do without, and of the same network's forward pass in PyTorch (left out where it is not installed): whoever else is
on the machine does not count there. Then `hil evaluate` as a user waits for it, with one worker and with two.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before numpy is imported

import numpy as np

from benchmarks.clock import processor_s

DIGITS = 10_000
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


def in_torch() -> Callable[[], None] | None:
    """PyTorch's forward pass of BESIDE digits; None where it is not installed."""
    try:
        import torch
        import torch.nn.functional as F
    except ModuleNotFoundError:
        return None
    from hil.network.layers import as_maps
    from hil.network.mnist import load_test
    from hil.network.weights import load_weights

    torch.set_num_threads(1)
    images = load_test()[0][:BESIDE]
    (w1, b1), (w2, b2), (w3, b3), (w4, b4) = (
        (torch.from_numpy(layer.weight), torch.from_numpy(layer.bias)) for layer in load_weights().layers
    )

    def forward() -> None:
        answers = []
        with torch.inference_mode():
            for batch in torch.from_numpy(as_maps(images)).split(BATCH):
                x = F.max_pool2d(F.relu(F.conv2d(batch, w1, b1, padding=2)), 2)
                x = F.max_pool2d(F.relu(F.conv2d(x, w2, b2, padding=2)), 2)
                answers.append(F.linear(F.relu(F.linear(x.flatten(1), w3, b3)), w4, b4).argmax(1).numpy())
        assert len(np.concatenate(answers)) == BESIDE

    return forward


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


def evaluation(*options: str, digits: int = BESIDE) -> Callable[[], None]:
    """Recognising so many digits in this process, with everything loaded and tabulated that is so once a run."""
    from contextlib import ExitStack

    from hil.commands.evaluate import add_arguments
    from hil.commands.options import settle
    from hil.run.digits import Course, recognise_digits
    from hil.run.opening import open_measured

    parser = argparse.ArgumentParser()
    add_arguments(parser)
    args = parser.parse_args(["--digits", str(digits), *options])
    config, weights = settle(args, "evaluate", f"0:{digits}", (0,), "counts", traces=False)

    bench, config = open_measured(config, ExitStack())  # in process: there is nothing to close

    def recognise() -> None:
        assert len(list(recognise_digits(config, weights, bench, Course(batch=BATCH)))) == digits

    return recognise


def beside_the_products() -> None:
    alone = processor_s(products)
    forward = in_torch()
    rival = None if forward is None else processor_s(forward)
    print(f"processor time of a digit, one thread; its matrix products alone: {alone / BESIDE * 1e3:.2f} ms")
    if rival is None:
        print("  PyTorch is not installed, and left out: pip install 'memristive-hil[train]'")
    else:
        print(f"  {'PyTorch, forward pass':<38} {rival / BESIDE * 1e3:7.2f} ms  {rival / alone:6.2f} × the products")
    for name, options in {
        "software only": ("--physical", "none"),
        "conv1 on the neuron, counts": (),
        "… pooled": ("--play", "pooled"),
        "… pooled, 8 pulses": ("--play", "pooled", "--full-scale", "conv1=8"),
    }.items():
        taken = processor_s(evaluation(*options))
        beside = "" if rival is None else f"  {taken / rival:6.2f} × PyTorch"
        print(f"  {name:<38} {taken / BESIDE * 1e3:7.2f} ms  {taken / alone:6.2f} × the products{beside}")


def main() -> None:
    beside_the_products()
    rates = {
        "software only, one worker": hil_digits_a_second("--physical", "none", "--workers", "1"),
        "conv1 on the neuron, one worker": hil_digits_a_second("--workers", "1"),
        "conv1 on the neuron, two workers": hil_digits_a_second("--workers", "2"),
    }
    print(f"hil evaluate of {DIGITS:,} test digits, start and transfer curve included")
    for name, rate in rates.items():
        print(f"  {name:<38} {rate:7,.0f} digits/s")
    one, two = list(rates.values())[1:]
    print(f"  two workers are {two / one:.2f} times as fast as one")


if __name__ == "__main__":
    main()

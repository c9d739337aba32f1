"""Train the network with non-negative weights; needs the extra 'train' (PyTorch).

The shipped weights were made by:   hil train --seed 0 --out weights.safetensors
Interrupted training goes on after its last whole stage.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console
from rich.progress import Progress

from drivers.bench import InputError

if TYPE_CHECKING:
    from hil.mnist import Digits
    from hil.training import Report, Stage

FULL_SCALE_IMAGES = 2_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `hil train`."""
    parser.add_argument("--data", type=Path, metavar="DIR", help="folder with the MNIST files (default: download)")
    parser.add_argument(
        "--out", type=Path, default=Path("weights.safetensors"), metavar="FILE", help="weights to write"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", metavar="A,B,C", help="epochs of the three stages (default: 10,10,12)")
    parser.add_argument("--limit", type=int, metavar="N", help="use only the first N training digits, to try it out")
    parser.add_argument("--device", default="cpu", help="PyTorch device")
    parser.add_argument("--json", action="store_true", help="print one JSON object on standard output")


def run(args: argparse.Namespace) -> int:
    """Train, print progress on standard error, write the weights."""
    try:
        from hil.training import STAGES, Trainer
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise InputError("training needs PyTorch: pip install 'memristive-hil[train]'") from error
    from hil.mnist import load_training

    stages = _stages(args.epochs, STAGES)
    console = Console(stderr=True)
    digits = load_training(args.data, lambda text: console.print(text, highlight=False))
    digits = (digits[0][: args.limit], digits[1][: args.limit])
    if len(digits[0]) < 1_000:
        raise InputError(f"--limit {args.limit}: at least 1000 digits")
    trainer = Trainer(digits, args.seed, args.out.with_suffix(".checkpoint"), args.device)
    began, reports = time.perf_counter(), []
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("training", total=1.0)

        def tell(report: Report) -> None:
            reports.append(report)
            progress.console.print(str(report), highlight=False, soft_wrap=True)

        trainer.train(stages, tell, lambda share: progress.update(task, completed=share))
    pulses = _write(args.out, trainer.network, digits, reports[-1] if reports else None, args)
    args.out.with_suffix(".checkpoint").unlink(missing_ok=True)
    result = {"file": str(args.out), "wall_s": time.perf_counter() - began, "conv1_pulses_a_digit": pulses}
    if reports:
        result |= {"validation": reports[-1].clean, "validation_40_zeroed": reports[-1].zeroed}
    print(json.dumps(result) if args.json else "\n".join(f"{k}: {v}" for k, v in result.items()))
    return 0


def _stages(text: str | None, default: tuple[Stage, ...]) -> tuple[Stage, ...]:
    from dataclasses import replace

    if text is None:
        return default
    parts = text.split(",")
    if len(parts) != len(default) or not all(p.isdigit() for p in parts):
        raise InputError(f"--epochs {text!r}: give {len(default)} whole numbers, for example 10,10,12")
    return tuple(replace(stage, epochs=int(p)) for stage, p in zip(default, parts, strict=True) if int(p))


def _write(out: Path, network: object, digits: Digits, report: Report | None, args: argparse.Namespace) -> float:
    """Write the weights as float16 with their full scales; returns conv1's pulses a validation digit."""
    from safetensors.numpy import save_file

    from hil.fullscale import with_full_scales
    from hil.network import LAYERS, as_maps, drives
    from hil.training import CONV1_PULSES, Network, folded
    from hil.weights import LayerWeights

    assert isinstance(network, Network)  # noqa: S101 (the import is lazy)
    tensors: dict[str, np.ndarray] = {name: value.astype(np.float16) for name, value in folded(network).items()}
    layers = tuple(
        LayerWeights(
            layer.name,
            tensors[f"{layer.name}.weight"].astype(np.float32),
            tensors[f"{layer.name}.bias"].astype(np.float32),
            np.ones(layer.units, dtype=np.float32),
        )
        for layer in LAYERS
    )
    layers = with_full_scales(layers, digits[0][:FULL_SCALE_IMAGES])
    tensors |= {f"{layer.name}.full_scale": layer.full_scale for layer in layers}
    drive = drives(LAYERS[0], layers[0], as_maps(digits[0][-1_000:]))
    pulses = np.minimum(np.rint(drive / layers[0].full_scale[:, None] * CONV1_PULSES), CONV1_PULSES)
    metadata = {
        "command": f"hil train --seed {args.seed}" + (f" --epochs {args.epochs}" if args.epochs else ""),
        "versions": f"torch {version('torch')}, numpy {version('numpy')}, Python {sys.version.split()[0]}",
        "validation": str(report) if report else "",
        "data": "MNIST training digits; the last 5,000 held out for validation",
    }
    args.out.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, out, metadata=metadata)
    return float(pulses.sum() / len(drive))

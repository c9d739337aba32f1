"""Train the network with the neuron in the loop; needs the extra 'train' (PyTorch).

The weights file says which command made it. Training that was interrupted goes on after its last whole epoch.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import Progress

from drivers.errors import InputError
from hil.commands.options import add_seed_argument
from hil.terminal.install import install_extra

if TYPE_CHECKING:
    from hil.training.epochs import Report, Trainer
    from hil.training.handover import Finished
    from hil.training.recipes import Stage

FEWEST = 1_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `hil train`."""
    parser.add_argument(
        "--data", type=Path, metavar="DIR", help="folder with training images as idx files (default: MNIST, downloaded)"
    )
    parser.add_argument(
        "--out", type=Path, default=Path("weights.safetensors"), metavar="FILE", help="weights to write"
    )
    add_seed_argument(parser, "decides every random draw (default: 0)")
    parser.add_argument(
        "--sign",
        choices=("positive", "differential"),
        default="positive",
        help="weights: all-positive (default, the paper's), or differences of two positive halves",
    )
    parser.add_argument(
        "--sees",
        choices=("on", "on-off"),
        help="what conv1 sees of a pixel: how bright it is (default), or that and how dark it is",
    )
    parser.add_argument("--start", metavar="NAME|FILE", help="weights to go on from (default: from nothing)")
    parser.add_argument("--teacher", metavar="NAME|FILE", help="weights of a network that says what it makes of images")
    parser.add_argument(
        "--calibration", type=Path, metavar="RECORD", help="record of the neuron to train for (default: a generic one)"
    )
    parser.add_argument(
        "--playing",
        metavar="WAY=SHARE,…",
        help="how conv1 is played in the last stage: pooled:N, all:N (N pulses for a full-scale drive) or none",
    )
    parser.add_argument(
        "--later",
        metavar="LAYER=N,…",
        help="later layers that are played too, and their full scales: conv2=64,fc1=128; see --coding excess",
    )
    parser.add_argument(
        "--coding",
        choices=("whole", "excess"),
        default="whole",
        help="what of conv1's drives is played: all (default), or what is above a unit's threshold",
    )
    parser.add_argument("--epochs", metavar="A,B,C", help="epochs of every stage (default: 10,10,12)")
    parser.add_argument("--limit", type=int, metavar="N", help="use only the first N training digits, to try it out")
    parser.add_argument("--device", default="cpu", help="PyTorch device (default: cpu)")
    parser.add_argument("--json", action="store_true", help="print one JSON object on standard output")


def run(args: argparse.Namespace) -> int:
    """Train, print progress on standard error, write the weights."""
    try:
        from hil.training.epochs import Pupil, Trainer
        from hil.training.spiking import SpikingNeuron, parse_later
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise InputError(f"training needs PyTorch: {install_extra('train')}") from error
    from hil.network.mnist import digest, is_mnist, load_training
    from hil.network.weights import load_weights

    if args.limit is not None and args.limit < FEWEST:
        raise InputError(f"--limit {args.limit}: at least {FEWEST} digits")
    stages = _stages(args)
    neuron = SpikingNeuron.of_record(args.calibration) if args.calibration is not None else SpikingNeuron.generic()
    start, teacher = (load_weights(name) if name is not None else None for name in (args.start, args.teacher))
    if start is not None and start.sign != args.sign:
        raise InputError(f"--start {args.start}: its weights are {start.sign}; give --sign {start.sign}")
    if start is not None and args.sees not in (None, start.sees):
        raise InputError(f"--start {args.start}: it sees {start.sees}; leave --sees out")
    sees = start.sees if start is not None else args.sees or "on"
    console = Console(stderr=True)
    checkpoint = _checkpoint(args.out)
    digits = load_training(args.data, lambda text: console.print(text, highlight=False, soft_wrap=True))
    data = "MNIST training digits" if is_mnist(digits) else f"training images of {args.data}, {digest(digits)[:12]}"
    digits = (digits[0][: args.limit], digits[1][: args.limit])
    trainer = Trainer(
        digits,
        args.seed,
        stages,
        checkpoint,
        args.device,
        Pupil(args.sign, neuron, start, teacher, parse_later(args.later) if args.later else (), sees, args.coding),
    )
    began = time.perf_counter()
    try:
        _train(trainer, console)
    except KeyboardInterrupt:
        if checkpoint.exists():
            console.print(f"{checkpoint} is kept: the same command goes on from there", highlight=False, soft_wrap=True)
        raise
    finished = _write(args, trainer, data)
    checkpoint.unlink(missing_ok=True)
    result = {
        "file": str(args.out),
        "wall_s": time.perf_counter() - began,
        "validation": finished.accuracy,
        "validation_40_zeroed": finished.accuracy_zeroed,
        "conv1_pulses_a_digit": finished.conv1_pulses,
        "dtype": finished.dtype.__name__,
    }
    print(json.dumps(result) if args.json else _summary(args.out, finished))
    return 0


def _summary(out: Path, finished: Finished) -> str:
    return (
        f"{out} ({finished.dtype.__name__}): validation {finished.accuracy:.2%}, with 40 % of the pixels zeroed "
        f"{finished.accuracy_zeroed:.2%}; {finished.conv1_pulses:,.0f} pulses a digit in conv1\n"
        f"use it:  hil evaluate --weights {quote(str(out))}"
    )


def _checkpoint(out: Path) -> Path:
    """Beside the weights; whether anything can be written there is found out before the long work, not after."""
    if out.is_dir():
        raise InputError(f"--out {out}: is a folder; give a file")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        trial = out.with_name(f"{out.name}.trial")
        trial.touch()
        trial.unlink()
    except OSError as error:
        raise InputError(f"--out {out}: cannot write there ({error.strerror or error})") from error
    return out.with_name(f"{out.name}.checkpoint")


def _stages(args: argparse.Namespace) -> tuple[Stage, ...]:
    from hil.training.recipes import RECIPES
    from hil.training.spiking import parse_playings

    recipe = RECIPES[args.sign]
    stages = recipe.stages if args.start is None else recipe.further
    if args.playing is not None:
        stages = (*stages[:-1], replace(stages[-1], playings=parse_playings(args.playing)))
    return _with_epochs(args.epochs, stages)


def _with_epochs(text: str | None, default: tuple[Stage, ...]) -> tuple[Stage, ...]:
    if text is None:
        return default
    parts = text.split(",")
    if len(parts) != len(default) or not all(p.isdecimal() for p in parts) or not any(int(p) for p in parts):
        example = ",".join(str(stage.epochs) for stage in default)
        raise InputError(f"--epochs {text!r}: give {len(default)} whole numbers, not all 0, for example {example}")
    return tuple(replace(stage, epochs=int(p)) for stage, p in zip(default, parts, strict=True) if int(p))


def _train(trainer: Trainer, console: Console) -> None:
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("training", total=1.0)

        def tell(report: Report) -> None:
            progress.console.print(str(report), highlight=False, soft_wrap=True)

        trainer.train(tell, lambda share: progress.update(task, completed=share))


def _write(args: argparse.Namespace, trainer: Trainer, data: str) -> Finished:
    from hil.network.weights import save_weights
    from hil.training.epochs import threads
    from hil.training.handover import finish
    from hil.training.learner import folded

    finished = finish(folded(trainer.network), *trainer.digits, args.sign)
    options = [f"--seed {args.seed}"] + ([f"--sign {args.sign}"] if args.sign != "positive" else [])
    options += [f"--sees {args.sees}"] if args.sees else []
    options += [f"--coding {args.coding}"] if args.coding != "whole" else []
    given = ("start", "teacher", "calibration", "playing", "later", "epochs", "limit")
    options += [f"--{name} {value}" for name in given if (value := getattr(args, name)) is not None]
    options += [f"--device {args.device}"] if args.device != "cpu" else []
    metadata = {
        "command": f"hil train {' '.join(options)}",
        "date": datetime.now(UTC).date().isoformat(),
        "versions": f"torch {version('torch')}, numpy {version('numpy')}, Python {sys.version.split()[0]}",
        "threads": str(threads()),
        "data": f"{data}; the last {len(trainer.digits[1][0]):,} held out for validation",
        "sign": args.sign,
        "sees": trainer.network.sees,
        "sources": ", ".join(trainer.sources) or "none",
        "neuron": trainer.network.neuron.name,
        "validation": ", ".join(map(str, trainer.accuracies())),
    }
    save_weights(args.out, finished.layers, metadata, finished.dtype)
    return finished

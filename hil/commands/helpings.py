"""How sure an answer must be for no more pulses: found on training digits that no network was trained on.

All helpings are played to every one of them on the simulated neuron. Digits may then stop as soon as the confidence
reaches the least threshold with which the share of digits that stop with another answer than the last one is, with
95 % certainty, at most --error.

    hil helpings --helpings 8,24 --play pooled
    hil evaluate --helpings 8,24 --play pooled --sure P
"""

from __future__ import annotations

import argparse
import json
from contextlib import ExitStack
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console
from rich.progress import Progress

from drivers.errors import InputError
from hil.commands.measuring import open_watched
from hil.commands.options import add_common_arguments, as_options, percent, settle
from hil.network.mnist import HELD_OUT, load_training
from hil.run.config import noisy
from hil.run.digits import Course, recogniser
from hil.run.sequential import find_rule

if TYPE_CHECKING:
    from hil.network.mnist import Digits
    from hil.network.weights import Weights
    from hil.run.config import RunConfig
    from hil.run.loop import Answer

BATCH = 50


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `hil helpings`."""
    parser.add_argument("--data", type=Path, metavar="DIR", help="folder with the MNIST files (default: download)")
    parser.add_argument(
        "--digits", type=int, default=HELD_OUT, metavar="N", help=f"the last N of those held out (default: {HELD_OUT})"
    )
    parser.add_argument("--error", type=float, default=0.002, metavar="P", help="at most this share (default: 0.002)")
    parser.add_argument("--noise", type=percent, default=0, metavar="PERCENT", help="share of pixels set to zero")
    add_common_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Play all helpings, find the rule and print it."""
    if args.helpings is None or args.sure is not None:
        raise InputError("give --helpings A,B,…, and leave --sure out: it is what this command finds")
    if not 1 <= args.digits <= HELD_OUT:
        raise InputError(f"--digits {args.digits}: allowed 1…{HELD_OUT}, the training digits held out")
    if not 0 < args.error < 1:
        raise InputError(f"--error {args.error:g}: give a share above 0 and below 1")
    args.sure = 1.0
    config, weights = settle(args, "evaluate", "0:1", (args.noise,), "counts", traces=False)
    if config.bench.kind != "mock":
        raise InputError(f"bench {config.bench.name!r} is hardware: thresholds are found on the simulated neuron")
    console = Console(stderr=True)
    images, labels = load_training(args.data, lambda text: console.print(text, highlight=False, soft_wrap=True))
    answers = _answers(config, weights, (images[-args.digits :], labels[-args.digits :]), console)
    result = _result(config, answers, labels[-args.digits :].tolist(), args.error)
    print(json.dumps(result) if args.json else _text(config, result, args))
    return 0


def _answers(config: RunConfig, weights: Weights, digits: Digits, console: Console) -> list[Answer]:
    with ExitStack() as stack:
        bench, config = open_watched(config, stack, quiet=not console.is_terminal)
        curve = _curve(config)
        never = config.model_copy(update={"sure": np.inf})
        host = recogniser(never, weights, curve, config.noise[0], Course())
        bar = stack.enter_context(Progress(console=console, transient=True, disable=not console.is_terminal))
        task = bar.add_task("playing", total=len(digits[0]))
        answers = []
        index = np.arange(len(digits[0]))
        parts = (index[k : k + BATCH] for k in range(0, len(index), BATCH))
        shown = ((part, noisy(digits[0][part], part, config.noise[0], config.seed)) for part in parts)
        for answer in host.answers(bench, shown):
            answers.append(answer)
            bar.update(task, advance=1)
        return answers


def _curve(config: RunConfig) -> Any:
    from calibration.transfer import TransferCurve

    return TransferCurve.from_dict(config.curve) if config.curve is not None else None


def _result(config: RunConfig, answers: list[Answer], labels: list[int], most_error: float) -> dict[str, Any]:
    confidence = np.array([[sure for _, sure in answer.earlier] for answer in answers])
    changed = np.array([[said != answer.answer for said, _ in answer.earlier] for answer in answers])
    rule = find_rule(confidence, changed, most_error)
    stops = confidence >= rule.sure
    helpings = np.where(stops.any(axis=1), stops.argmax(axis=1) + 1, len(config.helpings))
    said = [
        answer.earlier[n - 1][0] if n <= len(answer.earlier) else answer.answer
        for answer, n in zip(answers, helpings.tolist(), strict=True)
    ]
    return {
        "helpings": list(config.helpings),
        "sure": rule.sure,
        "digits": rule.digits,
        "stopped_early": rule.stopped / rule.digits,
        "otherwise": rule.otherwise,
        "error": rule.error,
        "accuracy_with_all": float(np.mean([a.answer == label for a, label in zip(answers, labels, strict=True)])),
        "accuracy": float(np.mean([one == label for one, label in zip(said, labels, strict=True)])),
    }


def _text(config: RunConfig, result: dict[str, Any], args: argparse.Namespace) -> str:
    found = config.model_copy(update={"sure": result["sure"]})
    return (
        f"{result['digits']:,} training digits held out: {result['stopped_early']:.1%} may stop early at a confidence "
        f"of {result['sure']:.6g};\n{result['otherwise']} of them with another answer than after all helpings (below "
        f"{result['error']:.3%} of all, with 95 % certainty)\n"
        f"right: {result['accuracy_with_all']:.2%} with all helpings, {result['accuracy']:.2%} so\n"
        f"use it:  hil evaluate {' '.join(map(quote, as_options(found, args)))}"
    )

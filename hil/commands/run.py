"""Recognise digits on a bench, with the layers you choose played on the neuron.

The first digits of the test set on the simulated neuron:   hil run --digits 0:10
Two digits on your own bench:                               hil run --digits 0:2 --bench bench.toml
"""

from __future__ import annotations

import argparse
import json
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hil.execute import DigitResult, execute, heading
from hil.live import Live
from hil.physical import parse_physical
from hil.setup import add_common_arguments, open_measured, percent, settle

if TYPE_CHECKING:
    from drivers.bench import Bench
    from hil.config import RunConfig
    from hil.network import Floats
    from hil.weights import Weights


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `hil run`."""
    parser.add_argument("--digits", default="0:10", metavar="A:B", help="test digits A…B−1 (default: 0:10)")
    add_common_arguments(parser)
    parser.add_argument("--noise", type=percent, default=0, metavar="PERCENT", help="share of pixels set to zero")
    parser.add_argument("--fidelity", choices=("pulses", "counts"), default="pulses", help="of the simulated neuron")
    parser.add_argument("--traces", action="store_true", help="oscilloscope traces from the mock bench too")
    parser.add_argument("--figure", type=Path, metavar="FILE", help="draw every layer's maps of the first digit")


def run(args: argparse.Namespace) -> int:
    """Run and print; returns the exit code."""
    config, weights = settle(args, "run", args.digits, (args.noise,), args.fidelity, args.traces)
    with ExitStack() as stack:
        bench, config = open_measured(config, stack)
        return play(config, weights, bench, as_json=args.json, figure=args.figure)


def play(config: RunConfig, weights: Weights, bench: Bench | None, *, as_json: bool, figure: Path | None = None) -> int:
    """Play a settled configuration on an open bench and print what comes of it."""
    results: list[DigitResult] = []
    began = time.perf_counter()
    slots = sum(part.slots for part in parse_physical(config.physical))
    with Live(slots, len(config.images), quiet=as_json) as live:
        for result, maps in execute(config, weights, bench, watch=live.watch, keep=figure is not None):
            if figure is not None and not results:
                draw(figure, config, result, maps)
            results.append(result)
            if not as_json:
                live.show(row(result))
    wall_s = time.perf_counter() - began
    if as_json:
        print(json.dumps(summary(results, wall_s, live.bench_s)))
    else:
        print(closing(config, results, wall_s, live.bench_s))
    return 0


def draw(figure: Path, config: RunConfig, result: DigitResult, maps: dict[str, Floats]) -> None:
    """Write the picture of one digit's maps."""
    from hil.config import noisy
    from hil.figures import draw_maps
    from hil.mnist import load_test

    index = np.array([result.index])
    draw_maps(figure, result, noisy(load_test()[0][index], index, result.noise, config.seed)[0], maps)


def row(result: DigitResult) -> str:
    """One line a digit."""
    verdict = "✓" if result.correct else f"✗ is {result.label}"
    return (
        f"digit {result.index:>5}: {result.answer}  {verdict:<6} {result.confidence:6.1%}  "
        f"{result.pulses:>8,} pulses  {result.spikes:>7,} spikes  {result.bench_s:7.3f} s on the bench"
    )


def summary(results: list[DigitResult], wall_s: float, bench_s: float) -> dict[str, object]:
    """The JSON object of `hil run`."""
    return {
        "digits": [result.to_dict() for result in results],
        "accuracy": sum(r.correct for r in results) / len(results),
        "wall_s": wall_s,
        "utilisation": bench_s / wall_s,
    }


def closing(config: RunConfig, results: list[DigitResult], wall_s: float, bench_s: float) -> str:
    """The last lines of `hil run`."""
    right = sum(r.correct for r in results)
    saturated = sum(r.saturated for r in results)
    lines = [
        f"{right} of {len(results)} right; {heading(config)}",
        f"{wall_s:.2f} s here; {bench_s:.2f} s of bench time, utilisation {bench_s / wall_s:.0%}",
    ]
    if saturated:
        lines.append(f"{saturated:,} slots were saturated at full scale")
    return "\n".join(lines)

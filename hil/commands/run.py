"""Recognise digits on a bench, with the layers you choose played on the neuron.

The first digits of the test set on the simulated neuron:   hil run --digits 0:10
Two digits on your own bench:                               hil run --digits 0:2 --bench bench.toml
A digit that you drew:                                      hil run --image seven.png
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from drivers.errors import HilError
from drivers.parts.pace import bench_pace
from hil.commands.measuring import open_watched
from hil.commands.options import (
    add_common_arguments,
    add_data_argument,
    add_own_arguments,
    add_wire_argument,
    percent,
    settle,
)
from hil.run.accuracy import Score
from hil.run.digits import DigitResult, heading
from hil.run.gauges import spent_s
from hil.run.session import RUNS, begin, device_history, free_bytes, go_on, results_of
from hil.run.shares import lines, measured
from hil.store.frozen import begun_words
from hil.terminal.again import in_all
from hil.terminal.ending import how_to_go_on, stopped
from hil.terminal.interrupt import StopRequest
from hil.terminal.live import Live
from hil.terminal.visible import visible
from hil.terminal.where import tell_where

if TYPE_CHECKING:
    from drivers.bench import Bench
    from hil.network.layers import Floats
    from hil.network.weights import Weights
    from hil.run.config import RunConfig
    from hil.store.runfile import RunFile


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `hil run`."""
    parser.add_argument("--digits", metavar="A:B", help="test digits A…B−1 (default: the first 10)")
    add_common_arguments(parser)
    add_wire_argument(parser)
    add_data_argument(parser)
    add_own_arguments(parser)
    parser.add_argument("--noise", type=percent, default=0, metavar="PERCENT", help="share of pixels set to zero")
    parser.add_argument("--fidelity", choices=("pulses", "counts"), default="pulses", help="of the simulated neuron")
    parser.add_argument("--traces", action="store_true", help="oscilloscope traces from the mock bench too")
    parser.add_argument("--out", type=Path, metavar="FILE", help="run file (default: a new one under runs/)")
    parser.add_argument("--figure", type=Path, metavar="FILE", help="draw every layer's maps of the first digit")


def run(args: argparse.Namespace) -> int:
    """Run, record and print; returns the exit code."""
    config, weights = settle(
        args, "run", 10 if args.digits is None else args.digits, (args.noise,), args.fidelity, args.traces
    )
    show_plan(config, weights, args.out or RUNS / "run")
    with ExitStack() as stack:
        stopping = stack.enter_context(StopRequest())
        bench, config = open_watched(config, stack, args.calibration, quiet=args.json)
        identity = bench.identity if bench is not None else {}
        sources = {"bench": args.bench, "device": args.device or config.bench.device, "calibration": args.calibration}
        run_file = stack.enter_context(begin(args.out, config, identity, sources))
        stopping.advice = how_to_go_on(run_file)
        return play(config, weights, bench, run_file, stopping, as_json=args.json, figure=args.figure)


def show_plan(config: RunConfig, weights: Weights, path: Path, *, done: int = 0) -> None:
    """Print what the run will take on standard error; raises LimitError when that is too much."""
    from hil.commands.plan import watched_plan
    from hil.run.plan import check_plan
    from hil.run.plan import summary as plan_summary

    plan = watched_plan(config, weights, done=done)
    tell_where(config.bench, config.device)
    print(plan_summary(plan, config), file=sys.stderr)
    check_plan(plan, config, free_bytes=free_bytes(path), spent=device_history(config))


def play(
    config: RunConfig,
    weights: Weights,
    bench: Bench | None,
    run_file: RunFile,
    stopping: StopRequest,
    *,
    as_json: bool,
    figure: Path | None = None,
) -> int:
    """Play what the run file lacks on an open bench, record it and print what comes of it; returns the exit code."""
    began = time.perf_counter()
    drawn = figure is None
    slots = sum(part.slots for part in config.parts)
    before = len(results_of(run_file))
    spent_before = spent_s(bench)
    with Live(slots, len(config.images) * len(config.noise) - before, quiet=as_json) as live:
        try:
            for result, maps in go_on(
                run_file,
                config,
                weights,
                bench,
                watch=live.watch,
                gauge=live.gauge,
                stopping=stopping,
                retaking=live.retaking,
                played=live.played,
            ):
                live.count(result)
                if figure is not None and not drawn:
                    draw(figure, config, result, maps, run_file)
                    drawn = True
                if not as_json:
                    live.show(row(result))
        except (KeyboardInterrupt, HilError) as error:
            return stopped(run_file, error, f"{len(results_of(run_file))} digits are done and safe")
    wall_s = time.perf_counter() - began
    run_file.add_event("complete", f"{wall_s:.2f} s here, {live.bench_s:.2f} s on the bench")
    results = results_of(run_file)
    if as_json:
        spent = {name: seconds - spent_before[name] for name, seconds in spent_s(bench).items()}
        parts_s = measured(wall_s, live.bench_s, spent) if spent else {}
        recorded = {
            "parts_s": parts_s,
            "notes": [asdict(noted) for noted in run_file.notes()],
            "run_file": str(run_file.path),
        }
        print(json.dumps({**summary(config, results, wall_s, live.bench_s), **recorded}))
    else:
        print(closing(config, results, wall_s, live.bench_s))
        if spent := {name: seconds - spent_before[name] for name, seconds in spent_s(bench).items()}:
            print(*lines(live.bench_s, measured(wall_s, live.bench_s, spent), bench_pace(config.bench).helps), sep="\n")
        for noted in run_file.notes():
            print(f"  {visible(str(noted))}")
        run_file.settle()
        print(
            f"recorded in {visible(str(run_file.path))}: {run_file.bytes_on_disk / 1e6:,.1f} MB; `hil report` shows it"
        )
    return 0


def draw(figure: Path, config: RunConfig, result: DigitResult, maps: dict[str, Floats], run_file: RunFile) -> None:
    """Write the picture of one digit's maps."""
    from hil.network.source import load_digits
    from hil.report.figures import draw_maps
    from hil.run.config import noisy

    index = np.array([result.index])
    about = f"{heading(config)}, seed {config.seed}, begun {begun_words(run_file)}; {run_file.path.name}"
    shown = noisy(load_digits(config.source)[0][index], index, result.noise, config.seed)[0]
    draw_maps(figure, result, shown, maps, about)


def row(result: DigitResult) -> str:
    """One line a digit."""
    verdict = "✓" if result.correct else f"✗ is {result.label}" if result.labelled else ""
    return (
        f"digit {result.index:>5}: {result.answer}  {verdict:<6} {result.confidence:6.1%}  "
        f"{result.pulses:>8,} pulses  {result.spikes:>7,} spikes  {result.bench_s:7.3f} s on the bench"
    )


def summary(config: RunConfig, results: list[DigitResult], wall_s: float, bench_s: float) -> dict[str, object]:
    """The JSON object of `hil run`; `accuracy` is null where no digit has a label, `utilisation` of a simulation."""
    labelled = sum(r.labelled for r in results)
    return {
        "digits": [result.to_dict() for result in results],
        "accuracy": sum(r.correct for r in results) / labelled if labelled else None,
        "wall_s": wall_s,
        "utilisation": None if config.bench.kind == "mock" else bench_s / wall_s,
    }


def closing(config: RunConfig, results: list[DigitResult], wall_s: float, bench_s: float) -> str:
    """The last lines of `hil run`."""
    labelled, right = sum(r.labelled for r in results), sum(r.correct for r in results)
    score = f"{right} of {labelled} right" if labelled else f"{len(results)} digits that nobody labelled"
    saturated = sum(r.saturated for r in results)
    simulated = config.bench.kind == "mock"
    share = "simulated" if simulated else f"utilisation {bench_s / wall_s:.0%}"
    lines = [f"{score}; {visible(heading(config))}", f"{wall_s:.2f} s here; {bench_s:.2f} s of bench time, {share}"]
    if (retaken := Score.of(results).retaken).shots:
        lines.append(in_all(retaken))
    if saturated:
        lines.append(f"{saturated:,} slots were saturated at full scale")
    return "\n".join(lines)

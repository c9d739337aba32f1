"""Go on with a run that was interrupted: by Ctrl-C, a power cut, an emergency stop or a failed bench.

What is recorded stays; what is missing or damaged is played.   hil resume runs/20261124-101500-run-nominal.sqlite
Calibrations and characterizations go on in the same way.       hil resume calibrations/nominal-transfer.sqlite
"""

from __future__ import annotations

import argparse
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import track

from drivers.errors import InputError
from hil.commands.options import add_wire_argument
from hil.commands.run import play, show_plan
from hil.commands.runpath import run_path
from hil.commands.sweepfile import hand_over, is_import, sweep_kind
from hil.run.session import bench_changes, changes, config_of, moved, results_of
from hil.store.frozen import agree, resumed
from hil.store.runfile import RunFile, damaged_shots
from hil.terminal.ending import how_to_go_on
from hil.terminal.interrupt import StopRequest
from hil.terminal.visible import visible

if TYPE_CHECKING:
    from drivers.bench import Bench
    from hil.run.config import RunConfig


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `hil resume`."""
    parser.add_argument("run", type=run_path, metavar="RUN", help="run file, or latest")
    parser.add_argument("--bench", metavar="FILE", help="where the parts of the bench are now, where that has changed")
    parser.add_argument(
        "--anyway",
        action="store_true",
        help="go on with the recorded settings although the bench, device or weights have changed",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object on standard output")
    add_wire_argument(parser)


def run(args: argparse.Namespace) -> int:
    """Resume; returns the exit code."""
    if is_import(args.run):
        raise InputError(f"{args.run} holds recordings: there is nothing to go on with; `hil import` makes another")
    kind = sweep_kind(args.run)
    if kind is not None:
        unfit = {"--anyway": args.anyway, "--bench": args.bench}
        return hand_over(kind, "resume", args.run, as_json=args.json, unfit=unfit)
    with ExitStack() as stack:
        stopping = stack.enter_context(StopRequest())
        run_file = stack.enter_context(RunFile.open(args.run, write=True))
        stopping.advice = how_to_go_on(run_file)
        config = moved(run_file, config_of(run_file), args.bench)
        agree(run_file, [*changes(run_file, config, args.bench), *drift(run_file, config)], anyway=args.anyway)
        set_damage_aside(run_file)
        from hil.network.weights import load_weights

        weights = load_weights(config.weights_path)
        done = len(results_of(run_file))
        if done < len(config.images) * len(config.noise):
            show_plan(config, weights, args.run, done=done)
        bench = reopen(config, stack)
        if bench is not None:
            agree(run_file, bench_changes(run_file, config, bench), anyway=args.anyway)
        for line in resumed(run_file, f"{done} digits were done"):
            print(visible(line), file=sys.stderr)
        return play(config, weights, bench, run_file, stopping, as_json=args.json)


def drift(run_file: RunFile, config: RunConfig) -> list[str]:
    """A run that was to stop when the neuron drifts has done so."""
    stopped = config.drift == "stop" and run_file.count_events("drift") > 0
    return ["the neuron has drifted from its calibration"] if stopped else []


def set_damage_aside(run_file: RunFile) -> None:
    """Check every checksum; damaged shots will be taken again."""
    run_file.check()
    console = Console(stderr=True)
    total = len(run_file.shot_ids())
    checked = track(
        damaged_shots(run_file),
        "checking",
        total=total,
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    broken = [shot for shot, damaged in checked if damaged]
    for shot in broken:
        run_file.set_aside(shot)
    if broken:
        print(f"{len(broken)} of {total} recorded shots are damaged and are taken again", file=sys.stderr)


def reopen(config: RunConfig, stack: ExitStack) -> Bench | None:
    """The bench as the run began with it, its V_th still parked; its transfer curve is the recorded one."""
    if config.curve is None:
        return None
    from drivers.opening import make_bench

    return stack.enter_context(
        make_bench(config.bench, config.device, seed=config.seed, fidelity=config.fidelity, traces=config.traces)
    )

"""Accuracy on the test set, clean and with randomly chosen pixels set to zero, with its 95 % interval.

The paper's experiment on the simulated neuron:   hil evaluate --noise 0,40
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import asdict
from itertools import takewhile
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import Progress

from calibration.estimate import wilson_interval
from drivers.errors import HilError, InputError
from hil.commands.measuring import open_watched
from hil.commands.options import add_common_arguments, add_data_argument, add_wire_argument, settle
from hil.commands.run import show_plan
from hil.run.digits import Course, DigitResult, heading, recognise_digits
from hil.run.judge import Judge
from hil.run.opening import open_measured
from hil.run.session import RUNS, begin, go_on, results_of
from hil.store.notes import Noted
from hil.terminal.ending import INTERRUPTED, stopped
from hil.terminal.interrupt import StopRequest, ignore_all
from hil.terminal.live import Live
from hil.terminal.where import tell_where

if TYPE_CHECKING:
    from collections.abc import Callable

    from hil.network.weights import Weights
    from hil.run.config import RunConfig

BATCH = 50  # images that go through the software layers at once: large enough for the matrix products, small in memory
LOOKS_S = 0.2  # how often the progress of worker processes is looked at
_DONE: Any = None  # of a worker process: how many digits all of them have done
PART = 1_250  # images a worker is given at a time: each part costs it the tables of the simulated neuron


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `hil evaluate`."""
    parser.add_argument("--digits", metavar="N|A:B", help="how many test digits, or which (default: all)")
    parser.add_argument("--noise", default="0", metavar="P,…", help="shares of zeroed pixels in percent, e.g. 0,40,90")
    add_common_arguments(parser)
    add_wire_argument(parser)
    add_data_argument(parser)
    parser.add_argument("--fidelity", choices=("pulses", "counts"), help="of the simulated neuron (default: counts)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="run file; a real bench is always recorded")
    parser.add_argument("--jobs", type=int, metavar="N", help="processes (default: one a core; 1 on a real bench)")


def run(args: argparse.Namespace) -> int:
    """Evaluate and print; returns the exit code."""
    config, weights = settle(
        args, "evaluate", _digits(args.digits), _levels(args.noise), args.fidelity or "counts", traces=False
    )
    jobs = _jobs(args.jobs, config)
    tell_where(config.bench, config.device)
    began = time.perf_counter()
    notes: list[Noted] = []
    if args.out is not None or config.bench.kind != "mock":
        recorded = _recorded(args, config, weights)
        if recorded is None:
            return INTERRUPTED
        results, notes = recorded
    else:
        results = _evaluate(config, jobs, args.calibration, quiet=args.json)
        if len(results) < len(config.images) * len(config.noise):
            return _stopped_early(config, results)
    wall_s = time.perf_counter() - began
    levels = [_level(noise, [r for r in results if r.noise == noise]) for noise in config.noise]
    if args.json:
        what = {"physical": config.physical, "play": config.play, "device": config.device.id}
        print(json.dumps({**what, "levels": levels, "wall_s": wall_s, "notes": [asdict(noted) for noted in notes]}))
    else:
        print(_table(config, levels, wall_s))
        for noted in notes:
            print(f"  {noted}")
    return 0


def _stopped_early(config: RunConfig, results: list[DigitResult]) -> int:
    """Say what is known so far; returns the exit code."""
    levels = [_level(noise, done) for noise in config.noise if (done := [r for r in results if r.noise == noise])]
    print("\n".join(map(_table_row, levels)), file=sys.stderr)
    print(
        f"stopped: {len(results):,} of {len(config.images) * len(config.noise):,} digits, and nothing recorded; "
        "with --out FILE an evaluation is recorded and can be resumed",
        file=sys.stderr,
    )
    return INTERRUPTED


def _recorded(
    args: argparse.Namespace, config: RunConfig, weights: Weights
) -> tuple[list[DigitResult], list[Noted]] | None:
    """Evaluate into a run file, so that nothing is lost: results and notes; None when a person stopped it."""
    show_plan(config, weights, args.out or RUNS / "run")
    with ExitStack() as stack:
        stopping = stack.enter_context(StopRequest())
        bench, config = open_watched(config, stack, args.calibration, quiet=args.json)
        identity = bench.identity if bench is not None else {}
        sources = {"bench": args.bench, "device": args.device or config.bench.device, "calibration": args.calibration}
        run_file = stack.enter_context(begin(args.out, config, identity, sources))
        slots = sum(part.slots for part in config.parts)
        live = stack.enter_context(Live(slots, len(config.images) * len(config.noise), quiet=args.json))
        try:
            for result, _ in go_on(
                run_file, config, weights, bench, watch=live.watch, gauge=live.gauge, stopping=stopping
            ):
                live.count(result)
        except (KeyboardInterrupt, HilError) as error:
            stopped(run_file, error, f"{len(results_of(run_file))} digits are done and safe")
            return None
        run_file.add_event("complete", f"{live.bench_s:.2f} s on the bench")
        return results_of(run_file), run_file.notes()


def _digits(text: str | None) -> str | int:
    if text is None:
        return 10_000
    return text if ":" in text else f"0:{text}"


def _levels(text: str) -> tuple[int, ...]:
    try:
        levels = tuple(int(item) for item in text.split(","))
    except ValueError as error:
        raise InputError(f"--noise {text!r}: give whole percentages, for example 0,40") from error
    wrong = [level for level in levels if not 0 <= level <= 100]
    if wrong:
        raise InputError(f"--noise {wrong[0]}: allowed 0…100 percent")
    return tuple(dict.fromkeys(levels))


def _jobs(wanted: int | None, config: RunConfig) -> int:
    if wanted is not None and wanted < 1:
        raise InputError(f"--jobs {wanted}: at least 1")
    if config.bench.kind != "mock":
        if wanted not in (None, 1):
            raise InputError(f"--jobs {wanted}: bench {config.bench.name!r} is one piece of hardware; use --jobs 1")
        return 1
    return wanted or len(os.sched_getaffinity(0))


def _evaluate(config: RunConfig, jobs: int, calibration: str | None, *, quiet: bool) -> list[DigitResult]:
    with ExitStack() as stack:
        _, config = open_watched(config, stack, calibration, quiet=quiet)
    parts = _parts(config)
    console = Console(stderr=True)
    with (
        StopRequest() as stopping,
        Progress(console=console, transient=True, disable=quiet or not console.is_terminal) as progress,
    ):
        task = progress.add_task("evaluating", total=len(config.images) * len(config.noise))

        def advance(done: int) -> None:
            progress.update(task, advance=done)

        if jobs == 1 or len(parts) == 1:
            return _work(config, calibration, advance, stopping)
        progress.update(task, description=f"starting {jobs} processes", total=None)
        # A fresh interpreter a worker: a fork would copy the threads of the matrix library in an unknown state.
        os.environ["OPENBLAS_NUM_THREADS"] = "1"  # inherited by the workers, one a core
        fresh = get_context("spawn")
        done = fresh.Value("q", 0)
        with ProcessPoolExecutor(jobs, mp_context=fresh, initializer=_begin_worker, initargs=(done,)) as pool:
            futures = [pool.submit(_work, part, calibration) for part in parts]
            waiting = set(futures)
            while waiting:
                waiting = wait(waiting, LOOKS_S).not_done
                if done.value:
                    total = len(config.images) * len(config.noise)
                    progress.update(task, description="evaluating", completed=done.value, total=total)
                if stopping():
                    pool.shutdown(wait=False, cancel_futures=True)
                    break
            whole = takewhile(lambda future: future.done() and not future.cancelled(), futures)
            return [result for future in whole for result in future.result()]


def _begin_worker(done: Any) -> None:
    """What a worker process does first; `done` counts the digits of all of them, for whoever watches."""
    global _DONE  # noqa: PLW0603 (set once a process)
    ignore_all()
    _DONE = done


def _count(digits: int) -> None:
    if _DONE is not None:
        with _DONE.get_lock():
            _DONE.value += digits


def _parts(config: RunConfig) -> list[RunConfig]:
    """One configuration a level of noise and PART digits. Each part starts with a fresh odometer: evaluate a device
    that drifts with --jobs 1.
    """
    images = config.images
    return [
        config.model_copy(update={"noise": (noise,), "digits": f"{start}:{min(start + PART, images.stop)}"})
        for noise in config.noise
        for start in range(images.start, images.stop, PART)
    ]


def _work(
    config: RunConfig,
    calibration: str | None = None,
    advance: Callable[[int], None] = _count,
    stopping: Callable[[], bool] = lambda: False,
) -> list[DigitResult]:
    from hil.network.weights import load_weights

    weights = load_weights(config.weights_path)
    results = []
    with ExitStack() as stack:
        bench, config = open_measured(config, stack, calibration)
        judge = Judge(config.drift, lambda text: print(text, file=sys.stderr))
        for result, _ in recognise_digits(config, weights, bench, Course(batch=BATCH, judge=judge)):
            results.append(result)
            advance(1)
            if stopping():
                break
    return results


def _level(noise: int, results: list[DigitResult]) -> dict[str, Any]:
    correct = sum(r.correct for r in results)
    return {
        "noise": noise / 100,
        "digits": len(results),
        "correct": correct,
        "accuracy": correct / len(results),
        "interval": list(wilson_interval(correct, len(results))),
        "pulses_per_digit": sum(r.pulses for r in results) / len(results),
        "spikes_per_digit": sum(r.spikes for r in results) / len(results),
        "bench_s_per_digit": sum(r.bench_s for r in results) / len(results),
        "saturated_per_digit": sum(r.saturated for r in results) / len(results),
    }


def _table(config: RunConfig, levels: list[dict[str, Any]], wall_s: float) -> str:
    lines = [
        heading(config),
        "zeroed  digits  accuracy  95 % interval     pulses a digit  spikes a digit  bench s a digit",
    ]
    return "\n".join([*lines, *map(_table_row, levels), f"{wall_s:.1f} s here"])


def _table_row(level: dict[str, Any]) -> str:
    return (
        f"{level['noise']:>6.0%}  {level['digits']:>6}  {level['accuracy']:>8.2%}  "
        f"{level['interval'][0]:.2%}…{level['interval'][1]:.2%}  {level['pulses_per_digit']:>14,.0f}  "
        f"{level['spikes_per_digit']:>14,.0f}  {level['bench_s_per_digit']:>15.3f}"
    )

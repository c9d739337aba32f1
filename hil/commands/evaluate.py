"""Accuracy on the test set, clean and with randomly chosen pixels set to zero, with its 95 % interval.

The paper's experiment on the simulated neuron:   hil evaluate --noise 0,40
Its Figure 4b, beside software alone:             hil evaluate --noise 0,20,40,60,80 --seeds 5 --figure noise.png
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

from drivers.errors import HilError, InputError
from drivers.signals import Retaken
from hil.commands.measuring import open_watched
from hil.commands.options import add_common_arguments, add_data_argument, add_wire_argument, settle
from hil.commands.run import show_plan
from hil.commands.working import Shown, add_workers_arguments, check_shared, check_workers, crew_of
from hil.run.accuracy import Level, Score
from hil.run.digits import DigitResult, heading
from hil.run.session import RUNS, begin, go_on, results_of
from hil.store.notes import Noted
from hil.terminal.again import in_all
from hil.terminal.ending import INTERRUPTED, how_to_go_on, stopped
from hil.terminal.interrupt import StopRequest
from hil.terminal.live import Live
from hil.terminal.visible import visible
from hil.terminal.where import tell_where
from hil.workers.crew import Watch
from hil.workers.portions import parts_of, recognise_part

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hil.network.weights import Weights
    from hil.run.config import RunConfig

MOST_SEEDS = 100
Scores = dict[int, dict[int, Score]]  # by seed, then noise: of a hundred thousand digits nobody needs each


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `hil evaluate`."""
    parser.add_argument("--digits", metavar="N|A:B", help="how many test digits, or which (default: all)")
    parser.add_argument("--noise", default="0", metavar="P,…", help="shares of zeroed pixels in percent, e.g. 0,40,90")
    add_common_arguments(parser)
    add_wire_argument(parser)
    add_data_argument(parser)
    parser.add_argument("--fidelity", choices=("pulses", "counts"), help="of the simulated neuron (default: counts)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="run file; a real bench is always recorded")
    parser.add_argument("--seeds", type=int, default=1, metavar="N", help="so many seeds from --seed on (default: 1)")
    parser.add_argument(
        "--figure", type=Path, metavar="FILE", help="draw accuracy against zeroed pixels, beside software alone"
    )
    add_workers_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Evaluate and print; returns the exit code."""
    check_workers(args.workers, args.cluster)
    config, weights = settle(
        args, "evaluate", digits_of(args.digits), _levels(args.noise), args.fidelity or "counts", traces=False
    )
    check_shared(config, args.workers, args.cluster)
    recording = args.out is not None or config.bench.kind != "mock"
    _check_seeds(args.seeds, recording=recording)
    tell_where(config.bench, config.device)
    began = time.perf_counter()
    notes: list[Noted] = []
    if recording:
        recorded = _recorded(args, config, weights)
        if recorded is None:
            return INTERRUPTED
        results, notes = {config.seed: _by_noise(recorded[0])}, recorded[1]
    else:
        results = _evaluated(args, config)
    levels = _level_by_level(config, results)
    if not _whole(config, results, args.seeds):
        return _stopped_early(config, levels, args.seeds)
    software: list[Level] | None = None
    if args.figure is not None:
        alone = config.model_copy(update={"physical": "none"})
        beside = results if not config.parts else _evaluated(args, alone)
        software = _level_by_level(alone, beside)
        if not _whole(alone, beside, args.seeds):
            return _stopped_early(config, levels, args.seeds)
        from hil.report.accuracy_figure import draw_accuracy

        draw_accuracy(args.figure, levels, software, heading(config))
    wall_s = time.perf_counter() - began
    if args.json:
        what = {"physical": config.physical, "play": config.play, "device": config.device.id}
        beside_it = {} if software is None else {"software": [level.to_dict() for level in software]}
        known = {"levels": [level.to_dict() for level in levels], **beside_it, "wall_s": wall_s}
        print(json.dumps({**what, **known, "notes": [asdict(noted) for noted in notes]}))
    else:
        print(_table(config, levels, software, wall_s))
        if (retaken := sum((one.retaken for some in results.values() for one in some.values()), Retaken())).shots:
            print(in_all(retaken))
        for noted in notes:
            print(f"  {visible(str(noted))}")
    return 0


def _check_seeds(seeds: int, *, recording: bool) -> None:
    if not 1 <= seeds <= MOST_SEEDS:
        raise InputError(f"--seeds {seeds}: allowed 1…{MOST_SEEDS}")
    if seeds > 1 and recording:
        raise InputError(f"--seeds {seeds}: a run file holds one seed; record each with --seed N --out FILE")


def _evaluated(args: argparse.Namespace, config: RunConfig) -> Scores:
    """By seed and noise; not all of them when somebody asked to stop. A seed's results are held at a time."""
    with ExitStack() as stack:
        _, config = open_watched(config, stack, args.calibration, quiet=args.json)
    a_seed = len(config.images) * len(config.noise)
    seeds = range(config.seed, config.seed + args.seeds)
    pieces = {seed: parts_of(config.model_copy(update={"seed": seed})) for seed in seeds}
    what = f"evaluating {config.physical}" if config.parts else "evaluating in software"
    scores: Scores = {seed: {} for seed in seeds}
    with (
        Shown(quiet=args.json) as shown,
        crew_of(args.workers, args.cluster, sum(map(len, pieces.values()))) as crew,
    ):
        watch = shown.watch(what, a_seed * args.seeds)
        for number, seed in enumerate(seeds):
            mine = Watch(lambda done, before=number * a_seed: watch.tell(before + done), watch.stopping)  # type: ignore[misc]
            found = crew.work_off(recognise_part, pieces[seed], mine)
            scores[seed] = _by_noise([one for some in found for one in some])
            if watch.stopping():
                break
    return scores


def _by_noise(results: Sequence[DigitResult]) -> dict[int, Score]:
    noises = dict.fromkeys(result.noise for result in results)
    return {noise: Score.of([one for one in results if one.noise == noise]) for noise in noises}


def _whole(config: RunConfig, results: Scores, seeds: int) -> bool:
    done = sum(score.digits for some in results.values() for score in some.values())
    return done == len(config.images) * len(config.noise) * seeds


def _level_by_level(config: RunConfig, results: Scores) -> list[Level]:
    """Of the levels that anything is known of."""
    levels = []
    for noise in config.noise:
        known = {seed: some[noise] for seed, some in results.items() if noise in some}
        if known:
            levels.append(Level.of(noise, known))
    return levels


def _stopped_early(config: RunConfig, levels: list[Level], seeds: int) -> int:
    """Say what is known so far; returns the exit code."""
    print("\n".join(map(_row, levels)), file=sys.stderr)
    done = sum(sum(level.digits) for level in levels)
    print(
        f"stopped: {done:,} of {len(config.images) * len(config.noise) * seeds:,} digits, and nothing recorded; "
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
        stopping.advice = how_to_go_on(run_file)
        slots = sum(part.slots for part in config.parts)
        live = stack.enter_context(Live(slots, len(config.images) * len(config.noise), quiet=args.json))
        try:
            for result, _ in go_on(
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
        except (KeyboardInterrupt, HilError) as error:
            stopped(run_file, error, f"{len(results_of(run_file))} digits are done and safe")
            return None
        run_file.add_event("complete", f"{live.bench_s:.2f} s on the bench")
        return results_of(run_file), run_file.notes()


def digits_of(text: str | None) -> str | int:
    """A:B, or how many from the first on; raises InputError."""
    if text is None:
        return 10_000
    if ":" in text:
        return text
    if not text.isdecimal():
        raise InputError(f"--digits {text!r}: give how many or a:b, for example 1000 or 0:10")
    return f"0:{text}"


def _levels(text: str) -> tuple[int, ...]:
    try:
        levels = tuple(int(item) for item in text.split(","))
    except ValueError as error:
        raise InputError(f"--noise {text!r}: give whole percentages, for example 0,40") from error
    wrong = [level for level in levels if not 0 <= level <= 100]
    if wrong:
        raise InputError(f"--noise {wrong[0]}: allowed 0…100 percent")
    return tuple(dict.fromkeys(levels))


def _table(config: RunConfig, levels: list[Level], software: list[Level] | None, wall_s: float) -> str:
    several = len(levels[0].seeds) > 1
    top = visible(heading(config)) + (f", mean of {len(levels[0].seeds)} seeds" if several else "")
    columns = "zeroed  digits  accuracy  95 % interval     pulses a digit  spikes a digit  bench s a digit"
    columns += "   spread" * several + "  software" * (software is not None)
    beside: Sequence[Level | None] = software or [None] * len(levels)
    return "\n".join([top, columns, *map(_row, levels, beside), f"{wall_s:.1f} s here"])


def _row(level: Level, software: Level | None = None) -> str:
    low, high = level.interval
    return (
        f"{level.noise / 100:>6.0%}  {sum(level.digits):>6}  {level.accuracy:>8.2%}  {low:.2%}…{high:.2%}  "
        f"{level.pulses_per_digit:>14,.0f}  {level.spikes_per_digit:>14,.0f}  {level.bench_s_per_digit:>15.3f}"
        + ("" if level.spread is None else f"  {level.spread:>7.2%}")
        + ("" if software is None else f"  {software.accuracy:>8.2%}")
    )

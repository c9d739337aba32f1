"""The loss budget: where digits are lost between a network in software and the traces of a bench.

On the same digits, each step adds one thing to the one before: weights of either sign in software, these weights, whole
pulses, an ideal neuron, the stochastic one, its drift, and captures recorded with traces and decoded again.

    hil budget --digits 1000 --figure budget.png
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from drivers.errors import InputError
from drivers.opening import drifts, steady
from hil.budget.steps import Wanted, steps
from hil.commands.evaluate import digits_of
from hil.commands.measuring import open_watched
from hil.commands.options import add_common_arguments, add_data_argument, percent, settle
from hil.commands.working import Shown, add_workers_arguments, check_workers, crew_of
from hil.run.digits import heading
from hil.terminal.ending import INTERRUPTED
from hil.workers.portions import parts_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hil.budget.losses import Step
    from hil.run.config import RunConfig
    from hil.run.digits import DigitResult
    from hil.workers.crew import Work
    from hil.workers.portions import Part

WEAKER = 5.0
CAPTURED = 10
_SHOWN = 12  # lost digits named in a row of the table


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `hil budget`."""
    parser.add_argument("--digits", default="1000", metavar="N|A:B", help="how many, or which (default: 1000)")
    parser.add_argument("--noise", type=percent, default=0, metavar="PERCENT", help="share of pixels set to zero")
    add_common_arguments(parser)
    add_data_argument(parser)
    parser.add_argument(
        "--weaker",
        type=float,
        metavar="PERCENT",
        help=f"by how much drift makes a pulse's step smaller over these digits (default: {WEAKER:g})",
    )
    parser.add_argument(
        "--captured",
        type=int,
        default=CAPTURED,
        metavar="N",
        help=f"so many digits are recorded with traces, some seconds each (default: {CAPTURED})",
    )
    parser.add_argument("--figure", type=Path, metavar="FILE", help="draw the steps, and the digits they lose")
    add_workers_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Take all steps and print them; returns the exit code."""
    check_workers(args.workers, args.cluster)
    wanted = _settled(args)
    config = wanted.config
    pieces = max(len(parts_of(config)), wanted.captured)
    began = time.perf_counter()
    taken: list[Step] = []
    with Shown(quiet=args.json) as shown, crew_of(args.workers, args.cluster, pieces) as crew:

        def do(name: str, work: Work[Part, DigitResult], parts: Sequence[Part]) -> list[list[DigitResult]]:
            return crew.work_off(work, parts, shown.watch(name, sum(len(part.config.images) for part in parts)))

        for step in steps(wanted, do):
            taken.append(step)
            if shown.stopping():
                break
    wall_s = time.perf_counter() - began
    if shown.stopping():
        print(_table(config, taken, wall_s), file=sys.stderr)
        print(f"stopped: {len(taken)} steps, the last one perhaps not of all digits", file=sys.stderr)
        return INTERRUPTED
    if args.figure is not None:
        from hil.report.budget_figure import draw_budget

        draw_budget(args.figure, taken, config)
    if args.json:
        what = {"physical": config.physical, "play": config.play, "device": wanted.device.id}
        print(
            json.dumps(
                {**what, "noise": config.noise[0] / 100, "steps": [step.to_dict() for step in taken], "wall_s": wall_s}
            )
        )
    else:
        print(_table(config, taken, wall_s))
    return 0


def _settled(args: argparse.Namespace) -> Wanted:
    """Raises InputError."""
    config, _ = settle(args, "evaluate", digits_of(args.digits), (args.noise,), "counts", traces=False)
    if config.bench.kind != "mock":
        raise InputError(f"bench {config.bench.name!r} is hardware: a budget is made on the simulated neuron")
    if not config.parts:
        raise InputError("--physical none: nothing is on the neuron, and so nothing is lost there")
    if args.drift != "warn":
        raise InputError(f"--drift {args.drift} has no effect: a budget shows what drift does when nobody heeds it")
    if args.captured < 0:
        raise InputError(f"--captured {args.captured}: 0 or more digits")
    device = config.device
    if args.weaker is not None and drifts(device):
        raise InputError(f"--weaker: device {device.id!r} drifts by itself, as its file says")
    weaker = WEAKER if args.weaker is None else args.weaker
    if not 0 < weaker < 100:
        raise InputError(f"--weaker {weaker:g}: above 0 and below 100 percent")
    with ExitStack() as stack:
        fresh = config.model_copy(update={"device": steady(device)})
        _, config = open_watched(fresh, stack, args.calibration, quiet=args.json)
    return Wanted(config, device, weaker / 100, args.captured)


def _table(config: RunConfig, taken: Sequence[Step], wall_s: float) -> str:
    noise = f", {config.noise[0]} % zeroed" if config.noise[0] else ""
    lines = [
        heading(config) + noise,
        "step               digits  accuracy  95 % interval    lost  won  pulses a digit  bench s a digit",
        *map(_row, taken),
    ]
    lines += [f"  {step.name}: {step.about}" for step in taken]
    lines += [f"  lost by {step.name}: {_named(step)}" for step in taken if step.lost]
    return "\n".join([*lines, f"{wall_s:.1f} s here"])


def _row(step: Step) -> str:
    low, high = step.interval
    turned = f"{len(step.lost):>4}  {len(step.won):>3}" if step.before is not None else f"{'–':>4}  {'–':>3}"
    return (
        f"{step.name:<17}  {len(step.results):>6}  {step.accuracy:>8.2%}  {f'{low:.2%}…{high:.2%}':<15}  {turned}  "
        f"{step.of_a_digit('pulses'):>14,.0f}  {step.of_a_digit('bench_s'):>15.3f}"
    )


def _named(step: Step) -> str:
    """Digits by index, with label → answer."""
    told = []
    for index in step.lost[:_SHOWN]:
        result = step.by_index[index]
        told.append(f"{index} ({result.label}→{result.answer})")
    more = f" and {len(step.lost) - _SHOWN} more: --json names all" if len(step.lost) > _SHOWN else ""
    return ", ".join(told) + more

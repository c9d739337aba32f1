"""What a run will take before a pulse leaves: time, pulses, wear, disk, and speed against the number of neurons.

The paper's test on this bench:   hil plan --digits 0:10000 --total
Its trade-off as a picture:       hil plan --figure tradeoff.png
The way of playing to choose:     hil plan --optimise 98.7 --weights sparing --figure front.png
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import Progress

from calibration.picture import new_figure, printed, save_figure
from drivers.errors import InputError
from hil.commands.optimising import add_optimise_arguments, run_optimise
from hil.commands.options import add_common_arguments, add_data_argument, percent, settle
from hil.network.source import load_digits
from hil.run.digits import heading
from hil.run.plan import NEURONS, Plan, check_plan, make_plan, to_json, traced
from hil.run.session import RUNS, device_history, free_bytes
from hil.run.shares import lines
from hil.terminal.amounts import size, span
from hil.terminal.visible import visible

if TYPE_CHECKING:
    from hil.network.weights import Weights
    from hil.run.config import RunConfig


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `hil plan`."""
    parser.add_argument("--digits", metavar="A:B", help="test digits A…B−1 (default: the first 100)")
    add_common_arguments(parser)
    add_data_argument(parser)
    parser.add_argument("--noise", type=percent, default=0, metavar="PERCENT", help="share of pixels set to zero")
    parser.add_argument("--traces", action="store_true", help="oscilloscope traces from the mock bench too")
    parser.add_argument("--total", action="store_true", help="of the whole run instead of a digit")
    parser.add_argument(
        "--figure", type=Path, metavar="FILE", help="draw speed against neurons, or accuracy against pulses"
    )
    add_optimise_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Plan and print; raises LimitError when the run would be refused."""
    if args.optimise is not None:
        return run_optimise(args, *settle(args, "evaluate", "0:1", (args.noise,), "counts", traces=False))
    if args.training is not None:
        raise InputError("--training has no effect without --optimise PERCENT")
    digits = 100 if args.digits is None else args.digits
    config, weights = settle(args, "run", digits, (args.noise,), "pulses", args.traces)
    plan = watched_plan(config, weights, share=True)
    if args.figure is not None:
        draw(args.figure, plan, config)
    if args.json:
        print(json.dumps(to_json(plan, config, total=args.total)))
    else:
        print(table(plan, config))
    check_plan(plan, config, free_bytes=free_bytes(RUNS / "run"), spent=device_history(config))
    return 0


def watched_plan(config: RunConfig, weights: Weights, *, done: int = 0, share: bool = False) -> Plan:
    """Plan with a progress bar on standard error."""
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("planning", total=None)
        return make_plan(
            config,
            weights,
            load_digits(config.source)[0],
            done=done,
            share=share,
            progress=lambda made, of: bar.update(task, completed=made, total=of),
        )


def table(plan: Plan, config: RunConfig) -> str:
    """What a person reads: costs a digit and in all, then the trade-off."""
    digit, total, device = plan.per_digit(), plan.totals(), config.device
    rows: list[tuple[str, str, str]] = [
        ("on the bench", span(digit["bench_s"]), span(total["bench_s"])),
        ("  of which pulses alone (the limit)", span(digit["limit_s"]), span(total["limit_s"])),
        *([("in all, first frame to last count", span(digit["wall_s"]), span(total["wall_s"]))] if plan.helps else []),
        *((name, f"{digit[name]:,.1f}", f"{total[name]:,.0f}") for name in ("frames", "shots", "slots")),
        ("pulses", f"{digit['pulses']:,.0f}", f"{total['pulses']:,.0f}"),
        ("resets", f"{digit['resets']:,.0f}", f"{total['resets']:,.0f}"),
        (f"captured ({len(traced(config))} traces)", size(digit["capture_bytes"]), size(total["capture_bytes"])),
        ("disk", size(digit["disk_bytes"]), size(total["disk_bytes"])),
        ("wear, pulses of the device's budget", "", f"{total['pulses'] / device.endurance_pulses:.2e}"),
        ("wear, resets of the device's budget", "", f"{total['resets'] / device.endurance_resets:.2e}"),
        ("pulses the device has had", "", f"{device_history(config)[0]:,}"),
    ]
    how = "all planned" if plan.planned == plan.digits else f"{plan.planned} planned, the rest scaled up"
    found = [visible(heading(config)), f"{'':<37}{'a digit':>14}{f'{plan.digits:,} digits':>18}   ({how})"]
    found += [f"{name:<37}{one:>14}{all_:>18}" for name, one, all_ in rows]
    return "\n".join([*found, "", *_utilisation(plan), *_tradeoff(plan)])


def _utilisation(plan: Plan) -> list[str]:
    """Where the time of a digit goes, part by part, and what would help most; of a simulation in process nothing."""
    if plan.utilisation is None:
        return []
    parts_s = {name: seconds / plan.digits for name, seconds in plan.parts_s.items()}
    return [
        f"utilisation {plan.utilisation:.0%}; of a digit:",
        *lines(plan.bench_s / plan.digits, parts_s, plan.helps),
        "",
    ]


def _tradeoff(plan: Plan) -> list[str]:
    """Speed against the number of neurons side by side, as in the paper's discussion of time-division multiplexing."""
    one = plan.network_s[0]
    if not one:
        return ["nothing is played on the neuron"]
    lines = ["physical neurons    s a digit   digits a second    speed-up   slots they share"]
    for n, seconds in zip(NEURONS, plan.network_s, strict=True):
        bar = "▇" * round(30 * (one / seconds) / (one / min(plan.network_s)))
        digit_s = seconds / plan.digits
        lines.append(
            f"{n:>16}  {digit_s:>11.4g}  {1 / digit_s:>16.4g}  {one / seconds:>9.1f}×  {-(-784 // n):>6}  {bar}"
        )
    return lines


@printed
def draw(file: Path, plan: Plan, config: RunConfig) -> None:
    """The trade-off as a picture; raises InputError when it cannot be written or there is nothing to draw."""
    if not plan.network_s[0]:
        raise InputError("--figure: nothing is played on the neuron, so there is no trade-off to draw")
    speed = [plan.digits / seconds for seconds in plan.network_s]
    figure = new_figure(7, 4.5)
    axes = figure.subplots()
    axes.loglog(NEURONS, speed, "o-", label="this bench")
    axes.loglog(NEURONS, [speed[0] * n for n in NEURONS], "--", color="gray", label="in proportion")
    axes.set_xlabel("physical neurons for the 784 of a feature map")
    axes.set_ylabel("digits a second on the bench")
    axes.set_title(heading(config))
    axes.set_xticks(NEURONS, [str(n) for n in NEURONS])
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    axes.legend()
    save_figure(figure, file)

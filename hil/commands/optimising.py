"""`hil plan --optimise`: which way of playing to choose, as a table, a picture and the command to use."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console
from rich.progress import Progress

from calibration.estimate import wilson_interval
from calibration.picture import new_figure, printed, save_figure
from drivers.errors import InputError
from hil.commands.options import as_options, share
from hil.network.mnist import HELD_OUT, load_training
from hil.run.optimise import Trial, front, optimise
from hil.terminal.lines import Lines

if TYPE_CHECKING:
    from hil.network.weights import Weights
    from hil.run.config import RunConfig


SHOWN_BELOW = 1.0  # percent: of ways that are worse than all that could be chosen the picture only says how many
FEWEST = 3_200  # half of them must be able to promise STOP_ERROR


def add_optimise_arguments(parser: argparse.ArgumentParser) -> None:
    """What `hil plan` takes for it."""
    parser.add_argument(
        "--optimise",
        type=share,
        metavar="PERCENT",
        help="find the way of playing that takes the least bench time at this accuracy, on training digits held out",
    )
    parser.add_argument(
        "--training", type=Path, metavar="DIR", help="folder with training images for it (default: MNIST, downloaded)"
    )
    parser.add_argument(
        "--trials-on", type=int, default=HELD_OUT, metavar="N", help=f"so many of them (default: {HELD_OUT})"
    )


def run_optimise(args: argparse.Namespace, config: RunConfig, weights: Weights) -> int:
    """Try, print what to use and draw it; 1 where no way has the accuracy."""
    if config.bench.kind != "mock":
        raise InputError(f"bench {config.bench.name!r} is hardware: ways of playing are tried on the simulated neuron")
    for option, given in (
        *(("--full-scale", args.full_scale), ("--helpings", args.helpings), ("--coding", args.coding)),
        *(("--play", args.play != "all"), ("--digits", args.digits), ("--data", args.folder)),
        *(("--traces", args.traces), ("--total", args.total)),
    ):
        if given:
            raise InputError(f"{option} has no effect with --optimise; leave it out")
    if not FEWEST <= args.trials_on <= HELD_OUT:
        raise InputError(f"--trials-on {args.trials_on}: allowed {FEWEST}…{HELD_OUT}; half say when helpings may end")
    console = Console(stderr=True)
    images, labels = load_training(args.training, lambda text: console.print(text, highlight=False, soft_wrap=True))
    lines = None if console.is_terminal else Lines()
    with Progress(console=console, transient=True, disable=lines is not None) as bar:
        what = "trying ways of playing"
        task = bar.add_task(what, total=None)

        def show(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)
            if lines is not None:
                lines.tell(done, total)

        if lines is not None:
            lines.begin(what, 0)
        trials, best = optimise(
            config,
            weights,
            (images[-args.trials_on :], labels[-args.trials_on :]),
            args.optimise,
            show,
        )
    if args.figure is not None:
        draw_trials(args.figure, trials, best, args.optimise)
    if args.json:
        print(json.dumps(_to_json(trials, best, args)))
    else:
        print(_table(trials, best, args.optimise, args))
    return 0 if best.accuracy >= args.optimise else 1


def command(trial: Trial, args: argparse.Namespace) -> str:
    """The evaluation that plays so."""
    return f"hil evaluate {' '.join(quote(word) for word in as_options(trial.config, args))}"


def _how(trial: Trial) -> str:
    config = trial.config
    pulses = "+".join(map(str, config.helpings or config.full_scale_pulses.values()))
    return f"{config.play}, {config.coding}, {pulses}, {config.timing.dendrite_clock_hz / 1e3:g} kHz"


def _table(trials: list[Trial], best: Trial, wanted: float, args: argparse.Namespace) -> str:
    good = front(trials)
    lines = [
        f"{'':2}{'neurons, coding, full scale, clock':<40}{'pulses':>9}{'bench s':>9}{'accuracy':>10}  95 % interval"
    ]
    for trial in sorted(trials, key=lambda trial: trial.pulses):
        mark = "→" if trial is best else "*" if trial in good else " "
        low, high = wilson_interval(trial.right, trial.digits)
        lines.append(
            f"{mark} {_how(trial):<40}{trial.pulses:>9,.0f}{trial.bench_s:>9.3f}{trial.accuracy:>10.2%}"
            f"  {low:.2%}…{high:.2%}"
        )
    lines.append(
        f"{trials[0].digits:,} training digits held out, means a digit; * no other has more right for as few pulses"
    )
    if best.accuracy < wanted:
        lines.append(f"none has {wanted:.2%}: the arrow is at the most accurate")
    return "\n".join([*lines, f"use it:  {command(best, args)}"])


def _to_json(trials: list[Trial], best: Trial, args: argparse.Namespace) -> dict[str, Any]:
    good = front(trials)
    return {
        "trials": [
            {
                "play": trial.config.play,
                "coding": trial.config.coding,
                "full_scale": dict(trial.config.full_scale_pulses),
                "helpings": list(trial.config.helpings),
                "sure": trial.config.sure,
                "clock_hz": trial.config.timing.dendrite_clock_hz,
                "digits": trial.digits,
                "correct": trial.right,
                "accuracy": trial.accuracy,
                "interval": list(wilson_interval(trial.right, trial.digits)),
                "pulses_per_digit": trial.pulses,
                "bench_s_per_digit": trial.bench_s,
                "on_front": trial in good,
                "command": command(trial, args),
            }
            for trial in trials
        ],
        "chosen": trials.index(best),
        "command": command(best, args),
    }


@printed
def draw_trials(file: Path, trials: list[Trial], best: Trial, wanted: float) -> None:
    """Accuracy against pulses a digit, with the Pareto front; raises InputError when it cannot be written."""
    figure = new_figure(7, 4.5)
    axes = figure.subplots()
    groups = dict.fromkeys((trial.config.play, trial.config.coding, bool(trial.config.helpings)) for trial in trials)
    for marker, group in zip("os^Dv", groups, strict=False):
        play, coding, helped = group
        some = [t for t in trials if (t.config.play, t.config.coding, bool(t.config.helpings)) == group]
        bounds = np.array([wilson_interval(t.right, t.digits) for t in some]).T
        spread = 100 * np.abs(bounds - [t.accuracy for t in some])
        label = f"{play}, {coding}{', in helpings' if helped else ''}"
        at = [t.pulses for t in some], [100 * t.accuracy for t in some]
        axes.errorbar(*at, yerr=spread, fmt=marker, label=label, elinewidth=0.6, alpha=0.85)
    good = front(trials)
    axes.plot([t.pulses for t in good], [100 * t.accuracy for t in good], "-", color="gray", lw=1, label="Pareto front")
    axes.plot(best.pulses, 100 * best.accuracy, "o", ms=13, mfc="none", mec="black", label="chosen: least bench time")
    axes.axhline(100 * wanted, ls="--", lw=0.8, color="black")
    least = 100 * min(wanted, *(t.accuracy for t in good)) - SHOWN_BELOW
    below = sum(100 * t.accuracy < least for t in trials)
    axes.set_ylim(least, 100 * max(wilson_interval(t.right, t.digits)[1] for t in trials) + 0.1)
    axes.set_xscale("log")
    axes.set_xlabel("pulses a digit")
    axes.set_ylabel("right of the training digits held out, %")
    axes.grid(alpha=0.3)
    axes.legend(
        fontsize=8,
        loc="upper left",
        bbox_to_anchor=(1, 1),
        title=f"below {least:.3g} %: {below}" if below else None,
    )
    save_figure(figure, file)

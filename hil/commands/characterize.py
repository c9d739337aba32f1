"""Reproduce the paper's Figure 2 on a bench: traces and spike rates by threshold and clock, and the firing histogram.

hil characterize --out figure2                  writes figure2.svg, figure2.png and figure2.json
hil characterize --bench bench.toml --device die7-c3.toml
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from contextlib import AbstractContextManager, ExitStack, nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import Progress

import hil
from calibration.figure2 import LETTERS, LONGEST_TRAIN, Panel
from calibration.figure2_drawing import draw
from calibration.fit.firing import Fit, fit_all, histogram
from calibration.picture import check_drawable
from drivers.benchfile import load_bench
from drivers.device import load_device
from drivers.durable import write_durably
from drivers.errors import HilError, InputError
from drivers.opening import make_bench
from hil.calibrate.characterization import STEPS, CharacterizeConfig, Characterized, characterize
from hil.commands.options import add_seed_argument
from hil.commands.runpath import latest_of
from hil.store.frozen import agree, begin, begun_words, changed_parts, resumed, settings_of
from hil.store.history import behind, known_passport
from hil.store.recording import RecordingBench
from hil.store.runfile import RunFile
from hil.terminal.again import Again
from hil.terminal.ending import how_to_go_on, resumable, stopped
from hil.terminal.interrupt import StopRequest
from hil.terminal.visible import visible
from hil.terminal.where import tell_where

if TYPE_CHECKING:
    from drivers.bench import Bench

DEFAULT_OUT = Path("figure2")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `hil characterize`."""
    parser.add_argument("--bench", default="mock", metavar="NAME|FILE", help="bench to measure on (default: mock)")
    parser.add_argument("--device", metavar="NAME|FILE", help="device file (default: the bench's)")
    parser.add_argument(
        "--out", type=Path, metavar="STEM", help="name of the files to write (default: figure2, or the run file's)"
    )
    which = latest_of("characterize", Path())
    parser.add_argument(
        "--resume", type=which, metavar="RUN", help="go on with a characterization that was interrupted, or latest"
    )
    parser.add_argument(
        "--replay", type=which, metavar="RUN", help="evaluate a recorded characterization again, or latest, offline"
    )
    add_seed_argument(parser)
    parser.add_argument(
        "--replicates",
        type=int,
        default=100,
        metavar="N",
        help="of the bootstrap that p-values and intervals come from",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object on standard output")


def run(args: argparse.Namespace) -> int:
    """Measure, fit, draw; returns the exit code."""
    if args.replicates < 1:
        raise InputError(f"--replicates {args.replicates}: at least 1")
    if args.resume and args.replay:
        raise InputError("--resume goes on measuring and --replay does not: give one of them")
    check_drawable()
    began = time.perf_counter()
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=args.json or not console.is_terminal) as progress:
        task = progress.add_task("traces", total=STEPS)

        def show(done: float, text: str) -> None:
            progress.update(task, completed=done, description=text)

        with ExitStack() as stack:
            stopping = stack.enter_context(StopRequest())
            config, run_file, benches = _open(args, stack)
            if benches[0] is not None:
                stopping.advice = how_to_go_on(run_file)
                tell_where(config.bench, config.device)
            whole = partial(run_file.load, traces=None)
            again = Again()
            traced, counting = (
                stack.enter_context(RecordingBench(bench, run_file, reader=reader, stopping=stopping, retaking=again))
                for bench, reader in ((benches[0], whole), (benches[1], None))
            )
            try:
                found = characterize(config, traced, counting, show)
                again.close()
            except (KeyboardInterrupt, HilError) as error:
                if args.replay is not None:
                    raise
                return stopped(run_file, error, "what was measured is safe")
            if args.replay is None:
                run_file.add_event("complete", "")
        progress.remove_task(task)
        with _resumable(args, run_file):
            fits = _fits(found, args.replicates, progress)
    with _resumable(args, run_file):
        _conclude(args, config, run_file, found, fits, began)
    return 0


def _resumable(args: argparse.Namespace, run_file: RunFile) -> AbstractContextManager[None]:
    return resumable(run_file) if args.replay is None else nullcontext()


def _fits(found: Characterized, replicates: int, progress: Progress) -> list[Fit]:
    fitting = progress.add_task(f"fits of panel g, {replicates} replicates", total=1.0)
    return fit_all(
        found.counts, replicates=replicates, progress=lambda share: progress.update(fitting, completed=share)
    )


def _conclude(
    args: argparse.Namespace,
    config: CharacterizeConfig,
    run_file: RunFile,
    found: Characterized,
    fits: list[Fit],
    began: float,
) -> None:
    """Draw it, write it down and print it."""
    out: Path = args.out or run_file.path.with_suffix("")
    drawn = [out.with_name(f"{out.name}{suffix}") for suffix in (".svg", ".png")]
    about = (
        f"device {config.device.id} on {config.bench.name}, seed {config.seed}, begun {begun_words(run_file)}, "
        f"hil {hil.__version__}; {run_file.path.name}"
    )
    draw(found.panels, histogram(found.counts, LONGEST_TRAIN), found.gaps, fits, about, drawn)
    result = {
        "device": config.device.id,
        "panels": [_panel(letter, panel) for letter, panel in zip(LETTERS, found.panels, strict=False)],
        "fits": [_fit(fit) for fit in fits],
        "figure": str(drawn[0]),
        "run_file": str(run_file.path),
        "wall_s": time.perf_counter() - began,
    }
    write_durably(out.with_name(f"{out.name}.json"), json.dumps(result, indent=1), "result file")
    print(json.dumps(result) if args.json else _text(found.panels, fits, out))


def _open(
    args: argparse.Namespace, stack: ExitStack
) -> tuple[CharacterizeConfig, RunFile, tuple[Bench | None, Bench | None]]:
    """Settings, run file, and the bench with traces and without (None for a replay), of a new one or a recorded one."""
    if args.replay is not None:
        run_file = stack.enter_context(RunFile.open(args.replay))
        return settings_of(run_file, CharacterizeConfig, "characterize"), run_file, (None, None)
    if args.resume is not None:
        run_file = stack.enter_context(RunFile.open(args.resume, write=True))
        config = settings_of(run_file, CharacterizeConfig, "characterize")
        agree(run_file, behind(run_file, config.bench, config.device))
        benches = _benches(config, stack)
        agree(run_file, changed_parts(run_file, benches[0].identity))
        for line in resumed(run_file):
            print(visible(line), file=sys.stderr)
        return config, run_file, benches
    file = load_bench(args.bench)
    config = CharacterizeConfig(bench=file, device=load_device(args.device or file.device), seed=args.seed)
    odometer = known_passport(file, config.device).pulses
    benches = _benches(config, stack)
    out = args.out or DEFAULT_OUT
    path = out.with_name(f"{out.name}.sqlite")
    more = {"odometer": odometer, "temperature_c": benches[0].temperature_c}
    run_file = begin(path, "characterize", config, benches[0].identity, numbered=True, **more)
    return config, stack.enter_context(run_file), benches


def _benches(config: CharacterizeConfig, stack: ExitStack) -> tuple[Bench, Bench]:
    """With traces and without. A real bench is one and brings what it has; the mock makes traces only where asked."""
    traced = stack.enter_context(make_bench(config.bench, config.device, seed=config.seed, traces=True))
    if config.bench.kind != "mock":
        return traced, traced
    return traced, stack.enter_context(make_bench(config.bench, config.device, seed=config.seed))


def _panel(letter: str, panel: Panel) -> dict[str, Any]:
    return {
        "panel": letter,
        "vth_v": panel.vth_v,
        "clock_hz": panel.clock_hz,
        "spikes_per_pulse": panel.per_pulse,
        "spikes_per_s": panel.per_second,
    }


def _fit(fit: Fit) -> dict[str, Any]:
    return {
        "model": fit.model.name,
        "aic": fit.aic,
        "p_value": fit.p_value,
        "parameters": {
            name: {"value": float(value), "interval": [float(lo), float(hi)]}
            for name, value, (lo, hi) in zip(fit.model.parameters, fit.values, fit.intervals, strict=True)
        },
    }


def _text(panels: list[Panel], fits: list[Fit], out: Path) -> str:
    lines = [
        f"{letter}  V_th {panel.vth_v:g} V  {panel.clock_hz:>5g} Hz  {panel.per_pulse:6.3f} spikes a pulse  "
        f"{panel.per_second:8.3g} a second"
        for letter, panel in zip(LETTERS, panels, strict=False)
    ]
    for fit in fits:
        values = ", ".join(
            f"{name} {value:.3g} ({lo:.3g}…{hi:.3g})"
            for name, value, (lo, hi) in zip(fit.model.parameters, fit.values, fit.intervals, strict=True)
        )
        lines.append(f"{fit.model.name:<34} AIC {fit.aic - fits[0].aic:+7.1f}  p = {fit.p_value:.3f}  {values}")
    return "\n".join([*lines, f"wrote {out}.svg, {out}.png, {out}.json"])

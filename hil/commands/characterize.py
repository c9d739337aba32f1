"""Reproduce the paper's Figure 2 on a bench: traces and spike rates by threshold and clock, and the firing histogram.

hil characterize --out figure2                  writes figure2.svg, figure2.png and figure2.json
hil characterize --bench bench.toml --device die7-c3.toml
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import Progress

from calibration.figure2 import (
    CONDITIONS,
    LETTERS,
    LONGEST_TRAIN,
    Panel,
    draw,
    measure_firing,
    measure_gaps,
    measure_panel,
    measure_traces,
)
from calibration.fit.firing import Fit, fit_all, histogram
from drivers.benchfile import BenchFile, load_bench
from drivers.device import DeviceFile, load_device
from drivers.durable import write_durably
from drivers.errors import BenchError, InputError, RunFileError
from drivers.opening import make_bench
from hil.calibrate.outcome import check_same, free_name, stopped
from hil.run.session import software
from hil.store.recording import RecordingBench
from hil.store.runfile import RunFile
from hil.terminal.interrupt import StopRequest

if TYPE_CHECKING:
    from calibration.tally import Ints, Tally
    from drivers.signals import Capture


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `hil characterize`."""
    parser.add_argument("--bench", default="mock", metavar="NAME|FILE", help="bench to measure on (default: mock)")
    parser.add_argument("--device", metavar="NAME|FILE", help="device file (default: the bench's)")
    parser.add_argument("--out", type=Path, default=Path("figure2"), metavar="STEM", help="name of the files to write")
    parser.add_argument("--resume", type=Path, metavar="RUN", help="go on with a characterization that was interrupted")
    parser.add_argument(
        "--replay", type=Path, metavar="RUN", help="evaluate a recorded characterization again, offline"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the simulated neuron")
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
    began = time.perf_counter()
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=args.json or not console.is_terminal) as progress:
        task = progress.add_task("traces", total=len(CONDITIONS) + 1.0)

        def show(done: float, text: str) -> None:
            progress.update(task, completed=done, description=text)

        with ExitStack() as stack:
            stopping = stack.enter_context(StopRequest())
            run_file = stack.enter_context(_run_file(args))
            try:
                panels, counts, gaps = _measure(run_file, show, stopping, plays=args.replay is None)
            except (KeyboardInterrupt, BenchError) as error:
                return stopped(run_file, error, "hil characterize --resume")
            device = _frozen(run_file)[1]
        fits = fit_all(
            counts,
            replicates=args.replicates,
            progress=lambda share: show(len(CONDITIONS) + (1 + share) / 2, "fits of panel g"),
        )
    files = [args.out.with_suffix(suffix) for suffix in (".svg", ".png")]
    draw(panels, histogram(counts, LONGEST_TRAIN), gaps, fits, device.id, files)
    result = {
        "device": device.id,
        "panels": [_panel(letter, panel) for letter, panel in zip(LETTERS, panels, strict=False)],
        "fits": [_fit(fit) for fit in fits],
        "figure": str(args.out.with_suffix(".svg")),
        "run_file": str(run_file.path),
        "wall_s": time.perf_counter() - began,
    }
    write_durably(args.out.with_suffix(".json"), json.dumps(result, indent=1), "result file")
    print(json.dumps(result) if args.json else _text(panels, fits, args.out))
    return 0


def _run_file(args: argparse.Namespace) -> RunFile:
    """The recorded one, or a new one beside the figure that holds what it needs to be evaluated again."""
    if args.replay is not None:
        return RunFile.open(args.replay)
    if args.resume is not None:
        return RunFile.open(args.resume, write=True)
    file = load_bench(args.bench)
    device = load_device(args.device or file.device)
    facts = {
        "characterize": {"bench": file.model_dump_json(), "device": device.model_dump_json(), "seed": args.seed},
        "software": software(),
        "begun": datetime.now(UTC).isoformat(timespec="seconds"),
        "device": device.id,
        "tick_s": file.tick_s,
    }
    return RunFile.create(free_name(args.out.with_suffix(".sqlite")), facts)


def _frozen(run_file: RunFile) -> tuple[BenchFile, DeviceFile, int]:
    """Bench, device, and the seed of a simulated one."""
    facts = run_file.facts.get("characterize")
    if facts is None:
        raise RunFileError(f"run file {run_file.path} holds no characterization")
    return (
        BenchFile.model_validate_json(facts["bench"]),
        DeviceFile.model_validate_json(facts["device"]),
        int(facts.get("seed", 0)),
    )


def _measure(
    run_file: RunFile, show: Callable[[float, str], None], stopping: StopRequest, *, plays: bool
) -> tuple[list[Panel], Tally, Ints]:
    """Everything that is played, through the run file: traces first, which the mock makes only where asked."""
    file, device, seed = _frozen(run_file)

    @contextmanager
    def bench(*, traces: bool) -> Iterator[RecordingBench]:
        def load(row: int) -> Capture:
            return run_file.load(row, None if traces else ())

        with ExitStack() as stack:
            inner = None
            if plays:
                inner = stack.enter_context(make_bench(file, device, seed=seed, traces=traces))
                _same_parts(run_file, inner.identity)
            yield stack.enter_context(RecordingBench(inner, run_file, reader=load, stopping=stopping))

    with bench(traces=True) as traced:
        seen = [measure_traces(traced, file.slot, *condition) for condition in CONDITIONS]
        gaps = measure_gaps(traced, file.slot)
    panels = []
    with bench(traces=False) as counting:
        for i, (condition, traces) in enumerate(zip(CONDITIONS, seen, strict=True)):
            show(i, f"panel {LETTERS[i]}")
            panels.append(measure_panel(counting, file.slot, *condition, traces))
        counts = measure_firing(counting, file.slot, lambda share: show(len(CONDITIONS) + share / 2, "panel g"))
    return panels, counts, gaps


def _same_parts(run_file: RunFile, identity: Mapping[str, str]) -> None:
    """Write down the bench's parts, or raise InputError when they are not those that were written down."""
    was = next((json.loads(text) for _, kind, text in run_file.events() if kind == "parts"), None)
    if was is None:
        run_file.add_event("parts", json.dumps(dict(identity)))
    else:
        check_same(run_file, was, identity)


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

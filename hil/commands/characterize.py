"""Reproduce the paper's Figure 2 on a bench: traces and spike rates by threshold and clock, and the firing histogram.

hil characterize --out figure2                  writes figure2.svg, figure2.png and figure2.json
hil characterize --bench bench.toml --device die7-c3.toml
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress

from calibration.durable import write_durably
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
from calibration.firing import Fit, fit_all, histogram
from drivers.bench import InputError
from drivers.benchfile import load_bench
from drivers.device import load_device


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `hil characterize`."""
    parser.add_argument("--bench", default="mock", metavar="NAME|FILE", help="bench to measure on (default: mock)")
    parser.add_argument("--device", metavar="NAME|FILE", help="device file (default: the bench's)")
    parser.add_argument("--out", type=Path, default=Path("figure2"), metavar="STEM", help="name of the files to write")
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
    from hil.benches import make_bench

    if args.replicates < 1:
        raise InputError(f"--replicates {args.replicates}: at least 1")
    file = load_bench(args.bench)
    device = load_device(args.device or file.device)
    began = time.perf_counter()
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=args.json or not console.is_terminal) as progress:
        task = progress.add_task("panels a-f", total=len(CONDITIONS) + 1.0)

        def advance(share: float) -> None:
            progress.update(task, completed=len(CONDITIONS) + share / 2, description="panel g")

        def advance_fits(share: float) -> None:
            progress.update(task, completed=len(CONDITIONS) + (1 + share) / 2, description="fits")

        with make_bench(file, device, seed=args.seed, traces=True) as bench:
            traces = [measure_traces(bench, file.slot, *condition) for condition in CONDITIONS]
            gaps = measure_gaps(bench, file.slot)
        with make_bench(file, device, seed=args.seed) as bench:
            panels = []
            for condition, seen in zip(CONDITIONS, traces, strict=True):
                panels.append(measure_panel(bench, file.slot, *condition, seen))
                progress.advance(task)
            counts = measure_firing(bench, file.slot, advance)
        fits = fit_all(counts, replicates=args.replicates, progress=advance_fits)
    measured = histogram(counts, LONGEST_TRAIN)
    draw(panels, measured, gaps, fits, device.id, [args.out.with_suffix(suffix) for suffix in (".svg", ".png")])
    result = {
        "device": device.id,
        "panels": [_panel(letter, panel) for letter, panel in zip(LETTERS, panels, strict=False)],
        "fits": [_fit(fit) for fit in fits],
        "figure": str(args.out.with_suffix(".svg")),
        "wall_s": time.perf_counter() - began,
    }
    write_durably(args.out.with_suffix(".json"), json.dumps(result, indent=1), "result file")
    print(json.dumps(result) if args.json else _text(panels, fits, args.out))
    return 0


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
        lines.append(f"{fit.model.name:<20} AIC {fit.aic - fits[0].aic:+7.1f}  p = {fit.p_value:.3f}  {values}")
    return "\n".join([*lines, f"wrote {out}.svg, {out}.png, {out}.json"])

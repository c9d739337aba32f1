"""Write a run as one HTML file that can be explored without a network: every digit, kernel and slot, with traces.

hil report RUN                                      beside the run, as RUN.html
hil report RUN --image 8 --channel 3 --position 400   which opens with that slot
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from drivers.durable import write_durably
from drivers.errors import InputError
from hil.commands.runpath import run_path
from hil.commands.sweepfile import is_import
from hil.run.session import config_of
from hil.store.runfile import RunFile
from hil.terminal.visible import visible


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `hil report`."""
    parser.add_argument("run", type=run_path, metavar="RUN", help="run file, or latest")
    parser.add_argument("--out", type=Path, metavar="FILE", help="page to write (default: beside the run)")
    parser.add_argument(
        "--image", type=int, metavar="N", help="digit that it opens with (default: the first wrong one)"
    )
    parser.add_argument("--channel", type=int, metavar="N", help="kernel or unit (default: the one with most pulses)")
    parser.add_argument("--position", type=int, metavar="N", help="slot of the kernel (default: the fullest)")
    parser.add_argument(
        "--traces", type=float, default=16.0, metavar="MB", help="room for traces (default: %(default)g)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object on standard output")


def run(args: argparse.Namespace) -> int:
    """Write the page; returns the exit code."""
    from hil.network.weights import load_weights
    from hil.report.page import gather, render

    out = args.out or args.run.with_suffix(".html")
    if is_import(args.run):
        return _import(args, out)
    console = Console(stderr=True)
    with (
        RunFile.open(args.run) as run_file,
        Progress(console=console, transient=True, disable=args.json or not console.is_terminal) as bar,
    ):
        task = bar.add_task("reading", total=None)

        def progress(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        weights = load_weights(config_of(run_file).weights_path)
        data = gather(
            run_file,
            weights,
            args.run.name,
            slot=(args.image, args.channel, args.position),
            trace_bytes=int(args.traces * 1e6),
            progress=progress,
        )
    return _written(args, out, render(data))


def _import(args: argparse.Namespace, out: Path) -> int:
    """The page of recordings that were imported."""
    from hil.report.import_page import import_page

    for option, value in (("--image", args.image), ("--channel", args.channel), ("--position", args.position)):
        if value is not None:
            raise InputError(f"{option} is for runs; {args.run} holds recordings")
    with RunFile.open(args.run) as run_file:
        return _written(args, out, import_page(run_file))


def _written(args: argparse.Namespace, out: Path, page: str) -> int:
    write_durably(out, page, "report")
    print(json.dumps({"file": str(out)}) if args.json else f"{visible(str(out))}: {out.stat().st_size / 1e6:,.2f} MB")
    return 0

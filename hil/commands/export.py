"""Write a run in a format that other programs open.

HDF5 for xarray (named dimensions, units):   hil export RUN --to hdf5
                                             xarray.open_dataset("RUN.h5", engine="h5netcdf", group="conv1")
CSV for everything else:                     hil export RUN --to csv
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from drivers.errors import InputError
from hil.commands.plan import size
from hil.commands.runpath import run_path
from hil.store.runfile import RunFile


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `hil export`."""
    parser.add_argument("run", type=run_path, metavar="RUN", help="run file, or latest")
    parser.add_argument("--to", choices=("hdf5", "csv"), required=True, help="format")
    parser.add_argument("--out", type=Path, metavar="FILE", help="where to (default: beside the run)")
    parser.add_argument("--traces", action="store_true", help="with the oscilloscope's traces (hdf5 only; large)")
    parser.add_argument("--json", action="store_true", help="print one JSON object on standard output")


def run(args: argparse.Namespace) -> int:
    """Export; returns the exit code."""
    from hil.report.export import to_csv, to_hdf5

    if args.traces and args.to != "hdf5":
        raise InputError("--traces: traces go into HDF5 only; give --to hdf5")
    out = args.out or args.run.with_suffix(".h5" if args.to == "hdf5" else "")
    if out.absolute() == args.run.absolute():
        raise InputError(f"--out {out} is the run itself")
    console = Console(stderr=True)
    with (
        RunFile.open(args.run) as run_file,
        Progress(console=console, transient=True, disable=args.json or not console.is_terminal) as bar,
    ):
        task = bar.add_task("exporting", total=None)

        def progress(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        if args.to == "hdf5":
            to_hdf5(run_file, out, traces=args.traces, progress=progress)
            written = [out]
        else:
            written = to_csv(run_file, out, progress=progress)
        left_out = run_file.totals()["samples"] and not args.traces
    if args.json:
        print(json.dumps({"files": [str(path) for path in written]}))
        return 0
    for path in written:
        print(f"{path}: {size(path.stat().st_size)}")
    if left_out:
        print("traces are left out; --to hdf5 --traces adds them")
    return 0

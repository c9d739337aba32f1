"""Write a run in a format that other programs open.

HDF5 for xarray (named dimensions, units):   hil export RUN --to hdf5
                                             xarray.open_dataset("RUN.h5", engine="h5netcdf", group="conv1")
CSV for everything else:                     hil export RUN --to csv
A sigrok session for PulseView:              hil export RUN --to sr --traces
Waveforms for GTKWave and Surfer:            hil export RUN --to vcd
Spikes for Neo, as NWB or NIX:               hil export RUN --to neo --out spikes.nix
The network with its weights, and spikes:    hil export RUN --to nir
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import Progress

from drivers.errors import InputError
from hil.commands.runpath import run_path
from hil.run.config import parse_digits
from hil.store.frozen import kind_of
from hil.store.runfile import RunFile
from hil.terminal.amounts import size
from hil.terminal.visible import visible

if TYPE_CHECKING:
    Told = Callable[[int, int], None]

SUFFIXES = {"hdf5": ".h5", "csv": "", "sr": ".sr", "vcd": ".vcd", "neo": ".nwb", "nir": ".nir"}
_WITH_TRACES = ("hdf5", "sr", "vcd")
_BY_DIGITS = ("sr", "vcd", "neo", "nir")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `hil export`."""
    parser.add_argument("run", type=run_path, metavar="RUN", help="run file, or latest")
    parser.add_argument("--to", choices=tuple(SUFFIXES), required=True, help="format")
    parser.add_argument("--out", type=Path, metavar="FILE", help="where to (default: beside the run)")
    parser.add_argument("--traces", action="store_true", help="with the oscilloscope's traces (hdf5, sr, vcd; large)")
    parser.add_argument("--digits", metavar="A:B", help="only these digits, or recordings (sr, vcd, neo, nir)")
    parser.add_argument("--json", action="store_true", help="print one JSON object on standard output")


def run(args: argparse.Namespace) -> int:
    """Export; returns the exit code."""
    if args.traces and args.to not in _WITH_TRACES:
        raise InputError(f"--traces: traces go into {', '.join(_WITH_TRACES)} only")
    if args.digits is not None and args.to not in _BY_DIGITS:
        raise InputError(f"--digits is for {', '.join(_BY_DIGITS)}; --to {args.to} writes the whole run")
    digits = parse_digits(args.digits) if args.digits is not None else None
    out = args.out or args.run.with_suffix(SUFFIXES[args.to])
    if args.to == "csv" and out.suffix.lower() == ".csv":
        out = out.with_suffix("")  # of several tables, each with a name after it
    if args.to == "neo" and out.suffix.lower() not in (".nwb", ".nix"):
        raise InputError(f"--out {out}: Neo writes NWB or NIX, and tells them by .nwb or .nix")
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

        written = _write(run_file, args, out, digits, progress)
        left_out = run_file.totals()["samples"] and not args.traces and args.to in _WITH_TRACES
    if args.json:
        print(json.dumps({"files": [str(path) for path in written]}))
        return 0
    for path in written:
        print(f"{visible(str(path))}: {size(path.stat().st_size)}")
    if left_out:
        print("traces are left out; --traces adds them")
    return 0


def _write(run: RunFile, args: argparse.Namespace, out: Path, digits: range | None, progress: Told) -> list[Path]:
    """Write the format that was asked for; returns the files."""
    imported = kind_of(run) == "import"
    if args.to in ("hdf5", "csv"):
        from hil.report import export, tables

        if args.to == "csv":
            return (tables.to_csv_recordings if imported else tables.to_csv)(run, out, progress=progress)
        if imported:
            export.to_hdf5_traces(run, out, progress=progress)
        else:
            export.to_hdf5(run, out, traces=args.traces, progress=progress)
        return [out]
    if args.to == "sr":
        from hil.report.formats.sessions import to_sr

        to_sr(run, out, digits, traces=args.traces, progress=progress)
    elif args.to == "vcd":
        from hil.report.formats.vcd import to_vcd

        to_vcd(run, out, digits, traces=args.traces, progress=progress)
    elif args.to == "neo":
        from hil.report.formats.neurons import to_neo

        to_neo(run, out, digits, progress)
    else:
        from hil.report.formats.networks import to_nir

        return to_nir(run, out, digits, progress)
    return [out]

"""Make a run file of recordings that others made, for replay, report and export to take.

hil import *.wfm --axon CH1 --sync CH2 --bench bench.toml --out recorded.sqlite
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from shlex import quote

from drivers.benchfile import load_bench
from drivers.device import load_device
from hil.commands.decode import add_wanted_arguments, wanted_of
from hil.offline.recordings import import_files
from hil.terminal.visible import visible


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `hil import`."""
    add_wanted_arguments(parser)
    parser.add_argument("--out", type=Path, required=True, metavar="RUN", help="run file to make")
    parser.add_argument("--device", metavar="NAME|FILE", help="device that was recorded (default: the bench's)")
    parser.add_argument("--json", action="store_true", help="print one JSON object on standard output")


def run(args: argparse.Namespace) -> int:
    """Import; returns the exit code."""
    wanted = wanted_of(args)
    device = load_device(args.device or load_bench(args.bench or "mock").device)
    made, said = import_files(args.files, wanted, args.out, device)
    with made as run_file:
        totals, notes = run_file.totals(), run_file.notes()
    for line in said:
        print(f"hil: {visible(line)}", file=sys.stderr)
    if args.json:
        found = {name: totals[name] for name in ("spikes", "bad_slots")}
        recorded = {"run_file": str(args.out), "recordings": totals["shots"], **found}
        print(json.dumps({**recorded, "notes": [str(noted) for noted in notes]}))
        return 0
    many = f"{totals['shots']} recording{'s' if totals['shots'] != 1 else ''}"
    print(f"{visible(str(args.out))}: {many}, {totals['spikes']} spikes, {totals['bad_slots']} slots doubtful")
    for noted in notes:
        print(visible(str(noted)))
    made_file = visible(quote(str(args.out)))
    print(f"next:  hil replay {made_file}    hil report {made_file}    hil export {made_file} --to vcd")
    return 0

"""Check every part of a bench: what was found, and what to do about it.

Before the first pulse:                  hil doctor --bench bench.toml
With known pulses through the board:     hil doctor --bench bench.toml --loopback
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from drivers.benchfile import BenchFile, load_bench
from drivers.checks import Check
from drivers.device import load_device
from drivers.errors import BenchError, CalibrationError, InputError
from hil.terminal.visible import visible

if TYPE_CHECKING:
    from drivers.bench import Bench


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `hil doctor`."""
    parser.add_argument("--bench", default="mock", metavar="NAME|FILE", help="bench to check (default: mock)")
    parser.add_argument("--device", metavar="NAME|FILE", help="device file (default: the bench's)")
    parser.add_argument("--loopback", action="store_true", help="play known pulses too")
    parser.add_argument("--json", action="store_true", help="print one JSON object on standard output")


def run(args: argparse.Namespace) -> int:
    """Check and print; 0 when all is well, 1 otherwise."""
    file = load_bench(args.bench)
    found = list(_checks(file, args.device or file.device, loopback=args.loopback))
    ok = all(check.ok for check in found)
    if args.json:
        print(json.dumps({"checks": [asdict(check) for check in found], "ok": ok}))
    else:
        _print(found, ok)
    return 0 if ok else 1


def _checks(file: BenchFile, device: str, *, loopback: bool) -> Iterator[Check]:
    yield Check("bench file", True, f"{file.name}, {file.kind}, {file.slot.key()}")
    yield _device(device)
    yield _weights()
    yield _calibration(file, device)
    if file.kind == "pi":
        from drivers.parts.assembly import check_parts

        parts = list(check_parts(file))
        yield from parts
        if not all(check.ok for check in parts):
            return
    if loopback:
        yield from _loopback(file, device)


def _device(name: str) -> Check:
    try:
        device = load_device(name)
    except InputError as error:
        return Check("device file", False, str(error), "give --device a file that states id and endurance")
    return Check("device file", True, f"{device.id}, endurance {device.endurance_pulses:,} pulses")


def _weights() -> Check:
    from hil.network.weights import load_weights

    try:
        weights = load_weights()
    except InputError as error:
        return Check("weights", False, str(error), "reinstall the package, or hil train")
    return Check("weights", True, f"{weights.metadata.get('command', 'of unknown origin')}, {weights.digest[:12]}")


def _calibration(file: BenchFile, device: str) -> Check:
    """Whether the record that the bench file names is there, and valid for what the file says now."""
    from calibration.record import check_valid, load_record
    from drivers.wear.passport import Passport, load_passport, passport_folder

    name, again = (
        "calibration",
        f"run hil calibrate threshold transfer --bench FILE, and name its record in {file.name!r}",
    )
    if not file.calibration:
        if file.kind == "mock":
            return Check(name, True, "none: the bench in process measures its own for every run")
        return Check(name, False, "the bench file names none", again)
    try:
        record = load_record(Path(file.calibration))
        device_id, passport = load_device(device).id, Passport(device="")
        if file.kind == "pi":
            passport = load_passport(device_id, passport_folder(file.passports))
        facts = {"kind": file.kind, "device": device_id}
        check_valid(
            record,
            bench=file.name,
            identity=facts,
            device=device_id,
            device_pulses=passport.pulses if file.kind == "pi" else None,
            drifted=passport.drifted,
        )
        curve = record.curve(file.slot.key(), record.vth_v, 1)
    except (InputError, CalibrationError) as error:
        return Check(name, False, str(error), again)
    most = int(curve.pulses[-1])
    return Check(name, True, f"{record.id} of {record.made_at:%Y-%m-%d %H:%M}, {record.vth_v:g} V, up to {most} pulses")


def _loopback(file: BenchFile, device: str) -> Iterator[Check]:
    from drivers.checks import loopback
    from drivers.opening import make_bench

    try:
        bench: Bench = make_bench(file, load_device(device), traces=True)
    except (BenchError, InputError) as error:
        yield Check("bench", False, str(error), "mend the parts above first")
        return
    with bench:
        yield from loopback(bench, file)


def _print(found: list[Check], ok: bool) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table("check", "", "found", "what to do", box=None, header_style="bold")
    for check in found:
        verdict, advice = (Text("ok", "green"), "") if check.ok else (Text("NO", "red"), check.advice)
        # As text: "[model]" in what an instrument or a file says is no markup.
        name, detail, then = (Text(visible(said)) for said in (check.name, check.detail, advice))
        table.add_row(name, verdict, detail, then)
    console = Console()
    console.print(table)
    console.print("all is well" if ok else f"{sum(not c.ok for c in found)} of {len(found)} checks failed")

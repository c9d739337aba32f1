"""Accept a bench: in one go, everything that proves it, one report, and which claims it now supports.

hil accept --bench bench.toml        says what it will spend, asks, and does it
hil accept --yes                     the simulated bench, as a rehearsal
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from drivers.benchfile import load_bench
from drivers.claims import hold_and_lend
from drivers.device import load_device
from drivers.errors import InputError
from hil.terminal.visible import visible

if TYPE_CHECKING:
    from drivers.benchfile import BenchFile
    from drivers.device import DeviceFile


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `hil accept`."""
    parser.add_argument("--bench", default="mock", metavar="NAME|FILE", help="bench to accept (default: mock)")
    parser.add_argument("--device", metavar="NAME|FILE", help="device file (default: the bench's)")
    parser.add_argument("--digits", default="0:10", metavar="A:B", help="test digits to recognise (default: 0:10)")
    parser.add_argument("--yes", action="store_true", help="spend the pulses without asking")
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="folder for the report (default: a new one under accept/)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object on standard output")


def run(args: argparse.Namespace) -> int:
    """Do every step and write the report; 0 when none failed, 1 otherwise."""
    file = load_bench(args.bench)
    device = load_device(args.device or file.device)
    with hold_and_lend(_all_of(file, device), "hil accept") as locks:
        return _accept(args, file, locks)


def _all_of(file: BenchFile, device: DeviceFile) -> list[str]:
    """What nobody else may have from the first step to the last: every part of the bench, and the device."""
    from drivers.parts.assembly import claims
    from drivers.wear.account import device_claim
    from drivers.wear.passport import passport_folder

    if file.kind == "mock":
        return []
    return [*claims(file), device_claim(device, passport_folder(file.passports))]


def _accept(args: argparse.Namespace, file: BenchFile, locks: tuple[int, ...]) -> int:
    from hil.bringup.accept import Acceptance, left_s
    from hil.bringup.verdict import supported, write_report

    folder = args.out or Path("accept") / f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{file.name.replace(' ', '-')}"
    if folder.exists() and any(folder.iterdir()):
        raise InputError(f"--out {folder}: there is something in it; name an empty folder")
    folder.mkdir(parents=True, exist_ok=True)
    hands = _ask if sys.stdin.isatty() else None
    status = Console(stderr=True).status("", refresh_per_second=4)

    began = 0.0

    def begin(step: str) -> None:
        nonlocal began
        began = began or time.monotonic()  # when somebody had said yes
        left = f"about {left_s(step, time.monotonic() - began):.0f} s left"
        status.update(f"{step}, since {datetime.now():%H:%M:%S} …  {left}")
        status.start()

    acceptance = Acceptance(args.bench, file, args.digits, folder.absolute(), args.device, locks, begin, hands)
    spent = f"It takes about {acceptance.pulses():,} dendrite pulses and as many resets as slots."
    print(f"bench {file.name!r}: {spent}", file=sys.stderr)
    if not args.yes:
        if hands is None:
            raise InputError("there is no terminal to ask whether to spend them; say --yes if you mean it")
        if not hands("spend them?"):
            print("nothing was played", file=sys.stderr)
            return 1
    done = []
    for step in acceptance.steps():
        done.append(step)
        status.stop()
        print(f"  {step.state:<9} {step.name}: {visible(step.detail)}", file=sys.stderr, flush=True)
    page = write_report(done, file, spent, folder)
    said = supported(done, file)
    if args.json:
        steps = [{"name": s.name, "state": s.state, "detail": s.detail} for s in done]
        print(json.dumps({"steps": steps, "claims": dict(said), "report": str(page)}))
    else:
        for text, good in said:
            print(f"  {'supported' if good else 'not shown'}  {visible(text)}")
        print(f"report: {visible(str(page))}")
    return 1 if any(step.state == "failed" for step in done) else 0


def _ask(question: str) -> bool:
    print(f"{question} [yes/no] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")

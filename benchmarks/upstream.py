"""Upstream's own self-tests of pigpio against the twin, and the answers of a real pigpiod beside the twin's.

    python -m benchmarks.upstream SOURCE          the sources of pigpio v79: x_pigs, x_pigpiod_if2 and x_pigpio.py
    python -m benchmarks.upstream --ask HOST:PORT [--write FILE]     a conversation with a pigpiod that serves there

The sources are built and run in a temporary folder (gcc, bash); nothing of them is kept. Prints what passes and what
fails. `--ask` prints every answer in which twin and daemon differ; `--write` keeps the daemon's as the fixture of the
tests.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from drivers.benchfile import load_bench
from drivers.device import load_device
from drivers.mock.board import Board
from drivers.mock.clock import TwinClock
from drivers.mock.pigpiod import PigpiodServer
from drivers.settings import Wiring
from tests.drivers.mock.pigpiod.conversation import WIRING, converse, save

LONGEST_S = 300
DEV = Path("/dev")  # where x_pigpiod_if2 looks for a pipe
TESTS = {
    "x_pigs": "bash {source}/x_pigs",
    "x_pigpiod_if2": "{folder}/x_pigpiod_if2",
    "x_pigpio.py": "{python} {source}/x_pigpio.py",
}
BUILDS = (
    "gcc -w -O1 -pthread -o {folder}/pigs {source}/pigs.c {source}/command.c",
    "gcc -w -O1 -pthread -o {folder}/x_pigpiod_if2 {source}/x_pigpiod_if2.c {source}/pigpiod_if2.c {source}/command.c",
)
PASSED, FAILED = re.compile(r"\bok$|\bPASS\b", re.MULTILINE), re.compile(r"^.*(?:\bfail|FAILED).*$", re.MULTILINE)


def served(wiring: Wiring, pipes: Path | None = None) -> PigpiodServer:
    """A twin whose time is real time."""
    board = Board(load_device("ideal"), load_bench("mock").board, clock=TwinClock(paced=True))
    return PigpiodServer(board, wiring, pipes=pipes)


def self_tests(source: Path) -> int:
    """Build and run all of them, each on a fresh twin; how many checks failed."""
    failures = 0
    with tempfile.TemporaryDirectory() as name:
        where = {"folder": name, "source": str(source.resolve()), "python": sys.executable}
        for build in BUILDS:
            subprocess.run(build.format(**where).split(), check=True, timeout=LONGEST_S)
        for test, command in TESTS.items():
            with served(WIRING, DEV if os.access(DEV, os.W_OK) else None) as server:
                out = _run(command.format(**where), name, {"PIGPIO_ADDR": server.host, "PIGPIO_PORT": str(server.port)})
            failed = FAILED.findall(out)
            failures += len(failed)
            passed = len(PASSED.findall(out))
            print(f"{test}: {passed} of {passed + len(failed)} checks pass", *failed, sep="\n  ", flush=True)
    return failures


def _run(command: str, folder: str, more: Mapping[str, str]) -> str:
    path = f"{folder}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        command.split(),
        env=os.environ | more | {"PATH": path},
        cwd=folder,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=LONGEST_S,
        check=False,
    )
    return done.stdout


def compare(address: str, write: Path | None) -> int:
    """The same conversation with a daemon and with the twin; how many answers differ."""
    host, _, port = address.rpartition(":")
    real = converse(host, int(port))
    if write is not None:
        save(real, write)
    with served(WIRING) as server:
        ours = converse(server.host, server.port)
    different = [(r, o) for r, o in zip(real, ours, strict=True) if (r.result, r.data) != (o.result, o.data)]
    for one, other in different:
        print(f"{one.told}: real {one.result} {one.data.hex()}, twin {other.result} {other.data.hex()}")
    print(f"{len(real)} answers, {len(different)} differ")
    return len(different)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("source", nargs="?", type=Path, help="folder with the sources of pigpio v79")
    parser.add_argument("--ask", metavar="HOST:PORT", help="a real pigpiod to compare with")
    parser.add_argument("--write", type=Path, metavar="FILE", help="keep its answers")
    args = parser.parse_args()
    if args.ask:
        return 1 if compare(args.ask, args.write) else 0
    if args.source is None or shutil.which("gcc") is None:
        parser.error("give the folder of the sources (and have gcc), or --ask")
    return 1 if self_tests(args.source) else 0


if __name__ == "__main__":
    sys.exit(main())

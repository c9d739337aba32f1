"""Does `hil mock serve` come up on a busy machine? Start it many times beside busy loops, one bench after another.

    python -m benchmarks.starts [--starts 25] [--at-once 3] [--load 20]

Every start has to say that it serves, to have a calibration that `hil doctor` finds valid, and to end when told. Prints
how many served and how many the doctor found well, and how long it took; ends with code 1 where one was not.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

LONGEST_S = 300
ENDS_S = 60
BENCHES = (("pigpio", "gpio"), ("pigpio", "scope"), ("pico", "pico"), ("pigpio", "pico"), ("pico", "both"))


def start(folder: Path, source: str, reader: str) -> str:
    """One start; what went wrong, empty if nothing."""
    out = folder / "bench.toml"
    command = [sys.executable, "-m", "hil.cli", "mock", "serve", "--out", str(out), "--profile", "realistic"]
    command += ["--source", source, "--reader", reader]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=folder) as server:
        assert server.stdout is not None
        said = ""
        while "wrote" not in said:
            line = server.stdout.readline()
            if not line:
                return f"ended by itself: {server.stderr.read() if server.stderr else ''}"
            said = line
        doctor = subprocess.run(
            [sys.executable, "-m", "hil.cli", "doctor", "--bench", str(out), "--json"],
            capture_output=True,
            text=True,
            timeout=LONGEST_S,
            check=False,
            cwd=folder,
        )
        checks = json.loads(doctor.stdout)["checks"]
        server.send_signal(signal.SIGINT)
        server.communicate(timeout=ENDS_S)
    bad = [check for check in checks if not check["ok"]]
    return "" if not bad else f"doctor: {bad[0]['name']}: {bad[0]['detail']}"


def timed(number: int) -> tuple[float, str]:
    """One start in a folder of its own, and how long it took, s."""
    source, reader = BENCHES[number % len(BENCHES)]
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        wrong = start(Path(folder), source, reader)
    return time.monotonic() - began, wrong and f"{source} + {reader}: {wrong}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--starts", type=int, default=25)
    parser.add_argument("--at-once", type=int, default=3)
    parser.add_argument("--load", type=int, default=20, help="busy loops beside them")
    parser.add_argument("--nice", type=int, default=0, help="how much they give way to others (default: not)")
    args = parser.parse_args()
    with ExitStack() as stack:
        for _ in range(args.load):
            loop = subprocess.Popen(["nice", "-n", str(args.nice), sys.executable, "-c", "while True: pass"])
            stack.callback(loop.kill)
        with ThreadPoolExecutor(args.at_once) as pool:
            found = list(pool.map(timed, range(args.starts)))
        load = os.getloadavg()[0]
    times = sorted(t for t, _ in found)
    failed = [wrong for _, wrong in found if wrong]
    ended = sum("ended by itself" in wrong for wrong in failed)
    print(
        f"{args.starts - ended} of {args.starts} starts served and {args.starts - len(failed)} were well, at load "
        f"{load:.0f}; "
        f"{times[len(times) // 2]:.0f} s in the median, {times[-1]:.0f} s at most, doctor included"
    )
    for wrong in failed:
        print(f"  {wrong}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

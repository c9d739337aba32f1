"""Does `hil mock serve` come up on a busy machine? Start it many times beside busy loops, and recognise with each.

    python -m benchmarks.starts [--starts 25] [--at-once 3] [--load 20]

Every start has to say that it serves, to have a calibration that `hil doctor` finds valid, and to end when told. Prints
how long each took; ends with code 1 where one did not.
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


def start(folder: Path) -> str:
    """One start; what went wrong, empty if nothing."""
    out = folder / "bench.toml"
    command = [sys.executable, "-m", "hil.cli", "mock", "serve", "--out", str(out), "--profile", "realistic"]
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


def timed(_: int) -> tuple[float, str]:
    """One start in a folder of its own, and how long it took, s."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        wrong = start(Path(folder))
    return time.monotonic() - began, wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--starts", type=int, default=25)
    parser.add_argument("--at-once", type=int, default=3)
    parser.add_argument("--load", type=int, default=20, help="busy loops beside them")
    args = parser.parse_args()
    with ExitStack() as stack:
        for _ in range(args.load):
            loop = subprocess.Popen([sys.executable, "-c", "while True: pass"])
            stack.callback(loop.kill)
        with ThreadPoolExecutor(args.at_once) as pool:
            found = list(pool.map(timed, range(args.starts)))
        load = os.getloadavg()[0]
    times = sorted(t for t, _ in found)
    failed = [wrong for _, wrong in found if wrong]
    print(
        f"{args.starts - len(failed)} of {args.starts} starts came up and were well, at load {load:.0f}; "
        f"{times[len(times) // 2]:.0f} s in the median, {times[-1]:.0f} s at most, doctor included"
    )
    for wrong in failed:
        print(f"  {wrong}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

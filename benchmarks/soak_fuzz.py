"""A million spoilt inputs: bench and device files, records, weights, replies, run files, and commands that get these.

    python -m benchmarks.soak_fuzz [--inputs 1000000] [--seed 0] [--kind "run file"]

Each ends in a value or in an error of ours, within bounded memory and time. Two thirds are replies, which take
microseconds; one in sixteen is a run file; three in a thousand, the slowest, are given to a command: a quarter of an
hour in all. Ends with code 1 where one did not.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import resource
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from pathlib import Path

from tests.fuzz.inputs import Inputs, tried

SHARES = {"config": 0.1, "record": 0.1, "weights": 0.05, "run file": 0.06, "command": 0.003, "reply": 0.687}
MORE_BYTES = 2 << 30  # of address space, beside what is taken at the start
LONGEST_S = 120  # of processor time, for one input


def soak(inputs: Inputs, kind: str, count: int, seed: int) -> bool:
    """So many inputs of a kind; prints how they ended."""
    ends: Counter[str] = Counter()
    faults = 0
    case, began = inputs.kinds[kind], time.monotonic()
    for number in range(seed, seed + count):
        signal.setitimer(signal.ITIMER_VIRTUAL, LONGEST_S)
        try:
            ends[tried(case, number)] += 1
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            faults += 1
            if faults <= 5:
                print(f"{kind}, seed {number}:", file=sys.stderr)
                traceback.print_exc(limit=-4)
    told = ", ".join(f"{n:,} {end}" for end, n in ends.most_common())
    print(f"{kind:9} {count:,} in {time.monotonic() - began:.0f} s: {told}; {faults} faults", flush=True)
    return faults == 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=1_000_000, help="in all (default: 1000000)")
    parser.add_argument("--seed", type=int, default=0, help="of the first (default: 0)")
    parser.add_argument("--kind", choices=SHARES, help="one only")
    args = parser.parse_args()
    warnings.simplefilter("ignore")

    def too_long(*_: object) -> None:
        raise TimeoutError("it took too long")

    signal.signal(signal.SIGVTALRM, too_long)
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"HIL_LOCKS": folder, "HIL_PASSPORTS": folder}
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            inputs = Inputs(Path(folder) / "inputs")
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123
            taken = int(file.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (taken + MORE_BYTES, resource.RLIM_INFINITY))
        kinds = [args.kind] if args.kind else list(SHARES)
        fine = [soak(inputs, kind, round(args.inputs * SHARES[kind]), args.seed) for kind in kinds]
        after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"memory: {before / 1024:.0f} MB before, {after / 1024:.0f} MB at the most")
    sys.exit(0 if all(fine) else 1)


if __name__ == "__main__":
    main()

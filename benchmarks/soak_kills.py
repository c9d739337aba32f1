"""Two hundred commands ended in the middle: run, evaluate, calibrate, resume and export, by TERM, HUP, KILL, INT twice.

    python -m benchmarks.soak_kills [--kills 200] [--seed 0]

On the simulated bench in process, and over the wires of two served ones (the Pico's pulses, pigpio's), in turn. See
`tests.hil.kills` for what is looked at. Ends with code 1 where something was lost, doubled, or a traceback seen.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
import traceback
from collections import Counter, defaultdict
from pathlib import Path

from tests.hil.kills import BENCHES, COMMANDS, SIGNALS, Killing

LOST = "LOST"


def ended(killing: Killing, command: str, how: str, bench: str, seed: int) -> str:
    """How one ended; whatever is wrong with it is told and counted."""
    try:
        return killing.once(command, how, bench, seed)
    except Exception:  # noqa: BLE001
        print(f"{command} on {bench}, {how}, seed {seed}:", file=sys.stderr)
        traceback.print_exc(limit=-4)
        return LOST


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200, help="in all (default: 200)")
    parser.add_argument("--seed", type=int, default=0, help="of the first (default: 0)")
    args = parser.parse_args()
    begun, done, lost, over = time.monotonic(), 0, 0, 0
    kills = [
        (command, how, seed)
        for command in COMMANDS
        for how in SIGNALS
        for seed in range(args.seed, args.seed + max(1, args.kills // (len(COMMANDS) * len(SIGNALS))))
    ]
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"HIL_LOCKS": folder, "HIL_PASSPORTS": folder}
        for n, bench in enumerate(BENCHES):
            own = Path(folder) / bench
            own.mkdir()
            with Killing(own, (bench,)) as killing:
                ends: defaultdict[tuple[str, str], Counter[str]] = defaultdict(Counter)
                for command, how, seed in kills[n :: len(BENCHES)]:
                    end = ended(killing, command, how, bench, seed)
                    done, lost = done + 1, lost + (end == LOST)
                    ends[command, how][end] += 1
                for (command, how), found in ends.items():
                    told = ", ".join(f"{many} {end}" for end, many in found.most_common())
                    print(f"{bench:6} {command:9} {how:9} {told}", flush=True)
            over = max(over, killing.most_over)
    print(f"{done} in {time.monotonic() - begun:.0f} s: {lost} lost something; ", end="")
    print(f"a passport overstated by at most {over:,} pulses after one end")
    sys.exit(1 if lost else 0)


if __name__ == "__main__":
    main()

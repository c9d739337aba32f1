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
from collections import Counter
from pathlib import Path

from tests.hil.kills import BENCHES, COMMANDS, SIGNALS, Killing


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200, help="in all (default: 200)")
    parser.add_argument("--seed", type=int, default=0, help="of the first (default: 0)")
    args = parser.parse_args()
    benches, each = list(BENCHES), max(1, args.kills // (len(COMMANDS) * len(SIGNALS)))
    done = lost = 0
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"HIL_LOCKS": folder, "HIL_PASSPORTS": folder}
        with Killing(Path(folder)) as killing:
            for command in COMMANDS:
                for how in SIGNALS:
                    ends: Counter[str] = Counter()
                    for seed in range(args.seed, args.seed + each):
                        bench = benches[done % len(benches)]
                        done += 1
                        try:
                            ends[killing.once(command, how, bench, seed)] += 1
                        except Exception:  # noqa: BLE001 (whatever it is, it is counted)
                            lost += 1
                            print(f"{command} on {bench}, {how}, seed {seed}:", file=sys.stderr)
                            traceback.print_exc(limit=-4)
                            ends["LOST"] += 1
                    print(f"{command:9} {how:9} {', '.join(f'{n} {end}' for end, n in ends.most_common())}", flush=True)
    print(f"{done} in {time.monotonic() - began:.0f} s: {lost} lost something; ", end="")
    print(f"a passport overstated by at most {killing.most_over:,} pulses after one end")
    sys.exit(1 if lost else 0)


if __name__ == "__main__":
    main()

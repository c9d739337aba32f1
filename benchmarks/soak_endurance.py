"""A random walk over everything that could let a device have more than its endurance.

    python -m benchmarks.soak_endurance [--steps 40] [--seed 0] [--source pico]

See `tests.hil.endurance`: every step is told with the twin's own count and the passport's. Ends with an
AssertionError, code 1, where the budget was got past.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from tests.hil.endurance import PULSES, RESETS, Walk


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=40, help="in all (default: 40)")
    parser.add_argument("--seed", type=int, default=0, help="of the walk (default: 0)")
    parser.add_argument("--source", choices=("pigpio", "pico"), default="pico", help="of the pulses (default: pico)")
    args = parser.parse_args()
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, Walk(Path(folder), args.seed, args.source) as walk:
        for number in range(args.steps):
            print(f"{number:3} {walk.step()}", flush=True)
        board = walk.board()
    print(
        f"{args.steps} steps in {time.monotonic() - begun:.0f} s: {board.pulses:,} of {PULSES:,} pulses and "
        f"{board.resets:,} of {RESETS:,} resets on the board; the passport overstated by at most {walk.most_over:,} "
        f"pulses and was at most {walk.behind:,} pulses and {walk.behind_resets:,} resets behind; {walk.refused} plays "
        "were stopped by the budget"
    )


if __name__ == "__main__":
    main()

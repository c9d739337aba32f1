"""Garbled conversations on every link: bytes flipped, cut, repeated, delayed, and connections reset.

    python -m benchmarks.soak_links [--conversations 1000] [--seed 0] [--link pico]

Each plays a frame on the twin's `ideal` device through the real client, over a link that damages it once. It ends with
the true counts or with a named error; of those whose replies were repeated, delayed or damaged once, and can be asked
for again, at least 95 % end with the true counts. Ends with code 1 where it is not so.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import traceback
from collections import Counter

from tests.wire.garbling import LINKS, conversation, kinds, recoverable

LEAST = 0.95


def soak(link: str, conversations: int, seed: int) -> bool:
    """So many conversations on a link, every kind of damage as often; prints how they ended, by kind."""
    wrong, again, well = 0, 0, 0
    with LINKS[link]() as talk:
        for kind in kinds(link):
            ends: Counter[str] = Counter()
            for number in range(conversations // len(kinds(link))):
                try:
                    end = conversation(link, talk, kind, seed + number).partition(":")[0]
                except Exception:  # noqa: BLE001 (whatever it is, it is counted)
                    wrong += 1
                    traceback.print_exc()
                    end = "WRONG"
                ends[end] += 1
            if recoverable(link, kind):
                again += sum(ends.values())
                well += ends["true"] + ends["retaken"]
            print(f"{link:11} {kind:7} {', '.join(f'{count} {end}' for end, count in ends.most_common())}", flush=True)
    print(
        f"{link:11} {well} of {again} that can be asked for again ended with the true counts; {wrong} wrong", flush=True
    )
    return wrong == 0 and well >= LEAST * again


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--conversations", type=int, default=1000, help="on each link (default: 1000)")
    parser.add_argument("--seed", type=int, default=0, help="of the first (default: 0)")
    parser.add_argument("--link", choices=LINKS, help="one only")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"HIL_LOCKS": folder, "HIL_PASSPORTS": folder}
        links = [args.link] if args.link else list(LINKS)
        fine = [soak(link, args.conversations, args.seed) for link in links]
    sys.exit(0 if all(fine) else 1)


if __name__ == "__main__":
    main()

"""How long something takes, whoever else is on the machine."""

from __future__ import annotations

import time
from collections.abc import Callable


def processor_s(work: Callable[[], object], repeats: int = 3) -> float:
    """Processor time, the least of several tries, after one that warms up; s."""
    work()
    tries = []
    for _ in range(repeats):
        begun = time.process_time()
        work()
        tries.append(time.process_time() - begun)
    return min(tries)


def ratio_of_growth(work: Callable[[int], object], size: int, factor: int = 4) -> float:
    """How many times as long `factor` times as much takes, by `factor`: 1 where it grows in proportion."""
    small, large = (processor_s(lambda n=n: work(n), 2) for n in (size, factor * size))  # type: ignore[misc]
    return large / small / factor

"""How patient the twin is: hostile sessions on every server beside runs, and an hour of waves that nobody looks at.

    python -m benchmarks.soak_twin [--sessions 1000] [--seed 1] [--hours 1]

Prints what a run beside them counted wrong (0 is right), what was left behind, and how much memory an hour of simulated
time at 100 kHz took. Ends with code 1 where something is not as it should be.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pigpio

from drivers.device import load_device
from drivers.errors import HilError
from drivers.mock.board import Board
from drivers.mock.pigpiod import PigpiodServer
from drivers.pi import PiBench
from drivers.settings import BoardSettings
from drivers.signals import SlotTiming, probe_frame
from tests.wire.hostile import Target, beside_intruders, session
from tests.wire.twin import PIGPIO_WIRING, twin

AT_ONCE = 4
STEP_NS = 100_000_000
LINE = 1 << PIGPIO_WIRING.sync


def hostile(sessions: int, seed: int) -> bool:
    """Sessions on each server while frames are played."""
    rng = np.random.default_rng(seed)
    wrong = retaken = played = 0
    with twin("pigpio", "scope", "ideal") as (file, board):
        assert file.scope is not None
        core = int(file.scope.resource.partition(",")[2].partition(":")[0])
        targets = [Target("pigpiod", file.pigpio.port), Target("vxi11", core)]
        with PiBench(file, load_device("ideal")) as bench, ThreadPoolExecutor(AT_ONCE * len(targets)) as pool:
            bench.set_threshold(0.7)
            work = [pool.submit(session, t, seed + k) for k in range(sessions) for t in targets]
            while not all(w.done() for w in work):
                counts = rng.integers(0, 9, 100).astype(np.int32)
                try:
                    for capture in bench.play([probe_frame("soak", SlotTiming(), counts, image=played)]):
                        wrong += int(((capture.spikes != capture.frame.pulses) & capture.ok).sum())
                        retaken += int((~capture.ok).sum())
                        played += len(capture.frame)
                except HilError as error:
                    print(f"the run failed: {error}")
                    return False
        left = sum("process_request_thread" in thread.name for thread in threading.enumerate())
        print(
            f"{sessions} hostile sessions on each of {len(targets)} servers, seed {seed}: {played} slots played beside "
            f"them, {wrong} wrong, {retaken} to be retaken, {board.misuse.count} misuses, {left} threads left"
        )
    return wrong == 0 and board.misuse.count == 0


def intruders(intrusions: int, seed: int) -> bool:
    """Somebody else on the Pico's line while frames are played."""
    with twin("pico", "pico", "ideal") as (file, board):
        found = beside_intruders(file, intrusions, seed)
        ended = ", ".join(f"{count} by {name}" for name, count in found.errors.items() if name)
        print(
            f"{intrusions} intrusions on a Pico's line, seed {seed}: {found.slots} slots counted beside them in "
            f"{sum(found.errors.values())} runs (ended early: {ended or 'none'}), {found.wrong} wrong, "
            f"{board.misuse.count} misuses"
        )
    return found.wrong == 0 and found.slots > 0 and board.misuse.count == 0


def waves(hours: float) -> bool:
    """`wave_send_repeat` at 100 kHz for so many hours of simulated time."""
    now = [1_000_000_000]
    board = Board(load_device("ideal"), load_board(), clock=lambda: now[0])
    with PigpiodServer(board, PIGPIO_WIRING) as server:
        pi = pigpio.pi(server.host, server.port)
        pi.write(PIGPIO_WIRING.sync, 0)
        pi.wave_add_generic([pigpio.pulse(LINE, 0, 5), pigpio.pulse(0, LINE, 5)] * 1000)
        pi.wave_send_repeat(pi.wave_create())
        early = 0.0
        steps = round(hours * 3_600e9 / STEP_NS)
        for step in range(steps):
            now[0] += STEP_NS
            pi.wave_tx_busy()
            if step == min(300, steps - 1):
                early = _memory_mb()
        late = _memory_mb()
        pi.stop()
    print(f"{hours:g} h of waves at 100 kHz: {early:.0f} MB after 30 s, {late:.0f} MB at the end")
    return late < early + 50


def load_board() -> BoardSettings:
    """The board settings of the mock."""
    from drivers.benchfile import load_bench

    return load_bench("mock").board


def _memory_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sessions", type=int, default=1000, help="on each server")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--hours", type=float, default=1.0, help="of simulated time")
    args = parser.parse_args()
    os.environ["HIL_PASSPORTS"] = tempfile.mkdtemp()  # what is played here wears nobody's device
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    print(f"commit {commit.stdout.strip()}")
    fine = [hostile(args.sessions, args.seed), intruders(args.sessions, args.seed), waves(args.hours)]
    return 0 if all(fine) else 1


if __name__ == "__main__":
    sys.exit(main())

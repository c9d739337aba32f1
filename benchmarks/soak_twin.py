"""How patient the twin is: hostile sessions on every server beside runs, and an hour of waves that nobody looks at.

    python -m benchmarks.soak_twin [--sessions 1000] [--seed 1] [--hours 1]

Prints what a run beside them counted wrong (0 is right), what was left behind, and how much memory an hour of simulated
time at 100 kHz took. Ends with code 1 where something is not as it should be.
"""

from __future__ import annotations

import argparse
import os
import resource
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pigpio

from drivers.benchfile import load_bench
from drivers.device import load_device
from drivers.errors import HilError
from drivers.mock.board import Board
from drivers.mock.ds4024.rpc import marked, opaque, words
from drivers.mock.ds4024.server import ScopeServer
from drivers.mock.pigpiod import PigpiodServer
from drivers.mock.pigpiod.protocol import Command
from drivers.pi import PiBench
from drivers.signals import SlotTiming, probe_frame
from tests.wire.hostile import beside_intruders, every_target, session
from tests.wire.twin import PIGPIO_WIRING, twin, twin_and_scope

AT_ONCE = 2  # on each server
ALLOWED_MB, MOST_MB = 50.0, 400.0  # what the last tenth of the hour may use more than the first; at any time
STEP_NS = 100_000_000
LINE = 1 << PIGPIO_WIRING.sync


def hostile(sessions: int, seed: int) -> bool:
    """Sessions on each server while frames are played."""
    rng = np.random.default_rng(seed)
    wrong = retaken = played = 0
    with twin_and_scope("pigpio", "scope", "ideal") as (file, board, scope):
        targets = every_target(file, scope)
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
    """`wave_send_repeat` at 100 kHz for so many hours of simulated time, with clients that come, go and do not read.

    Every simulated second somebody opens notifications of the line that moves and leaves without reading, and somebody
    makes a VXI-11 link and leaves it. Memory is that of the whole process, imports included.
    """
    now = [1_000_000_000]
    board = Board(load_device("ideal"), load_bench("mock").board, clock=lambda: now[0])
    steps = round(hours * 3_600e9 / STEP_NS)
    used: list[float] = []
    with PigpiodServer(board, PIGPIO_WIRING) as server, ScopeServer(board) as scope:
        core = int(scope.vxi11_resource.partition(",")[2].partition(":")[0])
        pi = pigpio.pi(server.host, server.port)
        pi.write(PIGPIO_WIRING.sync, 0)
        pi.wave_add_generic([pigpio.pulse(LINE, 0, 5), pigpio.pulse(0, LINE, 5)] * 1000)
        pi.wave_send_repeat(pi.wave_create())
        slowest_s = 0.0
        with socket.create_connection((server.host, server.port)) as deaf:
            _watch(deaf, pi)
            for step in range(steps):
                now[0] += STEP_NS
                asked = time.monotonic()
                pi.wave_tx_busy()
                slowest_s = max(slowest_s, time.monotonic() - asked)
                if step % round(1e9 / STEP_NS) == 0:
                    _come_and_go(server, core, pi)
                    used.append(_memory_mb())
        pi.stop()
    tenth = max(1, len(used) // 10)
    early, late, most = float(np.median(used[:tenth])), float(np.median(used[-tenth:])), max(used)
    print(
        f"{hours:g} h of waves at 100 kHz: {early:.0f} MB in the first tenth (median), {late:.0f} MB in the last, "
        f"{most:.0f} MB at most; slowest answer {slowest_s:.2f} s, {threading.active_count()} threads left"
    )
    return late < early + ALLOWED_MB and most < MOST_MB


def _watch(connection: socket.socket, pi: pigpio.pi) -> None:
    connection.sendall(struct.pack("<4I", Command.NOIB, 0, 0, 0))
    handle = struct.unpack("<4I", connection.recv(16, socket.MSG_WAITALL))[3]
    pi.notify_begin(handle, LINE)


def _come_and_go(server: PigpiodServer, core: int, pi: pigpio.pi) -> None:
    with socket.create_connection((server.host, server.port)) as short:
        _watch(short, pi)
    with socket.create_connection((server.host, core)) as link:
        call = words(1, 0, 2, 0x0607AF, 1, 10, 0, 0, 0, 0)
        link.sendall(marked(call + words(1, 0, 0) + opaque(b"inst0")))
        link.recv(100)


def _memory_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize() / 1e6


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sessions", type=int, default=1000, help="on each server")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--hours", type=float, default=1.0, help="of simulated time")
    args = parser.parse_args()
    os.environ["HIL_PASSPORTS"] = tempfile.mkdtemp()  # what is played here wears nobody's device
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    print(f"commit {commit.stdout.strip()}")
    fine = [
        not args.sessions or hostile(args.sessions, args.seed),
        not args.sessions or intruders(args.sessions, args.seed),
        not args.hours or waves(args.hours),
    ]
    return 0 if all(fine) else 1


if __name__ == "__main__":
    sys.exit(main())

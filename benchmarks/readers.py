"""What a run loses by being looked at: seconds a digit with twenty readers of its page against none.

    python -m benchmarks.readers

The run is one that a bench paces, as every run on hardware is: the wire twin with realistic latencies, Pico and Pico,
the fastest that there is. (A run on the mock in process takes whatever processor there is; on two cores its time says
how busy the machine is, not what readers cost.) Readers come and go every few digits *within* a run, and a second run
has them where the first had none: so each digit, the same pulses, is timed with and without, and whatever else the
machine does falls on both. A digit in which readers came or went does not count. The loss is the median over digits of
the share of time that readers add, with its distribution-free 95 % interval; rounds of two runs are added until that
interval lies on one side of the limit. Readers sit elsewhere in truth; here they are a process of the lowest priority,
and how much it got to read is told.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import quantile_test

from benchmarks.server import Server, serving
from drivers.errors import HilError

READERS = 20
MOST_LOSS = 0.02
BLOCK = 5  # digits with readers, then as many without; the first of each does not count


@dataclass(frozen=True)
class Loss:
    """Share of a run's speed: the median over pairs of digits, and its 95 % interval."""

    median: float
    low: float
    high: float
    pairs: int


def told(loss: Loss) -> str:
    """In words."""
    verdict = (
        "yes" if loss.high < MOST_LOSS else "NO" if loss.low > MOST_LOSS else "cannot be told: too noisy a machine"
    )
    return (
        f"{loss.median:+.2%} lost to {READERS} readers ({loss.low:+.2%} to {loss.high:+.2%}, {loss.pairs} digits; "
        f"less than {MOST_LOSS:.0%}: {verdict})"
    )


def read_pages(host: str, name: str, on: Event, over: Event, answers: Any) -> None:
    """Twenty threads that do what open pages do while `on`; they add up in `answers` what they were told."""
    os.nice(19)
    threads = [threading.Thread(target=_read, args=(host, name, on, over, answers)) for _ in range(READERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _read(host: str, name: str, on: Event, over: Event, answers: Any) -> None:
    """One page: it hears every state, and at most once a second opens what is being played."""
    server, opened = Server(None, host), 0.0
    while not over.is_set():
        if not on.wait(0.1):
            continue
        with suppress(OSError, AssertionError, ValueError):  # the run is not there yet
            for kind, data in server.events(f"/api/runs/{name}/events"):
                if over.is_set() or not on.is_set():
                    break
                if kind != "state" or time.monotonic() - opened < 1:
                    continue
                opened = time.monotonic()
                now = json.loads(data)["under_way"]
                base = f"/api/runs/{name}/digits/0/{now['index'] if now else 0}"
                for path in (base, f"{base}/conv1/0/400", f"{base}/conv1/0"):
                    server.get(path)
                    with answers.get_lock():
                        answers.value += 1


@contextmanager
def twin(folder: Path) -> Iterator[Path]:
    """The bench file of a simulated bench behind its wire protocols, as slow as a real one."""
    argv = ["mock", "serve", "--profile", "realistic", "--roughness", "0", "--source", "pico", "--reader", "pico"]
    process = subprocess.Popen(
        [sys.executable, "-m", "hil", *argv, "--out", "twin.toml"], cwd=folder, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert any("wrote" in line for line in process.stdout)
        yield folder / "twin.toml"
    finally:
        process.terminate()
        process.wait(20)


def digits_s(server: Server, bench: Path, path: Path, digits: int, first: bool) -> tuple[np.ndarray, np.ndarray]:
    """Seconds of each digit of a run, nan where they do not count, and whether readers were there."""
    context = multiprocessing.get_context("spawn")
    on, over, answers = context.Event(), context.Event(), context.Value("l", 0)
    readers = context.Process(target=read_pages, args=(server.host, path.name, on, over, answers))
    readers.start()
    argv = ["run", "--bench", str(bench), "--digits", f"0:{digits}", "--out", str(path), "--json"]
    said = path.with_suffix(".txt").open("w+")
    run = subprocess.Popen([sys.executable, "-m", "hil", *argv], stdout=subprocess.DEVNULL, stderr=said)
    there = np.array([(digit // BLOCK % 2 == 0) == first for digit in range(digits)])
    read_s, began = 0.0, time.monotonic()
    try:
        while run.poll() is None:
            now = there[min(_done(path), digits - 1)]
            read_s += on.is_set() * (time.monotonic() - began)
            began = time.monotonic()
            (on.set if now else on.clear)()
            time.sleep(0.05)
    finally:
        over.set()
        readers.join(30)
        if run.poll() is None:
            run.terminate()
    if run.returncode:
        raise HilError(
            f"the run ended with code {run.returncode}: {path.with_suffix('.txt').read_text().strip()[-300:]}"
        )
    print(f"  {answers.value / max(read_s, 1e-9):.0f} answers a second beside the events, {read_s:.0f} s of readers")
    ends = _ends(path)
    seconds = np.concatenate([[np.nan], np.diff(ends)])
    seconds[::BLOCK] = np.nan
    return seconds, there


def _done(path: Path) -> int:
    """Digits that a run file holds."""
    with suppress(sqlite3.Error), closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=0.1)) as db:
        return int(db.execute("SELECT COUNT(*) FROM results").fetchone()[0])
    return 0


def _ends(path: Path) -> np.ndarray:
    """When the last shot of each digit was taken, s since the epoch."""
    with closing(sqlite3.connect(path)) as db:
        rows = db.execute("SELECT MAX(taken_utc) FROM shots WHERE purpose = 'run' GROUP BY image ORDER BY image")
        return np.array([datetime.fromisoformat(at).timestamp() for (at,) in rows])


def lost_to_readers(digits: int, rounds: int, folder: Path) -> Loss:
    """Rounds of two runs until it is clear on which side of the limit the loss lies, or they are used up."""
    lost: list[float] = []
    with serving(folder) as server, twin(folder) as bench:
        for n in range(rounds):
            pair = [digits_s(server, bench, folder / f"r{n}{first:d}.sqlite", digits, first) for first in (True, False)]
            (a, a_read), (b, _) = pair
            read, alone = np.where(a_read, a, b), np.where(a_read, b, a)
            lost += (1 - alone / read)[np.isfinite(alone) & np.isfinite(read)].tolist()
            low, high = quantile_test(lost, q=0, p=0.5).confidence_interval(0.95)
            loss = Loss(float(np.median(lost)), float(low), float(high), len(lost))
            print(f"  {told(loss)}; {server.cpu_s():.1f} s of processor spent on serving", flush=True)
            if loss.high < MOST_LOSS or loss.low > MOST_LOSS:
                break
    return loss


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--digits", type=int, default=30, help="of a run")
    parser.add_argument("--rounds", type=int, default=6, help="of two runs, at most")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        loss = lost_to_readers(args.digits, args.rounds, Path(folder))
    print(told(loss))
    return 0 if loss.high < MOST_LOSS else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except HilError as error:
        sys.exit(str(error))

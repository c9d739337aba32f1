"""Whole runs of `hil run`, killed at random moments and resumed until complete: the result must not show it.

python -m benchmarks.soak --runs 200
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track

MOST_KILLS = 10  # of one run, then it may end
HIL = [sys.executable, "-m", "hil.cli"]
SHOTS = """
SELECT purpose, image, noise, layer, first_slot, attempt, slots, bench_s, total_pulses, pulses_before, stray_before,
stray_guard, stray_after, notes, channel, position, pulses, spikes, slot_s, ok FROM shots ORDER BY 1, 2, 3, 4, 5, 6
"""
TRACES = """
SELECT image, layer, first_slot, name, codes FROM traces JOIN shots ON shot = shots.id ORDER BY 1, 2, 3, 4
"""


def recorded(path: Path) -> dict[str, list[Any]]:
    """Everything measured and concluded in a run file, without times and ids; fails unless the file is whole."""
    db = sqlite3.connect(path)
    try:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert db.execute("SELECT count(*) FROM shots WHERE damaged").fetchone() == (0,)
        return {
            "shots": db.execute(SHOTS).fetchall(),
            "traces": db.execute(TRACES).fetchall(),
            "results": db.execute("SELECT noise, image, detail FROM results ORDER BY 1, 2").fetchall(),
        }
    finally:
        db.close()


def start(argv: list[str]) -> subprocess.Popen[str]:
    return subprocess.Popen([*HIL, *argv], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen[str]) -> dict[str, Any]:
    out, err = process.communicate()
    assert process.returncode == 0, err
    answer: dict[str, Any] = json.loads(out)
    return answer


def written(path: Path) -> int:
    """When the run file's log was last written to, ns; 0 before there is one."""
    log = path.with_name(path.name + "-wal")
    return log.stat().st_mtime_ns if log.exists() else 0


def wait_for_writing(process: subprocess.Popen[str], path: Path, before: int) -> None:
    while process.poll() is None and written(path) == before:
        time.sleep(0.002)


def killed_until_done(path: Path, settings: list[str], seed: int, play_s: float) -> int:
    """One run, killed at random moments of its writing and resumed until complete; returns how often it was killed."""
    rng = random.Random(seed)  # noqa: S311 (nothing to guess here)
    kills = 0
    while True:
        before = written(path)
        process = start(
            ["resume", str(path), "--json"] if path.exists() else ["run", *settings, "--out", str(path), "--json"]
        )
        if kills < MOST_KILLS:
            wait_for_writing(process, path, before)
            time.sleep(rng.uniform(0, 0.5) * play_s)
            process.send_signal(signal.SIGKILL)
        _, err = process.communicate()
        if process.returncode == 0:
            return kills
        assert process.returncode == -signal.SIGKILL, err
        kills += 1
        recorded(path)  # it opens, and is whole


def soak(runs: int, least_kills: int, settings: list[str], folder: Path) -> tuple[int, int]:
    """At least so many runs and kills; returns how many of each there were."""
    reference = folder / "reference.sqlite"
    whole = finish(start(["run", *settings, "--out", str(reference), "--json"]))
    digits = whole["digits"]
    wanted = recorded(reference)
    console = Console(stderr=True)
    done = kills = 0

    def one(seed: int) -> int:
        path = folder / f"{seed}.sqlite"
        count = killed_until_done(path, settings, seed, whole["wall_s"])
        assert recorded(path) == wanted, f"{path} differs from the run that was not killed"
        assert finish(start(["resume", str(path), "--json"]))["digits"] == digits
        path.unlink()
        return count

    with ThreadPoolExecutor(2) as pool:
        while done < runs or kills < least_kills:
            seeds = range(done, done + max(2, min(runs - done, 20)))
            for count in track(pool.map(one, seeds), "killing", len(seeds), console=console, transient=True):
                done, kills = done + 1, kills + count
    return done, kills


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=200, help="runs to complete (default: 200)")
    parser.add_argument("--kills", type=int, default=0, help="go on until this many kills")
    parser.add_argument("--digits", default="0:12", help="digits of each run (default: 0:12)")
    parser.add_argument("--traces", action="store_true", help="with traces")
    args = parser.parse_args()
    settings = ["--digits", args.digits, *(["--traces"] if args.traces else [])]
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        done, kills = soak(args.runs, args.kills, settings, Path(folder))
    print(f"{done} runs complete and bit-identical after {kills} SIGKILLs, in {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()

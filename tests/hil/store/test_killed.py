"""SIGKILL at random moments: no committed shot is lost or doubled, every file opens, the end result is the same."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from hil.store.recording import RecordingBench
from tests.hil.rig import bench, frames, new_run, rows

ROOT = Path(__file__).parents[3]
KILLS = 120


@pytest.fixture
def recorder() -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.hil.store.recorder"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
    )
    yield process
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.close()
    process.stdout.close()
    assert process.wait(10) == 0


def say(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdin is not None
    process.stdin.write(line + "\n")
    process.stdin.flush()


def hear(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def relied_on(path: Path) -> set[str]:
    """The shots that a recorder may rely on; a line that a kill cut off is none yet."""
    log = Path(f"{path}.log")
    return set(log.read_text().split("\n")[:-1]) if log.exists() else set()


def wait_for(path: Path, shots: int, child: int) -> None:
    """Until the child may rely on so many shots, or is through."""
    until = time.monotonic() + 60
    while time.monotonic() < until and len(relied_on(path)) < shots and Path(f"/proc/{child}").exists():
        time.sleep(0.0005)


def test_kills_of_a_recorder(recorder: subprocess.Popen[str], tmp_path: Path) -> None:
    """The recorder is killed, checked and started again on the same file until that is complete, then on a new one.

    Each kill comes up to 3 ms after the recorder may rely on none to four shots more.
    """
    reference = tmp_path / "reference.sqlite"
    with new_run(reference) as run:
        list(RecordingBench(bench(), run).play(frames(12, 8)))
    wanted = rows(reference)
    rng = random.Random(20)
    kills = complete = shots_between = known = 0
    path = tmp_path / "0.sqlite"
    while kills < KILLS:
        say(recorder, str(path))
        child = int(hear(recorder))
        wait_for(path, known + rng.choice([0, 1, 2, 4]), child)
        time.sleep(rng.uniform(0, 0.003))
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
        assert hear(recorder) == "gone"
        done = Path(f"{path}.done").exists()
        kills += not done
        found = rows(path) if path.exists() else []
        known = len(relied_on(path))
        assert relied_on(path) <= {f"{row[1]} {row[4]}" for row in found}, "a committed shot is lost"
        assert len({row[:6] for row in found}) == len(found), "a shot is doubled"
        shots_between += 0 < len(found) < len(wanted)
        if done:
            assert found == wanted
            complete += 1
            known, path = 0, tmp_path / f"{complete}.sqlite"
    assert complete >= 2
    assert shots_between > KILLS / 4, f"only {shots_between} kills came in the middle of a recording"

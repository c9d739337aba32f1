"""A small recorder to be killed: forks a child for each path it is given; the child records until it is done or dead.

Started as a program by test_killed.py. The child appends a line to PATH.log after each shot that it may rely on.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from hil.store.recording import RecordingBench
from hil.store.runfile import RunFile
from tests.hil.rig import bench, frames, new_run


def record(path: Path) -> None:
    log = os.open(f"{path}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    with RunFile.open(path, write=True) if path.exists() else new_run(path) as run:
        for capture in RecordingBench(bench(), run).play(frames(12, 8)):
            os.write(log, f"{capture.frame.key.image} {capture.frame.first_slot}\n".encode())
    Path(f"{path}.done").touch()


def serve() -> None:
    list(bench().play(frames(1, 1)))  # imports what playing needs, once for all children
    for line in sys.stdin:
        child = os.fork()
        if not child:
            record(Path(line.strip()))
            os._exit(0)
        print(child, flush=True)
        os.waitpid(child, 0)
        print("gone", flush=True)


if __name__ == "__main__":
    serve()

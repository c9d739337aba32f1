"""A power cut at any moment: nothing that was committed is lost, every file opens, the resumed result is the same."""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path

import apsw
import pytest

from drivers.errors import RunFileError
from hil.store.recording import RecordingBench
from hil.store.runfile import RunFile, damaged_shots
from tests.hil.rig import bench, frames, new_run, rows
from tests.hil.store.powercut import LoggingVfs, Op, after_power_cut, put

CUTS = 150
PLAYED = frames(10, 20)


def recorded(folder: Path, synchronous: str | None) -> tuple[dict[str, bytes], list[Op]]:
    """Record a run on a logged disk; returns the disk before it and everything that happened to it."""
    folder.mkdir()
    path = folder / "run.sqlite"
    new_run(path).close()
    start = {path.name: path.read_bytes()}
    vfs = LoggingVfs(f"logging-{synchronous}")
    connection = apsw.Connection(str(path), vfs=vfs.name)
    with RunFile(path, connection, os.open(path, os.O_RDONLY)) as run:
        run.prepare()
        if synchronous is not None:
            connection.execute(f"PRAGMA synchronous = {synchronous}")
        begun = len(vfs.log)
        connection.execute("PRAGMA wal_autocheckpoint = 20").fetchall()  # pages, so that many cuts hit a checkpoint
        for capture in RecordingBench(bench(), run).play(PLAYED):
            vfs.log.append(Op("committed", note=(capture.frame.key.image, capture.frame.first_slot)))
        assert any(op.kind == "sync" for op in vfs.log[begun:]) == (synchronous != "OFF")
    vfs.unregister()
    return start, vfs.log


def survives(path: Path, relied_on: set[tuple[int, int]]) -> bool:
    """Whether a run file opens, is whole, and holds every committed shot once."""
    try:
        with RunFile.open(path, write=True) as run:
            run.check()
            if any(broken for _, broken in damaged_shots(run)):
                return False
    except RunFileError:
        return False
    found = [(row[1], row[4]) for row in rows(path)]
    return relied_on <= set(found) and len(set(found)) == len(found)


@pytest.mark.filterwarnings("ignore:.*was not closed and has no:drivers.errors.HilWarning")  # the log never got there
@pytest.mark.parametrize(("synchronous", "safe"), [(None, True), ("NORMAL", False), ("OFF", False)])
def test_power_cuts(tmp_path: Path, synchronous: str | None, safe: bool) -> None:
    """As it ships nothing is lost. With weaker settings the same cuts lose shots: the simulated disk is no friend."""
    start, log = recorded(tmp_path / "whole", synchronous)
    assert sum(op.kind == "committed" for op in log) >= 20
    wanted = rows(tmp_path / "whole" / "run.sqlite")
    rng = random.Random(11)
    lost = 0
    for cut in range(CUTS):
        until = log[: rng.randrange(len(log) + 1)]
        folder = tmp_path / "cut"
        put(folder, after_power_cut(start, until, rng))
        path = folder / "run.sqlite"
        ok = survives(path, {op.note for op in until if op.kind == "committed"})
        lost += not ok
        if ok and cut % 10 == 0:
            with RunFile.open(path, write=True) as run:
                list(RecordingBench(bench(), run).play(PLAYED))
            assert rows(path) == wanted
        shutil.rmtree(folder)
    assert lost == 0 if safe else lost > CUTS / 4

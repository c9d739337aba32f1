"""Reading needs no right to write; a copy of half a run says so; packing makes it one file."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from drivers.errors import HilWarning
from hil.cli import main
from hil.store.connecting import log_of
from hil.store.runfile import RunFile
from tests.hil.rig import bench, frames, new_run

KILLED = """
import os, sys
from pathlib import Path
from tests.hil.rig import bench, frames, new_run
run = new_run(Path(sys.argv[1]))
for capture in bench().play(frames(2)):
    run.add_shot(capture).result()
os._exit(9)
"""
ROOT = Path(__file__).parents[3]


@pytest.fixture
def killed() -> Iterator[Path]:
    """A run file whose writer was killed: what it recorded is in the log. Every user may read it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "k.sqlite"
        subprocess.run([sys.executable, "-c", KILLED, str(path)], cwd=ROOT, check=False)
        assert log_of(path).stat().st_size > 0
        for file in (path, log_of(path)):
            file.chmod(0o644)
        path.parent.chmod(0o755)
        yield path


def shots(path: Path) -> int:
    with RunFile.open(path) as run:
        return len(run.shot_ids())


def test_a_closed_run_is_one_file(tmp_path: Path) -> None:
    path = tmp_path / "r.sqlite"
    with new_run(path) as run:
        for capture in bench().play(frames(2)):
            run.add_shot(capture).result()
        assert log_of(path).exists()
    assert [file.name for file in tmp_path.iterdir()] == ["r.sqlite"]
    assert shots(path) > 0
    assert [file.name for file in tmp_path.iterdir()] == ["r.sqlite"]  # nor does a reader leave anything


@pytest.mark.skipif(os.geteuid() == 0 and shutil.which("setpriv") is None, reason="root may write anywhere")
def test_a_killed_run_on_read_only_media_is_read(killed: Path) -> None:
    wanted = shots(killed)
    killed.with_name("k.sqlite-shm").unlink(missing_ok=True)
    code = (
        "import sys; from pathlib import Path; from hil.store.runfile import RunFile\n"
        "print(len(RunFile.open(Path(sys.argv[1])).shot_ids()))"
    )
    command = [sys.executable, "-c", code, str(killed)]
    if os.geteuid() == 0:
        command = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *command]
    else:
        killed.parent.chmod(0o555)
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == str(wanted), done.stderr


def test_a_copy_without_its_log_says_so(killed: Path, tmp_path: Path) -> None:
    shutil.copy(killed, tmp_path / "copy.sqlite")
    with pytest.warns(HilWarning, match=r"has no copy\.sqlite-wal beside it: if this is a copy.*hil runs --pack"):
        RunFile.open(tmp_path / "copy.sqlite").close()


def test_packing_makes_a_killed_run_one_file(killed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wanted = shots(killed)
    assert main(["runs", "--pack", str(killed)]) == 0
    assert "is one file" in capsys.readouterr().out
    shutil.copy(killed, tmp_path / "copy.sqlite")
    assert shots(tmp_path / "copy.sqlite") == wanted


def test_a_file_of_the_version_before_is_not_suspected() -> None:
    before = ROOT / "tests" / "fixtures" / "before" / "traced.sqlite"
    RunFile.open(before).close()

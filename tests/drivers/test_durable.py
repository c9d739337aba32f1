"""A file that we write is the old one or the new one, whole."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from drivers.durable import replacing, write_durably
from drivers.errors import InputError


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_new_content_replaces_the_old(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "a.json"
    write_durably(file, "µ", "record")
    write_durably(file, b"\x00\xff", "record")
    assert file.read_bytes() == b"\x00\xff"
    assert names(file.parent) == ["a.json"]


@pytest.mark.parametrize("end", [OSError(28, "No space left on device"), KeyboardInterrupt(), ValueError("no")])
def test_whatever_ends_the_writing_the_old_file_stays_and_nothing_is_left_behind(
    tmp_path: Path, end: BaseException
) -> None:
    file = tmp_path / "a.json"
    file.write_text("old")
    expected = InputError if isinstance(end, OSError) else type(end)

    def write() -> None:
        with replacing(file, "export") as partial:
            partial.write_text("half")
            raise end

    with pytest.raises(expected) as caught:
        write()
    if isinstance(end, OSError):
        assert str(caught.value) == f"export {file}: No space left on device"
    assert file.read_text() == "old"
    assert names(tmp_path) == ["a.json"]


def test_a_killed_writer_leaves_the_old_file(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    file.write_text("old")
    code = (
        "import os, signal, sys; from pathlib import Path; from drivers.durable import replacing\n"
        "with replacing(Path(sys.argv[1]), 'export') as partial:\n"
        "    partial.write_text('half'); os.kill(os.getpid(), signal.SIGKILL)"
    )
    killed = subprocess.run([sys.executable, "-c", code, str(file)], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert file.read_text() == "old"


def test_a_full_disk_is_said(tmp_path: Path) -> None:
    """The limit on the size of files stands for it: write(2) fails alike."""
    code = (
        "import resource, signal, sys; from pathlib import Path; from drivers.durable import write_durably\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "write_durably(Path(sys.argv[1]), 'x' * 5000, 'report')"
    )
    failed = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "a")], check=False, capture_output=True, text=True
    )
    assert failed.stderr.splitlines()[-1] == f"drivers.errors.InputError: report {tmp_path / 'a'}: File too large"
    assert names(tmp_path) == []


def test_a_planted_link_is_not_followed(tmp_path: Path) -> None:
    """Nobody can know the name of what is being written; the name that is asked for is replaced, not followed."""
    victim, file = tmp_path / "victim", tmp_path / "a.json"
    victim.write_text("precious")
    for planted in (file, tmp_path / ".a.json.partial", tmp_path / "a.json.partial", tmp_path / ".a.json.new"):
        planted.symlink_to(victim)
    write_durably(file, "new", "record")
    assert victim.read_text() == "precious"
    assert file.read_text() == "new"
    assert not file.is_symlink()


def test_writers_do_not_meet(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    with replacing(file, "record") as one, replacing(file, "record") as two:
        assert one != two
        one.write_text("one")
        two.write_text("two")
    assert file.read_text() == "one"


@pytest.mark.parametrize("name", [".", "/dev/null"])
def test_what_is_no_file_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=r"is a folder|is not a file"):
        write_durably(tmp_path / name, "x", "record")
    assert not Path("/dev/null").is_file()


def test_the_rights_of_a_file_stay(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        file = tmp_path / "a.json"
        write_durably(file, "x", "record")
        assert file.stat().st_mode & 0o777 == 0o640
        file.chmod(0o600)
        write_durably(file, "y", "record")
        assert file.stat().st_mode & 0o777 == 0o600
    finally:
        os.umask(before)

"""Display never stops a run: what is printed may get lost, what is recorded may not."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hil.cli import COMMANDS, main
from hil.store.runfile import RunFile

HIL = [sys.executable, "-m", "hil"]
RUN = [*HIL, "run", "--digits", "0:6", "--physical", "conv1:0", "--out", "r.sqlite"]


def digits(path: Path) -> int:
    with RunFile.open(path) as run:
        return len(run.results())


def test_a_full_output_is_told_and_everything_is_recorded(tmp_path: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(RUN, cwd=tmp_path, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    assert "standard output: No space left on device" in done.stderr
    assert "Traceback" not in done.stderr
    assert digits(tmp_path / "r.sqlite") == 6


def test_a_reader_that_goes_away_ends_nothing(tmp_path: Path) -> None:
    with subprocess.Popen(RUN, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        said = process.stderr.read().decode()
        assert process.wait(60) == 0
    assert "Traceback" not in said
    assert "BrokenPipe" not in said
    assert digits(tmp_path / "r.sqlite") == 6


def test_a_closed_error_output_ends_nothing(tmp_path: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(RUN, cwd=tmp_path, stdout=subprocess.PIPE, stderr=full, text=True, check=False)
    assert done.returncode == 0
    assert done.stdout.count("digit ") == 6
    assert digits(tmp_path / "r.sqlite") == 6


def test_outputs_that_are_closed_from_the_start_end_nothing(tmp_path: Path) -> None:
    """Nor does a file that is opened get their descriptors, and with them what is printed."""
    shell = f'exec {shlex.join(RUN)} "$@" <&- >&- 2>&-'
    assert subprocess.run(["sh", "-c", shell], cwd=tmp_path, check=False).returncode == 0
    assert digits(tmp_path / "r.sqlite") == 6
    with RunFile.open(tmp_path / "r.sqlite") as run:
        run.check()


def test_a_closed_output_is_noted_and_ends_nothing(tmp_path: Path) -> None:
    shell = f'exec {shlex.join([*HIL, "--version"])} "$@" >&-'
    done = subprocess.run(["sh", "-c", shell], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (
        0,
        "hil: standard output is closed; nothing of what was printed is seen\n",
    )


TEXTS = [["--version"], ["--help"], ["--print-completion", "zsh"], *([name, "--help"] for name in COMMANDS)]


@pytest.mark.parametrize("argv", TEXTS, ids=" ".join)
def test_a_text_that_does_not_get_out_is_told(
    argv: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Argparse prints help and ends by itself: into a full device that is no success either."""
    with Path("/dev/full").open("w") as full, monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", full)
        try:
            code = main(argv)
        except SystemExit as ending:
            code = int(ending.code or 0)
    assert (code, capsys.readouterr().err) == (
        1,
        "hil: standard output: No space left on device; what was printed is not complete\n",
    )


FEW = ["--physical", "conv1:0", "--full-scale", "conv1=4"]
MEASURING = {
    "evaluate": (["evaluate", "--digits", "2", *FEW, "--out", "made.sqlite"], "made.sqlite"),
    "calibrate": (["calibrate", "transfer", "--full-scale", "4", "--out", "made.json"], "made.json"),
    "budget": (["budget", "--digits", "2", "--captured", "0", *FEW, "--weaker", "0.1", "--figure", "b.png"], "b.png"),
    "plan": (["plan", "--digits", "0:2"], ""),
    "replay": (["replay", "shot.sqlite"], ""),
    "export": (["export", "shot.sqlite", "--to", "vcd", "--out", "made.vcd"], "made.vcd"),
    "decode": (["decode", "shot.sr", "--axon", "axon"], ""),
    "report": (["report", "shot.sqlite", "--out", "made.html"], "made.html"),
    "runs": (["runs", "shot.sqlite"], ""),
    "doctor": (["doctor"], ""),
}


@pytest.mark.parametrize("name", MEASURING)
def test_no_command_is_ended_by_what_it_prints(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Into a full device: what was measured is there, and one line says why what was printed is not."""
    if any(word.startswith("shot") for word in MEASURING[name][0]):
        assert main(["run", "--digits", "0:1", *FEW, "--traces", "--out", "shot.sqlite"]) == 0
        assert main(["export", "shot.sqlite", "--to", "sr", "--traces", "--out", "shot.sr"]) == 0
        capsys.readouterr()
    argv, made = MEASURING[name]
    with Path("/dev/full").open("w") as full, monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", full)
        code = main(argv)
    err = capsys.readouterr().err
    assert (code, err.splitlines()[-1]) == (
        1,
        "hil: standard output: No space left on device; what was printed is not complete",
    )
    assert not made or Path(made).stat().st_size > 100


def test_what_a_terminal_cannot_encode_is_replaced(tmp_path: Path) -> None:
    where = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(RUN, cwd=tmp_path, env=where, capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert done.stdout.count("digit ") == 6
    assert "?" in done.stdout  # for the tick


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda n: n.name)
@pytest.mark.parametrize("how", ["run", "evaluate"])
def test_every_signal_ends_alike(tmp_path: Path, number: signal.Signals, how: str) -> None:
    """Shot in hand, safe, recorded, resumable, said."""
    what = ["--digits", "0:3000", "--physical", "conv1:0", "--out", "r.sqlite"]
    with subprocess.Popen([*HIL, how, *what], cwd=tmp_path, stderr=subprocess.PIPE, text=True) as process:
        while not (tmp_path / "r.sqlite-wal").exists() or (tmp_path / "r.sqlite-wal").stat().st_size < 100_000:
            assert process.poll() is None
        process.send_signal(number)
        assert process.stderr is not None
        said = process.stderr.read()
        assert process.wait(60) == 130
    assert "go on: hil resume r.sqlite" in said
    assert "Traceback" not in said
    with RunFile.open(tmp_path / "r.sqlite") as run:
        assert run.count_events("stopped") == 1
        assert 0 < len(run.results()) < 3000


@pytest.mark.parametrize("workers", ["1", "2"])
def test_an_evaluation_that_is_stopped_says_what_it_knows(tmp_path: Path, workers: str) -> None:
    """Signalled as a terminal does: the whole group, workers included."""
    command = [*HIL, "evaluate", "--physical", "none", "--noise", "0,20,40,60,80", "--workers", workers]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
        assert process.stderr is not None
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(4)
        os.killpg(process.pid, signal.SIGTERM)
        said = process.stderr.read()
        assert process.wait(60) == 130
    assert "Traceback" not in said
    assert "nothing recorded; with --out FILE" in said

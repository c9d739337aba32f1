"""Small things that cost a newcomer an hour."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hil.cli import main
from hil.terminal.install import install_extra


@pytest.mark.parametrize(
    "command",
    [
        ["run", "--digits", "0:1", "--physical", "conv1:0"],
        ["evaluate", "--digits", "1", "--physical", "conv1:0", "--jobs", "1"],
        ["calibrate", "transfer", "--full-scale", "2"],
    ],
)
def test_what_plays_names_its_bench_first(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(command) == 0
    assert capsys.readouterr().err.splitlines()[0] == "on bench 'mock' (simulated), device 'nominal'"


def test_latest_is_the_run_begun_last(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["report", "latest"])
    assert ended.value.code == 2
    assert "there is no run in" in capsys.readouterr().err
    for digits in ("0:1", "1:3"):
        out = f"runs/2026{digits[0]}.sqlite"
        assert main(["run", "--digits", digits, "--physical", "conv1:0", "--out", out]) == 0
    capsys.readouterr()
    assert main(["replay", "latest"]) == 0
    assert "2 digits" in capsys.readouterr().out
    assert main(["report", "latest"]) == 0
    assert Path("runs/20261.html").exists()


def test_runs_can_be_read_at_80_columns(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert main(["run", "--digits", "0:2", "--physical", "conv1:0", "--out", "runs/a-rather-long-name.sqlite"]) == 0
    capsys.readouterr()
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("FORCE_COLOR", "1")  # as a terminal
    monkeypatch.setenv("TERM", "xterm")
    assert main(["runs"]) == 0
    lines = re.sub(r"\x1b\[[\d;]*m", "", capsys.readouterr().out).splitlines()
    assert all(len(line) <= 80 for line in lines)
    assert lines[0].strip() == "a-rather-long-name.sqlite"
    assert "2/2 digits; 100.0%" in " ".join(" ".join(lines[1:]).split())


def test_faults_are_listed_where_they_are_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["mock", "--help"])
    said = "".join(capsys.readouterr().out.split())
    assert "inverted_comparator" in said
    assert "doubled_clock" in said


def test_advice_names_an_install_that_exists() -> None:
    root = re.search(r"-e '?([^'\[]+)\[flash\]", install_extra("flash"))
    assert root is not None
    assert (Path(root[1]) / "pyproject.toml").is_file()
    assert "flash = [" in (Path(root[1]) / "pyproject.toml").read_text()

"""Small things that cost a newcomer an hour."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from drivers.errors import RunFileError
from hil.cli import main
from hil.store.frozen import begun_at
from hil.store.runfile import RunFile
from hil.terminal.install import install_extra


@pytest.mark.parametrize(
    "command",
    [
        ["run", "--digits", "0:1", "--physical", "conv1:0"],
        ["evaluate", "--digits", "1", "--physical", "conv1:0", "--workers", "1"],
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


def test_runs_that_begin_within_a_second_are_told_apart(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hil.run.session._new_path", lambda _config: Path("runs/20261126-120000-run-nominal.sqlite"))
    for digits in range(1, 4):
        assert main(["run", "--digits", f"0:{digits}", "--physical", "conv1:0"]) == 0
    capsys.readouterr()
    assert main(["replay", "latest"]) == 0
    assert "3 digits" in capsys.readouterr().out, "the last is -3, which sorts before the first of that name"


def test_a_run_that_does_not_say_when_it_was_begun_is_named() -> None:
    for begun in ("yesterday", "2026-11-26T12:00:00"):
        path = Path(f"{begun}.sqlite")
        with (
            RunFile.create(path, {"begun": begun}) as run,
            pytest.raises(RunFileError, match=rf"{re.escape(str(path))}: begun is .*(no time|without its zone)"),
        ):
            begun_at(run)


def test_latest_is_taken_wherever_a_run_is(capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("calibrate", "characterize"):
        with pytest.raises(SystemExit):
            main([command, "--replay", "latest"])
        assert f"was recorded by `hil {command}`" in capsys.readouterr().err
    Path("calibrations").mkdir()
    Path("calibrations/other.sqlite").write_text("no run")
    for name, scale in (("z-first", "2"), ("a-last", "3")):
        assert main(["calibrate", "transfer", "--full-scale", scale, "--out", f"calibrations/{name}.json"]) == 0
    capsys.readouterr()
    assert main(["calibrate", "--replay", "latest", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["run_file"] == "calibrations/a-last.sqlite"
    assert main(["run", "--digits", "0:1", "--physical", "conv1:0", "--out", "runs/2026.sqlite"]) == 0
    assert main(["runs", "--pack", "latest"]) == 0
    assert "runs/2026.sqlite is one file" in capsys.readouterr().out
    assert main(["runs", "latest", "--json"]) == 0
    assert [run["file"] for run in json.loads(capsys.readouterr().out)["runs"]] == ["runs/2026.sqlite"]


def test_a_long_transfer_curve_says_how_long_it_is(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # as a terminal
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr("hil.commands.measuring.LONG", 600_000)
    which = ["--digits", "0:1", "--physical", "fc2:0", "--full-scale", "fc2=64"]
    assert main(["run", *which]) == 0
    said = re.sub(r"\x1b\[[\d;?]*\w", "", capsys.readouterr().err)
    assert "first the transfer curve: 646,830 pulses, simulated one by one" in said
    assert re.search(r"transfer curve, 646,830 pulses \W+ 100% 0:00:00", said), said[-2000:]


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

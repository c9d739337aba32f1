"""Every kind of run file says what it is, and every command treats it as that."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from calibration.record import load_record
from drivers.errors import RunFileError
from hil.cli import main
from hil.store.frozen import kind_of, settings_of, software
from hil.store.runfile import RunFile

BEFORE = Path(__file__).parents[2] / "fixtures" / "before"


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A calibration's run file, under a name with a space."""
    file = tmp_path_factory.mktemp("my sweeps") / "c.json"
    assert main(["calibrate", "transfer", "--full-scale", "4", "--out", str(file), "--json"]) == 0
    return file.with_suffix(".sqlite")


def listed(capsys: pytest.CaptureFixture[str], *where: str) -> dict[str, dict[str, object]]:
    capsys.readouterr()
    assert main(["runs", *where, "--json"]) == 0
    return {Path(row["file"]).name: row for row in json.loads(capsys.readouterr().out)["runs"]}


def test_runs_lists_every_kind_with_its_state(sweep: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--digits", "0:1", "--physical", "conv1:0-0", "--out", "r.sqlite"]) == 0
    assert main(["evaluate", "--digits", "2", "--physical", "none", "--out", "e.sqlite"]) == 0
    found = listed(
        capsys, "r.sqlite", "e.sqlite", str(sweep), str(BEFORE / "cal.sqlite"), str(BEFORE / "traced.sqlite")
    )
    assert [(row["kind"], row["state"]) for row in found.values()] == [
        ("run", "complete"),
        ("evaluate", "complete"),
        ("calibrate", "complete"),
        ("calibrate", "not known"),
        ("run", "complete"),
    ]
    assert found["c.sqlite"]["what"] == "transfer"
    assert not any(row["trouble"] for row in found.values())
    assert main(["runs", str(sweep)]) == 0
    assert "calibration" in capsys.readouterr().out


@pytest.mark.parametrize("argv", [["report"], ["export", "--to", "csv"], ["export", "--to", "hdf5"]])
def test_what_is_for_runs_names_what_is_for_a_calibration(
    sweep: Path, argv: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*argv, str(sweep)]) == 2
    error = capsys.readouterr().err
    assert "holds no run or evaluation: it is a recorded calibration; `hil replay '" in error
    assert "damaged" not in error
    assert not list(sweep.parent.glob("*.html"))


def test_replay_and_resume_of_a_calibration(sweep: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record = load_record(sweep.with_suffix(".json"))
    assert main(["replay", str(sweep), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["transfer"] == record.results["transfer"]
    assert main(["replay", str(sweep), "--set", "spikes.threshold_v=1"]) == 2
    assert "--set is for runs; " in capsys.readouterr().err
    assert main(["resume", str(sweep), "--anyway"]) == 2
    assert "--anyway is for runs; " in capsys.readouterr().err
    half = tmp_path / "half.sqlite"
    half.write_bytes(sweep.read_bytes())
    with closing(sqlite3.connect(half)) as db, db:  # as if it had been killed in its first shot
        db.execute("DELETE FROM shots")
        db.execute("DELETE FROM events WHERE kind = 'complete'")
    assert listed(capsys, str(half))["half.sqlite"]["state"] == "interrupted"
    assert main(["replay", str(half)]) == 1
    assert f"complete it: hil resume {half}" in capsys.readouterr().err
    assert main(["resume", str(half), "--json"]) == 0
    assert load_record(tmp_path / "half.json").curves == record.curves
    assert listed(capsys, str(half))["half.sqlite"]["state"] == "complete"


def test_a_calibration_of_the_version_before_goes_on_and_is_evaluated(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "cal.sqlite"
    path.write_bytes((BEFORE / "cal.sqlite").read_bytes())
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("DELETE FROM shots")
    assert main(["resume", str(path), "--json"]) == 0
    assert load_record(tmp_path / "cal.json").curves == load_record(BEFORE / "cal.json").curves


def test_a_calibration_on_other_parts_does_not_go_on(
    sweep: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "c.sqlite"
    path.write_bytes(sweep.read_bytes())
    monkeypatch.setattr("drivers.mock.bench.MockBench.identity", {"bench": "another"})
    assert main(["resume", str(path)]) == 2
    error = capsys.readouterr().err
    assert f"calibration {path} cannot go on as it began: part.bench: mock → another" in error
    assert "--anyway" not in error


def test_a_file_that_does_not_say_what_it_is(tmp_path: Path) -> None:
    silent: list[dict[str, object]] = [
        {},
        {"kind": "fly"},
        {"config": 3},
        {"config": "{"},
        {"config": '{"command": 1}'},
    ]
    for n, facts in enumerate(silent):
        with RunFile.create(tmp_path / f"{n}.sqlite", facts) as run, pytest.raises(RunFileError, match="damaged"):
            kind_of(run)


def test_settings_of_another_version_are_said_in_one_line(tmp_path: Path) -> None:
    from hil.run.config import RunConfig

    facts = {"kind": "run", "config": json.dumps({"command": "run", "wings": 2})}
    with RunFile.create(tmp_path / "r.sqlite", facts) as run, pytest.raises(RunFileError) as caught:
        settings_of(run, RunConfig, "run")
    assert "its settings are of another version" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_recorded_is_named() -> None:
    assert set(software()) == {"hil", "commit", "python", "numpy", "sqlite", "machine"}

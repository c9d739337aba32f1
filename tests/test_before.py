"""What the version before this one wrote still opens, resumes and replays: fixtures/before was made by it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from calibration.record import load_record
from calibration.transfer import TransferCurve
from drivers.benchfile import load_bench
from hil.cli import main
from hil.store.runfile import RunFile

BEFORE = Path(__file__).parent / "fixtures" / "before"


@pytest.fixture(autouse=True)
def _copies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for file in BEFORE.iterdir():
        shutil.copy(file, tmp_path)
    monkeypatch.chdir(tmp_path)


def test_an_interrupted_run_goes_on_and_keeps_what_it_has(capsys: pytest.CaptureFixture[str]) -> None:
    with RunFile.open(Path("halfway.sqlite")) as run_file:
        had = run_file.results()
    assert len(had) == 14
    assert main(["resume", "halfway.sqlite", "--json"]) == 0
    digits = json.loads(capsys.readouterr().out)["digits"]
    assert [digit["index"] for digit in digits] == [*range(40)]
    with RunFile.open(Path("halfway.sqlite")) as run_file:
        assert run_file.results()[:14] == had


def test_a_run_with_traces_replays_identically(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", "traced.sqlite", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["identical"], found["digits"], found["decoded_shots"]) == (True, 2, 2)


def test_a_recorded_calibration_evaluates_to_the_same_record(capsys: pytest.CaptureFixture[str]) -> None:
    before = load_record(Path("cal.json"))
    curve = before.curve("adaptive@100000Hz", 0.7, 16)
    assert main(["calibrate", "--replay", "cal.sqlite", "--out", "again.json", "--json"]) == 0
    capsys.readouterr()
    after = load_record(Path("again.json"))
    assert TransferCurve.from_dict(after.curves[0]).to_dict() == curve.to_dict()


def test_a_bench_file_means_the_same_bench() -> None:
    assert load_bench("bench.toml") == load_bench("mock")

"""Drift during a run: told, ended by, or answered with another calibration that is recorded like everything else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from calibration.record import load_record
from drivers.device import load_device
from hil.cli import main
from hil.runfile import RunFile
from tests.hil.test_resume import call, stop_after

CHANGE = 0.88  # of the step: some 13 % more pulses to fire, noticed at once, and no reason to refuse the frame
SETTINGS = ("--digits", "0:10", "--physical", "conv1:0-3", "--device", "drifting.toml", "--calibration", "before.json")


@pytest.fixture
def drifting(capsys: pytest.CaptureFixture[str]) -> None:
    """In the working folder: a device file of a neuron that changes at about the third digit, calibrated before."""
    write_device()
    assert main(["calibrate", "transfer", "--device", "drifting.toml", "--out", "before.json", "--json"]) == 0
    write_device(change_at_pulses=30_000, change_factor=CHANGE)
    capsys.readouterr()


def write_device(**changes: float) -> None:
    lines = ['id = "drifting"', f"endurance_pulses = {10**12}", f"endurance_resets = {10**12}", "[model]"]
    model = {**(load_device("nominal").model or {}), **changes}
    Path("drifting.toml").write_text("\n".join([*lines, *(f"{name} = {value}" for name, value in model.items())]))


def numbers(answer: dict[str, Any]) -> list[int]:
    return [digit["recalibrations"] for digit in answer["digits"]]


@pytest.mark.usefixtures("drifting")
def test_by_default_drift_is_told_and_the_run_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", *SETTINGS, "--json", "--out", "run.sqlite"]) == 0
    out, err = capsys.readouterr()
    assert "the neuron has drifted" in err
    assert "fewer spikes than calibrated" in err
    assert numbers(json.loads(out)) == [0] * 10


@pytest.mark.usefixtures("drifting")
def test_drift_can_end_the_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", *SETTINGS, "--drift", "stop", "--out", "run.sqlite"]) == 1
    assert "run hil calibrate transfer, then begin anew" in capsys.readouterr().err


@pytest.mark.usefixtures("drifting")
def test_drift_can_be_answered_with_another_calibration(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", *SETTINGS, "--drift", "recalibrate", "--json", "--out", "run.sqlite"]) == 0
    out, err = capsys.readouterr()
    answer = json.loads(out)
    assert numbers(answer) == sorted(numbers(answer))
    assert numbers(answer)[0] == 0
    assert numbers(answer)[-1] == 1
    record = load_record(Path("run-recalibrated-1.json"))
    assert f"calibrated again: {record.id}" in err
    assert record.device == "drifting"
    with RunFile.open(Path("run.sqlite")) as run:
        assert [kind for _, kind, _ in run.events()] == ["begun", "drift", "recalibrated", "complete"]
        before = np.interp(20, *curve_of(json.loads(run.fact("config"))["curve"]))
    after = np.interp(20, *curve_of(record.curves[0]))
    assert after < 0.95 * before
    assert main(["replay", "run.sqlite"]) == 0
    assert main(["replay", "run.sqlite", "--digits", "7:8"]) == 0
    assert "identical" in capsys.readouterr().out


@pytest.mark.usefixtures("drifting")
@pytest.mark.parametrize("shots", [4, 12, 16, 24])
def test_a_run_stopped_around_its_recalibration_goes_on(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, shots: int
) -> None:
    """Before drift, between drift and calibration, in its middle, after it."""
    with monkeypatch.context() as patch:
        stop_after(shots, patch)
        assert main(["run", *SETTINGS, "--drift", "recalibrate", "--out", "run.sqlite"]) == 130
    capsys.readouterr()
    answer = call(capsys, "resume", "run.sqlite")
    assert len(answer["digits"]) == 10
    assert numbers(answer)[-1] == 1
    with RunFile.open(Path("run.sqlite")) as run:
        assert run.count_events("recalibrated") == 1
    assert main(["replay", "run.sqlite"]) == 0


def curve_of(data: dict[str, Any]) -> tuple[list[int], list[float]]:
    means = [float(np.average(np.arange(len(row)), weights=row)) for row in data["histogram"]]
    return data["pulses"], means

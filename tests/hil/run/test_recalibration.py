"""Drift during a run: told, ended by, or answered with another calibration that is recorded like everything else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from calibration.record import load_record
from drivers.benchfile import BenchFile, load_bench
from drivers.device import load_device
from drivers.errors import CalibrationError
from drivers.mock.bench import MockBench
from drivers.wear.passport import load_passport
from hil.cli import main
from hil.network.weights import load_weights
from hil.report.page import gather
from hil.run.config import RunConfig
from hil.run.session import curve_at, go_on
from hil.store.runfile import RunFile
from tests.hil.run.test_resume import call, stop_after

CHANGE = 0.88  # of the step: some 13 % more pulses to fire, noticed at once, and no reason to refuse the frame
SETTINGS = ("--digits", "0:11", "--physical", "conv1:0-3", "--device", "drifting.toml", "--calibration", "before.json")


@pytest.fixture
def drifting(capsys: pytest.CaptureFixture[str]) -> None:
    """In the working folder: a device file of a neuron that changes in the first digit, calibrated before."""
    write_device()
    assert main(["calibrate", "transfer", "--device", "drifting.toml", "--out", "before.json", "--json"]) == 0
    write_device(change_at_pulses=10_000, change_factor=CHANGE)
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
    assert numbers(json.loads(out)) == [0] * 11


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
    with RunFile.open(Path("run.sqlite")) as run:
        number = curve_at(run)
        after = run.facts["recalibration/1"]["after_shot"]
        purposes = run.query("SELECT id, purpose FROM shots ORDER BY id")
        judged = {shot: number(shot, purpose) for shot, purpose in purposes}
        firing = gather(run, load_weights(), "run")["statistics"]["firing"]
    sweeps = {shot for shot, purpose in purposes if purpose == "recalibrate/1"}
    assert sweeps
    assert {shot for shot, curve in judged.items() if curve == 1} == sweeps | {s for s in judged if s > after}
    assert {point["curve"] for point in firing["points"]} == {0, 1}
    assert len(firing["curves"]) == 2
    agree = [point["agrees"] for point in firing["points"] if point["curve"] == 1]
    assert np.mean(agree) > 0.85  # by the first curve, of a neuron that needed 13 % fewer pulses, hardly any would


@pytest.mark.usefixtures("drifting")
@pytest.mark.parametrize("shots", [2, 4, 7, 10, 12, 14, 16, 19, 22, 24])
def test_a_run_stopped_around_its_recalibration_goes_on_as_it_would_have(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, shots: int
) -> None:
    """Before drift, between drift and calibration, in its middle, after it."""
    whole = call(capsys, "run", *SETTINGS, "--drift", "recalibrate", "--out", "whole.sqlite")
    with monkeypatch.context() as patch:
        stop_after(shots, patch)
        assert main(["run", *SETTINGS, "--drift", "recalibrate", "--out", "run.sqlite"]) == 130
    capsys.readouterr()
    answer = call(capsys, "resume", "run.sqlite")
    assert answer["digits"] == whole["digits"]
    assert numbers(answer)[-1] == 1
    with RunFile.open(Path("run.sqlite")) as run:
        assert run.count_events("recalibrated") == 1
    assert main(["replay", "run.sqlite"]) == 0


def curve_of(data: dict[str, Any]) -> tuple[list[int], list[float]]:
    means = [float(np.average(np.arange(len(row)), weights=row)) for row in data["histogram"]]
    return data["pulses"], means


@pytest.mark.usefixtures("drifting")
def test_a_run_that_stopped_for_drift_is_not_gone_on_with(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", *SETTINGS, "--drift", "stop", "--out", "run.sqlite"]) == 1
    assert "hil resume" not in capsys.readouterr().err
    assert main(["resume", "run.sqlite"]) == 2
    assert "the neuron has drifted from its calibration" in capsys.readouterr().err


@pytest.mark.usefixtures("drifting")
@pytest.mark.parametrize("policy", ["warn", "stop", "recalibrate"])
def test_the_calibration_that_was_left_is_marked_whatever_the_policy(
    policy: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """On a bench that counts into a passport, as real ones are."""
    file, device = load_bench("mock"), load_device("drifting.toml")
    config = RunConfig(
        command="run",
        digits="0:8",
        physical="conv1:0-3",
        vth_v=0.7,
        timing=file.slot,
        bench=BenchFile.model_validate(
            {
                **file.model_dump(exclude={"kind"}),
                "kind": "pi",
                "pulse_source": "pico",
                "axon_reader": "pico",
                "wiring": {"dendrite": 2, "reset": 3, "sync": 4, "select": [5, 6, 7, 8]},
                "pico": {},
                "threshold": {"source": "pico"},
            }
        ),
        device=device,
        weights_digest=load_weights().digest,
        curve=load_record(Path("before.json")).curves[0],
        calibration_id="before",
        drift=policy,
    )
    monkeypatch.setenv("HIL_PASSPORTS", str(tmp_path))
    facts = {"config": config.model_dump_json(), "identity": {}, "odometer": 0, "tick_s": file.tick_s, "sources": {}}
    with RunFile.create(Path("run.sqlite"), facts) as run, MockBench(file, device) as bench:
        bench.set_threshold(0.7)
        try:
            list(go_on(run, config, load_weights(), bench))
        except CalibrationError:
            assert policy == "stop"
    assert load_passport("drifting", tmp_path).drifted == ("before",)


@pytest.mark.usefixtures("drifting")
@pytest.mark.parametrize("physical", ["conv1:0-3", "conv1:0-1,conv2:0-1"])
@pytest.mark.parametrize("shots", [9, 11, 13, 17])
def test_stopped_and_whole_runs_decode_alike_before_the_calibration(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, physical: str, shots: int
) -> None:
    """A digit that has a shot in the file keeps the curve it was played for."""
    scale = ["--full-scale", "conv2=32"] if "conv2" in physical else []
    settings = [*SETTINGS, "--physical", physical, *scale, "--drift", "recalibrate"]
    with monkeypatch.context() as patch:
        stop_after(shots, patch)
        assert main(["run", *settings, "--out", "run.sqlite"]) == 130
    with RunFile.open(Path("run.sqlite")) as run:
        played = set(run.first_shots("run"))
    capsys.readouterr()
    answer = call(capsys, "resume", "run.sqlite")
    assert len(answer["digits"]) == 11
    with RunFile.open(Path("run.sqlite")) as run:
        after = run.facts["recalibration/1"]["after_shot"]
        first = run.first_shots("run")
    for digit in answer["digits"]:
        assert digit["recalibrations"] == (first[0, digit["index"]] > after), digit
    assert played <= set(first)
    assert main(["replay", "run.sqlite"]) == 0

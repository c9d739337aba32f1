"""`hil calibrate`, `hil device` and a run with the record that comes of it, as their user calls them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from calibration.record import load_record
from hil.cli import main


def test_threshold_finds_the_window_and_the_gain(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "t.json"
    assert main(["calibrate", "threshold", "--out", str(file), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["pulses_spent"] < 20_000
    lo, hi = found["window_v"]
    assert lo < found["vth_v"] < hi
    assert found["gain"]["interval"][0] < 4.0 < found["gain"]["interval"][1]
    assert load_record(file).id == found["calibration_id"]
    assert (tmp_path / "t.png").read_bytes().startswith(b"\x89PNG")


def test_a_run_takes_the_transfer_curve_of_a_record(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "c.json"
    assert main(["calibrate", "transfer", "--out", str(file), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert main(["run", "--digits", "0:1", "--calibration", str(file), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["accuracy"] == 1.0
    assert main(["run", "--digits", "0:1", "--calibration", str(file), "--vth", "0.8"]) == 1
    assert f"calibration {found['calibration_id']} has no transfer curve" in capsys.readouterr().err
    assert main(["run", "--digits", "0:1", "--calibration", str(file), "--device", "ideal"]) == 1
    assert "is of device 'nominal', not 'ideal'" in capsys.readouterr().err


def test_a_bench_that_is_not_the_mock_is_refused_without_a_calibration(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bench = tmp_path / "bench.toml"
    bench.write_text(
        'name = "b"\nkind = "pi"\npulse_source = "pigpio"\naxon_reader = "scope"\n'
        "[wiring]\ndendrite = 17\nreset = 27\nsync = 22\n"
        '[scope]\nresource = "TCPIP0::127.0.0.1,9::inst0::INSTR"\n[threshold]\nsource = "manual"\n'
    )
    assert main(["run", "--digits", "0:1", "--bench", str(bench)]) == 1
    assert "bench 'b' has no calibration: run hil calibrate transfer" in capsys.readouterr().err


def test_a_device_without_passport_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["device", "nobody"]) == 2
    assert "device 'nobody' has no passport" in capsys.readouterr().err

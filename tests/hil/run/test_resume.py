"""`hil run` and `hil resume`: stopped, killed, changed under way."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any

import pytest

from drivers.mock.bench import MockBench
from hil.cli import main
from hil.store.runfile import RunFile
from hil.terminal.interrupt import StopRequest
from tests.hil.rig import rows

ROOT = Path(__file__).parents[3]
FEW = ("--physical", "conv1:0-3")  # four kernels: a shot a digit


def call(capsys: pytest.CaptureFixture[str], *argv: str | Path) -> dict[str, Any]:
    assert main([*map(str, argv), "--json"]) == 0
    result: dict[str, Any] = json.loads(capsys.readouterr().out)
    return result


def stop_after(shots: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """As if somebody pressed Ctrl-C while that shot played."""
    played = 0

    def asked(self: StopRequest) -> bool:
        nonlocal played
        played += 1
        return played >= shots

    monkeypatch.setattr(StopRequest, "__call__", asked)


@pytest.mark.parametrize(
    "what",
    [
        ("--physical", "conv1:0-3"),
        ("--physical", "conv1:0-1,conv2:0-1"),
        ("--physical", "conv1:0-1,conv2:0-1", "--play", "pooled"),
        ("--physical", "conv1:0-1,fc2", "--full-scale", "fc2=99", "--weights", "differential"),
        ("--physical", "conv1:0-3", "--helpings", "4,12", "--sure", "1"),
        ("--physical", "none"),
    ],
)
def test_a_stopped_run_resumes_to_the_same_result(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    what: tuple[str, ...],
    differential_file: Path,
) -> None:
    what = tuple(str(differential_file) if word == "differential" else word for word in what)
    settings = ("--digits", "3:8", *what, "--noise", "20")
    whole = call(capsys, "run", *settings, "--out", "whole.sqlite")
    with monkeypatch.context() as patch:
        stop_after(3, patch)
        assert main(["run", *settings, "--out", "part.sqlite"]) == 130
    err = capsys.readouterr().err
    assert "digits are done and safe; go on: hil resume part.sqlite" in err
    with RunFile.open(Path("part.sqlite")) as run:
        assert 1 <= len(run.results()) < 5
        assert [kind for _, kind, _ in run.events()] == ["begun", "stopped"]
    resumed = call(capsys, "resume", "part.sqlite")
    assert resumed["digits"] == whole["digits"]
    assert [d["index"] for d in whole["digits"]] == [3, 4, 5, 6, 7]
    assert resumed["accuracy"] == whole["accuracy"]
    assert Path(resumed["run_file"]).name == "part.sqlite"
    assert rows(Path("part.sqlite")) == rows(Path("whole.sqlite"))


def test_a_run_is_recorded_under_runs_by_default(capsys: pytest.CaptureFixture[str]) -> None:
    path = Path(call(capsys, "run", "--digits", "0:1", *FEW)["run_file"])
    assert path.parent == Path("runs")
    again = Path(call(capsys, "run", "--digits", "0:1", *FEW)["run_file"])
    assert again != path
    with RunFile.open(path) as run:
        assert run.fact("software")["numpy"]
        assert run.fact("identity")["kind"] == "mock"
    assert main(["run", "--digits", "0:1", *FEW, "--out", str(path)]) == 1
    assert "exists already; go on with `hil resume" in capsys.readouterr().err


def test_resuming_a_complete_run_plays_nothing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = call(capsys, "run", "--digits", "0:2", *FEW, "--out", "r.sqlite")

    def play(self: MockBench, frames: object) -> None:
        raise AssertionError("something was played")

    monkeypatch.setattr(MockBench, "play", play)
    assert call(capsys, "resume", "r.sqlite")["digits"] == whole["digits"]


def test_a_failing_bench_leaves_a_run_to_go_on_with(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from drivers.errors import EmergencyStopError
    from drivers.signals import Capture, Frame

    whole = call(capsys, "run", "--digits", "0:4", *FEW, "--out", "whole.sqlite")
    real = MockBench._play_shot

    def stopped_at_digit_2(self: MockBench, shot: Frame, fired: Any) -> Capture:
        if shot.key.image == 2:
            raise EmergencyStopError("the emergency stop is pressed: release it, then `hil resume`")
        return real(self, shot, fired)

    with monkeypatch.context() as patch:
        patch.setattr(MockBench, "_play_shot", stopped_at_digit_2)
        assert main(["run", "--digits", "0:4", *FEW, "--out", "r.sqlite"]) == 1
    err = capsys.readouterr().err
    assert "digits are done and safe; go on: hil resume r.sqlite" in err
    assert "hil: the emergency stop is pressed" in err
    assert call(capsys, "resume", "r.sqlite")["digits"] == whole["digits"]


BENCH = """
name = "mine"
kind = "mock"
vth_v = 0.7
[limits]
duty_max = {duty}
"""


def test_a_changed_bench_is_named_and_refused_unless_told_otherwise(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("bench.toml").write_text(BENCH.format(duty=0.4))
    settings = ("--digits", "0:3", *FEW, "--bench", "bench.toml")
    whole = call(capsys, "run", *settings, "--out", "whole.sqlite")
    with monkeypatch.context() as patch:
        stop_after(2, patch)
        assert main(["run", *settings, "--out", "r.sqlite"]) == 130
    Path("bench.toml").write_text(BENCH.format(duty=0.45))
    assert main(["resume", "r.sqlite"]) == 2
    assert "bench.limits.duty_max: 0.4 → 0.45" in capsys.readouterr().err
    Path("bench.toml").unlink()
    assert main(["resume", "r.sqlite"]) == 2
    assert "bench.toml: No such file" in capsys.readouterr().err
    assert call(capsys, "resume", "r.sqlite", "--anyway")["digits"] == whole["digits"]
    with RunFile.open(Path("r.sqlite")) as run:
        changed = [text for _, kind, text in run.events() if kind == "changed"]
        assert any(text.endswith("bench.toml: No such file or directory") for text in changed)


def test_a_part_at_a_new_address_is_no_other_part(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = BENCH.format(duty=0.4) + '[pigpio]\nhost = "{}"\n[scope]\nresource = "TCPIP0::{}::INSTR"\n'
    Path("bench.toml").write_text(text.format("old", "192.0.2.1"))
    settings = ("--digits", "0:3", *FEW, "--bench", "bench.toml")
    whole = call(capsys, "run", *settings, "--out", "whole.sqlite")
    with monkeypatch.context() as patch:
        stop_after(2, patch)
        assert main(["run", *settings, "--out", "r.sqlite"]) == 130
    Path("bench.toml").unlink()
    Path("other.toml").write_text(text.format("new", "192.0.2.9").replace("0.4", "0.45"))
    assert main(["resume", "r.sqlite", "--bench", "other.toml"]) == 2
    said = capsys.readouterr().err
    assert "bench.limits.duty_max: 0.4 → 0.45" in said
    assert "192.0.2" not in said
    Path("other.toml").write_text(text.format("new", "192.0.2.9"))
    assert call(capsys, "resume", "r.sqlite", "--bench", "other.toml")["digits"] == whole["digits"]
    assert main(["resume", "r.sqlite", "--bench", "none.toml"]) == 2
    assert "none.toml" in capsys.readouterr().err


def test_another_device_or_other_weights_are_refused(
    capsys: pytest.CaptureFixture[str], weights_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = 'id = "d7"\nendurance_pulses = 100_000_000\nendurance_resets = {}\n[model]\nr_lrs_ohm = 40e3\n'
    device += "lrs_spread = 0.0\n"
    device += "y_hrs = 1.7\nstep = 1.5\nstep_spread = 0.0\njump_probability = 0.0\nleak_s = inf\nnode_s = 0.5e-6\n"
    device += "i_sense_a = 7e-6\n"
    Path("d7.toml").write_text(device.format(100_000_000))
    Path("w.safetensors").write_bytes(weights_file.read_bytes())
    stop_after(2, monkeypatch)
    argv = ["run", "--digits", "0:3", *FEW, "--device", "d7.toml", "--weights", "w.safetensors", "--out", "r.sqlite"]
    assert main(argv) == 130
    Path("d7.toml").write_text(device.format(1_000).replace("d7", "d8"))
    raw = bytearray(weights_file.read_bytes())
    raw[-3] ^= 1
    Path("w.safetensors").write_bytes(raw)
    assert main(["resume", "r.sqlite"]) == 2
    err = capsys.readouterr().err
    assert "device.id: d7 → d8" in err
    assert "device.endurance_resets: 100000000 → 1000" in err
    assert "weights: " in err


def test_damage_in_one_shot_is_taken_again_on_resume(capsys: pytest.CaptureFixture[str]) -> None:
    whole = call(capsys, "run", "--digits", "0:3", *FEW, "--out", "r.sqlite")
    before = rows(Path("r.sqlite"))
    db = sqlite3.connect("r.sqlite")
    db.execute("UPDATE shots SET spikes = zeroblob(9) WHERE image = 1")
    db.commit()
    db.close()
    assert main(["resume", "r.sqlite", "--json"]) == 0
    captured = capsys.readouterr()
    assert "1 of 3 recorded shots are damaged and are taken again" in captured.err
    assert json.loads(captured.out)["digits"] == whole["digits"]
    assert rows(Path("r.sqlite")) == before


def test_a_run_beyond_the_devices_budget_is_refused_before_a_pulse(capsys: pytest.CaptureFixture[str]) -> None:
    Path("old.toml").write_text('id = "old"\nendurance_pulses = 5000\nendurance_resets = 1_000_000\n')
    assert main(["run", "--digits", "0:1", "--device", "old.toml"]) == 1
    assert " pulses; device 'old' has 5,000 left of its budget of 5,000: play fewer" in capsys.readouterr().err
    assert not Path("runs").exists()


def test_ctrl_c_stops_after_the_shot_in_hand(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "hil.cli", "run", "--digits", "0:500", *FEW, "--out", "r.sqlite"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert process.stdout is not None
    assert "digit     0" in process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "stopping after the shot in hand" in err
    assert "digits are done and safe; go on: hil resume r.sqlite" in err
    assert rows(tmp_path / "r.sqlite")


def test_the_second_ctrl_c_stops_at_once() -> None:
    before = signal.getsignal(signal.SIGINT)  # ignored where the tests run in the background
    with StopRequest() as stopping:
        assert not stopping()
        signal.raise_signal(signal.SIGINT)
        assert stopping()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.slow
def test_twenty_kills_of_hil_run() -> None:
    """Complete runs, killed at random moments and resumed, are bit-identical to one that was not killed."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.soak", "--runs", "2", "--kills", "20", "--digits", "0:6"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "runs complete and bit-identical after" in done.stdout


def test_another_or_expired_calibration_is_refused(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    calibrate = ["calibrate", "transfer", "--full-scale", "12", "--json", "--out", "cal.json"]
    settings = ("--digits", "0:3", *FEW, "--full-scale", "conv1=12", "--calibration", "cal.json")
    assert main(calibrate) == 0
    capsys.readouterr()
    whole = call(capsys, "run", *settings, "--out", "whole.sqlite")
    with monkeypatch.context() as patch:
        stop_after(2, patch)
        assert main(["run", *settings, "--out", "r.sqlite"]) == 130
    capsys.readouterr()
    with monkeypatch.context() as patch:
        patch.setattr("calibration.record.datetime", _Tomorrow)
        assert main(["resume", "r.sqlite"]) == 2
        assert "h old; it holds for 12 h" in capsys.readouterr().err
    assert main([*calibrate, "--seed", "7"]) == 0
    capsys.readouterr()
    assert main(["resume", "r.sqlite"]) == 2
    assert "cal.json: " in capsys.readouterr().err
    assert call(capsys, "resume", "r.sqlite", "--anyway")["digits"] == whole["digits"]


class _Tomorrow(datetime):
    @classmethod
    def now(cls, tz: tzinfo | None = None) -> _Tomorrow:
        return super().now(tz) + timedelta(days=1)

"""`hil run` and `hil evaluate` as their user calls them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from hil.cli import COMMANDS, main


def call(capsys: pytest.CaptureFixture[str], *argv: str) -> dict[str, Any]:
    assert main([*argv, "--json"]) == 0
    result: dict[str, Any] = json.loads(capsys.readouterr().out)
    return result


def test_run_prints_each_digit(capsys: pytest.CaptureFixture[str]) -> None:
    result = call(capsys, "run", "--digits", "0:3")
    assert [d["label"] for d in result["digits"]] == [7, 2, 1]
    assert [d["answer"] for d in result["digits"]] == [7, 2, 1]
    assert result["accuracy"] == 1.0
    assert all(d["pulses"] > d["spikes"] > 0 and d["bench_s"] > 0 for d in result["digits"])
    assert main(["run", "--digits", "0:1"]) == 0
    assert "digit     0: 7  ✓" in capsys.readouterr().out


def test_run_without_the_neuron_is_the_software_network(capsys: pytest.CaptureFixture[str]) -> None:
    result = call(capsys, "run", "--digits", "0:3", "--physical", "none")
    assert [d["pulses"] for d in result["digits"]] == [0, 0, 0]


def test_evaluate_in_one_or_more_processes_is_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    one = call(capsys, "evaluate", "--digits", "60", "--noise", "0,40", "--workers", "1")
    two = call(capsys, "evaluate", "--digits", "60", "--noise", "0,40", "--workers", "2")
    assert one["levels"] == two["levels"]
    clean, noisy = one["levels"]
    assert clean["digits"] == noisy["digits"] == 60
    assert noisy["noise"] == 0.4
    low, high = clean["interval"]
    assert low < clean["accuracy"] <= high
    assert clean["pulses_per_digit"] > noisy["pulses_per_digit"] > 0


def test_seeds_are_beside_software_alone(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    picture = tmp_path / "noise.png"
    how = ["evaluate", "--digits", "240:280", "--noise", "0,85", "--physical", "conv1:0-3"]
    both = call(capsys, *how, "--seed", "4", "--seeds", "2", "--figure", str(picture))
    assert picture.read_bytes().startswith(b"\x89PNG")
    for level, alone in zip(both["levels"], both["software"], strict=True):
        assert [one["seed"] for one in level["seeds"]] == [one["seed"] for one in alone["seeds"]] == [4, 5]
        shares = [one["accuracy"] for one in level["seeds"]]
        assert level["accuracy"] == pytest.approx(sum(shares) / 2)
        assert level["spread"] == pytest.approx(abs(shares[0] - shares[1]) / 2**0.5)
        assert level["digits"] == 80
        low, high = level["interval"]
        assert high - low > 0.05  # of 40 different digits, not of 80
        assert level["pulses_per_digit"] > alone["pulses_per_digit"] == 0
    (clean, noisy), (alone, _) = both["levels"], both["software"]
    assert noisy["accuracy"] < clean["accuracy"]
    assert alone["spread"] == 0  # nothing is zeroed, and nothing drawn
    (single,) = call(capsys, *how[:3], "--noise", "85", *how[5:], "--seed", "5")["levels"]
    assert single["correct"] == noisy["seeds"][1]["correct"]
    assert single["spread"] is None


def test_a_figure_is_drawn(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    call(capsys, "run", "--digits", "7", "--figure", str(tmp_path / "nine.png"))
    assert (tmp_path / "nine.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["run", "--digits", "9999:10002"], "digits '9999:10002' are outside the test set: allowed 0:10000"),
        (["run", "--digits", "a"], "digits 'a': give a:b"),
        (["run", "--vth", "9"], "V_th = 9 V cannot be made on bench 'mock'"),
        (["run", "--mode", "fixed", "--clock", "1000"], "--clock has no effect in mode fixed"),
        (["run", "--window", "0.01"], "--window has no effect in mode adaptive: give --clock"),
        (["evaluate", "--full-scale", "fc2=99"], "fc2 is not on the neuron; add it to --physical"),
        (["calibrate", "transfer", "--mode", "fixed", "--clock", "9"], "--clock has no effect in mode fixed"),
        (["run", "--digits", ""], "digits '': give a:b or one index"),
        (["run", "--physical", "conv9"], "unknown layer 'conv9'"),
        (["run", "--device", "nobody"], "device 'nobody' is neither"),
        (["run", "--bench", "nothing"], "bench 'nothing' is neither"),
        (["run", "--clock", "9e5"], "slot timing: file: pulse_width_s = 2e-06 does not fit"),
        (["run", "--full-scale", "conv7=3"], "--full-scale 'conv7=3'"),
        (["run", "--weights", "none.safetensors"], "weights file none.safetensors: No such file"),
        (["evaluate", "--digits", ""], "--digits '': give how many or a:b"),
        (["evaluate", "--digits", "-5"], "--digits '-5': give how many or a:b"),
        (["evaluate", "--noise", "0,140"], "--noise 140: allowed 0…100"),
        (["evaluate", "--noise", "some"], "--noise 'some'"),
        (["evaluate", "--seeds", "0"], "--seeds 0: allowed 1…100"),
        (["evaluate", "--seeds", "2", "--out", "run.sqlite"], "--seeds 2: a run file holds one seed"),
        (["evaluate", "--workers", "0"], "--workers 0: at least 1"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_2(capsys: pytest.CaptureFixture[str], argv: list[str], message: str) -> None:
    assert main(argv) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert message in captured.err


@pytest.mark.parametrize("command", ["run", "evaluate", "calibrate", "characterize", "mock", "train"])
@pytest.mark.parametrize("seed", ["-1", "1e3", "9" * 20])
def test_a_seed_that_no_generator_takes_is_refused(command: str, seed: str, capsys: pytest.CaptureFixture[str]) -> None:
    more = {"calibrate": ["threshold"], "mock": ["serve"]}.get(command, [])
    with pytest.raises(SystemExit) as stop:
        main([command, *more, "--seed", seed])
    assert stop.value.code == 2
    assert f"argument --seed: '{seed}': allowed 0…" in capsys.readouterr().err


def test_a_frame_beyond_the_limits_is_a_failed_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--clock", "3e5"]) == 1
    assert "pulse rate = 333333 Hz (300000 Hz in steps of 1e-06 s) exceeds the limit" in capsys.readouterr().err


def test_help_lists_every_command_without_importing_any() -> None:
    code = """
import sys
from hil.cli import main
sys.argv = ["hil", "--help"]
try:
    main()
finally:
    assert "numpy" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert all(name in done.stdout for name in COMMANDS)


def test_an_unknown_command_is_wrong_usage() -> None:
    with pytest.raises(SystemExit) as stop:
        main(["dance"])
    assert stop.value.code == 2


def test_a_missing_record_is_refused_by_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "b.toml").write_text('name = "b"\nkind = "mock"\ncalibration = "gone.json"\n')
    assert main(["run", "--bench", str(tmp_path / "b.toml")]) == 2
    assert f"calibration file {tmp_path}/gone.json: No such file" in capsys.readouterr().err
    assert (
        main(["calibrate", "transfer", "--bench", str(tmp_path / "b.toml"), "--out", str(tmp_path / "gone.json")]) == 0
    )
    assert main(["run", "--digits", "0", "--physical", "conv1:0", "--bench", str(tmp_path / "b.toml")]) == 0


def test_a_simulated_bench_has_no_utilisation(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """It takes as long as this machine does, which says nothing of a bench."""
    argv = ["run", "--digits", "0:1", "--physical", "conv1:0"]
    assert main([*argv, "--out", str(tmp_path / "a.sqlite")]) == 0
    assert "s of bench time, simulated" in capsys.readouterr().out
    assert main([*argv, "--json", "--out", str(tmp_path / "b.sqlite")]) == 0
    assert json.loads(capsys.readouterr().out)["utilisation"] is None


def test_weights_that_see_dark_pixels_are_played_above_threshold_unless_asked(
    capsys: pytest.CaptureFixture[str],
) -> None:
    pulses = {}
    for coding in ([], ["--coding", "excess"], ["--coding", "whole"]):
        assert (
            main(["run", "--digits", "0:1", "--physical", "conv1:0-3", "--weights", "on-off", "--json", *coding]) == 0
        )
        pulses[" ".join(coding)] = json.loads(capsys.readouterr().out)["digits"][0]["pulses"]
    assert pulses[""] == pulses["--coding excess"] < pulses["--coding whole"] / 4

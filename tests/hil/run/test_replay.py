"""`hil replay`: the run file as the bench, its traces decoded again."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hil.cli import main
from hil.commands.replay import table
from hil.run.replay import Difference, Replay
from hil.store.packing import pack_codes
from hil.store.rows import SHOT_COLUMNS, digest

SMALL = ("--physical", "conv1:0-3", "--traces", "--full-scale", "conv1=12")  # a short curve to measure first


def call(capsys: pytest.CaptureFixture[str], *argv: str, code: int = 0) -> dict[str, Any]:
    assert main([*argv, "--json"]) == code
    result: dict[str, Any] = json.loads(capsys.readouterr().out)
    return result


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten digits, four kernels on the neuron, with traces."""
    path = tmp_path_factory.mktemp("replay") / "run.sqlite"
    assert main(["run", "--digits", "0:10", *SMALL, "--out", str(path), "--json"]) == 0
    return path


def test_ten_digits_replay_exactly(capsys: pytest.CaptureFixture[str], traced: Path) -> None:
    found = call(capsys, "replay", str(traced))
    assert found["identical"] is True
    assert found["differences"] == []
    assert found["frames"] == found["digits"] == 10
    assert found["decoded_shots"] == 10
    assert found["bench_s"] > 0.5
    assert main(["replay", str(traced)]) == 0
    assert "counts, activations and answers are identical" in capsys.readouterr().out


def test_a_run_of_the_largest_of_each_block_replays_exactly(capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["run", "--digits", "0:2", "--physical", "conv1:0-1,conv2:0-1", "--play", "pooled", "--traces"]
    assert main([*argv, "--full-scale", "conv1=12,conv2=12", "--out", "pooled.sqlite", "--json"]) == 0
    capsys.readouterr()
    found = call(capsys, "replay", "pooled.sqlite")
    assert found["identical"] is True
    assert found["decoded_shots"] == 4


def test_a_run_in_helpings_replays_exactly(capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["run", "--digits", "0:3", "--physical", "conv1:0-3", "--traces", "--helpings", "6,6", "--sure", "1"]
    assert main([*argv, "--out", "helpings.sqlite", "--json"]) == 0
    capsys.readouterr()
    found = call(capsys, "replay", "helpings.sqlite")
    assert found["identical"] is True
    assert found["decoded_shots"] == 6


def test_decoding_otherwise_says_what_changes(capsys: pytest.CaptureFixture[str], traced: Path) -> None:
    """A minimum width of the axon pulse itself loses some spikes; twice that loses all."""
    some = call(capsys, "replay", str(traced), "--set", "spikes.min_width_s=2e-6", "--digits", "2:4")
    assert some["identical"] is False
    assert [d["index"] for d in some["differences"]] == [2, 3]
    for d in some["differences"]:
        assert 0 < d["spikes"][1] < d["spikes"][0]
        assert d["slots"] > 0
        assert d["activations"]["conv1"] > 0
    none = call(capsys, "replay", str(traced), "--set", "spikes.min_width_s=4e-6", "--digits", "2")
    assert none["differences"][0]["spikes"][1] == 0
    assert main(["replay", str(traced), "--set", "spikes.min_width_s=4e-6", "--digits", "2"]) == 0
    assert "1 of 1 digits came out otherwise" in capsys.readouterr().out


def test_a_threshold_that_cannot_be_read_is_reported(
    capsys: pytest.CaptureFixture[str], traced: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Levels that no trace shows are refused before anything is decoded; what only decoding tells, after it."""
    assert main(["replay", str(traced), "--set", "spikes.inverted=true", "--digits", "0", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert "the comparator's polarity is not spikes.inverted = true" in found["differences"][0]["unreadable"][0]
    assert found["differences"][0]["spikes"][1] == 0
    monkeypatch.setattr("hil.run.replay.again", None)
    for change, levels in (("threshold_v=4", "3.7 and 4.3"), ("sync_hysteresis_v=9", "-2.85 and 6.15")):
        assert main(["replay", str(traced), "--set", f"spikes.{change}", "--digits", "0"]) == 2
        assert f"can be read so: trace '{'sync' if 'sync' in change else 'axon'}' shows" in (
            said := capsys.readouterr().err
        )
        assert f"its trigger levels are {levels} V" in said


def test_slots_that_are_trusted_otherwise_are_told() -> None:
    """Nothing else of a digit may have changed: a table of equal numbers would leave the reader alone."""
    same = Difference(0, 7, (40, 40), 0, 31, (3, 3), (0.9, 0.9), {}, ())
    told = table(Replay(digits=2, frames=2, decoded_shots=2, differences=(same,), wall_s=1, decode_s=1, bench_s=1))
    assert "1 of 2 digits came out otherwise" in told
    assert "31 slots are trusted now and were not before, or the other way round" in told


def test_only_the_chosen_layer_is_decoded(capsys: pytest.CaptureFixture[str]) -> None:
    """Other layers keep their recorded counts; a changed first layer would have sent the second something else."""
    argv = ["run", "--digits", "0:1", "--physical", "conv1:0-1,conv2:0-1", "--traces", "--out", "two.sqlite"]
    argv += ["--full-scale", "conv1=12,conv2=12", "--json"]
    assert main(argv) == 0
    capsys.readouterr()
    assert call(capsys, "replay", "two.sqlite")["decoded_shots"] == 2
    last = call(capsys, "replay", "two.sqlite", "--layer", "conv2", "--set", "spikes.min_width_s=4e-6")
    assert last["decoded_shots"] == 1
    assert "conv1" not in last["differences"][0]["activations"]
    assert last["differences"][0]["activations"]["conv2"] > 0
    assert main(["replay", "two.sqlite", "--set", "spikes.min_width_s=4e-6"]) == 1
    assert "a layer that is decoded otherwise changes what later layers are sent" in capsys.readouterr().err


def test_counts_that_do_not_come_from_the_traces_are_found(capsys: pytest.CaptureFixture[str], traced: Path) -> None:
    """One spike wiped out of a stored trace, with a good checksum: the replay must notice."""
    from hil.store.packing import unpack_codes
    from hil.store.rows import SHOT_COLUMNS, TRACE_COLUMNS, digest

    path = Path("forged.sqlite")
    path.write_bytes(traced.read_bytes())
    db = sqlite3.connect(path)
    where = "FROM traces WHERE shot = 3 AND name = 'axon'"
    (row,) = db.execute(f"SELECT {', '.join(TRACE_COLUMNS)} {where}").fetchall()
    codes = unpack_codes(row[-1]).copy()
    first = int(np.flatnonzero(codes > 128)[0])
    codes[first : first + 8] = codes[0]
    forged = (*row[:-1], pack_codes(codes))
    db.execute("UPDATE traces SET codes = ?, digest = ? WHERE shot = 3 AND name = 'axon'", (forged[-1], digest(forged)))
    checks = [r[0] for r in db.execute("SELECT digest FROM traces WHERE shot = 3 ORDER BY name")]
    (shot,) = db.execute(f"SELECT {', '.join(SHOT_COLUMNS)} FROM shots WHERE id = 3").fetchall()
    db.execute("UPDATE shots SET digest = ? WHERE id = 3", (digest(shot, *checks),))
    db.commit()
    db.close()
    found = call(capsys, "replay", str(path), code=1)
    assert found["identical"] is False
    (difference,) = found["differences"]
    assert difference["slots"] == 1
    assert difference["spikes"][0] - difference["spikes"][1] == 1


def test_a_run_without_traces_replays_its_counts(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    call(capsys, "run", "--digits", "0:2", "--physical", "conv1:0-3", "--out", "r.sqlite")
    found = call(capsys, "replay", "r.sqlite")
    assert (found["identical"], found["decoded_shots"], found["digits"]) == (True, 0, 2)
    assert found["cannot"] == [
        "no shot has traces of axon and sync: their counts are taken as recorded, and cannot be decoded again"
    ]
    monkeypatch.setattr("hil.run.replay.again", None)  # refused before anything is replayed
    assert main(["replay", "r.sqlite", "--set", "spikes.threshold_v=1.0"]) == 2
    assert "has no traces: only its counts can be replayed, without --set; record traces with `hil run --traces`" in (
        capsys.readouterr().err
    )


def test_what_cannot_be_done_is_said_before_anything_is_decoded(
    capsys: pytest.CaptureFixture[str], traced: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "partly.sqlite"
    with sqlite3.connect(traced) as whole, sqlite3.connect(path) as copy:
        whole.backup(copy)
        copy.execute("DELETE FROM traces WHERE shot IN (SELECT id FROM shots WHERE image > 7)")
        # A shot's checksum covers its traces.
        for (shot,) in copy.execute("SELECT id FROM shots WHERE image > 7").fetchall():
            row = copy.execute(f"SELECT {', '.join(SHOT_COLUMNS)} FROM shots WHERE id = {shot}").fetchone()
            copy.execute("UPDATE shots SET digest = ? WHERE id = ?", (digest(row), shot))
    assert main(["replay", str(path), "--digits", "6:12"]) == 0
    said = capsys.readouterr()
    assert "2 of the digits asked for are not finished in this run, first digit 10" in said.err
    assert "2 of 4 shots have no traces of axon and sync: their counts are taken as recorded" in said.err
    assert "2 shots decoded from their traces" in said.out

    def never(*_: object) -> None:
        raise AssertionError("something was decoded before all was said")

    monkeypatch.setattr("hil.run.replay.TraceReader.__call__", never)
    for argv, why in (
        (["--digits", "8:10", "--set", "spikes.threshold_v=1.0"], "has no traces: only its counts can be replayed"),
        (["--layer", "fc1"], "--layer fc1: this run played conv1 on the neuron"),
    ):
        assert main(["replay", str(path), *argv]) == 2
        assert why in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--set", "slot.guard_s=1"], "a replay can change how spikes are decoded: spikes.threshold_v, "),
        (["--set", "spikes.threshold_v=high"], "'high' is not a number or true/false"),
        (["--set", "spikes.hysteresis_v=-1"], "hysteresis_v = -1: Input should be greater than 0"),
        (["--set", "spikes.edge_slack_s=inf"], "edge_slack_s = inf: Input should be a finite number"),
        (["--set", "spikes.threshold_v=1", "--set", "spikes.threshold_v=2"], "spikes.threshold_v is set twice"),
        (["--layer", "conv7"], "--layer 'conv7': known layers are conv1, conv2, fc1, fc2"),
        (["--digits", "50:60"], "has no finished digit among those asked for"),
    ],
)
def test_wrong_usage(capsys: pytest.CaptureFixture[str], traced: Path, argv: list[str], message: str) -> None:
    assert main(["replay", str(traced), *argv]) == 2
    assert message in capsys.readouterr().err


def test_replay_needs_no_instrument_library(traced: Path) -> None:
    code = f"""
import sys
from hil.cli import main
assert main(["replay", {str(traced)!r}]) == 0
found = {{"pyvisa", "pyvisa_py", "pigpio", "serial", "gpiozero", "smbus2", "lgpio"}} & set(sys.modules)
found |= {{name for name in sys.modules if name.startswith("drivers.mock")}}
assert not found, found
"""
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)

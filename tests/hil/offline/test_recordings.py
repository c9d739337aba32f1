"""`hil decode` and `hil import`: what others recorded, counted as a bench would have, and kept as a run file."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from drivers.signals import Trace
from hil.cli import main
from hil.store.runfile import RunFile
from tests.drivers.synthetic import Shot, shot_of
from tests.drivers.tracefile.files import write_csv, write_sr

PULSES = [12, 4, 20, 9, 30, 8]
SPIKES = [3, 0, 5, 1, 7, 2]
PLAN = f"pulses = {PULSES}\n"


def spiking(spikes: list[int]) -> Shot:
    made = shot_of(PULSES)
    for slot, count in enumerate(spikes):
        for i in range(count):
            made.spike(slot, 1_500 + i * 9_000)
    return made


def written(path: Path, traces: list[Trace]) -> Path:
    write_sr(path, {"A0": traces[0].volts, "A1": traces[1].volts}, {}, "2.5 MHz")
    return path


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    return written(tmp_path / "shot.sr", spiking(SPIKES).traces(seed=5))


def said(capsys: pytest.CaptureFixture[str], *argv: str, code: int = 0) -> dict[str, Any]:
    assert main([*argv, "--json"]) == code
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_counts_by_the_edges_of_sync_without_any_plan(recording: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (one,) = said(capsys, "decode", str(recording), "--axon", "A0", "--sync", "A1")["recordings"]
    assert [slot["spikes"] for slot in one["slots"]] == SPIKES
    assert all(slot["ok"] for slot in one["slots"])
    assert one["axon"]["pulses"] == sum(SPIKES)
    assert one["axon"]["doubtful"] == 0
    assert one["axon"]["width_s"]["median"] == pytest.approx(2e-6, rel=0.02)
    assert one["axon"]["top_v"] == pytest.approx(3.3, abs=0.05)
    assert one["axon"]["rest_v"] == pytest.approx(0.0, abs=0.05)
    assert one["sync"]["pulses"] == len(PULSES) + 1


def test_with_a_plan_it_counts_as_a_bench(recording: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("plan.toml").write_text(PLAN, encoding="utf-8")
    argv = ["decode", str(recording), "--axon", "A0", "--sync", "A1", "--bench", "mock", "--frame", "plan.toml"]
    (one,) = said(capsys, *argv)["recordings"]
    assert one["planned"]
    assert [slot["pulses"] for slot in one["slots"]] == PULSES
    assert [slot["spikes"] for slot in one["slots"]] == SPIKES
    assert main(argv) == 0
    table = capsys.readouterr().out
    assert re.search(r"^\s+4\s+30\s+7\s+\d", table, re.MULTILINE)
    assert f"{sum(SPIKES)} spikes in 6 slots" in table
    Path("plan.toml").write_text("pulses = [1, 2]\n", encoding="utf-8")
    assert main(argv) == 1
    assert "shot.sr" in capsys.readouterr().err


def test_faint_pulses_are_named_where_they_are_the_only_doubt(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Half a pulse's height in slot 1, which has no spike."""
    made = spiking(SPIKES)
    wires, start = made.wires(), int(made.edges_ns[1]) + made.lead_ns + 15_000
    sound = wires["axon"]
    wires["axon"] = sound.changed(lambda t: np.where((t >= start) & (t < start + 2_000), 1.1, sound.volts(t)))
    argv = [str(written(tmp_path / "faint.sr", made.seen(wires))), "--axon", "A0", "--sync", "A1", "--bench", "mock"]
    (one,) = said(capsys, "decode", *argv, code=1)["recordings"]
    assert one["axon"]["faint"] == 1
    assert one["axon"]["doubtful"] == 0
    assert [slot["ok"] for slot in one["slots"]].count(False) == 1
    assert "1 axon pulses faint, lower than any that counts" in one["notes"]
    assert main(["decode", *argv]) == 1
    assert "noted: 1 axon pulses faint, lower than any that counts" in capsys.readouterr().out
    assert main(["import", *argv, "--out", "faint.run"]) == 0
    assert "faint, lower than any that counts" in capsys.readouterr().out
    found = said(capsys, "import", *argv, "--out", "again.run")
    assert found["bad_slots"] == 1
    assert any("faint, lower than any that counts" in note for note in found["notes"])


def test_the_axon_alone_is_counted_and_drawn(recording: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["decode", str(recording), "--axon", "a0", "--figure", "shot.png"]) == 0
    assert f"axon: {sum(SPIKES)} pulses, 2 µs wide; 0 doubtful" in capsys.readouterr().out
    assert Path("shot.png").read_bytes().startswith(b"\x89PNG")


def test_an_active_low_axon_is_found_by_itself(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    axon, sync = spiking(SPIKES).traces(seed=5)
    write_sr(tmp_path / "low.sr", {"A0": 3.3 - axon.volts, "A1": sync.volts}, {}, "2.5 MHz")
    (one,) = said(capsys, "decode", "low.sr", "--axon", "A0", "--sync", "A1")["recordings"]
    assert one["axon"]["inverted"]
    assert [slot["spikes"] for slot in one["slots"]] == SPIKES
    assert one["axon"]["rest_v"] == pytest.approx(3.3, abs=0.05)


def test_a_doubtful_recording_is_said_to_be_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    axon, sync = spiking(SPIKES).traces(seed=5)
    volts = axon.volts.copy()
    at = int(np.flatnonzero(volts > 2)[0])
    volts[at : at + 5] *= 0.3  # a runt
    write_sr(tmp_path / "runt.sr", {"A0": volts, "A1": sync.volts}, {}, "2.5 MHz")
    found = said(capsys, "decode", "runt.sr", "--axon", "A0", "--sync", "A1", code=1)
    (one,) = found["recordings"]
    assert not found["ok"]
    assert [slot["ok"] for slot in one["slots"]] == [False, True, True, True, True, True]
    assert any("doubtful" in note for note in one["notes"])


def test_wrong_usage_is_named(recording: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("plan.toml").write_text(PLAN, encoding="utf-8")
    Path("wrong.toml").write_text("pulses = [-1]\n", encoding="utf-8")
    base = ["decode", str(recording), "--axon", "A0"]
    for argv, why in (
        (["decode", str(recording), "--axon", "CH9"], "has no channel 'CH9': it has A0, A1"),
        ([*base, "--frame", "plan.toml"], "--frame needs --sync"),
        ([*base, "--sync", "A1", "--frame", "none.toml"], "none.toml: No such file"),
        ([*base, "--sync", "A1", "--frame", "wrong.toml"], "pulses = -1"),
        (["decode", "none.sr", "--axon", "A0"], "none.sr: No such file"),
    ):
        assert main(argv) == 2
        assert why in capsys.readouterr().err


def test_an_import_is_replayed_reported_exported_and_listed(
    recording: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("plan.toml").write_text(PLAN, encoding="utf-8")
    other = spiking([1, 1, 0, 2, 4, 0])
    written(tmp_path / "other.sr", other.traces(seed=6))
    argv = ["import", str(recording), "other.sr", "--axon", "A0", "--sync", "A1", "--bench", "mock"]
    made = said(capsys, *argv, "--frame", "plan.toml", "--out", "got.sqlite")
    assert made == {
        "run_file": "got.sqlite",
        "recordings": 2,
        "spikes": sum(SPIKES) + 8,
        "bad_slots": 0,
        "notes": [],
    }
    with RunFile.open(Path("got.sqlite")) as run:
        first, second = (run.load(shot, None) for shot in run.shot_ids())
        assert first.spikes.tolist() == SPIKES
        assert first.frame.pulses.tolist() == PULSES
        assert [trace.name for trace in second.traces] == ["axon", "sync"]
    again = said(capsys, "replay", "got.sqlite")
    assert again["identical"]
    assert [one["spikes"] for one in again["recordings"]] == [[18, 18], [8, 8]]
    other_way = said(capsys, "replay", "got.sqlite", "--set", "spikes.threshold_v=3.9")
    assert not other_way["identical"]
    assert main(["report", "got.sqlite"]) == 0
    page = Path("got.html").read_text(encoding="utf-8")
    assert "other.sr" in page
    assert page.count("data:image/png") == 2
    assert "<script" not in page
    assert main(["export", "got.sqlite", "--to", "csv"]) == 0
    rows = Path("got-slots.csv").read_text(encoding="utf-8").splitlines()
    assert sum(int(row.split(",")[3]) for row in rows[1:]) == sum(SPIKES) + 8
    assert main(["export", "got.sqlite", "--to", "csv", "--out", "other.csv"]) == 0
    assert Path("other-slots.csv").read_text(encoding="utf-8").splitlines() == rows
    capsys.readouterr()
    assert main(["export", "got.sqlite", "--to", "nir"]) == 2
    assert "it is recordings that were imported, and nothing of a network; `hil replay" in capsys.readouterr().err
    assert main(["runs", "."]) == 0
    assert "import" in capsys.readouterr().out
    assert main(["resume", "got.sqlite"]) == 2
    assert "nothing to go on with" in capsys.readouterr().err
    assert main(["replay", "got.sqlite", "--digits", "0:1"]) == 2


def test_our_own_export_brings_its_plan_along(capsys: pytest.CaptureFixture[str]) -> None:
    argv = [
        "run",
        "--digits",
        "4",
        "--physical",
        "conv1:3",
        "--traces",
        "--out",
        "run.sqlite",
        "--full-scale",
        "conv1=12",
    ]
    assert main([*argv, "--json"]) == 0
    assert main(["export", "run.sqlite", "--to", "hdf5", "--traces"]) == 0
    capsys.readouterr()
    (one,) = said(capsys, "decode", "run.h5", "--axon", "axon", "--sync", "sync")["recordings"]
    with RunFile.open(Path("run.sqlite")) as run:
        capture = run.load(run.shot_ids()[0], None)
    assert one["planned"]
    assert [slot["spikes"] for slot in one["slots"]] == capture.spikes.tolist()
    assert [slot["pulses"] for slot in one["slots"]] == capture.frame.pulses.tolist()
    named = ["--axon", "axon", "--sync", "sync"]
    made = said(capsys, "import", "run.h5", *named, "--out", "back.sqlite")
    assert made["spikes"] == int(capture.spikes.sum())
    with RunFile.open(Path("back.sqlite")) as run:
        back = {trace.name: trace for trace in run.load(run.shot_ids()[0], None).traces}
    for trace in capture.traces:
        if trace.name in back:
            assert (back[trace.name].codes == trace.codes).all()
            assert back[trace.name].y_increment_v == trace.y_increment_v
            assert back[trace.name].y_origin == trace.y_origin + trace.y_reference
    # The shots of a run are a plan too.
    assert main(["export", "run.sqlite", "--to", "sr", "--traces"]) == 0
    capsys.readouterr()
    (one,) = said(capsys, "decode", "run.sr", "--axon", "axon_V", "--sync", "sync_V", "--frame", "run.sqlite")[
        "recordings"
    ]
    assert [slot["spikes"] for slot in one["slots"]] == capture.spikes.tolist()


def test_what_cannot_be_imported_leaves_no_file(recording: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("bad.csv").write_text("nonsense", encoding="utf-8")
    assert main(["import", str(recording), "bad.csv", "--axon", "A0", "--out", "got.sqlite"]) == 2
    assert "bad.csv" in capsys.readouterr().err
    assert not Path("got.sqlite").exists()


def test_a_csv_by_its_screen_warns_and_still_counts(capsys: pytest.CaptureFixture[str]) -> None:
    shot = shot_of([4])
    shot.spike(0, 1_500)
    write_csv(Path("screen.csv"), shot.traces())
    assert main(["decode", "screen.csv", "--axon", "CH1", "--sync", "CH2"]) == 0
    told = capsys.readouterr()
    assert "those of the screen" in told.err
    assert "1 spikes in 1 intervals" in told.out

"""Run files that somebody forged together with their checksums: what a million spoilt inputs found, fault by fault."""

from __future__ import annotations

import json
import math
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from drivers.errors import RunFileError
from drivers.signals import FrameKey
from hil.cli import main
from hil.run.session import config_of
from hil.store.frozen import begun_at
from hil.store.rows import SHOT_COLUMNS, TRACE_COLUMNS, digest
from hil.store.runfile import RunFile

Look = Callable[[RunFile], object]


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A digit with traces."""
    path = tmp_path_factory.mktemp("sound") / "sound.sqlite"
    argv = ["run", "--digits", "0:1", "--physical", "conv1:0-0", "--full-scale", "conv1=4", "--traces"]
    assert main([*argv, "--out", str(path), "--json"]) == 0
    return path


def forge(path: Path, table: str, column: str, value: Any) -> None:
    """Another value in every row of a table, with all checksums made again."""
    with closing(sqlite3.connect(path)) as db, db:
        if table == "run":
            text = json.dumps(value)
            db.execute("UPDATE run SET value = ?, digest = ? WHERE key = ?", (text, digest((column, text)), column))
            return
        db.execute(f"UPDATE {table} SET {column} = ?", (value,))
        if table == "results":
            for row, *values in db.execute("SELECT rowid, noise, image, label, answer, detail FROM results").fetchall():
                db.execute("UPDATE results SET digest = ? WHERE rowid = ?", (digest(tuple(values)), row))
        for row, *values in db.execute(f"SELECT rowid, {', '.join(TRACE_COLUMNS)} FROM traces").fetchall():
            db.execute("UPDATE traces SET digest = ? WHERE rowid = ?", (digest(tuple(values)), row))
        for row, *values in db.execute(f"SELECT id, {', '.join(SHOT_COLUMNS)} FROM shots").fetchall():
            checks = db.execute("SELECT digest FROM traces WHERE shot = ? ORDER BY name", (row,)).fetchall()
            whole = digest(tuple(values), *(check for (check,) in checks))
            db.execute("UPDATE shots SET digest = ? WHERE id = ?", (whole, row))


def timed(**other: float) -> str:
    from drivers.benchfile import load_bench

    return json.dumps({**load_bench("mock").slot.model_dump(), **other})


def shots(run: RunFile) -> object:
    return run.shots_of(FrameKey("run", 0), 0)


def whole(run: RunFile) -> object:
    return run.load(1, None)


DAMAGED = "shot 1 .* fails its checksum"
FORGED: dict[str, tuple[str, str, Any, Look, str]] = {
    "samples without end": ("traces", "x_increment_s", 1e-300, whole, DAMAGED),
    "samples that never come": ("traces", "x_increment_s", 1e300, whole, DAMAGED),
    "samples of another age": ("traces", "x_origin_s", 1e12, whole, DAMAGED),
    "volts beyond all": ("traces", "y_origin", 1e30, whole, DAMAGED),
    "settings that are a number": ("traces", "settings", "7", whole, DAMAGED),
    "settings that hold no text": ("traces", "settings", '{"type": 7}', whole, DAMAGED),
    "notes that are none": ("shots", "notes", '{"late": 1}', whole, DAMAGED),
    "notes that are no text": ("shots", "notes", "[[]]", whole, DAMAGED),
    "slots without end": ("shots", "timing", timed(settle_s=1e9), whole, DAMAGED),
    "a clock that stands": ("shots", "timing", timed(dendrite_clock_hz=1e-300), whole, DAMAGED),
    "slots that are no number": ("shots", "slots", "many", shots, "where a shot stands is 'many'"),
    "slots beyond all": ("shots", "first_slot", 1e300, shots, r"where a shot stands is 1e\+300"),
    "pulses beyond all": ("shots", "total_pulses", float("inf"), RunFile.totals, "a sum over its shots is inf"),
    "seconds beyond all": ("shots", "bench_s", 1e300, RunFile.totals, r"a sum over its shots is 1e\+300"),
    "ticks without end": ("run", "tick_s", 1e-300, RunFile.facts.__get__, "its tick_s is '1e-300'"),
    "a V_th made of no number": ("run", "vth_made_v/0.7", {}, RunFile.facts.__get__, r"its vth_made_v/0.7 is"),
    "a V_th made without end": ("run", "vth_made_v/0.7", math.nan, RunFile.facts.__get__, "vth_made_v/0.7 is 'NaN"),
    "a start that is a list": ("run", "boot", [], RunFile.facts.__get__, r"its boot is '\[\]'"),
    "a beginning in no zone": ("run", "begun", "2026-01-01", begun_at, "a time without its zone"),
    "an event that is no text": ("events", "text", b"\xff", RunFile.events, "a part of an event is b'.xff'"),
    "an event at no time": ("events", "at_utc", b"7", RunFile.events, "a part of an event is b'7'"),
}


@pytest.mark.parametrize("name", FORGED)
def test_what_was_forged_is_named(name: str, sound: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By whoever reads it, and no command ends in anything else."""
    table, column, value, look, message = FORGED[name]
    path = Path(shutil.copyfile(sound, tmp_path / "forged.sqlite"))
    forge(path, table, column, value)
    with pytest.raises(RunFileError, match=message), RunFile.open(path) as run:
        look(run)
    for command in (["runs"], ["replay"], ["export", "--to", "csv", "--out", "made"]):
        assert main([command[0], str(path), *command[1:]]) in (0, 1, 2)
        said = capsys.readouterr()
        assert "Traceback" not in said.err


def test_a_curve_that_was_forged_is_named(sound: Path, tmp_path: Path) -> None:
    path = Path(shutil.copyfile(sound, tmp_path / "forged.sqlite"))
    with RunFile.open(path) as run:
        config = json.loads(run.facts["config"])
    config["curve"]["histogram"][1] = [{}]
    forge(path, "run", "config", json.dumps(config))
    with RunFile.open(path) as run, pytest.raises(RunFileError, match=r"curve.histogram.1.0: .* a valid int"):
        config_of(run)
    shutil.copyfile(sound, path)
    forge(path, "run", "begun", "again")  # any other fact becomes one of a curve that was measured again
    fact = {"record": "1", "file": "f", "curve": config["curve"], "after_shot": 1}
    with closing(sqlite3.connect(path)) as db, db:
        text = json.dumps(fact)
        row = ("recalibration/1", text, digest(("recalibration/1", text)))
        db.execute("UPDATE run SET key = ?, value = ?, digest = ? WHERE key = 'begun'", row)
    with pytest.raises(RunFileError, match=r"its recalibration/1: curve.histogram.1.0: .* a valid int"):
        RunFile.open(path)


@pytest.mark.parametrize(
    "change",
    [
        {"bench": {"parts_s": {"waiting": "long"}}},
        {"bench": {"parts_s": {"waiting": float("inf")}}},
        {"bench": {"parts_s": []}},
        {"bench": [1]},
        {"bench": "none"},
        {"judged": "fine"},
        {"pulses": 1 << 63},
        {"confidence": "sure"},
    ],
    ids=str,
)
def test_a_result_that_was_forged_is_made_again(change: dict[str, Any], sound: Path, tmp_path: Path) -> None:
    path = Path(shutil.copyfile(sound, tmp_path / "forged.sqlite"))
    with RunFile.open(path) as run:
        (detail,) = run.results()
    forge(path, "results", "detail", json.dumps({**detail, **change}))
    with RunFile.open(path) as run:
        assert run.results() == []


def test_a_result_without_a_digest_of_its_maps_is_compared_by_the_counts(sound: Path, tmp_path: Path) -> None:
    path = Path(shutil.copyfile(sound, tmp_path / "forged.sqlite"))
    with RunFile.open(path) as run:
        (detail,) = run.results()
    del detail["maps"]
    forge(path, "results", "detail", json.dumps(detail))
    assert main(["replay", str(path)]) == 0


def test_forging_alone_changes_nothing(sound: Path, tmp_path: Path) -> None:
    """Or the tests above would show nothing."""
    path = Path(shutil.copyfile(sound, tmp_path / "same.sqlite"))
    with RunFile.open(path) as run:
        (timing,) = {row[0] for row in run.query("SELECT timing FROM shots")}
        (detail,) = run.results()
    forge(path, "shots", "timing", timing)
    forge(path, "results", "detail", json.dumps(detail, ensure_ascii=False))
    with RunFile.open(path) as run:
        whole(run)
        assert run.results() == [detail]

from __future__ import annotations

import errno
import json
import os
import random
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from drivers.errors import RunFileError
from drivers.signals import Capture, FrameKey, Stray, probe_frame
from hil.store.connecting import log_of
from hil.store.rows import SHOT_COLUMNS, digest
from hil.store.runfile import LOG_PAGES, DamagedShotError, RunFile, damaged_shots
from tests.hil.rig import bench, frames, new_run, rows, same
from tests.hil.store.test_columns import all_bytes

ROOT = Path(__file__).parents[3]
RESULT = {
    "noise": 0,
    "answer": 7,
    "confidence": 1.0,
    "pulses": 1,
    "spikes": 1,
    "bench_s": 0.1,
    "saturated": 0,
    "stray": 0,
}


@pytest.fixture
def recorded(tmp_path: Path) -> tuple[Path, list[Capture]]:
    """A run of some shots with traces of the twin."""
    path = tmp_path / "run.sqlite"
    playing = bench(traces=True)
    shots = list(playing.play([probe_frame("test", playing.file.slot, [0, 3, 9, 4], image=i) for i in range(6)]))
    with new_run(path) as run:
        for capture in shots:
            run.add_shot(capture)
    return path, shots


def test_a_shot_comes_back_as_it_was(recorded: tuple[Path, list[Capture]]) -> None:
    path, shots = recorded
    with RunFile.open(path) as run:
        found = run.shots_of(FrameKey("test", 3), -1)
        assert [(row.first_slot, row.slots, row.attempt, row.bad_slots) for row in found] == [(0, 4, 0, 0)]
        assert same(run.load(found[0].id, None), shots[3])
        assert [t.name for t in run.load(found[0].id, ("sync",)).traces] == ["sync"]
        trace, was = run.load(found[0].id, None).traces[0], min(shots[3].traces, key=lambda t: t.name)
        assert (trace.name, trace.y_increment_v, trace.settings) == (was.name, was.y_increment_v, was.settings)
        assert np.array_equal(trace.volts, was.volts)
        assert np.array_equal(trace.times_s, was.times_s)
        totals = run.totals()
    assert totals["shots"] == 6
    assert totals["pulses"] == 6 * 16
    assert totals["spikes"] == sum(int(c.spikes.sum()) for c in shots)


def test_strays_notes_and_bad_slots_come_back(tmp_path: Path) -> None:
    (whole,) = bench().play([probe_frame("odd µ", frames()[0].timing, [1, 2, 3], image=7, noise=40, attempt=2)])
    odd = Capture(
        whole.frame, whole.spikes, whole.slot_s, np.array([True, False, True]), 0.25, Stray(1, 2, 3), (), ("late: 1",)
    )
    with new_run(tmp_path / "r.sqlite") as run:
        assert same(run.load(run.add_shot(odd).result()), odd)
        assert run.shots_of(odd.frame.key, -1)[0].bad_slots == 1


def test_the_same_shot_is_never_recorded_twice(recorded: tuple[Path, list[Capture]]) -> None:
    path, shots = recorded
    with RunFile.open(path, write=True) as run, pytest.raises(RunFileError, match="UNIQUE"):
        run.add_shot(shots[2])
    assert len(rows(path)) == 6


def test_results_and_events(tmp_path: Path) -> None:
    with new_run(tmp_path / "r.sqlite") as run:
        run.add_result({**RESULT, "index": 3, "label": 7, "confidence": 0.1 + 0.2})
        run.add_result({**RESULT, "index": 2, "label": 1, "confidence": 1.0})
        run.add_event("begun", "with a µ")
        assert [r["index"] for r in run.results()] == [2, 3]
        assert run.results()[1]["confidence"] == 0.1 + 0.2
        assert [(kind, text) for _, kind, text in run.events()] == [("begun", "with a µ")]
        for kind in ("alarm", "begun", "calibrated"):
            run.add_event(kind, "")
        assert [run.count_events(kind) for kind in ("begun", "alarm", "calibrated", "stopped")] == [2, 1, 1, 0]


def test_what_is_not_a_run_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.sqlite"
    with pytest.raises(RunFileError, match=r"x\.sqlite: No such file"):
        RunFile.open(path)
    path.write_bytes(b"digits, digits, digits" * 10)
    with pytest.raises(RunFileError, match="not a run file: it does not begin as an SQLite file"):
        RunFile.open(path)
    path.unlink()
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE t (a)")
    db.close()
    with pytest.raises(RunFileError, match="not a run file of hil"):
        RunFile.open(path)


def test_a_newer_schema_says_update(recorded: tuple[Path, list[Capture]]) -> None:
    path, _ = recorded
    db = sqlite3.connect(path)
    db.execute("PRAGMA user_version = 7")
    db.close()
    with pytest.raises(RunFileError, match="has schema 7; this version reads up to 2: update hil"):
        RunFile.open(path)


def test_a_name_is_taken_once_and_one_process_writes(recorded: tuple[Path, list[Capture]]) -> None:
    path, _ = recorded
    with pytest.raises(RunFileError, match="exists already; go on with `hil resume"):
        new_run(path)
    with RunFile.open(path, write=True), RunFile.open(path) as reader:
        assert len(reader.shot_ids()) == 6
        with pytest.raises(RunFileError, match="being written by another hil"):
            RunFile.open(path, write=True)
    RunFile.open(path, write=True).close()


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunFileError, match=r"cannot be written: .*file is not a folder"):
        new_run(tmp_path / "file" / "r.sqlite")


def test_changed_facts_are_damage(recorded: tuple[Path, list[Capture]]) -> None:
    path, _ = recorded
    db = sqlite3.connect(path)
    db.execute("UPDATE run SET value = ?", (json.dumps({"bench": "other"}),))
    db.commit()
    db.close()
    with pytest.raises(RunFileError, match="its identity fails its checksum"):
        RunFile.open(path)


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE shots SET spikes = zeroblob(length(spikes)) WHERE image = 4",
        "UPDATE shots SET bench_s = bench_s * 2 WHERE image = 4",
        "UPDATE traces SET codes = substr(codes, 1, 20) WHERE shot = 5 AND name = 'axon'",
        "DELETE FROM traces WHERE shot = 5 AND name = 'membrane'",
    ],
)
def test_damage_in_one_shot_is_found_there_and_nowhere_else(recorded: tuple[Path, list[Capture]], damage: str) -> None:
    path, _ = recorded
    db = sqlite3.connect(path)
    assert db.execute(damage).rowcount == 1
    db.commit()
    db.close()
    with RunFile.open(path, write=True) as run:
        assert dict(damaged_shots(run)) == {1: False, 2: False, 3: False, 4: False, 5: True, 6: False}
        with pytest.raises(DamagedShotError, match=r"shot 5 \(image 4, slots from 0\) fails its checksum"):
            run.load(5)
        run.set_aside(5)
        assert run.shots_of(FrameKey("test", 4), -1) == []


@pytest.mark.parametrize("missing", [True, False])
def test_damage_in_the_structure_is_named_when_it_is_looked_for(
    recorded: tuple[Path, list[Capture]], missing: bool
) -> None:
    """Rows that are missing from an index, or a page that two things share: SQLite's words for them differ."""
    path, _ = recorded
    with RunFile.open(path) as run:
        run.check()
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA writable_schema = ON")
        if missing:
            db.execute("UPDATE sqlite_schema SET sql = replace(sql, 'damaged = 0', 'damaged = 7') WHERE type = 'index'")
        else:
            shared = "(SELECT rootpage FROM sqlite_schema WHERE name = 'events')"
            db.execute(f"UPDATE sqlite_schema SET rootpage = {shared} WHERE name = 'traces'")
        db.commit()
    if missing:
        with closing(sqlite3.connect(path)) as db:
            db.execute("REINDEX")
            db.execute("PRAGMA writable_schema = ON")
            db.execute("UPDATE sqlite_schema SET sql = replace(sql, 'damaged = 7', 'damaged = 0') WHERE type = 'index'")
            db.commit()
    with pytest.raises(RunFileError, match="is damaged"), RunFile.open(path) as run:
        run.check()


def test_one_flipped_byte_never_gives_a_wrong_answer(recorded: tuple[Path, list[Capture]]) -> None:
    """Wherever a byte changes: an error that names the file, or shots that are right or known as damaged."""
    path, shots = recorded
    whole = path.read_bytes()
    rng = random.Random(3)
    found = 0
    for _ in range(150):
        copy = path.with_name("copy.sqlite")
        at = rng.randrange(len(whole))
        copy.write_bytes(whole[:at] + bytes([whole[at] ^ (1 << rng.randrange(8))]) + whole[at + 1 :])
        try:
            with RunFile.open(copy) as run:
                run.check()
                for row, broken in damaged_shots(run):
                    found += broken
                    assert broken or same(run.load(row, None), shots[row - 1])
        except RunFileError as error:
            found += "copy.sqlite" in str(error)
        for leftover in path.parent.glob("copy.sqlite*"):
            leftover.unlink()
    assert found > 20


_FILL = """
import resource, sys
from pathlib import Path
from drivers.errors import RunFileError
from hil.store.runfile import RunFile
from tests.hil.rig import bench, frames, new_run
run = new_run(Path(sys.argv[1]))
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
done = 0
try:
    for capture in bench().play(frames(200)):
        run.add_shot(capture).result()
        done += 1
except RunFileError as error:
    print(done, error)
"""


@pytest.mark.filterwarnings("ignore:.*was not closed and has no:drivers.errors.HilWarning")
def test_a_disk_that_takes_no_more_stops_the_run_and_keeps_what_it_has(tmp_path: Path) -> None:
    """The kernel refuses to let the file grow (RLIMIT_FSIZE), as a full disk does; afterwards it goes on."""
    path = tmp_path / "r.sqlite"
    root = Path(__file__).parents[3]
    done = subprocess.run(
        [sys.executable, "-c", _FILL, str(path)],
        capture_output=True,
        text=True,
        check=True,
        cwd=root,
        env={**os.environ},
    )
    count, _, message = done.stdout.partition(" ")
    assert "the disk is full or cannot be written; free some space, then `hil resume" in message
    assert len(rows(path)) == int(count) > 10
    with RunFile.open(path, write=True) as run:
        run.add_event("resumed", "")


def test_many_who_want_one_name_each_get_a_file_of_their_own(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from hil.store.runfile import RunFile\n"
        "print('ready', flush=True); sys.stdin.readline()\n"
        "for n in range(15):\n"
        "    with RunFile.create(Path(sys.argv[1]), {'mine': [sys.argv[2], n]}, numbered=True) as run:\n"
        "        assert run.fact('mine') == [sys.argv[2], n]\n"
        "        print(run.path)"
    )
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path / "run.sqlite"), name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        for name in "abcdef"
    ]
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write("go\n")
        writer.stdin.flush()
    found = [Path(line) for writer in writers for line in writer.communicate()[0].splitlines()]
    assert [writer.returncode for writer in writers] == [0] * 6
    assert len(set(found)) == len(found) == 90
    assert sorted(tmp_path.glob("*.sqlite")) == sorted(found)
    assert not list(tmp_path.glob(".*"))
    mine = set()
    for path in found:
        with RunFile.open(path) as run:
            mine.add(tuple(run.fact("mine")))
    assert mine == {(name, n) for name in "abcdef" for n in range(15)}


def test_a_file_system_without_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def link(*_: object, **__: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")  # link(2) on FAT

    monkeypatch.setattr(os, "link", link)
    path = tmp_path / "run.sqlite"
    RunFile.create(path, {"n": 1}).close()
    with pytest.raises(RunFileError, match="exists already"):
        RunFile.create(path, {"n": 2})
    with RunFile.create(path, {"n": 2}, numbered=True) as run:
        assert run.path == tmp_path / "run-2.sqlite"
    with RunFile.open(path) as run:
        assert run.fact("n") == 1
    assert sorted(p.name for p in tmp_path.iterdir() if p.name.startswith(".")) == []


def test_a_result_that_fails_its_checksum_is_left_out_and_made_again(tmp_path: Path) -> None:
    with new_run(tmp_path / "r.sqlite") as run:
        for index in (1, 2):
            run.add_result({**RESULT, "index": index, "label": 7})
    for change in ("answer = 3", "label = 3", "detail = replace(detail, '0.1', '0.2')"):
        db = sqlite3.connect(tmp_path / "r.sqlite")
        with db:
            (was,) = db.execute("SELECT detail FROM results WHERE image = 2").fetchone()
            assert db.execute(f"UPDATE results SET {change} WHERE image = 2").rowcount == 1
        with RunFile.open(tmp_path / "r.sqlite", write=True) as run:
            assert [row["index"] for row in run.results()] == [1], change
            run.add_result({**RESULT, "index": 2, "label": 7})
            assert [row["index"] for row in run.results()] == [1, 2]
        assert db.execute("SELECT detail FROM results WHERE image = 2").fetchone() == (was,)
        db.close()


@pytest.mark.parametrize("text", ["[", "[1]", "7", "{}", '{"index": 1}', "[" * 100_000])
def test_a_result_that_is_not_told_in_full_is_none(text: str) -> None:
    assert RunFile.result_of(text) is None
    whole = {**RESULT, "index": 3, "label": 7}
    assert RunFile.result_of(json.dumps(whole)) == whole


def test_results_are_written_with_the_next_shot_or_event_or_when_the_file_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "r.sqlite"
    (shot,) = bench().play([probe_frame("test", bench().file.slot, [3])])

    def written() -> list[int]:
        with RunFile.open(path) as reader:
            return [row["index"] for row in reader.results()]

    with new_run(path) as run:
        run.add_result({**RESULT, "index": 1, "label": 7})
        assert written() == []
        run.add_shot(shot).result()
        assert written() == [1]
        run.add_result({**RESULT, "index": 2, "label": 7})
        run.add_event("kind", "text")
        assert written() == [1, 2]
        run.add_result({**RESULT, "index": 2, "label": 7, "answer": 4})  # once more, instead
        run.add_result({**RESULT, "index": 3, "label": 7})
    assert written() == [1, 2, 3]
    with RunFile.open(path) as run:
        assert run.results()[1]["answer"] == 4


def test_what_is_asked_of_shots(recorded: tuple[Path, list[Capture]]) -> None:
    path, shots = recorded
    with RunFile.open(path, write=True) as run:
        assert run.shot_ids() == [1, 2, 3, 4, 5, 6]
        assert run.last_shot() == 6
        assert run.first_shots("test") == {(0, image): image + 1 for image in range(6)}
        assert run.first_shots("other") == {}
        key = FrameKey("test", 2)
        assert [row.id for row in run.shots_of(key, -1)] == [3]
        assert run.shots_of(key, -1, 1) == []  # it begins with slot 0
        assert run.shots_of(key, -1, 0, 0) == []
        assert run.shots_of(FrameKey("test", 2, 40), -1) == run.shots_of(key, 0) == []
        again = replace(shots[2], frame=replace(shots[2].frame, key=FrameKey("test", 2, 0, 1), first_slot=1))
        later = run.add_shot(again).result()
        assert later == 7
        assert [(row.id, row.first_slot, row.attempt) for row in run.shots_of(key, -1)] == [(3, 0, 0), (7, 1, 1)]
        assert [row.id for row in run.shots_of(key, -1, 1)] == [7]
        assert [row.id for row in run.shots_of(key, -1, 0, 1)] == [3]
        assert run.first_shots("test")[0, 2] == 3
        with RunFile.open(path) as reader:  # which asks the file each time
            assert reader.shots_of(key, -1) == run.shots_of(key, -1)
        assert same(run.counts(3), shots[2], traces=False)
        assert run.counts(3).traces == run.load(3).traces == ()
        with pytest.raises(RunFileError, match="has no shot 8"):
            run.load(8)
        with pytest.raises(RunFileError, match="has no shot 8"):
            run.counts(8)
    with new_run(path.with_name("empty.sqlite")) as run:
        assert run.last_shot() == 0
        assert run.totals()["shots"] == run.totals()["pulses"] == run.totals()["trace_bytes"] == 0


def test_a_shot_that_is_set_aside_takes_its_result_with_it(recorded: tuple[Path, list[Capture]]) -> None:
    path, _ = recorded
    with RunFile.open(path, write=True) as run:
        for index in (1, 2):
            run.add_result({**RESULT, "index": index, "label": 7})
        run.shots_of(FrameKey("test", 1), -1)
        run.set_aside(2)
        assert run.shots_of(FrameKey("test", 1), -1) == []
        assert run.shot_ids() == [1, 3, 4, 5, 6]
        assert [row["index"] for row in run.results()] == [2]
        assert run.totals()["shots"] == 5
        assert run.count_events("damage") == 1
        assert run.count_events("other") == 0
        run.set_image_aside(FrameKey("test", 2), "because")
        assert run.shot_ids() == [1, 4, 5, 6]
        assert run.results() == []
        assert [event[1:] for event in run.events()][1:] == [("set aside", "because")]


def test_a_sweep_has_no_result_to_lose(tmp_path: Path) -> None:
    (shot,) = bench().play([probe_frame("calibrate/transfer", bench().file.slot, [3], image=1)])
    with new_run(tmp_path / "r.sqlite") as run:
        run.add_shot(shot).result()
        run.add_result({**RESULT, "index": 1, "label": 7})
        run.set_aside(1)
        assert len(run.results()) == 1


def test_all_helpings_of_an_image_are_set_aside_and_no_other_image(tmp_path: Path) -> None:
    def of(helping: int, image: int, noise: int = 0) -> Capture:
        (shot,) = bench().play([probe_frame("run", bench().file.slot, [3], image=image)])
        return replace(shot, frame=replace(shot.frame, key=FrameKey("run", image, noise, helping=helping)))

    with new_run(tmp_path / "r.sqlite") as run:
        for shot in (of(0, 1), of(1, 1), of(2, 1), of(0, 2), of(1, 2), of(0, 1, 40)):
            run.add_shot(shot).result()
        run.set_image_aside(FrameKey("run", 1), "why")
        assert run.shot_ids() == [4, 5, 6]


def test_facts_can_be_added_and_never_changed(tmp_path: Path) -> None:
    with new_run(tmp_path / "r.sqlite") as run:
        run.add_fact("odd µ", {"a": [1, None]})
        assert run.fact("odd µ") == {"a": [1, None]}
        with pytest.raises(RunFileError):
            run.add_fact("odd µ", 2)
        with pytest.raises(RunFileError, match="does not say its nothing"):
            run.fact("nothing")
    with RunFile.open(tmp_path / "r.sqlite") as run:
        assert run.fact("odd µ") == {"a": [1, None]}
        assert run.facts["identity"] == {"bench": "mock"}


def test_totals_are_sums(recorded: tuple[Path, list[Capture]]) -> None:
    path, shots = recorded
    with RunFile.open(path, write=True) as run:
        totals = run.totals()
        assert totals["resets"] == sum(int(shot.frame.played.sum()) for shot in shots)
        assert totals["bench_s"] == pytest.approx(sum(shot.bench_s for shot in shots))
        assert totals["bad_slots"] == 0
        assert totals["samples"] == sum(len(trace.codes) for shot in shots for trace in shot.traces)
        assert 0 < totals["trace_bytes"] < totals["samples"]
        assert totals["first_utc"] <= totals["last_utc"]
        log = path.with_name(path.name + "-wal")
        run.add_event("a", "b")
        assert run.bytes_on_disk == path.stat().st_size + log.stat().st_size > path.stat().st_size
        run.settle()
        assert run.bytes_on_disk == path.stat().st_size
    assert not log.exists()


@pytest.mark.parametrize(
    ("version", "message"), [(3, "has schema 3; this version reads up to 2"), (0, "it is damaged")]
)
def test_schemas_that_no_version_wrote_are_refused(
    recorded: tuple[Path, list[Capture]], version: int, message: str
) -> None:
    path, _ = recorded
    db = sqlite3.connect(path)
    db.execute(f"PRAGMA user_version = {version}")
    db.close()
    with pytest.raises(RunFileError, match=message):
        RunFile.open(path)


def test_a_file_of_schema_1_is_read_and_gone_on_with(recorded: tuple[Path, list[Capture]]) -> None:
    """Its columns hold all bytes of every number. What is added makes it schema 2; both kinds stand side by side."""
    path, shots = recorded
    db = sqlite3.connect(path)
    arrays = SHOT_COLUMNS[-6:]
    for row, shot in enumerate(shots, 1):
        frame = shot.frame
        columns: tuple[np.ndarray, ...] = (
            frame.channel,
            frame.position,
            frame.pulses,
            shot.spikes,
            shot.slot_s,
            shot.ok,
        )
        db.execute(f"UPDATE shots SET {' = ?, '.join(arrays)} = ? WHERE id = ?", (*map(all_bytes, columns), row))
        *values, _ = db.execute(f"SELECT {', '.join(SHOT_COLUMNS)}, digest FROM shots WHERE id = ?", (row,)).fetchone()
        checks = db.execute("SELECT digest FROM traces WHERE shot = ? ORDER BY name", (row,)).fetchall()
        new = digest(tuple(values), *(check for (check,) in checks))
        db.execute("UPDATE shots SET digest = ? WHERE id = ?", (new, row))
    db.execute("PRAGMA user_version = 1")
    db.commit()
    db.close()
    with RunFile.open(path) as run:
        assert all(same(run.load(row, None), shot) for row, shot in enumerate(shots, 1))
        assert run.query("PRAGMA user_version") == [(1,)]
    more = replace(shots[0], frame=replace(shots[0].frame, key=FrameKey("test", 99)))
    with RunFile.open(path, write=True) as run:
        row = run.keep_shot(more)
    with RunFile.open(path) as run:
        assert same(run.load(row, None), more)
        assert same(run.load(1, None), shots[0])
        assert run.query("PRAGMA user_version") == [(2,)]


def test_the_log_is_written_over_and_does_not_grow(tmp_path: Path) -> None:
    """A disk is slower where a file grows, and shots wait for it."""
    (shot,) = bench().play([probe_frame("test", frames()[0].timing, [1, 2, 3])])
    with new_run(tmp_path / "r.sqlite") as run:
        for image in range(400):
            run.add_shot(replace(shot, frame=replace(shot.frame, key=FrameKey("test", image)))).result()
        assert log_of(run.path).stat().st_size < 2 * LOG_PAGES * 4_096


def test_a_file_that_is_written_is_safe_against_a_power_cut_at_every_transaction(tmp_path: Path) -> None:
    """SQLite: with synchronous = EXTRA (3) a transaction is on the disk before it counts as done."""
    with new_run(tmp_path / "r.sqlite") as run:
        assert run.query("PRAGMA synchronous") == [(3,)]
        assert run.query("PRAGMA journal_mode") == [("wal",)]
    with RunFile.open(tmp_path / "r.sqlite") as run:
        assert run.query("PRAGMA journal_mode") == [("delete",)]


def test_who_reads_sees_what_somebody_else_writes_meanwhile(recorded: tuple[Path, list[Capture]]) -> None:
    path, shots = recorded
    later = replace(shots[0], frame=replace(shots[0].frame, key=FrameKey("test", 9)))
    with RunFile.open(path) as reader, RunFile.open(path, write=True) as writer:
        for run in (reader, writer):
            assert run.shots_of(FrameKey("test", 9), -1) == []
        writer.add_shot(later).result()
        for run in (reader, writer):
            assert len(run.shots_of(FrameKey("test", 9), -1)) == 1


@pytest.mark.parametrize("forged", ["00", "ff"])
def test_counts_of_a_shot_whose_checksum_is_another_are_damage(
    recorded: tuple[Path, list[Capture]], forged: str
) -> None:
    path, _ = recorded
    with closing(sqlite3.connect(path)) as db, db:
        (whole,) = db.execute("SELECT length(digest) FROM shots WHERE id = 3").fetchone()
        db.execute("UPDATE shots SET digest = ? WHERE id = 3", (bytes.fromhex(forged) * whole,))
    with RunFile.open(path) as run, pytest.raises(DamagedShotError, match=r"shot 3 .* fails its checksum"):
        run.counts(3)

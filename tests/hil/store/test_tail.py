"""Following a run file: every row once, and everything again when something is taken back."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from drivers.errors import RunFileError
from drivers.signals import FrameKey
from hil.store.recording import RecordingBench
from hil.store.runfile import RunFile
from hil.store.tail import Tail
from tests.hil.rig import bench, frames, new_run
from tests.hil.store.test_runfile import RESULT


def test_every_shot_result_and_event_is_read_once(tmp_path: Path) -> None:
    path = tmp_path / "run.sqlite"
    tail = Tail()
    with new_run(path) as run:
        run.add_event("begun", "now")
        ids: list[int] = []
        for number, _ in enumerate(RecordingBench(bench(), run).play(frames(2, 24))):
            if number == 2:
                run.add_result({**RESULT, "label": 7, "index": 0})
            with RunFile.open(path) as reader:
                ids += [shot.id for shot in tail.read(reader).shots]
        run.add_event("complete", "")
        with RunFile.open(path) as reader:
            last, none, whole = tail.read(reader), tail.read(reader), Tail().read(reader)
    assert [*ids, *(shot.id for shot in last.shots)] == [shot.id for shot in whole.shots]
    assert last.events[-1][1:] == ("complete", "")
    assert not last.afresh
    assert not none
    assert [event[1] for event in whole.events] == ["begun", "complete"]
    assert [result["index"] for result in whole.results] == [0]
    assert sum(shot.pulses for shot in whole.shots) == sum(frame.total_pulses for frame in frames(2, 24))
    assert whole.afresh


def test_what_is_taken_back_makes_everything_new(tmp_path: Path) -> None:
    path = tmp_path / "run.sqlite"
    tail = Tail()
    with new_run(path) as run:
        run.add_event("begun", "now")
        list(RecordingBench(bench(), run).play(frames(2, 24)))
        run.add_result({**RESULT, "label": 7, "index": 1})
        run.add_event("note", "")
        with RunFile.open(path) as reader:
            before = tail.read(reader)
        run.set_image_aside(FrameKey("test", 1), "its spikes cannot be")
        with RunFile.open(path) as reader:
            after = tail.read(reader)
    assert after.afresh
    assert len(after.shots) < len(before.shots)
    assert {shot.image for shot in after.shots} == {0}
    assert (len(before.results), len(after.results)) == (1, 0)


def test_a_reader_finds_the_shots_of_a_frame_without_reading_all(tmp_path: Path) -> None:
    path = tmp_path / "run.sqlite"
    with new_run(path) as run:
        list(RecordingBench(bench(), run).play(frames(3, 24)))
        written = run.shots_of(FrameKey("test", 2), -1)
        with RunFile.open(path) as reader:
            assert reader.shots_of(FrameKey("test", 2), -1) == written
            assert reader.counts(written[0].id).spikes.sum() == run.load(written[0].id).spikes.sum()


def test_an_event_that_is_no_text_is_named(tmp_path: Path) -> None:
    path = tmp_path / "run.sqlite"
    with new_run(path) as run:
        run.add_event("begun", "now")
    with sqlite3.connect(path) as forged:
        forged.execute("UPDATE events SET text = ?", (b"\xff",))
    forged.close()
    with RunFile.open(path) as run:
        for read in (run.events, lambda: Tail().read(run)):
            with pytest.raises(RunFileError, match="a part of an event is b'"):
                read()

"""One wrapper records, resumes, replays and retakes; every way through it ends with the same rows."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from drivers.benchfile import load_bench
from drivers.device import load_device
from drivers.errors import CaptureError, InputError, RunFileError
from drivers.mock.bench import MockBench
from drivers.signals import Capture, Frame, FrameKey, Retaken, SlotTiming, probe_frame
from hil.store.recording import RecordingBench, made_v
from hil.store.runfile import RunFile
from tests.hil.rig import bench, flaky, frames, new_run, rows, same


def record(inner: MockBench | None, path: Path, played: list[Frame], stop_after: int | None = None) -> list[Capture]:
    """Play frames through a run file; `stop_after` shots, as Ctrl-C does."""
    taken = 0

    def stopping() -> bool:
        nonlocal taken
        taken += 1
        return stop_after is not None and taken >= stop_after

    with RunFile.open(path, write=True) as run:
        return list(RecordingBench(inner, run, stopping=stopping).play(played))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    new_run(tmp_path / "run.sqlite").close()
    return tmp_path / "run.sqlite"


def whole(captures: list[Capture]) -> list[np.ndarray]:
    """(images, slots) spikes, put together from shots as the host does."""
    images = sorted({c.frame.key.image for c in captures})
    return [np.concatenate([c.spikes for c in captures if c.frame.key.image == i]) for i in images]


class HandSet(MockBench):
    """V_th from a supply that a person leaves at `volts` when that is near enough."""

    volts = 0.74

    def set_threshold(self, volts: float) -> float:
        return super().set_threshold(self.volts if abs(volts - self.volts) < 0.05 else volts)


def hand_set(volts: float = 0.74) -> HandSet:
    made = HandSet(load_bench("mock"), load_device("nominal"))
    made.volts = volts
    return made


def test_the_threshold_really_made_is_recorded_set_again_and_replayed(tmp_path: Path) -> None:
    path = tmp_path / "run.sqlite"
    with new_run(path) as run:
        recording = RecordingBench(hand_set(), run)
        assert recording.set_threshold(0.7) == recording.threshold_v == 0.74
        assert recording.set_threshold(1.0) == 1.0
    with RunFile.open(path, write=True) as run:
        inside = hand_set(0.742)  # asked for 0.74 now
        assert RecordingBench(inside, run).set_threshold(0.7) == 0.74
        assert inside.threshold_v == 0.742
        with pytest.raises(InputError, match=r"V_th = 0.7 V made as 0.74 V, and the bench makes 0.755 V now"):
            RecordingBench(hand_set(0.755), run).set_threshold(0.7)
        assert (made_v(run, 0.7), made_v(run, 1.0), made_v(run, 0.9)) == (0.74, 1.0, None)
    with RunFile.open(path) as run:
        replay = RecordingBench(None, run)
        assert [replay.set_threshold(volts) for volts in (1.0, 0.7, 0.9)] == [1.0, 0.74, 0.9]


def test_recording_changes_nothing_and_replay_gives_it_back(path: Path) -> None:
    played = frames()
    plain = list(bench().play(played))
    assert len(plain) > 2 * len(played)
    for inner in (bench(), bench(), None):  # records, finds everything, replays
        got = record(inner, path, played)
        assert len(got) == len(plain)
        assert all(map(same, got, plain))
    assert len(rows(path)) == len(plain)


@pytest.mark.parametrize("stops", [[1], [3], [4, 1, 1], [1] * 12])
def test_a_resumed_run_is_bit_identical(path: Path, tmp_path: Path, stops: list[int]) -> None:
    played = frames()
    other = tmp_path / "uninterrupted.sqlite"
    new_run(other).close()
    plain = record(bench(), other, played)
    for stop in stops:
        with pytest.raises(KeyboardInterrupt):
            record(bench(), path, played, stop_after=stop)
    assert len(rows(path)) == sum(stops)
    got = record(bench(), path, played)
    assert all(map(same, got, plain))
    assert rows(path) == rows(other)


def test_traces_of_a_resumed_run_are_bit_identical_too(path: Path) -> None:
    timing = SlotTiming(dendrite_clock_hz=100e3)
    played = frames(4, 5, timing=timing)
    plain = list(bench(traces=True).play(played))
    with pytest.raises(KeyboardInterrupt):
        record(bench(traces=True), path, played, stop_after=2)
    record(bench(traces=True), path, played)
    with RunFile.open(path) as run:
        got = list(RecordingBench(None, run, reader=lambda shot: run.load(shot, None)).play(played))
    assert all(map(same, got, plain))


def test_the_bench_gets_two_frames_at_most_ahead_of_what_is_recorded(path: Path) -> None:
    asked = []

    def asking() -> Iterator[Frame]:
        for frame in frames(6, 4):
            asked.append(frame)
            yield frame

    with RunFile.open(path, write=True) as run:
        for n, _ in enumerate(RecordingBench(bench(), run).play(asking()), start=1):
            assert len(asked) <= n + 2


def test_only_what_is_missing_is_played(path: Path) -> None:
    """Frames wholly in the file, half there and new ones, in turn: in order, and nothing is played twice."""
    played = frames(6)
    plain = list(bench().play(played))
    record(bench(), path, [played[0], played[3].part(0, 9), played[4]])
    before = len(rows(path))
    seen: list[Frame] = []

    class Watched(MockBench):
        def play(self, frames: Iterable[Frame]) -> Iterator[Capture]:
            for capture in super().play(frames):
                seen.append(capture.frame)
                yield capture

    inner = Watched(bench().file, bench().device)
    inner.set_threshold(0.7)
    got = record(inner, path, played)
    assert [s.tolist() for s in whole(got)] == [s.tolist() for s in whole(plain)]
    assert len(rows(path)) == before + len(seen)
    assert {f.key.image for f in seen} == {1, 2, 3, 5}
    assert min(f.first_slot for f in seen if f.key.image == 3) == 9


def test_a_replay_of_an_unfinished_run_says_what_is_missing(path: Path) -> None:
    played = frames()
    record(bench(), path, played[:2])
    with pytest.raises(RunFileError, match=r"lacks test, image 2, layer -1, slots 0…23; complete it: hil resume"):
        record(None, path, played)


def test_other_pulses_than_recorded_are_refused(path: Path) -> None:
    played = frames(1)
    record(bench(), path, played)
    other = Frame(
        played[0].key,
        played[0].timing,
        played[0].pulses[::-1].copy(),
        played[0].layer,
        played[0].channel,
        played[0].position,
    )
    with pytest.raises(RunFileError, match="was recorded with other pulses or slot timing"):
        record(bench(), path, [other])


def test_late_slots_are_taken_again_and_failed_attempts_kept(path: Path) -> None:
    played = frames(4)
    got = record(flaky(), path, played)
    assert all(capture.ok.all() for capture in got)
    assert (np.concatenate(whole(got)) != 99).all()
    assert [len(s) for s in whole(got)] == [24] * 4
    with RunFile.open(path) as run:
        found = run.shots_of(FrameKey("test", 0), -1)
        attempts = [row.attempt for row in found]
        assert attempts.count(0) >= 3
        assert 2 <= attempts.count(1) <= attempts.count(0)  # one a shot, however many slots
        trusted = np.zeros(24, dtype=int)
        for row in found:
            capture = run.load(row.id)
            taken = capture.frame.pulses == played[0].pulses[row.first_slot : row.stop]  # 0 between those taken again
            trusted[row.first_slot : row.stop] += capture.ok & taken
        assert (trusted == 1).all()  # each slot has exactly one accepted measurement
        again, totals = sum((capture.retaken for capture in got), Retaken()), run.totals()
        assert totals["pulses"] == sum(frame.total_pulses for frame in played) + again.pulses
        assert totals["resets"] == sum(int(frame.played.sum()) for frame in played) + again.resets
        assert totals["shots"] == len(got) + again.shots
    assert all(map(same, record(None, path, played), got))


def test_what_a_shot_lacks_is_taken_again_in_one_shot_and_nothing_else(path: Path) -> None:
    """However far apart the slots are; those between get no pulses again."""
    again: list[Frame] = []

    class Deaf(MockBench):
        def play(self, frames: Iterable[Frame]) -> Iterator[Capture]:
            for capture in super().play(frames):
                if capture.frame.key.attempt:
                    again.append(capture.frame)
                    yield capture
                else:
                    yield replace(capture, ok=np.arange(len(capture.frame)) % 5 != 2)

    inner = Deaf(load_bench("mock"), load_device("ideal"))
    inner.set_threshold(0.7)
    played = probe_frame("test", SlotTiming(), np.full(100, 7, dtype=np.int32))
    got = record(inner, path, [played])
    assert [(frame.first_slot, len(frame)) for frame in again] == [(2, 96)]
    assert np.flatnonzero(again[0].played).tolist() == list(range(0, 96, 5))
    assert got[0].retaken == Retaken(1, 20, 140, 20)
    assert (got[0].spikes == 7).all()
    assert all(map(same, record(None, path, [played]), got))


def test_an_interrupted_retake_goes_on_as_it_would_have(path: Path, tmp_path: Path) -> None:
    played = frames(3)
    other = tmp_path / "uninterrupted.sqlite"
    new_run(other).close()
    plain = record(flaky(), other, played)
    left = True
    while left:
        try:
            got = record(flaky(), path, played, stop_after=2)
            left = False
        except KeyboardInterrupt:
            pass
    assert rows(path) == rows(other)
    assert all(map(same, got, plain))


def test_slots_that_stay_bad_stop_the_run(path: Path) -> None:
    with pytest.raises(CaptureError, match=r"slots 0…0 was late, missing or unreadable in 3 attempts"):
        record(flaky(1.0), path, frames(1, 1))
    assert [row[5] for row in rows(path)] == [0, 1, 2]


def test_a_damaged_shot_is_taken_again_and_only_that(path: Path) -> None:
    played = frames()
    plain = record(bench(), path, played)
    before = rows(path)
    db = sqlite3.connect(path)
    db.execute("UPDATE shots SET spikes = zeroblob(length(spikes)) WHERE id IN (3, 5, 6)")
    db.commit()
    db.close()
    with pytest.raises(RunFileError, match=r"shot 3 .* fails its checksum"):
        record(None, path, played)
    got = record(bench(), path, played)
    assert all(map(same, got, plain))
    assert rows(path) == before
    with RunFile.open(path) as run:
        assert [kind for _, kind, _ in run.events()] == ["damage"] * 3


def test_a_damaged_retake_is_taken_again(path: Path) -> None:
    played = frames(2)
    plain = record(flaky(), path, played)
    before = rows(path)
    db = sqlite3.connect(path)
    db.execute("UPDATE shots SET bench_s = 9 WHERE id = (SELECT max(id) FROM shots WHERE attempt = 1)")
    db.commit()
    db.close()
    assert all(map(same, record(flaky(), path, played), plain))
    assert rows(path) == before


def test_a_bench_that_answers_something_else_is_caught(path: Path) -> None:
    class Wrong(MockBench):
        def play(self, frames: Iterable[Frame]) -> Iterator[Capture]:
            yield from reversed(list(super().play(frames)))

    inner = Wrong(bench().file, bench().device)
    inner.set_threshold(0.7)
    with pytest.raises(CaptureError, match="which was not the next to be played"):
        record(inner, path, frames(1))


def test_a_bench_that_loses_a_shot_is_caught(path: Path) -> None:
    class Short(MockBench):
        def play(self, frames: Iterable[Frame]) -> Iterator[Capture]:
            yield from list(super().play(frames))[:-1]

    inner = Short(bench().file, bench().device)
    inner.set_threshold(0.7)
    with pytest.raises(CaptureError, match="no capture for part of test, image 0"):
        record(inner, path, frames(1))


class Disk:
    """What `RunFile.add_shot` promises, with a disk that is asked for each shot by whoever waits for it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, fails_at: int | None = None) -> None:
        self.waited_for: list[int] = []
        self.given = 0
        self.fails_at = fails_at
        monkeypatch.setattr(RunFile, "add_shot", self.add_shot)

    def add_shot(self, _capture: Capture) -> Future[int]:
        disk, number = self, self.given
        self.given += 1

        class Written(Future[int]):
            def result(self, timeout: float | None = None) -> int:
                disk.waited_for.append(number)
                if number == disk.fails_at:
                    raise RunFileError("the disk is full")
                return number

        return Written()


def test_no_shot_is_handed_on_before_the_disk_has_it(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = Disk(monkeypatch)
    with RunFile.open(path, write=True) as run:
        for n, _ in enumerate(RecordingBench(bench(), run).play(frames())):
            assert disk.waited_for == [*range(n + 1)]
            assert disk.given <= n + 2  # the next one plays meanwhile
    assert disk.waited_for == [*range(disk.given)]


@pytest.mark.parametrize("shots", [1, 3])
def test_who_stops_waits_for_the_disk_too(path: Path, monkeypatch: pytest.MonkeyPatch, shots: int) -> None:
    """With a disk that takes no more, being stopped is not what ended the run."""
    disk = Disk(monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        record(bench(), path, frames(), stop_after=shots)
    assert disk.waited_for == [*range(shots - 2), shots - 1]  # a later one is written after those before it
    Disk(monkeypatch, fails_at=shots - 1)
    with pytest.raises(RunFileError, match="the disk is full"):
        record(bench(), path, frames(), stop_after=shots)


def test_a_disk_that_fails_ends_a_run_with_what_it_had(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Disk(monkeypatch, fails_at=2)
    got: list[Capture] = []
    with RunFile.open(path, write=True) as run, pytest.raises(RunFileError, match="the disk is full"):
        got.extend(RecordingBench(bench(), run).play(frames()))
    last = Disk(monkeypatch)
    total = len(record(bench(), path, frames()))
    assert last.given == total
    Disk(monkeypatch, fails_at=total - 1)  # the very last one
    with pytest.raises(RunFileError, match="the disk is full"):
        record(bench(), path, frames())


def test_what_was_recorded_before_was_not_played_now(path: Path) -> None:
    """Of a run that goes on, only what its bench plays makes up its utilisation; what is played again does, too."""
    played = frames()

    def session(stop_after: int | None) -> tuple[float, float]:
        seen: list[Capture] = []
        with RunFile.open(path, write=True) as run:
            recording = RecordingBench(flaky(), run, stopping=lambda: len(seen) == stop_after, played=seen.append)
            try:
                handed_s = sum(capture.bench_s for capture in recording.play(played))
            except KeyboardInterrupt:
                handed_s = 0.0
        return sum(capture.bench_s for capture in seen), handed_s

    first_s, _ = session(3)
    rest_s, whole_s = session(None)
    assert first_s > 0
    assert first_s + rest_s == pytest.approx(whole_s)
    assert session(None)[0] == 0

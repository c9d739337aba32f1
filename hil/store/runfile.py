"""The run file: everything one command recorded, in one SQLite file that survives a power cut.

Write-ahead logging with synchronous=EXTRA: a transaction is on the disk before it counts as done (SQLite documentation,
"Write-Ahead Logging" and "PRAGMA synchronous"). One transaction a shot; every row has a checksum. The log is brought
into the file after some hundred pages, and from then on written over: a disk is faster where no file grows.
"""

from __future__ import annotations

import json
import os
import warnings
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from shlex import quote
from types import TracebackType
from typing import Any, Self

from drivers.errors import HilWarning, RunFileError
from drivers.signals import Capture, FrameKey
from hil.store import suspicion
from hil.store.connecting import connect, lacks_its_log, log_of
from hil.store.creation import create_file
from hil.store.journal import Connection, Journal
from hil.store.locking import check_header, explained, lock
from hil.store.notes import Noted, by_kind
from hil.store.rows import (
    KEY_COLUMNS,
    SHOT_COLUMNS,
    TRACE_COLUMNS,
    ShotRow,
    digest,
    now_utc,
    shot_values,
    stored_purpose,
    to_capture,
    to_trace,
    trace_values,
)
from hil.store.schema import SCHEMA_VERSION

LOG_PAGES = 256  # of the log before it is brought into the file: soon it is written over, and no longer grows
WHOLE_WHEN_CLOSED = "whole_when_closed"  # a fact of such files; older ones stayed in the mode of the log
_INSERT_SHOT = (
    f"INSERT INTO shots ({', '.join(SHOT_COLUMNS)}, digest) VALUES ({', '.join('?' * (len(SHOT_COLUMNS) + 1))}) "  # noqa: S608
    "RETURNING id"
)
_INSERT_TRACE = (
    f"INSERT INTO traces (shot, {', '.join(TRACE_COLUMNS)}, digest) "  # noqa: S608
    f"VALUES ({', '.join('?' * (len(TRACE_COLUMNS) + 2))})"
)
_SELECT_SHOT = f"SELECT {', '.join(SHOT_COLUMNS)}, digest FROM shots WHERE id = ?"  # noqa: S608
_SELECT_TRACES = f"SELECT {', '.join(TRACE_COLUMNS)}, digest FROM traces WHERE shot = ? ORDER BY name"  # noqa: S608


_SELECT_INDEX = (
    "SELECT purpose, image, noise, layer, id, attempt, first_slot, slots, bad_slots FROM shots WHERE damaged = 0"
)
_SELECT_FRAME = (
    "SELECT id, attempt, first_slot, slots, bad_slots FROM shots "
    "WHERE purpose = ? AND image = ? AND noise = ? AND layer = ? AND damaged = 0"
)
_FrameName = tuple[str, int, int, int]  # purpose, image, noise, layer


class DamagedShotError(RunFileError):
    """One shot's checksum does not fit its content; the others are not affected."""


class RunFile:
    """An open run file; use `RunFile.create` or `RunFile.open`, as context managers."""

    def __init__(self, path: Path, connection: Connection, lock: int | None = None) -> None:
        self.path = path
        self._journal = Journal(path, connection)
        self._lock = lock
        self._undo = ExitStack()
        self._facts: dict[str, Any] = {}
        self._shots: defaultdict[_FrameName, list[ShotRow]] | None = None
        self._results: list[tuple[Any, ...]] = []  # to be written with the next transaction

    @classmethod
    def create(cls, path: Path, facts: Mapping[str, object], *, numbered: bool = False) -> Self:
        """Make a new run file that holds these facts (JSON values), durably, and open it for writing.

        It appears under its name only when complete, and never in the place of another. Where the name is taken it gets
        a number if `numbered`; otherwise, and when it cannot be written, raises RunFileError.
        """
        return cls.open(create_file(path, {**facts, WHOLE_WHEN_CLOSED: True}, numbered=numbered), write=True)

    @classmethod
    def open(cls, path: Path, *, write: bool = False) -> Self:
        """Open an existing run file; raises RunFileError for anything that is not one, or one in use."""
        check_header(path)
        with ExitStack() as undo:
            held = lock(path) if write else None
            if held is not None:
                undo.callback(os.close, held)
            with explained(path):
                alone = lacks_its_log(path)
                connection = connect(path, write=write, undo=undo)
                connection.text_factory = _lenient
                opened = cls(path, connection, held)
                opened.prepare()
            if alone and opened.facts.get(WHOLE_WHEN_CLOSED):
                warnings.warn(
                    f"run file {path} was not closed and has no {log_of(path).name} beside it: if this is a copy, what "
                    "was recorded last was left behind. Copy both files, or `hil runs --pack RUN` first",
                    HilWarning,
                    stacklevel=2,
                )
            opened._undo = undo.pop_all()
        return opened

    def prepare(self) -> None:
        """Set durability, check the schema and read the facts; raises RunFileError."""
        if self._lock is not None:
            # As FULL with the log, and beyond it without: where the file leaves its mode, a rollback journal that comes
            # back after a power cut, because only its folder forgot it, would be played into what came later.
            self._journal.execute("PRAGMA synchronous = EXTRA")
            self._journal.execute("PRAGMA journal_mode = WAL")
            self._journal.execute(f"PRAGMA wal_autocheckpoint = {LOG_PAGES}")
        suspicion.check_schema(self.path, self._journal.all("SELECT type, name, sql FROM sqlite_master"))
        version = self._journal.one("PRAGMA user_version")[0]
        if version > SCHEMA_VERSION:
            raise RunFileError(
                f"run file {self.path} has schema {version}; this version reads up to {SCHEMA_VERSION}: update hil"
            )
        if version < 1:
            raise RunFileError(f"run file {self.path} has schema {version}, which no version ever wrote: it is damaged")
        for key, value, check in self._journal.all("SELECT key, value, digest FROM run"):
            if digest((key, value)) != check:
                raise RunFileError(f"run file {self.path} is damaged: its {key} fails its checksum")
            self._facts[str(key)] = suspicion.fact(self.path, str(key), str(value))
        if self._lock is not None and version < SCHEMA_VERSION:  # what comes from here on an older hil cannot read
            self._journal.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")

    @property
    def facts(self) -> dict[str, Any]:
        """What was frozen when the run began: configuration, versions, identities."""
        return self._facts

    def fact(self, key: str) -> Any:
        """One fact; raises RunFileError when it is missing."""
        if key not in self._facts:
            raise RunFileError(f"run file {self.path} is damaged: it does not say its {key}")
        return self._facts[key]

    def add_fact(self, key: str, value: object) -> None:
        """Freeze something more; a fact is never changed."""
        text = json.dumps(value, ensure_ascii=False)
        with self._transaction():
            self._journal.execute(
                "INSERT INTO run (key, value, digest) VALUES (?, ?, ?)", (key, text, digest((key, text)))
            )
        self._facts[key] = json.loads(text)

    # Shots

    def add_shot(self, capture: Capture) -> Future[int]:
        """Record one shot in one transaction; the row id comes once the shot is on the disk.

        The disk is waited for in a thread. Whatever else is asked of the file meanwhile waits for it too; only
        `add_result` and `shots_of` do not have to. The result raises RunFileError when the disk takes no more.
        """
        return self._journal.commit_in_thread(self._insert(capture))

    def keep_shot(self, capture: Capture) -> int:
        """The same for who has nothing to do meanwhile: returns once the shot is on the disk; raises RunFileError."""
        row = self._insert(capture)
        self._journal.commit()
        return row

    def _insert(self, capture: Capture) -> int:
        """Put a shot into a transaction and leave that open; returns the row id."""
        values = shot_values(capture)
        traces = [trace_values(trace) for trace in sorted(capture.traces, key=lambda t: t.name)]
        checks = [digest(trace) for trace in traces]
        shots = self._index()
        with self._journal.transaction(commit=False):
            self._flush_results()
            ((row,),) = self._journal.execute(_INSERT_SHOT, (*values, digest(values, *checks)))
            for trace, check in zip(traces, checks, strict=True):
                self._journal.execute(_INSERT_TRACE, (row, *trace, check))
        purpose, image, noise, attempt, layer, first_slot, slots = values[: len(KEY_COLUMNS)]
        bad_slots = int((~capture.ok).sum())
        shots[purpose, image, noise, layer].append(ShotRow(row, attempt, first_slot, slots, bad_slots))
        found: int = row
        return found

    def shots_of(self, key: FrameKey, layer: int, first_slot: int = 0, stop: int = 1 << 31) -> list[ShotRow]:
        """The recorded shots within slots first_slot…stop−1 of a frame, of all attempts, in the order of slots.

        The key's own attempt is ignored.
        """
        name = (stored_purpose(key), key.image, key.noise, layer)
        if self._lock is None:  # somebody else may be writing, and a reader wants a frame or two
            rows = [self._shot_row(row) for row in self._journal.all(_SELECT_FRAME, name)]
        else:
            rows = self._index().get(name, [])
        inside = [row for row in rows if first_slot <= row.first_slot < stop]
        return sorted(inside, key=lambda row: (row.first_slot, row.attempt))

    def _index(self) -> defaultdict[_FrameName, list[ShotRow]]:
        """Which shots there are, by frame: read once, then kept."""
        if self._shots is None:
            self._shots = defaultdict(list)
            for *frame, row, attempt, first_slot, slots, bad_slots in self._journal.all(_SELECT_INDEX):
                self._shots[tuple(frame)].append(self._shot_row((row, attempt, first_slot, slots, bad_slots)))
        return self._shots

    def _shot_row(self, row: tuple[Any, ...]) -> ShotRow:
        suspicion.numbers(self.path, "where a shot stands", row)
        return ShotRow(*row)

    def load(self, shot: int, traces: Collection[str] | None = ()) -> Capture:
        """A recorded shot by row id, with the named traces or (None) all; raises DamagedShotError."""
        row = self._journal.one(_SELECT_SHOT, (shot,))
        found = self._journal.all(_SELECT_TRACES, (shot,))
        if row is None:
            raise RunFileError(f"run file {self.path} has no shot {shot}")
        whole = digest(row[:-1], *(trace[-1] for trace in found)) == row[-1]
        if not whole or any(digest(trace[:-1]) != trace[-1] for trace in found):
            raise self._damaged(shot, row)
        wanted = [trace for trace in found if traces is None or trace[0] in traces]
        with self._whole(shot, row):
            return to_capture(row[:-1], tuple(to_trace(trace[:-1]) for trace in wanted))

    def counts(self, shot: int) -> Capture:
        """A recorded shot without its traces, which are not even read: for whoever wants many; raises as `load`."""
        row = self._journal.one(_SELECT_SHOT, (shot,))
        if row is None:
            raise RunFileError(f"run file {self.path} has no shot {shot}")
        checks = self._journal.all("SELECT digest FROM traces WHERE shot = ? ORDER BY name", (shot,))
        if digest(row[:-1], *(check for (check,) in checks)) != row[-1]:
            raise self._damaged(shot, row)
        with self._whole(shot, row):
            return to_capture(row[:-1], ())

    @contextmanager
    def _whole(self, shot: int, row: tuple[Any, ...]) -> Iterator[None]:
        """Checksums tell of accidents; whoever made a file on purpose could make them too."""
        try:
            yield
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError, AttributeError) as error:
            raise self._damaged(shot, row) from error

    def _damaged(self, shot: int, row: tuple[Any, ...]) -> DamagedShotError:
        return DamagedShotError(
            f"run file {self.path}: shot {shot} (image {row[1]}, slots from {row[5]}) fails its checksum; "
            f"`hil resume {quote(str(self.path))}` takes it again"
        )

    def query(self, sql: str, parameters: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        """Rows of a SELECT, for the modules of this room that only read."""
        return self._journal.all(sql, parameters)

    def check(self) -> None:
        """Have SQLite look at its own structure; raises RunFileError when that is damaged (contents have checksums)."""
        found = self._journal.one("PRAGMA integrity_check(1)")[0]
        if found != "ok":
            salvage = f"`sqlite3 {quote(str(self.path))} .recover`"
            raise RunFileError(f"run file {self.path} is damaged ({found}); salvage what is left with {salvage}")

    def shot_ids(self) -> list[int]:
        """Row ids of all shots that are not known to be damaged, in the order they were taken."""
        return [row[0] for row in self._journal.all("SELECT id FROM shots WHERE damaged = 0 ORDER BY id")]

    def first_shots(self, purpose: str) -> dict[tuple[int, int], int]:
        """(noise, image) → row id of the first shot taken of it, damaged or not."""
        rows = self._journal.all(
            "SELECT noise, image, min(id) FROM shots WHERE purpose = ? GROUP BY noise, image", (purpose,)
        )
        return {(noise, image): first for noise, image, first in rows}

    def last_shot(self) -> int:
        """Row id of the shot taken last, 0 for none."""
        last: int = self._journal.one("SELECT coalesce(max(id), 0) FROM shots")[0]
        return last

    def set_aside(self, shot: int) -> None:
        """Mark a shot as damaged, and drop the result that was made from it; it will be taken again."""
        ((purpose, noise, image),) = self._journal.all("SELECT purpose, noise, image FROM shots WHERE id = ?", (shot,))
        with self._transaction():
            self._journal.execute("UPDATE shots SET damaged = 1 WHERE id = ?", (shot,))
            if "/" not in purpose:  # of a sweep there is no result
                self._journal.execute("DELETE FROM results WHERE noise = ? AND image = ?", (noise, image))
            self._shots = None
            self._add_event("damage", f"shot {shot} (image {image}) fails its checksum and is taken again")

    def set_image_aside(self, key: FrameKey, why: str) -> None:
        """Mark all shots of an image as not to be used; they will be taken again."""
        with self._transaction():
            self._journal.execute(
                "UPDATE shots SET damaged = 1 WHERE (purpose = ? OR purpose GLOB ?) AND image = ? AND noise = ?",
                (key.purpose, f"{key.purpose}+*", key.image, key.noise),  # with all its helpings
            )
            self._journal.execute("DELETE FROM results WHERE noise = ? AND image = ?", (key.noise, key.image))
            self._shots = None
            self._add_event("set aside", why)

    # Results and events

    def add_result(self, result: Mapping[str, Any]) -> None:
        """Record what became of one digit; `result` holds at least noise, index, label and answer.

        Written with the next shot or event: a result that a power cut takes follows from the shots once more.
        """
        detail = json.dumps(result, ensure_ascii=False)
        values = (result["noise"], result["index"], result["label"], result["answer"], detail)
        self._results.append((*values, digest(values)))

    def _flush_results(self) -> None:
        while self._results:
            self._journal.execute(
                "INSERT OR REPLACE INTO results (noise, image, label, answer, detail, digest) "
                "VALUES (?, ?, ?, ?, ?, ?)",
                self._results.pop(0),
            )

    def results(self) -> list[dict[str, Any]]:
        """All results, by noise and image; those that fail their checksum are left out, to be made again."""
        if self._results:
            with self._transaction():
                pass
        rows = self._journal.all(
            "SELECT noise, image, label, answer, detail, digest FROM results ORDER BY noise, image"
        )
        found = [self.result_of(row[4]) for row in rows if digest(row[:-1]) == row[-1]]
        return [detail for detail in found if detail is not None]

    @staticmethod
    def result_of(text: object) -> dict[str, Any] | None:
        """What became of a digit; None where that is not told in full, so that it is made again."""
        try:
            detail = json.loads(str(text))
        except (ValueError, RecursionError):
            return None
        return detail if isinstance(detail, dict) and suspicion.is_result(detail) else None

    def add_event(self, kind: str, text: str) -> None:
        """Record that something happened."""
        with self._transaction():
            self._add_event(kind, text)

    def _add_event(self, kind: str, text: str) -> None:
        self._journal.execute("INSERT INTO events (at_utc, kind, text) VALUES (?, ?, ?)", (now_utc(), kind, text))

    def events(self) -> list[tuple[str, str, str]]:
        """(when UTC, kind, text) of all events, in order; raises RunFileError where one is no text."""
        found = [tuple(row) for row in self._journal.all("SELECT at_utc, kind, text FROM events ORDER BY id")]
        suspicion.texts(self.path, "a part of an event", (part for row in found for part in row))
        return found

    def count_events(self, kind: str) -> int:
        """How many events of a kind there are."""
        return sum(row[1] == kind for row in self.events())

    def notes(self) -> list[Noted]:
        """What shots have to say, by kind."""
        rows = self._journal.all("SELECT notes FROM shots WHERE damaged = 0 AND notes <> '[]' ORDER BY id")
        found = [suspicion.from_json(self.path, "notes", row[0]) for row in rows]
        return by_kind([str(note) for note in notes] for notes in found if isinstance(notes, list))

    def totals(self) -> dict[str, Any]:
        """Sums over all shots: shots, pulses, spikes, resets, bench_s, samples and bytes of traces, bad slots."""
        shots = self._journal.one(
            "SELECT count(*), coalesce(sum(total_pulses), 0), coalesce(sum(total_spikes), 0), "
            "coalesce(sum(resets), 0), coalesce(sum(bench_s), 0.0), coalesce(sum(bad_slots), 0), "
            "min(taken_utc), max(taken_utc) FROM shots WHERE damaged = 0"
        )
        names = ("shots", "pulses", "spikes", "resets", "bench_s", "bad_slots", "first_utc", "last_utc")
        suspicion.numbers(self.path, "a sum over its shots", shots[:6])
        traces = self._journal.one("SELECT coalesce(sum(samples), 0), coalesce(sum(length(codes)), 0) FROM traces")
        return {**dict(zip(names, shots, strict=True)), "samples": traces[0], "trace_bytes": traces[1]}

    def settle(self) -> None:
        """Bring what was written into the file, so that its size is what it will be; left to later if somebody reads.

        Raises RunFileError.
        """
        self._journal.checkpoint()

    @property
    def bytes_on_disk(self) -> int:
        """Size of the file and its log."""
        files = (self.path, self.path.with_name(self.path.name + "-wal"))
        return sum(file.stat().st_size for file in files if file.exists())

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._journal.transaction():
            self._flush_results()
            yield

    def close(self) -> None:
        """Close it; idempotent."""
        if self._results:
            with suppress(RunFileError), self._transaction():
                pass
        if self._lock is not None:
            with suppress(RunFileError):  # somebody reads it: then the log stays beside it
                self._journal.into_one_file()
        self._journal.close()
        self._lock = None
        self._undo.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _lenient(raw: bytes) -> str:
    """Damaged text must reach its checksum instead of failing here."""
    return raw.decode("utf-8", errors="replace")


def damaged_shots(run: RunFile) -> Iterator[tuple[int, bool]]:
    """(row id, whether it is damaged) of every shot, for a check of the whole file."""
    for shot in run.shot_ids():
        try:
            run.load(shot)
        except (DamagedShotError, ValueError):
            yield shot, True
        else:
            yield shot, False

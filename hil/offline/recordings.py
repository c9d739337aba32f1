"""Recordings in a run file: imported whole, and decoded again from there."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from pydantic import BaseModel, ConfigDict

from drivers.benchfile import BenchFile, load_bench
from drivers.device import DeviceFile
from drivers.errors import CaptureError, HilError, InputError
from drivers.tracefile.reading import read_recordings
from hil.offline.decoding import Decoded, decode_recording
from hil.offline.planfile import Plan, read_plan
from hil.run.rereading import spike_settings
from hil.store import frozen
from hil.store.notes import Noted, by_kind
from hil.store.runfile import RunFile

if TYPE_CHECKING:
    from drivers.signals import Capture, Frame
    from drivers.tracefile.recording import Recording

_READ = 1 << 20
_SAME_SAMPLES = 0.1  # a slot's length may come out otherwise by so much of a sample, with another version


class Imported(BaseModel):
    """Where one recording came from: the file's name and SHA-256, which part of it, and what was done to it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    file: str
    sha256: str
    part: str = ""
    said: tuple[str, ...] = ()


class ImportConfig(BaseModel):
    """What an import was made with: recordings in their order, channels by our names for them, and how to decode them.

    `measured`: what the lines look like is measured in each recording; otherwise the bench says so.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="constants")

    recordings: tuple[Imported, ...]
    channels: dict[str, str]
    bench: BenchFile
    device: DeviceFile
    measured: bool
    planned: tuple[bool, ...]


@dataclass(frozen=True)
class Wanted:
    """How the user wants files read: channel names, and bench and plan files where there are any."""

    axon: str
    sync: str | None = None
    bench: str | None = None
    plan: Path | None = None

    @property
    def channels(self) -> dict[str, str]:
        """Their names by ours."""
        return {"axon": self.axon, **({"sync": self.sync} if self.sync else {})}

    def settled(self) -> tuple[BenchFile, Plan | None]:
        """The bench file and the plan; raises InputError."""
        bench = load_bench(self.bench or "mock")
        return bench, None if self.plan is None else read_plan(self.plan, bench)


def recordings(files: Collection[Path]) -> Iterator[Recording]:
    """All recordings of files, in order."""
    for file in files:
        yield from read_recordings(file)


def decode_files(files: Collection[Path], wanted: Wanted) -> Iterator[tuple[Recording, Decoded]]:
    """Each recording decoded; raises InputError, or CaptureError naming the file."""
    bench, plan = wanted.settled()
    for index, recording in enumerate(recordings(files)):
        yield recording, _decoded(recording, wanted, bench, plan, index)


def _decoded(recording: Recording, wanted: Wanted, bench: BenchFile, plan: Plan | None, index: int) -> Decoded:
    shot, tick_s = _shot(recording, plan, index)
    traces = recording.named(**wanted.channels)
    measured = wanted.bench is None and shot is None
    try:
        return decode_recording(traces, bench, measured=measured, shot=shot, tick_s=tick_s, index=index)
    except CaptureError as error:
        raise CaptureError(f"{recording.path}{recording.part and f' {recording.part}'}: {error}") from error


def _shot(recording: Recording, plan: Plan | None, index: int) -> tuple[Frame | None, float]:
    if plan is not None:
        return plan.of(index, recording.path), plan.tick_s
    return recording.shot, recording.tick_s or 1e-6


def import_files(files: Collection[Path], wanted: Wanted, out: Path, device: DeviceFile) -> tuple[RunFile, list[str]]:
    """Make a run file of recordings: each a shot with its traces. Returns it open, and what was said on the way.

    Everything is read and decoded before the file is made, so that what cannot be read leaves none. Raises InputError,
    CaptureError, RunFileError.
    """
    bench, plan = wanted.settled()
    imported: list[Imported] = []
    planned: list[bool] = []
    ticks: list[float] = []
    said: list[str] = []
    digests = {file: _sha256(file) for file in files}
    for index, recording in enumerate(recordings(files)):  # one at a time: traces are large
        found = _decoded(recording, wanted, bench, plan, index)
        imported.append(
            Imported(file=recording.path.name, sha256=digests[recording.path], part=recording.part, said=recording.said)
        )
        planned.append(found.planned)
        ticks.append(_shot(recording, plan, index)[1])
        said += recording.said
    if len(set(ticks)) > 1:
        raise InputError(f"these recordings were played in steps of {sorted(set(ticks))} s: import them apart")
    config = ImportConfig(
        recordings=tuple(imported),
        channels=wanted.channels,
        bench=bench,
        device=device,
        measured=wanted.bench is None and not any(planned),
        planned=tuple(planned),
    )
    run = frozen.begin(out, "import", config, {}, tick_s=ticks[0])
    try:
        for index, recording in enumerate(recordings(files)):
            run.keep_shot(_decoded(recording, wanted, bench, plan, index).capture)
        run.add_event("complete", f"{len(imported)} recordings")
    except HilError:
        run.close()
        raise
    return run, list(dict.fromkeys(said))


def _sha256(file: Path) -> str:
    try:
        with file.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"{file}: {error.strerror or error}") from error


def config_of_import(run: RunFile) -> ImportConfig:
    """The frozen settings of an import; raises RunFileError."""
    return frozen.settings_of(run, ImportConfig, "import")


def shots_of_import(run: RunFile, changes: Collection[str] = ()) -> Iterator[tuple[Imported, Capture, Decoded | str]]:
    """Every recording: whence it is, its capture as imported, and decoded again now, or why it cannot be.

    `changes` are `spikes.NAME=VALUE`; raises InputError where they would change nothing.
    """
    config = config_of_import(run)
    bench = config.bench.model_copy(update={"spikes": spike_settings(config.bench.spikes, changes)})
    if changes and config.measured:
        raise InputError(
            f"--set: {run.path} was imported without a bench file, so that each recording tells its own levels; import "
            "it with --bench"
        )
    tick_s = float(run.fact("tick_s"))
    for index, (imported, shot) in enumerate(zip(config.recordings, run.shot_ids(), strict=False)):
        capture = run.load(shot, None)
        plan = capture.frame if config.planned[index] else None
        try:
            yield (
                imported,
                capture,
                decode_recording(
                    capture.traces, bench, measured=config.measured, shot=plan, tick_s=tick_s, index=index
                ),
            )
        except CaptureError as error:
            yield imported, capture, str(error)


@dataclass(frozen=True)
class Compared:
    """One recording, as imported and decoded again: spikes of either, and how many slots differ in count or trust."""

    file: str
    spikes: tuple[int, int]
    slots: int
    trust: int
    unreadable: str = ""

    @property
    def same(self) -> bool:
        """Whether nothing came out otherwise."""
        return not (self.slots or self.trust or self.unreadable)


@dataclass(frozen=True)
class ImportReplay:
    """What decoding an import again found."""

    compared: tuple[Compared, ...]
    notes: tuple[Noted, ...]
    wall_s: float

    @property
    def identical(self) -> bool:
        """Whether every recording came out as it was imported."""
        return all(one.same for one in self.compared)


def replay_import(
    run: RunFile, changes: Collection[str] = (), progress: Callable[[int, int], None] | None = None
) -> ImportReplay:
    """Decode the recordings of an import again and compare; raises InputError, RunFileError."""
    began = time.perf_counter()
    compared, notes, total = [], [], len(run.shot_ids())
    for imported, capture, now in shots_of_import(run, changes):
        compared.append(_compare(imported, capture, now))
        notes.append(() if isinstance(now, str) else now.capture.notes)
        if progress is not None:
            progress(len(compared), total)
    if not compared:
        raise InputError(f"run {run.path} holds no recording: its import was interrupted; import again")
    return ImportReplay(tuple(compared), tuple(by_kind(notes)), time.perf_counter() - began)


def _compare(imported: Imported, was: Capture, now: Decoded | str) -> Compared:
    name = f"{imported.file} {imported.part}".rstrip()
    before = int(was.spikes.sum())
    if isinstance(now, str):
        return Compared(name, (before, 0), len(was.spikes), len(was.spikes), now)
    found = now.capture
    after = int(found.spikes.sum())
    if len(found.spikes) != len(was.spikes):
        return Compared(name, (before, after), max(len(found.spikes), len(was.spikes)), 0)
    moved_s = np.abs(found.slot_s - was.slot_s) > _SAME_SAMPLES * was.traces[0].x_increment_s
    return Compared(
        name,
        (before, after),
        int(np.count_nonzero((found.spikes != was.spikes) | moved_s)),
        int(np.count_nonzero(found.ok != was.ok)),
    )

"""What the application reads of one run file: kept between looks, so that many readers cost what one costs.

A file is opened for each look and closed after it. A hostile or damaged file becomes one line that says so.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from calibration.estimate import wilson_interval
from drivers.errors import HilError, InputError, RunFileError
from hil.network.weights import SHIPPED, Weights, load_weights
from hil.report.pieces import Seen, piece, raster, row_of, seen, shots_with
from hil.report.progress import Progress
from hil.report.sums import Statistics
from hil.report.views import check_digit, digit_view, maps_view, overview, part_named, recorded_shots
from hil.run.session import config_of, curve_at, recalibrations_of, results_of
from hil.store.locking import in_use
from hil.store.runfile import RunFile

if TYPE_CHECKING:
    from hil.run.config import RunConfig

_MOST_KEPT = 48  # answers about digits
_MOST_SLOTS = 16  # with traces, some hundred kilobytes each
_MOST_SHOTS = 2  # with traces, some megabytes each


@contextmanager
def opened(path: Path) -> Iterator[tuple[RunFile, RunConfig]]:
    """The run file and its configuration; raises RunFileError for whatever a file may hold that is not a run."""
    try:
        with RunFile.open(path) as run:
            yield run, config_of(run)
    except HilError:
        raise
    except (ValueError, KeyError, TypeError, IndexError, OverflowError, AttributeError) as error:
        raise RunFileError(f"run file {path.name} is damaged: {type(error).__name__}: {error}") from error


Value = TypeVar("Value")


@dataclass
class Kept(Generic[Value]):
    """The answers given last, at most `most` of them; asked for twice at once, an answer is made once."""

    most: int
    _answers: OrderedDict[tuple[Any, ...], Value] = field(default_factory=OrderedDict)
    _lock: Lock = field(default_factory=Lock)

    def get(self, key: tuple[Any, ...], make: Callable[[], Value]) -> Value:
        """The answer, made if it is not there."""
        with self._lock:
            if key not in self._answers:
                self._answers[key] = make()
                while len(self._answers) > self.most:
                    self._answers.popitem(last=False)
            self._answers.move_to_end(key)
            return self._answers[key]


class Now(NamedTuple):
    """A run at one moment: what has changed, the digits done in the order they came, and which reading that was of."""

    state: dict[str, Any]
    digits: list[dict[str, Any]]
    generation: int


class Reading:
    """One run file, read by however many pages are open."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.over = False  # nobody waits for an answer any more
        self._progress: Progress | None = None
        self._fixed: dict[str, Any] = {}
        self._signature: tuple[int, ...] = ()
        self._lock = Lock()
        self._counting = Lock()
        self._statistics = Statistics()
        self._counted = 0
        self._generation = 0
        self._sample_s: float | None = None
        self._answers: Kept[bytes] = Kept(_MOST_KEPT)
        self._slots: Kept[bytes] = Kept(_MOST_SLOTS)
        self._shots: Kept[Seen] = Kept(_MOST_SHOTS)
        self._weights: Weights | None = None

    def look(self) -> Progress:
        """Read what has come since the last look; raises RunFileError."""
        with self._lock:
            now = signature(self.path)
            if self._progress is None or now != self._signature:
                with opened(self.path) as (run, config):
                    progress = self._progress or Progress(config)
                    progress.look(run)
                    self._fixed = self._fixed or overview(run, config, self.path.name)
                self._progress, self._signature = progress, now
            return self._progress

    def now(self) -> Now:
        """What changes, for the page; raises HilError."""
        running = in_use(self.path)  # asked first: what a process wrote before it let go is read after
        progress = self.look()
        sizes = signature(self.path)
        with self._lock:
            state = progress.state(running=running, size=sizes[1] + sizes[4])
            return Now(state, list(progress.digits.values()), progress.generation)

    @property
    def fixed(self) -> dict[str, Any]:
        """What does not change, once the file has been looked at."""
        return self._fixed

    # Answers are JSON already, encoded once for however many ask.

    def digit(self, noise: int, index: int) -> bytes:
        """See `digit_view`."""

        def make() -> bytes:
            with opened(self.path) as (run, config):
                return encoded(digit_view(run, config, noise, index, pictured=config.source.kind != "folder"))

        return self._answers.get(("digit", noise, index, *self._version(noise, index)), make)

    def maps(self, noise: int, index: int) -> bytes:
        """What every layer made of a finished digit; raises InputError where that cannot be told from here."""

        def make() -> bytes:
            with opened(self.path) as (run, config):
                check_digit(config, noise, index)
                found = dict(maps_view(run, config, self._shipped(config), {(noise, index)}))
                return encoded(found[noise, index])

        if (noise, index) not in self.look().digits:
            raise InputError(f"digit {index} at {noise} % is not finished")
        return self._answers.get(("maps", noise, index, *self._version(noise, index)), make)

    def _shipped(self, config: RunConfig) -> Weights:
        """The weights that come with the package. What a run names is not read: it may lie anywhere."""
        if config.source.kind == "folder":
            raise InputError("this run's digits are in a folder of their own; hil report shows its maps")
        if self._weights is None:
            name = config.weights_path or "positive"
            self._weights = load_weights(name if name in SHIPPED else None)
        if self._weights.digest != config.weights_digest:
            raise InputError("this run used other weights than those shipped; hil report shows its maps")
        return self._weights

    def kernel(self, noise: int, index: int, layer: str, channel: int) -> bytes:
        """The raster of one kernel, under `raster`; None without traces."""

        def make() -> bytes:
            with opened(self.path) as (run, config):
                check_digit(config, noise, index)
                part = part_named(config, layer)
                positions = part.layer.positions
                first = (channel - part.channels.start) * positions
                captures = [c for s in recorded_shots(run, config, noise, index, part) for c in s.captures]
                shots = [
                    self._seen(run, config, row_of(run, c, part))
                    for c in captures
                    if c.frame.first_slot < first + positions and c.frame.first_slot + len(c.frame) > first
                ]
                return encoded({"raster": raster(shots, config, channel)})

        return self._answers.get(("kernel", noise, index, layer, channel, *self._version(noise, index)), make)

    def slot(self, noise: int, index: int, layer: str, channel: int, position: int) -> bytes:
        """One slot and its neighbours with their traces, under `pieces`, one a helping, or `why` there are none."""
        key = (noise, index, layer, channel, position, *self._version(noise, index))
        return self._slots.get(key, lambda: self._slot(noise, index, layer, channel, position))

    def _slot(self, noise: int, index: int, layer: str, channel: int, position: int) -> bytes:
        with opened(self.path) as (run, config):
            check_digit(config, noise, index)
            part = part_named(config, layer)
            if channel not in part.channels or not 0 <= position < part.layer.positions:
                raise InputError(f"{layer} has no recorded slot at kernel {channel}, position {position}")
            number = (channel - part.channels.start) * part.layer.positions + position
            shots = [self._seen(run, config, row) for row in shots_with(run, config, noise, index, part, number)]
            tick_s = run.fact("tick_s")
            made = [piece(shot, config, tick_s, number - shot.capture.frame.first_slot) for shot in shots]
            traced = any(shot.capture.traces for shot in shots)
            why = "" if traced or not shots else "This run has no oscilloscope traces."
            return encoded({"pieces": made, "why": why if shots else "This slot has not been recorded."})

    def _seen(self, run: RunFile, config: RunConfig, shot: int) -> Seen:
        return self._shots.get((shot,), lambda: seen(run.load(shot, None), config))

    def statistics(self) -> bytes:
        """Sums over all slots so far; every shot is read once."""
        generation = self.look().generation
        with self._counting, opened(self.path) as (run, config):
            if generation != self._generation:
                self._generation, self._counted, self._statistics = generation, 0, Statistics()
            number = curve_at(run)
            for (shot,) in run.query("SELECT id FROM shots WHERE id > ? AND damaged = 0 ORDER BY id", (self._counted,)):
                if self.over:
                    break
                capture = run.counts(shot)
                self._statistics.add(capture, run.fact("tick_s"), number(shot, capture.frame.key.purpose))
                self._counted = shot
            if self._sample_s is None:
                steps = run.query("SELECT x_increment_s FROM traces LIMIT 1")
                self._sample_s = float(steps[0][0]) if steps else None
            return encoded(self._statistics.view(config, self._sample_s, recalibrations_of(run, config).curves))

    def _version(self, noise: int, index: int) -> tuple[int, ...]:
        """Of what is known about a digit: it changes only while the digit is under way, or when it is taken back."""
        progress = self.look()
        done = (noise, index) in progress.digits
        return (progress.generation, -1 if done else progress.totals["shots"])


def encoded(value: object) -> bytes:
    """As JSON, without spaces."""
    return json.dumps(value, separators=(",", ":")).encode()


def summary(path: Path) -> dict[str, Any]:
    """One line of the list of runs, with what a comparison wants; `trouble` where a file cannot be read."""
    try:
        with opened(path) as (run, config):
            progress = Progress(config)
            progress.look(run)
            done, right = len(progress.digits), progress.correct
            begun = str(run.facts.get("begun", ""))
    except HilError as error:
        return {"name": path.name, "trouble": str(error)}
    totals = progress.totals
    return {
        "name": path.name,
        "trouble": "",
        "begun": begun,
        "what": f"{config.physical}, digits {config.digits}, noise {','.join(map(str, config.noise))} %",
        "physical": config.physical,
        "device": config.device.id,
        "vth_v": config.vth_v,
        "timing": config.timing.key(),
        "noise": ", ".join(f"{level} %" for level in config.noise),
        "done": done,
        "wanted": progress.wanted,
        "correct": right,
        "interval": list(wilson_interval(right, done)) if done else [0.0, 1.0],
        "pulses": totals["pulses"],
        "spikes": totals["spikes"],
        "bench_s": progress.bench_s,
        "bytes": run.bytes_on_disk,
    }


def compared(one: Path, two: Path) -> dict[str, Any]:
    """How the answers of two runs differ on the digits that both have done; raises HilError."""
    found = []
    for path in (one, two):
        with opened(path) as (run, _):
            found.append({(r.noise, r.index): r for r in results_of(run)})
    shared = found[0].keys() & found[1].keys()
    pairs = [(found[0][digit], found[1][digit]) for digit in shared]
    return {
        "shared": len(pairs),
        "agree": sum(a.answer == b.answer for a, b in pairs),
        "only": [
            sum(a.correct and not b.correct for a, b in pairs),
            sum(b.correct and not a.correct for a, b in pairs),
        ],
    }


def signature(path: Path) -> tuple[int, ...]:
    """Changes whenever something is committed to a run file: inode, sizes and times of the file and its log."""
    found: list[int] = []
    for file in (path, path.with_name(f"{path.name}-wal")):
        try:
            status = file.stat()
        except FileNotFoundError:
            found += (0, 0, 0)
        else:
            found += (status.st_ino, status.st_size, status.st_mtime_ns)
    return tuple(found)

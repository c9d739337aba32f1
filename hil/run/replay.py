"""Decode a recorded run again, offline: the run file is the bench, and its traces are read anew.

With the settings of the run everything must come out as it was recorded. With others the differences tell what would
have been decoded from the same traces.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from drivers.decode.schmitt import check_on_screen
from drivers.errors import CaptureError, InputError
from drivers.settings import SpikeSettings
from drivers.signals import Trace
from hil.network.layers import LAYERS
from hil.network.weights import load_weights
from hil.run.rereading import DECODED, Tally, TraceReader, spike_settings
from hil.run.session import again, config_of, detail
from hil.store.notes import Noted, by_kind

if TYPE_CHECKING:
    from hil.network.layers import Floats
    from hil.network.weights import Weights
    from hil.run.config import RunConfig
    from hil.run.digits import DigitResult
    from hil.store.runfile import RunFile

Digit = tuple[int, int]  # noise, index
_NO_CODES = np.empty(0, dtype=np.uint8)


@dataclass(frozen=True)
class Difference:
    """One digit that came out otherwise: (recorded, now) of each, and how many activations of which layers moved."""

    noise: int
    index: int
    spikes: tuple[int, int]
    slots: int
    untrusted: int
    answer: tuple[int, int]
    confidence: tuple[float, float]
    activations: dict[str, int]
    unreadable: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**self.__dict__, "unreadable": list(self.unreadable)}


@dataclass(frozen=True)
class Replay:
    """What a replay found; `frames` were decoded again, or only counted again where there are no traces.

    `notes` are those of the shots as they were decoded now; `cannot` was said before.
    """

    digits: int
    frames: int
    decoded_shots: int
    differences: tuple[Difference, ...]
    wall_s: float
    decode_s: float
    bench_s: float
    notes: tuple[Noted, ...] = ()
    cannot: tuple[str, ...] = ()

    @property
    def identical(self) -> bool:
        """Whether all counts, activations and answers are those of the run."""
        return not self.differences

    @property
    def unreadable(self) -> tuple[str, ...]:
        """Why shots could not be decoded, one by one."""
        return tuple(reason for difference in self.differences for reason in difference.unreadable)


@dataclass(frozen=True)
class _Held:
    """What a run file holds of one layer of the digits asked for: shots, those with traces to decode, and damaged."""

    shots: int = 0
    traced: int = 0
    damaged: int = 0


def _held(run: RunFile, wanted: Collection[Digit]) -> dict[int, _Held]:
    """By layer; nothing is read but the index."""
    found: dict[int, _Held] = {}
    rows = run.query(
        "SELECT layer, noise, image, damaged, (SELECT count(*) FROM traces WHERE shot = shots.id AND name IN (?, ?)) "
        "FROM shots",
        DECODED,
    )
    for layer, noise, image, damaged, lines in rows:
        if (noise, image) in wanted:
            had = found.get(layer, _Held())
            traced = not damaged and lines == len(DECODED)
            found[layer] = _Held(had.shots + (not damaged), had.traced + traced, had.damaged + bool(damaged))
    return found


def _off_screen(run: RunFile, wanted: Collection[Digit], settings: SpikeSettings) -> tuple[set[int], str]:
    """The shots whose axon or sync was not recorded as high, or as low, as the levels that it must pass, and what one
    of them says of it; nothing is read but the index.
    """
    levels = {
        "axon": (settings.threshold_v, settings.hysteresis_v),
        "sync": (settings.sync_level_v, settings.sync_span_v),
    }
    found: set[int] = set()
    why = ""
    rows = run.query(
        "SELECT shot, noise, image, name, y_increment_v, traces.y_origin, y_reference, x_increment_s FROM traces "
        "JOIN shots ON shots.id = shot WHERE name IN (?, ?) AND NOT damaged",
        DECODED,
    )
    for shot, noise, image, name, y_increment_v, y_origin, y_reference, x_increment_s in rows:
        if (noise, image) in wanted:
            threshold, span = levels[name]
            trace = Trace(name, _NO_CODES, y_increment_v, y_origin, y_reference, x_increment_s, 0.0)
            try:
                check_on_screen(trace, threshold - span / 2, threshold + span / 2)
            except CaptureError as error:
                found.add(shot)
                why = why or str(error)
    return found, why


def cannot(
    run: RunFile,
    config: RunConfig,
    wanted: Collection[Digit],
    asked: Collection[int] | None,
    layers: Collection[str] | None,
    changes: Collection[str],
    settings: SpikeSettings,
) -> list[str]:
    """What a replay cannot do with this run, told from its index before anything is decoded.

    `wanted` are the finished digits, `asked` those that the user named. Raises InputError where nothing of what was
    asked for can be done.
    """
    played = {part.layer.name for part in config.parts}
    foreign = sorted(set(layers or ()) - played)
    if foreign:
        raise InputError(
            f"--layer {foreign[0]}: this run played {', '.join(sorted(played)) or 'nothing'} on the neuron; the other "
            "layers are software and have no traces"
        )
    chosen = _indices(layers)
    held = {index: one for index, one in _held(run, wanted).items() if chosen is None or index in chosen}
    shots, traced, damaged = (
        sum(getattr(one, name) for one in held.values()) for name in ("shots", "traced", "damaged")
    )
    if changes and not traced:
        of_these = " of these layers" if layers else ""
        raise InputError(
            f"run {run.path} has no traces{of_these}: only its counts can be replayed, without --set; record traces "
            "with `hil run --traces` (an oscilloscope on the bench records them always)"
        )
    off, why = _off_screen(run, wanted, settings) if changes and chosen is None else (set(), "")
    if off and len(off) == traced:
        raise InputError(f"--set: no shot of run {run.path} can be read so: {why}")
    said = [f"{len(off):,} of {traced:,} shots cannot be read so: {why}"] if off else []
    lacking = sorted(set(asked or ()) - {index for _, index in wanted})
    if lacking:
        said.append(f"{len(lacking)} of the digits asked for are not finished in this run, first digit {lacking[0]}")
    if shots and traced < shots:
        what = "no shot has" if not traced else f"{shots - traced:,} of {shots:,} shots have no"
        said.append(f"{what} traces of axon and sync: their counts are taken as recorded, and cannot be decoded again")
    if damaged:
        said.append(f"{damaged:,} shots failed their checksums and were taken again: those are left out")
    return said


def replay(
    run: RunFile,
    *,
    digits: Collection[int] | None = None,
    layers: Collection[str] | None = None,
    changes: Collection[str] = (),
    progress: Callable[[int, int], None] | None = None,
    say: Callable[[str], None] = lambda _line: None,
) -> Replay:
    """Replay the recorded digits (None: all), decoding again the traces of the named layers (None: all).

    `changes` are `spikes.NAME=VALUE`; `say` is told what cannot be done, before anything is. Raises InputError when
    there is nothing of that kind to replay, RunFileError when the file is damaged or lacks a shot.
    """
    began = time.perf_counter()
    config = config_of(run)
    weights = load_weights(config.weights_path)
    if weights.digest != config.weights_digest:
        raise InputError(f"run {run.path} was made with other weights ({config.weights_digest[:12]}…): put them back")
    rows = {(row["noise"], row["index"]): row for row in run.results()}
    rows = {key: row for key, row in rows.items() if digits is None or key[1] in digits}
    if not rows:
        raise InputError(f"run {run.path} has no finished digit among those asked for")
    settings = spike_settings(config.bench.spikes, changes)
    reader = TraceReader(run, settings, config.bench.board, run.fact("tick_s"), _indices(layers))
    lacks = cannot(run, config, set(rows), digits, layers, changes, settings)
    for line in lacks:
        say(line)
    # Decoded otherwise, counts may well be impossible, and slot edges move by parts of a sample: that is no difference.
    played = again(run, config, weights, reader, set(rows), strict=not changes)
    differences = []
    for done, (result, maps) in enumerate(played, start=1):
        key = (result.noise, result.index)
        tally = reader.tallies.get((config.command, *key), Tally())
        found = _compare(run, weights, rows[key], result, maps, tally, lengths=not changes)
        if found is not None:
            differences.append(found)
        if progress is not None:
            progress(done, len(rows))
    return Replay(
        digits=len(rows),
        frames=len(rows) * len(config.parts),
        decoded_shots=reader.decoded,
        differences=tuple(differences),
        wall_s=time.perf_counter() - began,
        decode_s=reader.decode_s,
        bench_s=reader.bench_s or sum(row["bench_s"] for row in rows.values()),
        notes=tuple(by_kind(reader.notes)),
        cannot=tuple(lacks),
    )


def recorded_maps(
    run: RunFile, weights: Weights, digits: set[Digit]
) -> Iterator[tuple[DigitResult, dict[str, Floats]]]:
    """The maps of every layer for recorded digits, from the counts as recorded."""
    return again(run, config_of(run), weights, run.load, digits, strict=False)


def _compare(
    run: RunFile,
    weights: Weights,
    row: dict[str, Any],
    result: DigitResult,
    maps: dict[str, Floats],
    tally: Tally,
    *,
    lengths: bool,
) -> Difference | None:
    now = detail(result, maps)
    moved: dict[str, int] = {}
    if now["maps"] != row.get("maps"):
        # Another machine may round otherwise: what counts is whether the recorded counts give the same maps here.
        ((_, before),) = recorded_maps(run, weights, {(result.noise, result.index)})
        moved = {name: int(np.count_nonzero(maps[name] != before[name])) for name in maps}
        moved = {name: count for name, count in moved.items() if count}
    planned = row["pulses"] - row.get("retaken_pulses", 0)  # once, what was played again was not counted
    same = (row["answer"], row["spikes"], planned) == (result.answer, result.spikes, result.planned_pulses)
    wrong = tally.slots or tally.trust or tally.unreadable or (lengths and tally.lengths)
    if same and not moved and not wrong:
        return None
    return Difference(
        noise=result.noise,
        index=result.index,
        spikes=(row["spikes"], result.spikes),
        slots=tally.slots,
        untrusted=tally.trust,
        answer=(row["answer"], result.answer),
        confidence=(row["confidence"], result.confidence),
        activations=moved,
        unreadable=tuple(tally.unreadable),
    )


def _indices(layers: Collection[str] | None) -> set[int] | None:
    if layers is None:
        return None
    known = {layer.name: layer.index for layer in LAYERS}
    unknown = [name for name in layers if name not in known]
    if unknown:
        raise InputError(f"--layer {unknown[0]!r}: known layers are {', '.join(known)}")
    return {known[name] for name in layers}

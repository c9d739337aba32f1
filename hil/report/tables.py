"""Runs as comma-separated values, a row a digit, a slot, an event."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from drivers.durable import replacing
from drivers.signals import FrameKey
from drivers.timing import length_ticks
from hil.network.layers import LAYERS
from hil.report.export import RESULT_COLUMNS, Progress
from hil.run.session import config_of, results_of
from hil.store.retakes import measured_shots
from hil.store.runfile import RunFile

if TYPE_CHECKING:
    from hil.run.config import RunConfig

_SLOTS = (
    *("noise_percent", "image", "layer", "channel", "position", "attempts"),
    *("pulses", "spikes", "slot_s", "planned_s", "helping"),
)


def to_csv(run: RunFile, stem: Path, *, progress: Progress | None = None) -> list[Path]:
    """Write STEM-digits.csv, STEM-slots.csv (played slots) and STEM-events.csv; raises InputError."""
    config = config_of(run)
    written = [stem.with_name(f"{stem.name}-{what}.csv") for what in ("digits", "slots", "events")]
    digits = (("noise_percent", "image", *(name for name, *_ in RESULT_COLUMNS)), _digit_rows(run))
    slots = (_SLOTS, _slot_rows(run, config, progress))
    events = (("at_utc", "kind", "text"), iter(run.events()))
    with ExitStack() as stack:  # all three or none
        for path, (header, rows) in zip(written, (digits, slots, events), strict=True):
            partial = stack.enter_context(replacing(path, "export"))
            with partial.open("w", newline="", encoding="utf-8") as file:
                writer = csv.writer(file)
                writer.writerow(header)
                writer.writerows(rows)
    return written


def _digit_rows(run: RunFile) -> Iterator[tuple[Any, ...]]:
    for result in results_of(run):
        yield (result.noise, result.index, *(getattr(result, name) for name, *_ in RESULT_COLUMNS))


def _slot_rows(run: RunFile, config: RunConfig, progress: Progress | None) -> Iterator[tuple[Any, ...]]:
    tick_s = run.fact("tick_s")
    helpings = range(len(config.helpings) or 1)
    wanted = [(n, i, p, h) for n in config.noise for i in config.images for p in config.parts for h in helpings]
    for done, (noise, image, part, helping) in enumerate(wanted, start=1):
        for _, shot in measured_shots(run, FrameKey(config.command, image, noise, helping=helping), part.layer.index):
            capture = shot.merged()
            frame = capture.frame
            planned, attempts = length_ticks(frame, tick_s) * tick_s, shot.attempts
            for i in np.flatnonzero(frame.played & capture.ok).tolist():
                yield (
                    *(noise, image, LAYERS[part.layer.index].name, int(frame.channel[i]), int(frame.position[i])),
                    *(int(attempts[i]), int(frame.pulses[i]), int(capture.spikes[i])),
                    *(round(float(capture.slot_s[i]), 12), round(float(planned[i]), 12), helping),
                )
        if progress is not None:
            progress(done, len(wanted))


def to_csv_recordings(run: RunFile, stem: Path, *, progress: Progress | None = None) -> list[Path]:
    """Write STEM-slots.csv of an import: a row an interval or slot of each recording; raises InputError."""
    path = stem.with_name(f"{stem.name}-slots.csv")
    with replacing(path, "export") as partial, partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("recording", "slot", "pulses", "spikes", "length_s", "ok"))
        for done, row in enumerate(run.shot_ids(), start=1):
            capture = run.counts(row)
            frame = capture.frame
            planned = frame.played.any()
            for i in range(len(frame)):
                pulses = int(frame.pulses[i]) if planned else ""
                length = round(float(capture.slot_s[i]), 12)
                cells = (frame.first_slot + i, pulses, int(capture.spikes[i]), length, int(capture.ok[i]))
                writer.writerow((frame.key.image, *cells))
            if progress is not None:
                progress(done, len(run.shot_ids()))
    return [path]

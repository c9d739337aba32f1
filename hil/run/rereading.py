"""Recorded shots whose traces are decoded anew, with the settings of the run or with others."""

from __future__ import annotations

import time
import tomllib
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
from pydantic import ValidationError

from drivers.decode.spikes import decode
from drivers.device import validation_line
from drivers.errors import CaptureError, InputError
from drivers.settings import BoardSettings, SpikeSettings
from drivers.signals import Capture

if TYPE_CHECKING:
    from hil.store.runfile import RunFile

DECODED = ("axon", "sync")
SAME_SAMPLES = 0.1  # another version of the decoder may place an edge otherwise between two samples, by less than this


@dataclass
class Tally:
    """What came out otherwise in the shots of one digit: slots with other counts, other lengths, or not trusted alike.

    `unreadable` says why shots could not be decoded at all.
    """

    slots: int = 0
    lengths: int = 0
    trust: int = 0
    unreadable: list[str] = field(default_factory=list)


@dataclass
class TraceReader:
    """Reads recorded shots of the chosen layers (None: all) by decoding their traces; other shots as recorded.

    `decoded` counts the shots with traces, `decode_s` the time that decoding took, `bench_s` the time that the decoded
    shots took on the bench.
    """

    run: RunFile
    settings: SpikeSettings
    board: BoardSettings
    tick_s: float
    layers: Collection[int] | None = None
    decoded: int = 0
    decode_s: float = 0.0
    bench_s: float = 0.0
    tallies: dict[tuple[str, int, int], Tally] = field(default_factory=dict)  # by purpose, noise, index
    notes: list[tuple[str, ...]] = field(default_factory=list)  # of each shot that has any

    def __call__(self, shot: int) -> Capture:
        """The shot with this row id; whether its slots were trusted stays as recorded, since nothing can be retaken."""
        recorded = self.run.load(shot, DECODED)
        layer = int(recorded.frame.layer[0])
        if not recorded.traces or (self.layers is not None and layer not in self.layers):
            return replace(recorded, traces=())
        began = time.perf_counter()
        key = recorded.frame.key
        tally = self.tallies.setdefault((key.purpose, key.noise, key.image), Tally())
        try:
            found = decode(recorded.frame, recorded.traces, self.settings, self.board, self.tick_s, recorded.bench_s)
        except CaptureError as error:
            tally.unreadable.append(str(error))
            found = replace(recorded, spikes=np.zeros_like(recorded.spikes))
        else:
            if found.notes:
                self.notes.append(found.notes)
        self.decode_s += time.perf_counter() - began
        self.decoded += 1
        self.bench_s += recorded.bench_s
        tally.slots += int(np.count_nonzero(found.spikes != recorded.spikes))
        moved_s = np.abs(found.slot_s - recorded.slot_s)
        tally.lengths += int(np.count_nonzero(moved_s > SAME_SAMPLES * recorded.traces[0].x_increment_s))
        tally.trust += int(np.count_nonzero(found.ok != recorded.ok))
        return replace(found, ok=recorded.ok, traces=())


def spike_settings(settings: SpikeSettings, changes: Collection[str]) -> SpikeSettings:
    """The settings with `spikes.NAME=VALUE` applied; raises InputError."""
    values = settings.model_dump()
    named: set[str] = set()
    for change in changes:
        name, _, text = change.partition("=")
        table, _, key = name.strip().partition(".")
        if key in named:
            raise InputError(f"--set {change!r}: spikes.{key} is set twice")
        named.add(key)
        if table != "spikes" or key not in values:
            raise InputError(
                f"--set {change!r}: a replay can change how spikes are decoded: "
                f"{', '.join(f'spikes.{k}' for k in values)}"
            )
        try:
            values[key] = tomllib.loads(f"value = {text}")["value"]
        except (ValueError, RecursionError) as error:
            raise InputError(f"--set {change!r}: {text!r} is not a number or true/false") from error
    try:
        return SpikeSettings.model_validate(values)
    except ValidationError as error:
        raise InputError(f"--set spikes: {validation_line(error)}") from error

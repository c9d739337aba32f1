"""Captures as rows of a run file and back, with the checksums that find damage."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np

from drivers.signals import Capture, Frame, FrameKey, SlotTiming, Stray, Trace
from hil.store.columns import (
    pack_array,
    pack_lengths,
    pack_places,
    unpack_array,
    unpack_lengths,
    unpack_places,
)
from hil.store.packing import pack_codes, unpack_codes

KEY_COLUMNS = ("purpose", "image", "noise", "attempt", "layer", "first_slot", "slots")
SHOT_COLUMNS = (
    *KEY_COLUMNS,
    *("first_channel", "first_position", "last_channel", "last_position", "taken_utc", "bench_s", "timing"),
    *("pulses_before", "total_pulses", "total_spikes", "resets", "bad_slots"),
    *("stray_before", "stray_guard", "stray_after", "notes"),
    *("channel", "position", "pulses", "spikes", "slot_s", "ok"),
)
TRACE_COLUMNS = (
    *("name", "samples", "y_increment_v", "y_origin", "y_reference", "x_increment_s", "x_origin_s", "settings"),
    "codes",
)
SHOT_INTS = (
    *("image", "noise", "attempt", "layer", "first_slot", "slots", "pulses_before", "total_pulses", "total_spikes"),
    *("resets", "bad_slots", "stray_before", "stray_guard", "stray_after"),
)
TRACE_INTS = ("samples", "y_reference")
TRACE_FLOATS = ("y_increment_v", "y_origin", "x_increment_s", "x_origin_s")
_MOST = 1 << 62
_STEP_S, _FAR = (1e-12, 1e3), 1e9  # what no oscilloscope goes beyond: between samples, and anywhere else
_LONGEST_S = 1e6  # a slot
_INT, _FLOAT, _BOOL = np.dtype("<i4"), np.dtype("<f8"), np.dtype("?")


@dataclass(frozen=True)
class ShotRow:
    """Where a recorded shot stands: its row id, and the slots of its frame that it covers."""

    id: int
    attempt: int
    first_slot: int
    slots: int
    bad_slots: int

    @property
    def stop(self) -> int:
        """The slot after its last."""
        return self.first_slot + self.slots


def now_utc() -> str:
    """The time now, ISO 8601, UTC, milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def digest(values: tuple[Any, ...], *more: bytes) -> bytes:
    """A 64-bit checksum of a row: every value with its type and length, so that none can pass for another."""
    parts: list[bytes] = []
    for value in (*values, *more):
        raw = value if isinstance(value, bytes) else repr(value).encode()
        parts += (f"{type(value).__name__}{len(raw)}:".encode(), raw)
    return hashlib.blake2b(b"".join(parts), digest_size=8).digest()


def shot_layer(frame: Frame) -> int:
    """The one layer that the frame's slots belong to; raises ValueError when there are several."""
    layer = int(frame.layer[0])
    if (frame.layer != layer).any():
        raise ValueError("a recorded frame holds slots of one layer; give one frame a layer")
    return layer


def stored_purpose(key: FrameKey) -> str:
    """What the column `purpose` holds: a further helping is named after the purpose, `run+1`."""
    return f"{key.purpose}+{key.helping}" if key.helping else key.purpose


def _key(stored: str, image: int, noise: int, attempt: int) -> FrameKey:
    """The inverse."""
    purpose, plus, helping = stored.rpartition("+")
    if plus and helping.isdecimal():
        return FrameKey(purpose, image, noise, attempt, int(helping))
    return FrameKey(stored, image, noise, attempt)


def shot_values(capture: Capture) -> tuple[Any, ...]:
    """The capture as values for SHOT_COLUMNS."""
    frame, key, stray = capture.frame, capture.frame.key, capture.stray
    channel, position, pulses, spikes = (
        np.asarray(values, _INT) for values in (frame.channel, frame.position, frame.pulses, capture.spikes)
    )
    return (
        *(stored_purpose(key), key.image, key.noise, key.attempt, shot_layer(frame), frame.first_slot, len(frame)),
        *(int(channel[0]), int(position[0]), int(channel[-1]), int(position[-1])),
        *(now_utc(), float(capture.bench_s), frame.timing.model_dump_json()),
        *(int(frame.pulses_before), frame.total_pulses, int(capture.spikes.sum()), int(np.count_nonzero(frame.played))),
        int(np.count_nonzero(~capture.ok)),
        *(stray.before, stray.guard, stray.after, json.dumps(capture.notes, ensure_ascii=False)),
        *(*pack_places(channel, position), pack_array(pulses), pack_array(spikes)),
        *(pack_lengths(np.asarray(capture.slot_s, _FLOAT), pulses), pack_array(capture.ok)),
    )


def _whole(value: float) -> float:
    """An int where it is one: SQLite makes it so in a column of integers, and the checksum tells types apart."""
    return int(value) if float(value).is_integer() else float(value)


def trace_values(trace: Trace) -> tuple[Any, ...]:
    """The trace as values for TRACE_COLUMNS."""
    return (
        *(trace.name, len(trace.codes), float(trace.y_increment_v), _whole(trace.y_origin), int(trace.y_reference)),
        *(float(trace.x_increment_s), float(trace.x_origin_s), json.dumps(trace.settings, ensure_ascii=False)),
        pack_codes(trace.codes),
    )


def _check(row: dict[str, Any], ints: tuple[str, ...], floats: tuple[str, ...]) -> None:
    """Raise ValueError for numbers that are none: a column of SQLite may hold anything."""
    for name in ints:
        if not isinstance(row[name], int) or abs(row[name]) > _MOST:
            raise ValueError(f"{name} is {row[name]!r:.50}")
    for name in floats:
        if not isinstance(row[name], int | float) or not math.isfinite(row[name]):
            raise ValueError(f"{name} is {row[name]!r:.50}")


def to_trace(values: tuple[Any, ...]) -> Trace:
    """The inverse of `trace_values`; raises ValueError when the codes are not what was packed."""
    name, samples, y_increment_v, y_origin, y_reference, x_increment_s, x_origin_s, settings, packed = values
    _check(dict(zip(TRACE_COLUMNS, values, strict=True)), TRACE_INTS, TRACE_FLOATS)
    if not (_STEP_S[0] <= x_increment_s <= _STEP_S[1] and abs(x_origin_s) <= _FAR and abs(y_origin) <= _FAR):
        raise ValueError(f"its samples are {x_increment_s:g} s apart from {x_origin_s:g} s on, at {y_origin:g}")
    codes = unpack_codes(packed, samples)
    if len(codes) != samples:
        raise ValueError(f"{len(codes)} codes where {samples} were recorded")
    said = json.loads(settings)
    if not isinstance(said, dict) or not all(isinstance(value, str) for value in said.values()):
        raise ValueError(f"its settings are {settings!r:.50}")
    return Trace(name, codes, y_increment_v, y_origin, y_reference, x_increment_s, x_origin_s, said)


def _notes(text: str) -> tuple[str, ...]:
    notes = json.loads(text)
    if not isinstance(notes, list) or not all(isinstance(note, str) for note in notes):
        raise ValueError(f"its notes are {text!r:.50}")
    return tuple(notes)


def to_capture(values: tuple[Any, ...], traces: tuple[Trace, ...]) -> Capture:
    """The inverse of `shot_values`; raises ValueError when an array is not what was packed."""
    row = dict(zip(SHOT_COLUMNS, values, strict=True))
    _check(row, SHOT_INTS, ("bench_s",))
    n, timing = row["slots"], SlotTiming.model_validate_json(row["timing"])
    longest_s = max(timing.reset_width_s, timing.break_s, timing.guard_s, timing.settle_s, timing.pulse_width_s)
    if not max(longest_s, 1 / timing.dendrite_clock_hz) < _LONGEST_S:
        raise ValueError(f"its slots are timed in {longest_s:g} s and at {timing.dendrite_clock_hz:g} Hz")
    pulses = unpack_array(row["pulses"], _INT, n)
    channel, position = unpack_places(row["channel"], row["position"], n)
    frame = Frame(
        key=_key(row["purpose"], row["image"], row["noise"], row["attempt"]),
        timing=timing,
        pulses=pulses,
        layer=np.full(n, row["layer"], dtype=_INT),
        channel=channel,
        position=position,
        first_slot=row["first_slot"],
        pulses_before=row["pulses_before"],
    )
    return Capture(
        frame=frame,
        spikes=unpack_array(row["spikes"], _INT, n),
        slot_s=unpack_lengths(row["slot_s"], pulses),
        ok=unpack_array(row["ok"], _BOOL, n),
        bench_s=row["bench_s"],
        stray=Stray(row["stray_before"], row["stray_guard"], row["stray_after"]),
        traces=traces,
        notes=_notes(row["notes"]),
    )

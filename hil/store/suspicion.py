"""A file from anywhere: what is looked at before anything of it is believed.

A schema may hold views, triggers, virtual tables and generated columns, which run when a table is read (SQLite
documentation, "Defense Against The Dark Arts"): a view that never ends hangs whoever reads it. What hil writes it
knows word by word, and everything else is refused. Facts are looked at by their kind, and a value may be only so
long.
"""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from calibration.storedcurve import check_stored
from drivers.errors import RunFileError
from hil.store.schema import statements

MOST_VALUE_BYTES = 256 << 20  # of one value: the codes of a shot are some 10 MB at the most
_KINDS: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(("begun", "command", "device"), (str,)),
    **dict.fromkeys(("boot", "identity", "sources", "software"), (dict,)),
    "odometer": (int,),
    "tick_s": (int, float),
}
_RECALIBRATION = {"record": str, "file": str, "curve": dict, "after_shot": int}


def bound(connection: sqlite3.Connection) -> None:
    """Let no value of a file be longer than any that hil wrote."""
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MOST_VALUE_BYTES)


def check_schema(path: Path, found: Iterable[tuple[str, str, str | None]]) -> None:
    """Raise RunFileError for anything that hil does not write itself; `found` are type, name and SQL of each."""
    ours = statements()
    for kind, name, sql in found:
        if sql is not None and sql not in ours:
            raise RunFileError(
                f"run file {path} holds the {kind} {name!r}, which is not as hil writes it: whoever made it meant "
                "something else with it, and it is not read"
            )


def from_json(path: Path, what: str, text: object) -> Any:
    """A value of a run file; raises RunFileError where it is no JSON, also for brackets or digits without end."""
    try:
        return json.loads(str(text))
    except (ValueError, RecursionError) as error:
        raise RunFileError(f"run file {path} is damaged: its {what} is no JSON ({error})") from error


def numbers(path: Path, what: str, values: Iterable[object]) -> None:
    """Raise RunFileError for a number that is none: a column of SQLite may hold anything."""
    for value in values:
        if not isinstance(value, int | float) or not abs(value) < 1 << 62:
            raise RunFileError(f"run file {path} is damaged: {what} is {value!r:.60}")


def texts(path: Path, what: str, values: Iterable[object]) -> None:
    """Raise RunFileError for a text that is none."""
    for value in values:
        if not isinstance(value, str):
            raise RunFileError(f"run file {path} is damaged: {what} is {value!r:.60}")


def fact(path: Path, key: str, text: str) -> Any:
    """One fact; raises RunFileError where it is not of its kind."""
    value = from_json(path, key, text)
    kinds = _KINDS.get(key, (object,))
    fine = isinstance(value, kinds) and not (isinstance(value, bool) and int in kinds)
    if key == "identity" and fine:
        fine = all(isinstance(part, str) for part in value.values())
    if key == "sources" and fine:
        fine = all(part is None or isinstance(part, str) for part in value.values())
    if key == "tick_s" and fine:
        fine = math.isfinite(value) and 1e-9 <= value < 1
    if key == "odometer" and fine:
        fine = 0 <= value < 1 << 62
    if key == "temperature_c" or key.startswith("vth_made_v/"):
        fine = (value is None and key == "temperature_c") or _is_number(value)
    if key.startswith("recalibration/"):
        fine = isinstance(value, dict) and all(isinstance(value.get(k), of) for k, of in _RECALIBRATION.items())
        if fine:
            try:
                check_stored(value["curve"])
            except ValueError as error:
                raise RunFileError(f"run file {path} is damaged: its {key}: {error}") from error
    if not fine:
        raise RunFileError(f"run file {path} is damaged: its {key} is {text[:60]!r}")
    return value


def _is_number(value: object) -> bool:
    """Whether it is a number, and finite; JSON's true is none."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1 << 62


_WHOLE_NUMBERS = ("noise", "index", "label", "answer", "pulses", "spikes", "saturated", "stray")
_LATER_ONES = ("recalibrations", "resets", "retaken_shots", "retaken_slots", "retaken_pulses")


def is_result(detail: dict[str, Any]) -> bool:
    """Whether this is what `hil.run.digits.DigitResult` holds, of this version or an earlier one."""
    numbers = [detail.get(name) for name in _WHOLE_NUMBERS] + [detail.get(name, 0) for name in _LATER_ONES]
    bench = detail.get("bench") or {}
    parts = bench.get("parts_s", {}) if isinstance(bench, dict) else None
    if not isinstance(parts, dict) or not isinstance(detail.get("judged") or {}, dict):
        return False
    shares = [detail.get(name) for name in ("confidence", "bench_s")] + list(parts.values())
    return all(isinstance(n, int) and not isinstance(n, bool) and abs(n) < 1 << 62 for n in numbers) and all(
        isinstance(x, int | float) and not isinstance(x, bool) and math.isfinite(x) for x in shares
    )

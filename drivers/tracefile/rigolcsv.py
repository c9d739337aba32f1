"""RIGOL's CSV: of the screen (1,200 to 1,400 points, or 600), or of the memory.

Headers as the series and RIGOL's UltraScope write them: `X,CH1,CH2,Start,Increment,` over
`Sequence,Volt,Volt,-1.4e-03,2e-06,` (DS1000Z, DS2000, DS4000); `X,CH1,` over `Second,Volt,` (DS1000B, C, D, E);
`CH1V,CH2V,t0 =-6e-03s, tInc = 1e-08s,` (MSO5000, DHO); `Time(s),CH1(V),…`, or
`X,CH 1 (V),…` (DS1102D); and a page of settings with
`Channel Data`, then `Time (s)` (UltraScope).
"""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from drivers.errors import InputError
from drivers.signals import FloatArray, Trace
from drivers.tracefile.codes import from_volts
from drivers.tracefile.recording import Recording, check_length

SCREEN_POINTS = 1_400  # at most: RIGOL programming guides, :WAVeform:MODE NORMal
_HEAD, _HEAD_LINES = 4096, 24  # characters and lines in which the header ends
_ROUNDED = 0.6  # of the last digit that a printed time may be off
_SURELY = 1e-3  # of a step: beyond it, printed times say the step too badly to keep silent
_T0 = re.compile(r"t0\s*=\s*([-+.\deE]+)")
_VOLTS = re.compile(r"\s*\(V\)$")
_T_INC = re.compile(r"tInc\s*=\s*([-+.\deE]+)")


@dataclass(frozen=True)
class _Head:
    """What the header says: columns of channels by name, that of time or count (None: there is none), and the times."""

    rows: int
    channels: dict[str, int]
    index: int | None
    counted: bool
    start_s: float | None = None
    step_s: float | None = None


def read_csv(path: Path) -> Recording:
    """The channels of a RIGOL CSV; raises InputError naming what is wrong with it."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path} is no recording that can be read: {getattr(error, 'strerror', None) or error}"
        ) from error
    head = _head(path, text)
    columns = [*([] if head.index is None else [head.index]), *head.channels.values()]
    try:
        rows = io.StringIO(text.rstrip(" ,\r\n"))
        table = np.loadtxt(rows, delimiter=",", skiprows=head.rows, usecols=columns, ndmin=2)
    except ValueError as error:
        raise InputError(f"{path}: {error}; every row must hold {len(columns)} numbers") from error
    check_length(path, len(table))
    first = 0 if head.index is None else 1
    said: list[str] = []
    start_s, step_s = _times(path, head, table[:, 0] if first else None, said)
    said += _screen(path, len(table), step_s)
    traces = []
    for column, name in enumerate(head.channels, start=first):
        coded = from_volts(table[:, column], name)
        said += [coded.said] if coded.said else []
        traces.append(
            Trace(name, coded.codes, coded.increment_v, coded.origin, 0, step_s, start_s, {"file": path.name})
        )
    return Recording(path, tuple(traces), tuple(said))


def _screen(path: Path, rows: int, step_s: float) -> list[str]:
    if rows > SCREEN_POINTS:
        return []
    return [
        f"{path.name} holds {rows:,} points, those of the screen: what lasts less than {step_s:.2g} s is not in it; "
        "save the memory (WFM, or CSV with Data Src. Memory) instead"
    ]


def _head(path: Path, text: str) -> _Head:
    lines = [[cell.strip() for cell in line] for line in islice(csv.reader(io.StringIO(text[:_HEAD])), _HEAD_LINES)]
    if not lines or not any(lines[0]):
        raise InputError(f"{path} is empty")
    first, second = lines[0], lines[1] if len(lines) > 1 else []
    joined = ",".join(first)
    ultrascope = next((line for line in lines if line[:1] == ["Channel Data"]), [])
    for row, line in enumerate(lines if ultrascope else []):
        if line[:1] == ["Time (s)"]:
            found = {name.replace(" ", ""): i for i, name in enumerate(ultrascope) if i and name}
            return _Head(row + 1, found, 0, False)
    start, step = _T0.search(joined), _T_INC.search(joined)
    if start and step:
        names = {_name(cell): i for i, cell in enumerate(first) if cell and "=" not in cell and not _is_time(cell)}
        timed = next((i for i, cell in enumerate(first) if _is_time(cell)), None)
        return _Head(1, names, timed, False, _number(path, start.group(1)), _number(path, step.group(1)))
    named = [i for i, cell in enumerate(first) if i and cell and cell not in ("Start", "Increment")]
    units = bool(second) and second[0].casefold() in ("sequence", "second")
    volts = first[0].casefold() == "x" and all(_VOLTS.search(first[i]) for i in named)
    if not named or not (units or volts or _is_time(first[0])):
        raise InputError(
            f"{path} is no RIGOL CSV: its first line is {joined[:60]!r}; expected X,CH1,… over Sequence,Volt,…, or "
            "Time(s),CH1(V),…"
        )
    channels = {_name(first[i]): i for i in named}
    if "Start" not in first or not units:
        return _Head(2 if units else 1, channels, 0, second[:1] == ["Sequence"])
    at = first.index("Start")
    if len(second) < at + 2:
        raise InputError(f"{path}: its second line lacks Start and Increment")
    return _Head(2, channels, 0, True, _number(path, second[at]), _number(path, second[at + 1]))


def _name(cell: str) -> str:
    return _VOLTS.sub("", cell).replace(" ", "") if _VOLTS.search(cell) else re.sub(r"\s*V$", "", cell)


def _is_time(cell: str) -> bool:
    return cell.casefold().startswith(("time", "second"))


def _number(path: Path, text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise InputError(f"{path}: {text!r} in its header is no number") from error


def _times(path: Path, head: _Head, index: FloatArray | None, said: list[str]) -> tuple[float, float]:
    """When the first sample was taken, and the time from one to the next."""
    if index is not None and head.counted:
        gaps = np.flatnonzero(np.diff(index) != 1)
        if len(gaps):
            raise InputError(f"{path}: after point {index[gaps[0]]:g} comes {index[gaps[0] + 1]:g}: points are missing")
        if head.start_s is None or head.step_s is None:
            raise InputError(f"{path} does not say Start and Increment")
        start_s, step_s = head.start_s + float(index[0]) * head.step_s, head.step_s
    elif head.step_s is not None and head.start_s is not None:
        start_s, step_s = head.start_s, head.step_s
    elif index is not None:
        start_s, step_s = even_times(path, index)
        off = _last_digit(index) / (step_s * len(index))
        if off > _SURELY:
            said.append(f"{path.name} prints times with few digits: its step is known to {off:.1%} only")
    else:
        raise InputError(f"{path} does not say when its points were taken")
    if not np.isfinite([start_s, step_s]).all() or step_s <= 0:
        raise InputError(f"{path}: its points are {step_s:g} s apart; expected more than 0")
    return start_s, step_s


def even_times(path: Path, times_s: FloatArray) -> tuple[float, float]:
    """Start and step of times (n,) that must be evenly spaced; raises InputError."""
    step_s = float(times_s[-1] - times_s[0]) / (len(times_s) - 1)
    off = np.abs(times_s - times_s[0] - np.arange(len(times_s)) * step_s).max()
    if not step_s > 0 or not off <= max(0.5 * step_s, _ROUNDED * _last_digit(times_s)):
        raise InputError(f"{path}: its times are not evenly spaced and rising")
    return float(times_s[0]), step_s


def _last_digit(times_s: FloatArray) -> float:
    """The least difference between times: their step, or, where that is greater, the last digit they are printed to."""
    apart = np.abs(np.diff(times_s))
    return float(np.quantile(apart[apart > 0], 0.99)) if (apart == 0).any() and apart.any() else 0.0

"""Traces in a NumPy archive: `numpy.savez("shot.npz", CH1=volts, CH2=volts, x_increment_s=4e-9)`.

Every flat array of two values or more is a channel: floating point are volts; integers are codes, and then
`NAME_y_increment_v` and `NAME_y_origin` (default 0; `y_increment_v` and `y_origin` for all channels) say what they
stand for. Time is `x_increment_s` with `x_origin_s` (default 0), or a channel `times_s`, evenly spaced.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drivers.errors import InputError
from drivers.signals import Trace
from drivers.tracefile.codes import from_codes, from_volts
from drivers.tracefile.recording import Recording, check_length, unlike_lengths
from drivers.tracefile.rigolcsv import even_times

_TIMES = "times_s"


def read_npz(path: Path) -> Recording:
    """The channels of an archive; raises InputError."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            held: dict[str, NDArray[Any]] = {name: archive[name] for name in archive.files}
    except (OSError, ValueError, zipfile.BadZipFile, EOFError) as error:
        raise InputError(f"{path} is no NumPy archive that can be read: {error}") from error
    numbers = {name: _number(path, name, value) for name, value in held.items() if value.size == 1}
    channels = {name: value for name, value in held.items() if value.size > 1 and name != _TIMES}
    if not channels:
        raise InputError(f"{path} holds no channel: give arrays as numpy.savez(…, CH1=volts, x_increment_s=…)")
    for name, value in channels.items():
        if value.ndim != 1 or value.dtype.kind not in "iuf":
            raise InputError(f"{path}: {name} is {value.dtype} of shape {value.shape}; a channel is flat numbers")
        check_length(path, len(value))
    unlike_lengths(path, [len(value) for value in channels.values()])
    start_s, step_s = _time(path, held, numbers, len(next(iter(channels.values()))))
    said: list[str] = []
    traces = []
    for name, value in channels.items():
        coded = (
            from_volts(value, name)
            if value.dtype.kind == "f"
            else from_codes(value, *_scale(path, name, numbers), name)
        )
        said += [coded.said] if coded.said else []
        traces.append(
            Trace(name, coded.codes, coded.increment_v, coded.origin, 0, step_s, start_s, {"file": path.name})
        )
    return Recording(path, tuple(traces), tuple(said))


def _number(path: Path, name: str, value: NDArray[Any]) -> float:
    if value.dtype.kind not in "iuf" or not np.isfinite(value).all():
        raise InputError(f"{path}: {name} = {value} is no number")
    return float(value.reshape(()))


def _time(
    path: Path, held: Mapping[str, NDArray[Any]], numbers: Mapping[str, float], samples: int
) -> tuple[float, float]:
    if _TIMES in held:
        unlike_lengths(path, [samples, held[_TIMES].size])
        return even_times(path, held[_TIMES].astype(np.float64).ravel())
    step_s = numbers.get("x_increment_s", 0.0)
    if not step_s > 0:
        raise InputError(f"{path} does not say x_increment_s, the seconds between samples, above 0; or give times_s")
    return numbers.get("x_origin_s", 0.0), step_s


def _scale(path: Path, name: str, numbers: Mapping[str, float]) -> tuple[float, float]:
    increment_v = numbers.get(f"{name}_y_increment_v", numbers.get("y_increment_v"))
    if increment_v is None:
        raise InputError(f"{path}: {name} holds codes; say what one is with {name}_y_increment_v = volts")
    return increment_v, numbers.get(f"{name}_y_origin", numbers.get("y_origin", 0.0))

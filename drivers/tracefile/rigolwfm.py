"""RIGOL's .wfm and .bin files, parsed by the library RigolWFM (https://rigolwfm.readthedocs.io), an extra.

Files of the DS1000 to DS6000 series hold the converter's 8-bit codes, some of them counted downwards; the library's
volts are a straight line through them, whose zero is any part of a code.
"""

from __future__ import annotations

import gc
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from drivers.errors import InputError
from drivers.signals import Trace
from drivers.tracefile.codes import Coded, from_codes, from_volts
from drivers.tracefile.recording import Recording, check_length

if TYPE_CHECKING:
    from numpy.typing import NDArray

_STRAIGHT = 1e-3  # of a code: the library's volts are single precision


def read_rigol(path: Path) -> Recording:
    """The channels of a .wfm or .bin file; raises InputError."""
    try:
        from RigolWFM.wfm import Wfm
    except ImportError as error:
        raise InputError(
            f"{path} is read by the library RigolWFM: install it with `pip install 'memristive-hil[rigol]'`"
        ) from error
    said: list[str] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the library, whose parser also leaves the file open
        traces, why = _parsed(path, Wfm, said)
        gc.collect()
    if why:
        raise InputError(f"{path} is not a file that RigolWFM reads: {why}")
    if not traces:
        raise InputError(f"{path} holds no analog channel")
    return Recording(path, tuple(traces), tuple(said))


def _parsed(path: Path, wfm: Any, said: list[str]) -> tuple[list[Trace], str]:
    """The channels, or why there are none: a generated parser on a damaged file raises whatever it stumbles over."""
    try:
        found = wfm.from_file(str(path))
    except Exception as error:  # noqa: BLE001
        if isinstance(error, OSError) and error.strerror:
            return [], error.strerror
        return [], " ".join(str(error).split())[:200] or type(error).__name__
    return [_trace(path, channel, said) for channel in found.channels if channel.enabled_and_selected], ""


def _trace(path: Path, channel: Any, said: list[str]) -> Trace:
    name = channel.name.replace(" ", "")
    if channel.raw is None or channel.volts is None or channel.times is None:
        raise InputError(f"{path}: {name} was switched on but has no samples")
    check_length(path, len(channel.volts))
    coded = _coded(np.asarray(channel.raw), np.asarray(channel.volts), name)
    if coded.said:
        said.append(coded.said)
    return Trace(
        name=name,
        codes=coded.codes,
        y_increment_v=coded.increment_v,
        y_origin=coded.origin,
        y_reference=0,
        x_increment_s=float(channel.seconds_per_point),
        x_origin_s=float(channel.times[0]),
        settings={"file": path.name, "probe": f"{channel.probe_value:g}", "V/div": f"{channel.volt_per_division:g}"},
    )


def _coded(raw: NDArray[Any], volts: NDArray[np.float64], name: str) -> Coded:
    """The file's own codes where volts are a straight line through them; the library cuts others down to 8 bits."""
    if raw.dtype == np.uint8 and len(raw) == len(volts):
        lowest, highest = int(raw.argmin()), int(raw.argmax())
        if raw[highest] > raw[lowest]:
            step = float(volts[highest] - volts[lowest]) / (int(raw[highest]) - int(raw[lowest]))
            origin = float(raw[lowest]) - float(volts[lowest]) / step if step else 0.0
            if step and np.abs((raw - origin) - volts / step).max() < _STRAIGHT * 256:
                return from_codes(raw, step, origin, name)
    return from_volts(volts, name)

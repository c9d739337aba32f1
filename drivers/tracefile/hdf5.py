"""The traces of our own HDF5 export, `hil export RUN --to hdf5 --traces`: codes as they were received, with the plan.

Each group /traces/shotN holds packed channels over `time` (netCDF's scale_factor and add_offset) and, since they tell
what was played, the slots' pulses and their timing.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from drivers.errors import InputError
from drivers.signals import CLOCK_RATIO, Frame, FrameKey, SlotTiming, Trace
from drivers.tracefile.codes import from_codes
from drivers.tracefile.recording import Recording, check_length

SLOTS = ("pulses", "channel", "position")
_NOT_TRACES = ("slot", "spikes", *SLOTS)


def read_hdf5(path: Path) -> Iterator[Recording]:
    """One recording a shot; raises InputError."""
    import h5py

    try:
        with h5py.File(path, "r") as file:
            if "traces" not in file or not len(file["traces"]):
                raise InputError(f"{path} holds no traces: export with `hil export RUN --to hdf5 --traces`")
            tick_s = file.attrs.get("tick_s")
            for name, group in file["traces"].items():
                yield _shot(path, name, group, None if tick_s is None else float(tick_s))
    except (OSError, KeyError, ValueError, TypeError, AttributeError, ValidationError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path} is no HDF5 export of ours: {' '.join(str(error).split())}") from error


def _shot(path: Path, name: str, group: Any, tick_s: float | None) -> Recording:
    traces, said = [], []
    for channel, values in group.items():
        if channel in _NOT_TRACES or channel.startswith("time"):
            continue
        times = group[f"time_{channel}" if f"time_{channel}" in group else "time"]
        check_length(path, len(times))
        if values.shape != times.shape or values.dtype.kind not in "iu":
            raise InputError(f"{path}: {name}/{channel} is {values.dtype} of shape {values.shape}, not codes over time")
        start_s, step_s = float(times[0]), (float(times[-1]) - float(times[0])) / (len(times) - 1)
        step_s = float(times.attrs.get("step", step_s))
        scale = float(values.attrs["scale_factor"])
        origin = float(values.attrs.get("zero_code", -float(values.attrs["add_offset"]) / scale))
        coded = from_codes(values[()], scale, origin, channel)
        said += [coded.said] if coded.said else []
        settings = {"file": path.name} | (
            {CLOCK_RATIO: str(values.attrs[CLOCK_RATIO])} if CLOCK_RATIO in values.attrs else {}
        )
        traces.append(Trace(channel, coded.codes, coded.increment_v, coded.origin, 0, step_s, start_s, settings))
    return Recording(path, tuple(traces), tuple(said), _frame(group), tick_s, part=name)


def _frame(group: Any) -> Frame | None:
    """The plan of the shot; None in exports that do not hold it."""
    if "timing" not in group.attrs or any(name not in group for name in SLOTS):
        return None
    said = group.attrs
    pulses, channel, position = (group[name][()].astype(np.int32) for name in SLOTS)
    return Frame(
        key=FrameKey(
            str(said["purpose"]),
            int(said["image"]),
            int(said["noise_percent"]),
            int(said["attempt"]),
            int(said["helping"]),
        ),
        timing=SlotTiming.model_validate_json(str(said["timing"])),
        pulses=pulses,
        layer=np.full(len(pulses), int(said["layer"]), dtype=np.int32),
        channel=channel,
        position=position,
        first_slot=int(said["first_slot"]),
        pulses_before=int(said["pulses_before"]),
    )

"""Runs as HDF5 with named dimensions, units and coordinates (xarray, h5netcdf).

The HDF5 file follows the netCDF-4 data model (dimension scales) and the CF conventions for units, missing values and
packed data: group `/` holds a result a digit, group `/LAYER` the slots of a layer played on the neuron as (noise,
image, channel, row, column), or (noise, image, unit) for a dense layer; `/traces/…` the oscilloscope's codes.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from drivers.decode.tail import is_tail
from drivers.durable import replacing
from drivers.signals import CLOCK_RATIO, FrameKey
from drivers.timing import length_ticks
from hil.network.physical import Physical
from hil.report.patient import PatientFile
from hil.run.digits import heading
from hil.run.session import config_of, results_of
from hil.store.retakes import Shot, measured_shots
from hil.store.runfile import RunFile

if TYPE_CHECKING:
    import h5py

    from drivers.signals import Capture
    from hil.run.config import RunConfig

MISSING = -1  # of counts, where a run is not complete
Progress = Callable[[int, int], None]
RESULT_COLUMNS = (
    ("label", "i4", "1", "true digit"),
    ("answer", "i4", "1", "digit the network answers"),
    ("confidence", "f8", "1", "softmax of the answer"),
    ("pulses", "i8", "1", "dendrite pulses"),
    ("spikes", "i8", "1", "axon spikes"),
    ("bench_s", "f8", "s", "time on the bench"),
    ("saturated", "i4", "1", "slots cut off at full scale"),
    ("stray", "i4", "1", "axon spikes that belong to no slot"),
)
SLOT_COLUMNS = (
    ("pulses", "i4", "1", "dendrite pulses planned and played"),
    ("spikes", "i4", "1", "axon spikes counted"),
    ("slot_s", "f8", "s", "measured length of the slot, 0 where not played"),
    ("planned_s", "f8", "s", "planned length of the slot, 0 where not played"),
    ("attempts", "i4", "1", "how often the slot was taken"),
)
_SCALES = {
    "unit": "dense unit",
    "channel": "kernel",
    "row": "row of the feature map",
    "column": "column of the feature map",
}


def frame_slots(run: RunFile, key: FrameKey, part: Physical) -> dict[str, NDArray[Any]]:
    """The slots of one frame, (slots,) by name; what is not recorded is MISSING, or NaN for times."""
    flat: dict[str, NDArray[Any]] = {
        name: np.full(part.slots, np.nan if kind == "f8" else MISSING, dtype=kind) for name, kind, _, _ in SLOT_COLUMNS
    }
    tick_s = run.fact("tick_s")
    for _, shot in measured_shots(run, key, part.layer.index):
        _fill(flat, shot, tick_s)
    return flat


def digit_slots(run: RunFile, config: RunConfig, noise: int, image: int, part: Physical) -> dict[str, NDArray[Any]]:
    """The slots of one digit's frame; of a digit that was played in helpings, their sums over these."""
    key = FrameKey(config.command, image, noise)
    flat = frame_slots(run, key, part)
    for helping in range(1, len(config.helpings)):
        more = frame_slots(run, replace(key, helping=helping), part)
        had = more["attempts"] != MISSING
        for name, values in flat.items():
            whole = had if values.dtype.kind == "f" else had & (values != MISSING) & (more[name] != MISSING)
            values[had & ~whole] = MISSING
            values[whole] += more[name][whole]
    return flat


def _fill(flat: dict[str, NDArray[Any]], shot: Shot, tick_s: float) -> None:
    capture: Capture = shot.merged()
    frame = capture.frame
    where = slice(frame.first_slot, frame.first_slot + len(frame))
    flat["pulses"][where] = frame.pulses
    flat["spikes"][where] = np.where(capture.ok, capture.spikes, MISSING)
    flat["slot_s"][where] = np.where(capture.ok, capture.slot_s, np.nan)
    flat["planned_s"][where] = length_ticks(frame, tick_s) * tick_s
    flat["attempts"][where] = shot.attempts


def to_hdf5(run: RunFile, path: Path, *, traces: bool = False, progress: Progress | None = None) -> None:
    """Write the run as HDF5; raises InputError when the file cannot be written."""
    import h5py

    with replacing(path, "export") as partial, PatientFile(partial) as disk:

        def told(done: int, total: int) -> None:
            disk.check()
            if progress is not None:
                progress(done, total)

        with h5py.File(disk, "w") as file:
            _write(run, file, traces=traces, progress=told)
        disk.check()


def _write(run: RunFile, file: h5py.File, *, traces: bool, progress: Progress) -> None:
    config = config_of(run)
    file.attrs.update(
        {
            "title": f"test digits {config.digits}, {heading(config)}",
            "Conventions": "CF-1.11",
            **_whence(run),
            "threshold_v": config.vth_v,
            "seed": config.seed,
        }
    )
    noise, image = _frames(file, config)
    results = {(r.noise, r.index): r for r in results_of(run)}
    for name, kind, unit, text in RESULT_COLUMNS:
        values = np.full((len(config.noise), len(config.images)), np.nan if kind == "f8" else MISSING, dtype=kind)
        for n, level in enumerate(config.noise):
            for i, index in enumerate(config.images):
                if (level, index) in results:
                    values[n, i] = getattr(results[level, index], name)
        _variable(file, name, values, (noise, image), unit, text)
    for part in config.parts:
        _write_layer(run, config, file, part, progress)
    if traces:
        _write_traces(run, file.create_group("traces"), progress)


def _frames(group: h5py.Group, config: RunConfig) -> tuple[h5py.Dataset, h5py.Dataset]:
    """The coordinates of frames, in every group that has them, so that one opened by itself keeps its own."""
    noise = _coordinate(group, "noise", np.array(config.noise, dtype="i4"), "percent", "share of pixels set to zero")
    image = _coordinate(group, "image", np.array(config.images, dtype="i4"), "1", "index of the digit")
    return noise, image


def _write_layer(
    run: RunFile,
    config: RunConfig,
    file: h5py.File,
    part: Physical,
    progress: Progress,
) -> None:
    """One frame after the other, so that a long run does not have to fit the memory."""
    group = file.create_group(part.layer.name)
    scales = (
        *_frames(group, config),
        *(_coordinate(group, name, values, "1", _SCALES[name]) for name, values in slot_scales(part).items()),
    )
    shape = tuple(len(scale) for scale in scales)
    made = {}
    for name, kind, unit, text in SLOT_COLUMNS:
        made[name] = group.create_dataset(
            name, shape, dtype=kind, chunks=(1, 1, *shape[2:]), compression="gzip", shuffle=True
        )
        _label(made[name], scales, unit, text)
    lacking: set[str] = set()
    wanted = [(n, i) for n in range(len(config.noise)) for i in range(len(config.images))]
    for done, (n, i) in enumerate(wanted, start=1):
        slots = digit_slots(run, config, config.noise[n], config.images[i], part)
        for name, values in slots.items():
            made[name][n, i] = values.reshape(shape[2:])
            if values.dtype.kind == "i" and (values == MISSING).any():
                lacking.add(name)
        progress(done, len(wanted))
    for name in lacking:
        made[name].attrs["_FillValue"] = made[name].dtype.type(MISSING)


def slot_scales(part: Physical) -> dict[str, NDArray[np.int32]]:
    """The dimensions of a layer's slots by name, with their coordinates."""
    units = np.array(part.channels, dtype=np.int32)
    if not part.layer.is_convolution:
        return {"unit": units}
    side = np.arange(part.layer.side, dtype=np.int32)
    return {"channel": units, "row": side, "column": side}


def to_hdf5_traces(run: RunFile, path: Path, *, progress: Progress | None = None) -> None:
    """Write the recordings of an import as HDF5: /traces alone; raises InputError when the file cannot be written."""
    import h5py

    with replacing(path, "export") as partial, PatientFile(partial) as disk, h5py.File(disk, "w") as file:
        file.attrs.update({"title": f"recordings of {run.path.name}", "Conventions": "CF-1.11", **_whence(run)})
        _write_traces(run, file.create_group("traces"), progress or (lambda _done, _total: None))
        file.flush()
        disk.check()


def _whence(run: RunFile) -> dict[str, Any]:
    return {
        "history": f"recorded {run.fact('begun')}",
        "configuration": run.fact("config"),
        "identity": json.dumps(run.fact("identity")),
        "software": json.dumps(run.fact("software")),
        "tick_s": float(run.fact("tick_s")),
    }


def _write_traces(run: RunFile, group: h5py.Group, progress: Progress) -> None:
    """One group a shot; volts are scale_factor · code + add_offset, which xarray works out by itself.

    With them the plan of the shot, so that `hil decode` gives from the export alone what the bench gave.
    """
    shots = run.shot_ids()
    for done, shot in enumerate(shots, start=1):
        capture = run.load(shot, None)
        progress(done, len(shots))
        if capture.traces:
            _write_shot(group.create_group(f"shot{shot:06d}"), capture)


def _write_shot(one: h5py.Group, capture: Capture) -> None:
    frame, key = capture.frame, capture.frame.key
    one.attrs.update(
        {
            "purpose": key.purpose,
            "image": key.image,
            "noise_percent": key.noise,
            "attempt": key.attempt,
            "helping": key.helping,
            "layer": int(frame.layer[0]),
            "first_slot": frame.first_slot,
            "slots": len(frame),
            "timing": frame.timing.model_dump_json(),
            "pulses_before": frame.pulses_before,
        }
    )
    slot = _coordinate(one, "slot", np.arange(len(frame), dtype="i4") + frame.first_slot, "1", "slot of the frame")
    slots: dict[str, tuple[NDArray[Any], str]] = {
        "pulses": (frame.pulses, "dendrite pulses planned"),
        "channel": (frame.channel, "kernel or unit"),
        "position": (frame.position, "position within its map"),
        "spikes": (np.where(capture.ok, capture.spikes, MISSING).astype("i4"), "axon spikes counted"),
    }
    for name, (values, text) in slots.items():
        _variable(one, name, values, (slot,), "1", text)
    times: dict[int, h5py.Dataset] = {}  # by how many samples: of sync only the end may have been read
    for trace in capture.traces:
        if len(trace.codes) not in times:
            name = "time" if not times else f"time_{trace.name}"
            times[len(trace.codes)] = _coordinate(one, name, trace.times_s, "s", "from the trigger", packed=True)
            times[len(trace.codes)].attrs["step"] = trace.x_increment_s
        time = times[len(trace.codes)]
        made = _variable(one, trace.name, trace.codes, (time,), "V", f"oscilloscope, {trace.name}")
        made.attrs["scale_factor"] = trace.y_increment_v
        made.attrs["add_offset"] = -(trace.y_origin + trace.y_reference) * trace.y_increment_v
        made.attrs["zero_code"] = float(trace.y_origin + trace.y_reference)
        if is_tail(trace):
            made.attrs[CLOCK_RATIO] = trace.settings[CLOCK_RATIO]


def _coordinate(
    group: h5py.Group, name: str, values: NDArray[Any], unit: str, text: str, *, packed: bool = False
) -> h5py.Dataset:
    made = group.create_dataset(name, data=values, compression="gzip" if packed else None, shuffle=packed)
    made.make_scale(name)
    made.attrs.update({"units": unit, "long_name": text})
    return made


def _variable(
    group: h5py.Group, name: str, values: NDArray[Any], scales: tuple[h5py.Dataset, ...], unit: str, text: str
) -> h5py.Dataset:
    made = group.create_dataset(name, data=values, compression="gzip" if values.size else None, shuffle=values.size > 0)
    _label(made, scales, unit, text)
    if values.dtype.kind == "i" and (values == MISSING).any():
        made.attrs["_FillValue"] = values.dtype.type(MISSING)
    return made


def _label(made: h5py.Dataset, scales: tuple[h5py.Dataset, ...], unit: str, text: str) -> None:
    for axis, scale in enumerate(scales):
        made.dims[axis].attach_scale(scale)
    made.attrs.update({"units": unit, "long_name": text})

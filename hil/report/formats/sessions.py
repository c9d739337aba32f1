"""sigrok sessions, .sr, that PulseView and sigrok-cli open: the lines as logic, the traces as analog channels.

A trace is called after its line, as `axon_V`, for channels of one session are told apart by their names. Format of
version 2 (https://sigrok.org/wiki/File_format:Sigrok/v2): a ZIP of `version`, `metadata`, `logic-1-N` with
`unitsize` bytes a sample and `analog-1-C-N` of single precision, N from 1 a chunk, here a chunk a shot.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from drivers.durable import replacing
from drivers.errors import InputError
from drivers.signals import CLOCK_RATIO
from hil.report.formats.played import GAP_S, Played, bench_of, line_names, played_shots, wanted_shots

if TYPE_CHECKING:
    from hil.store.runfile import RunFile

SAMPLES_MOST = 1 << 28
_RATES_ALIKE = 1e-6


def to_sr(
    run: RunFile,
    path: Path,
    digits: Collection[int] | None = None,
    *,
    traces: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> int:
    """Write a session; returns its samples. Raises InputError where it would be too long or has no one sample rate.

    Sampled with the step of the pulse source, or with `traces` as the oscilloscope was.
    """
    total = len(wanted_shots(run, digits))
    analog, step_s = _sampling(run, digits, traces=traces)
    names = [*line_names(bench_of(run)), "axon"]
    size = (len(names) + 7) // 8
    samples = 0
    with (
        replacing(path, "export") as partial,
        zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as out,
    ):
        out.writestr("version", "2")
        out.writestr("metadata", _metadata(names, analog, size, step_s))
        for number, shot in enumerate(played_shots(run, digits), start=1):
            if analog and not shot.capture.traces:
                raise InputError(f"shot {shot.row} has no traces: leave --traces away, or choose --digits")
            count = round((shot.length_s + GAP_S) / step_s)
            samples += count
            if samples > SAMPLES_MOST:
                raise InputError(f"the session would have more than {SAMPLES_MOST:,} samples: choose --digits A:B")
            out.writestr(f"logic-1-{number}", _logic(shot, names, size, count, step_s).tobytes())
            for i, name in enumerate(analog):
                out.writestr(f"analog-1-{len(names) + 1 + i}-{number}", _volts(shot, name, count).tobytes())
            if progress is not None:
                progress(number, total)
    return samples


def _sampling(run: RunFile, digits: Collection[int] | None, *, traces: bool) -> tuple[list[str], float]:
    """The analog channels, and the time between samples."""
    first = run.load(wanted_shots(run, digits)[0], None).traces
    if not traces:
        tick_s = float(run.fact("tick_s"))
        return [], min(tick_s, _step(first[0].x_increment_s)) if first else tick_s
    if not first:
        raise InputError(f"run {run.path} has no traces: leave --traces away")
    if run.query("SELECT 1 FROM traces WHERE settings LIKE ? LIMIT 1", (f'%"{CLOCK_RATIO}"%',)):
        raise InputError(
            f"of sync in {run.path} only the end was read, and in a session all traces are of one length: leave "
            "--traces away, or hil export --to vcd --traces, or hdf5"
        )
    steps = {row[0] for row in run.query("SELECT DISTINCT x_increment_s FROM traces")}
    if max(steps) > min(steps) * (1 + _RATES_ALIKE):
        raise InputError(
            f"the shots of {run.path} were sampled every {min(steps):g} to {max(steps):g} s, and a session has one "
            "rate: leave --traces away, or choose --digits with one"
        )
    return [trace.name for trace in first], _step(min(steps))


def _step(step_s: float) -> float:
    """A step that is a whole number of hertz, as sessions write it."""
    return 1 / round(1 / step_s)


def _metadata(names: list[str], analog: list[str], size: int, step_s: float) -> str:
    lines = [
        "[global]",
        "sigrok version=0.6.0",
        "",
        "[device 1]",
        "capturefile=logic-1",
        f"total probes={len(names)}",
        f"samplerate={round(1 / step_s)} Hz",
        f"total analog={len(analog)}",
        *(f"probe{i}={name}" for i, name in enumerate(names, start=1)),
        *(f"analog{len(names) + i}={name}_V" for i, name in enumerate(analog, start=1)),
        f"unitsize={size}",
        "",
    ]
    return "\n".join(lines)


def _logic(shot: Played, names: list[str], size: int, count: int, step_s: float) -> NDArray[np.uint8]:
    """(samples, unitsize) bytes, probe 1 in bit 0 of the first."""
    made = np.zeros((count, size), dtype=np.uint8)
    edges = dict(shot.lines)
    if shot.axon_s is not None:
        edges["axon"] = (shot.axon_s.ravel(), np.tile([True, False], len(shot.axon_s)))
    for probe, name in enumerate(names):
        if name not in edges or not len(edges[name][0]):
            continue
        times, high = edges[name]
        at = np.clip(np.ceil((times - shot.start_s) / step_s - 1e-6).astype(np.int64), 0, count)
        level = np.zeros(count + 1, dtype=np.int8)
        np.add.at(level, at, np.where(high, 1, -1).astype(np.int8))
        made[:, probe // 8] |= (np.cumsum(level[:-1]) > 0).astype(np.uint8) << (probe % 8)
    return made


def _volts(shot: Played, name: str, count: int) -> NDArray[np.float32]:
    """(samples,) V; the last one goes on during the gap."""
    trace = next((trace for trace in shot.capture.traces if trace.name == name), None)
    if trace is None:
        raise InputError(f"shot {shot.row} has no trace {name!r}, which the first one has: choose --digits")
    volts = trace.volts.astype("<f4")
    return np.concatenate([volts, np.full(max(0, count - len(volts)), volts[-1], dtype="<f4")])[:count]

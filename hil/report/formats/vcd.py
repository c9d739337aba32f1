"""Value change dump (IEEE 1364) for GTKWave and Surfer: every line, which slot is played, and what it counted."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from heapq import merge
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from drivers.durable import replacing
from drivers.errors import InputError
from hil.report.formats.played import Played, bench_of, line_names, played_shots, wanted_shots

if TYPE_CHECKING:
    from hil.store.runfile import RunFile

_NS = 1e9
Change = tuple[int, str, Any]  # ns, variable, value


def to_vcd(
    run: RunFile,
    path: Path,
    digits: Collection[int] | None = None,
    *,
    traces: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> int:
    """Write a VCD in nanoseconds; returns the number of changes. `traces` adds the voltages as real numbers."""
    try:
        from vcd import VCDWriter
    except ImportError as error:
        raise InputError("--to vcd needs pyvcd: install it with `pip install 'memristive-hil[vcd]'`") from error
    total = len(wanted_shots(run, digits))
    changes = 0
    about = f"hil export of {run.path.name}".encode("ascii", "replace").decode()
    with (
        replacing(path, "export") as partial,
        partial.open("w", encoding="ascii") as file,
        VCDWriter(file, timescale="1 ns", comment=about) as out,
    ):
        made = _variables(out, run, traces=traces)
        for number, shot in enumerate(played_shots(run, digits), start=1):
            for at, name, value in merge(*_sources(shot, traces=traces), key=itemgetter(0)):
                out.change(made[name], at, value)
                changes += 1
            if progress is not None:
                progress(number, total)
    return changes


def _variables(out: Any, run: RunFile, *, traces: bool) -> dict[str, Any]:
    made = {
        name: out.register_var("lines", name, "wire", size=1, init=0) for name in [*line_names(bench_of(run)), "axon"]
    }
    for name in ("digit", "layer", "channel", "position", "pulses", "spikes"):
        made[name] = out.register_var("slot", name, "integer", size=32, init=0)
    if traces:
        names = [row[0] for row in run.query("SELECT DISTINCT name FROM traces ORDER BY name")]
        made |= {f"volts {name}": out.register_var("volts", name, "real", init=0.0) for name in names}
    return made


def _sources(shot: Played, *, traces: bool) -> Iterator[list[Change]]:
    """Changes in order of time, of each line, of the slots, and of the traces."""
    for name, (times, high) in shot.lines.items():
        yield [(at, name, int(level)) for at, level in zip(_ns(shot, times), high.tolist(), strict=True)]
    if shot.axon_s is not None:
        yield [(at, "axon", 1 - i % 2) for i, at in enumerate(_ns(shot, shot.axon_s.ravel()))]
    yield list(_slots(shot))
    if traces:
        for trace in shot.capture.traces:
            moved = np.flatnonzero(np.diff(trace.codes, prepend=trace.codes[0] + np.uint8(1)))
            sampled = _ns(shot, moved * trace.x_increment_s + trace.x_origin_s)
            volts = (trace.codes[moved].astype(np.float64) - trace.y_origin - trace.y_reference) * trace.y_increment_v
            yield [(at, f"volts {trace.name}", v) for at, v in zip(sampled, volts.tolist(), strict=True)]


def _slots(shot: Played) -> Iterator[Change]:
    """At its beginning a slot says what it is; at its end how many spikes were counted, −1 where not to be trusted."""
    frame, capture = shot.capture.frame, shot.capture
    for i, (begin, end) in zip(shot.played.tolist(), shot.slots_s, strict=True):
        first, last = _ns(shot, np.array([begin, end]))
        named = {
            "digit": frame.key.image,
            "layer": int(frame.layer[i]),
            "channel": int(frame.channel[i]),
            "position": int(frame.position[i]),
            "pulses": int(frame.pulses[i]),
        }
        for name, value in named.items():
            yield first, name, value
        yield last, "spikes", int(capture.spikes[i]) if capture.ok[i] else -1


def _ns(shot: Played, times_s: Any) -> list[int]:
    found: list[int] = np.rint((times_s - shot.start_s + shot.begin_s) * _NS).astype(np.int64).tolist()
    return found

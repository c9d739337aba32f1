"""Decode a recording that an oscilloscope or a logic analyser made: RIGOL .wfm or CSV, .npz, sigrok .sr, our HDF5.

What its pulses look like:               hil decode shot.wfm --axon CH1
How many lie between two edges of sync:  hil decode shot.wfm --axon CH1 --sync CH2
What a bench would have counted:         hil decode shot.wfm --axon CH1 --sync CH2 --bench bench.toml --frame plan.toml

Without --bench and --frame, levels and width of the pulses are those that the recording itself shows.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from drivers.errors import InputError
from hil.offline.decoding import Decoded, to_json
from hil.offline.recordings import Wanted, decode_files
from hil.terminal.visible import visible

_SHOWN = 40  # slots of a table


def add_wanted_arguments(parser: argparse.ArgumentParser) -> None:
    """What says how recordings are read; `hil import` takes it too."""
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE", help="recordings")
    parser.add_argument("--axon", required=True, metavar="CHANNEL", help="channel of the axon, by its name in the file")
    parser.add_argument("--sync", metavar="CHANNEL", help="channel of sync, whose edges part the slots")
    parser.add_argument(
        "--bench", metavar="NAME|FILE", help="bench whose board and thresholds hold (default: measured)"
    )
    parser.add_argument(
        "--frame",
        type=Path,
        metavar="PLAN",
        help="what was played: a TOML file with pulses = [4, 0, 7, …], or a run file whose shots these are",
    )


def wanted_of(args: argparse.Namespace) -> Wanted:
    """The same as one object; raises InputError."""
    if args.frame is not None and args.sync is None:
        raise InputError("--frame needs --sync CHANNEL: a plan says which slot is which by the edges of sync")
    return Wanted(args.axon, args.sync, args.bench, args.frame)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `hil decode`."""
    add_wanted_arguments(parser)
    parser.add_argument("--figure", type=Path, metavar="FILE", help="draw the first recording with its pulses")
    parser.add_argument("--json", action="store_true", help="print one JSON object on standard output")


def run(args: argparse.Namespace) -> int:
    """Decode and print; 0 when every slot could be trusted, else 1."""
    wanted = wanted_of(args)
    every, ok = [], True
    for index, (recording, found) in enumerate(decode_files(args.files, wanted)):
        ok &= bool(found.capture.ok.all())
        name = f"{recording.path} {recording.part}".rstrip()
        for line in recording.said:
            print(f"hil: {visible(line)}", file=sys.stderr)
        if args.figure is not None and index == 0:
            from hil.report.recording_figure import draw_recording

            draw_recording(args.figure, found, recording.path.name)
        if args.json:
            every.append({"file": str(recording.path), "part": recording.part, **to_json(found)})
        else:
            print(visible(name))
            print(table(found))
    if args.json:
        print(json.dumps({"recordings": every, "ok": ok}))
    return 0 if ok else 1


def table(found: Decoded) -> str:
    """What a person reads of one recording."""
    seen, capture = found.look, found.capture
    rest, top, noise = seen.levels_v
    widths = seen.judged.pulses.width_s
    width = f", {_micro(widths)} wide" if len(widths) else ""
    lines = [
        f"axon: {len(seen.judged.pulses)} pulses{width}; {sum(seen.judged.reasons.values())} doubtful, "
        f"{seen.faint} faint, {seen.judged.glitches} glitches; rest {rest:.3g} V, top {top:.3g} V, "
        f"noise {noise * 1e3:.3g} mV rms, "
        f"found at {seen.line.threshold_v:.3g} V{', inverted' if seen.line.inverted else ''}"
    ]
    if seen.sync is not None:
        lines.append(f"sync: {len(seen.sync)} pulses, {_micro(seen.sync.width_s)} wide")
    head = ("slot", "planned", "spikes") if found.planned else ("interval", "at sync", "pulses")
    lines.append(f"{head[0]:>8}  {head[1]:>8}  {head[2]:>8}  {'length':>12}")
    second = capture.frame.pulses if found.planned else seen.at_sync
    for i in range(min(len(capture.spikes), _SHOWN)):
        trust = "" if capture.ok[i] else "  doubtful"
        length = f"{capture.slot_s[i] * 1e6:>9.2f} µs"
        lines.append(f"{capture.frame.first_slot + i:>8}  {second[i]:>8}  {capture.spikes[i]:>8}  {length}{trust}")
    if len(capture.spikes) > _SHOWN:
        lines.append(f"… {len(capture.spikes) - _SHOWN} more; --json tells all")
    lines.append(
        f"{int(capture.spikes.sum())} spikes in {len(capture.spikes)} {'slots' if found.planned else 'intervals'}"
    )
    lines += [f"noted: {note}" for note in capture.notes]
    return "\n".join(lines)


def _micro(widths: object) -> str:
    import numpy as np

    finite = np.asarray(widths)[np.isfinite(np.asarray(widths))]
    if not len(finite):
        return "never ending"
    low, middle, high = np.min(finite) * 1e6, np.median(finite) * 1e6, np.max(finite) * 1e6
    return f"{middle:.4g} µs" if high < low * 1.01 else f"{low:.4g}…{high:.4g} µs (median {middle:.4g})"

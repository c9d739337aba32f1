"""Decode a recorded run again, offline, and compare with what was recorded.

Everything as it was:                         hil replay RUN
What a lower spike threshold would have seen: hil replay RUN --set spikes.threshold_v=0.9
A calibration or characterization, evaluated: hil replay calibrations/nominal-transfer.sqlite
What a bench said, kept by --record-wire:     hil replay --wire bug.wire
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from drivers.errors import InputError
from drivers.settings import SpikeSettings
from hil.commands.runpath import run_path
from hil.commands.sweepfile import hand_over, is_import, sweep_kind
from hil.offline.recordings import ImportReplay, replay_import
from hil.run.config import parse_digits
from hil.run.replay import Difference, Replay, replay
from hil.store.runfile import RunFile
from hil.terminal.visible import visible


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `hil replay`."""
    parser.add_argument("run", type=run_path, nargs="?", metavar="RUN", help="run file, or latest")
    parser.add_argument(
        "--wire",
        type=Path,
        metavar="FILE",
        help="a tape of --record-wire instead: play the other side of it to the client libraries",
    )
    parser.add_argument("--digits", metavar="A:B", help="only these test digits")
    parser.add_argument(
        "--layer", action="append", metavar="NAME", help="decode only this layer again; may be repeated"
    )
    parser.add_argument(
        "--set",
        dest="changes",
        action="append",
        default=[],
        metavar="spikes.NAME=VALUE",
        help=f"decode otherwise: {', '.join(SpikeSettings.model_fields)}",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object on standard output")


def run(args: argparse.Namespace) -> int:
    """Replay and print; 0 when identical, or when something was asked to be different and could be read; else 1."""
    if args.wire is not None:
        return _wire(args)
    if args.run is None:
        raise InputError("say what to replay: a run file, or --wire FILE")
    kind = sweep_kind(args.run)
    if kind is not None:
        unfit = {"--digits": args.digits, "--layer": args.layer, "--set": args.changes}
        return hand_over(kind, "replay", args.run, as_json=args.json, unfit=unfit)
    if is_import(args.run):
        return _import(args)
    digits = parse_digits(args.digits) if args.digits is not None else None
    console = Console(stderr=True)
    with (
        RunFile.open(args.run) as run_file,
        Progress(console=console, transient=True, disable=args.json or not console.is_terminal) as bar,
    ):
        task = bar.add_task("replaying", total=None)

        def progress(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        found = replay(run_file, digits=digits, layers=args.layer, changes=args.changes, progress=progress, say=_say)
    print(json.dumps(to_json(found)) if args.json else table(found))
    could = args.changes and len(found.unreadable) < found.decoded_shots
    return 0 if found.identical or could else 1


def _say(line: str) -> None:
    print(f"hil: {visible(line)}", file=sys.stderr)


def _wire(args: argparse.Namespace) -> int:
    """A tape, played without hardware."""
    from hil.offline.wirereplay import lines, replay_wire

    unfit = {"RUN": args.run, "--digits": args.digits, "--layer": args.layer, "--set": args.changes}
    for option, value in unfit.items():
        if value:
            raise InputError(f"{option} is for runs; --wire plays a tape")
    found = replay_wire(args.wire)
    if args.json:
        told = {"difference": found.difference, "otherwise": found.otherwise}
        said = {name: None if one is None else vars(one) | {"text": str(one)} for name, one in told.items()}
        about = {"identical": found.identical, "captures": found.captures, "ended": found.ended}
        print(json.dumps({**about, **said, "cannot": list(found.cannot)}, default=repr))
    else:
        print("\n".join(map(visible, lines(found))))
    return 0 if found.identical else 1


def _import(args: argparse.Namespace) -> int:
    """Recordings that were imported, decoded again."""
    for option, value in (("--digits", args.digits), ("--layer", args.layer)):
        if value:
            raise InputError(f"{option} is for runs; {args.run} holds recordings")
    with RunFile.open(args.run) as run_file:
        found = replay_import(run_file, args.changes)
    if args.json:
        said = {"identical": found.identical, "recordings": [asdict(one) for one in found.compared]}
        print(json.dumps({**said, "notes": [asdict(noted) for noted in found.notes], "wall_s": found.wall_s}))
    else:
        print(import_table(found))
    return 0 if found.identical or args.changes else 1


def import_table(found: ImportReplay) -> str:
    """What a person reads of recordings decoded again."""
    if found.identical:
        lines = [f"{len(found.compared)} recording{'s' if len(found.compared) != 1 else ''}: counts are identical"]
    else:
        lines = [
            f"{one.file}: spikes {one.spikes[0]:,} → {one.spikes[1]:,}, {one.slots} slots counted otherwise, "
            f"{one.trust} not trusted alike{f'; {one.unreadable}' if one.unreadable else ''}"
            for one in found.compared
            if not one.same
        ]
    return "\n".join(map(visible, [*lines, *map(str, found.notes), f"{found.wall_s:.2f} s"]))


def to_json(found: Replay) -> dict[str, object]:
    """The JSON object of `hil replay`."""
    return {
        "identical": found.identical,
        "digits": found.digits,
        "frames": found.frames,
        "decoded_shots": found.decoded_shots,
        "differences": [difference.to_dict() for difference in found.differences],
        "notes": [asdict(noted) for noted in found.notes],
        "cannot": list(found.cannot),
        "wall_s": found.wall_s,
        "decode_s": found.decode_s,
        "bench_s": found.bench_s,
    }


def table(found: Replay) -> str:
    """What a person reads."""
    lines = []
    if found.identical:
        lines.append(f"{found.digits} digits, {found.frames} frames: counts, activations and answers are identical")
    else:
        lines.append(f"{len(found.differences)} of {found.digits} digits came out otherwise")
        lines.append("digit    slots        spikes  recorded → now      activations  answer  confidence")
        lines += [_row(difference) for difference in found.differences]
        untrusted = sum(difference.untrusted for difference in found.differences)
        if untrusted:
            lines.append(f"{untrusted:,} slots are trusted now and were not before, or the other way round")
        if found.unreadable:
            lines.append(f"{len(found.unreadable)} shots cannot be read (counted as no spikes): {found.unreadable[0]}")
    lines += [str(noted) for noted in found.notes]
    if found.decoded_shots:
        times = found.bench_s / max(found.decode_s, 1e-9)
        lines.append(
            f"{found.decoded_shots} shots decoded from their traces in {found.decode_s:.2f} s, "
            f"{times:.0f} times as fast as on the bench; {found.wall_s:.2f} s in all"
        )
    else:
        lines.append(f"the run has no traces: counts as recorded; {found.wall_s:.2f} s")
    return "\n".join(lines)


def _row(d: Difference) -> str:
    answer = f"{d.answer[0]}" if d.answer[0] == d.answer[1] else f"{d.answer[0]} → {d.answer[1]}"
    return (
        f"{d.index:>5}  {d.slots:>7,}  {d.spikes[0]:>10,} → {d.spikes[1]:>10,} ({d.spikes[1] - d.spikes[0]:+,})  "
        f"{sum(d.activations.values()):>11,}  {answer:>6}  {d.confidence[0]:.1%} → {d.confidence[1]:.1%}"
    )

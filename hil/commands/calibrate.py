"""Measure how a device on a bench answers, and store it as a calibration record.

hil calibrate threshold --bench bench.toml     the usable window, and the V_th that gives 4 pulses a spike
hil calibrate transfer --bench bench.toml      pulses in → spikes out at one V_th and clock; what decoding needs
hil calibrate frequency --bench bench.toml     firing against the dendrite clock, leak, fastest usable clock
hil calibrate threshold transfer               one after the other, at the V_th just found, into one record

Every sweep is recorded beside its record: `hil resume RUN` goes on with it, `hil replay RUN` evaluates it again.
"""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

from drivers.errors import HilError, InputError
from hil.commands.runpath import latest_of
from hil.terminal.visible import visible

if TYPE_CHECKING:
    from calibration.record import CalibrationRecord
    from drivers.bench import Bench
    from drivers.signals import Capture
    from hil.calibrate.sweeps import CalibrateConfig, Findings
    from hil.store.runfile import RunFile

FOLDER = Path("calibrations")
WHAT = ("threshold", "transfer", "frequency")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `hil calibrate`."""
    parser.add_argument("what", nargs="*", metavar="WHAT", help="threshold, transfer, frequency; in this order")
    parser.add_argument("--bench", default="mock", metavar="NAME|FILE", help="bench to measure on (default: mock)")
    parser.add_argument("--device", metavar="NAME|FILE", help="device file (default: the bench's)")
    parser.add_argument("--vth", type=float, metavar="V", help="threshold voltage (default: as found, or the bench's)")
    parser.add_argument("--mode", choices=("adaptive", "fixed"), help="slot mode (default: the bench's)")
    parser.add_argument("--clock", type=float, metavar="HZ", help="dendrite clock of adaptive slots")
    parser.add_argument("--window", type=float, metavar="S", help="pulse window of fixed slots")
    parser.add_argument(
        "--gain", type=float, default=4.0, metavar="N", help="pulses a spike wanted (default: 4, at most 10)"
    )
    parser.add_argument("--full-scale", type=int, default=32, metavar="N", help="measure up to N pulses (default: 32)")
    parser.add_argument("--slowest", type=float, default=10.0, metavar="HZ", help="slowest clock swept (default: 10)")
    parser.add_argument("--calibration", type=Path, metavar="FILE", help="record to add to: its V_th and its results")
    parser.add_argument("--out", type=Path, metavar="FILE", help="record to write (default: under calibrations/)")
    which = latest_of("calibrate", FOLDER)
    parser.add_argument(
        "--resume", type=which, metavar="RUN", help="go on with a calibration that was interrupted, or latest"
    )
    parser.add_argument(
        "--replay", type=which, metavar="RUN", help="evaluate a recorded calibration again, or latest, offline"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object on standard output")
    from hil.commands.options import add_seed_argument, add_wire_argument

    add_seed_argument(parser)
    add_wire_argument(parser)


def run(args: argparse.Namespace) -> int:
    """Measure and write the record; returns the exit code."""
    from calibration.picture import check_drawable
    from hil.calibrate.sweeps import calibrate
    from hil.store.recording import RecordingBench
    from hil.terminal.again import Again
    from hil.terminal.ending import how_to_go_on, resumable, stopped
    from hil.terminal.interrupt import StopRequest
    from hil.terminal.sweepview import SweepView
    from hil.terminal.where import tell_where

    check_drawable()
    with ExitStack() as stack:
        stopping = stack.enter_context(StopRequest())
        config, bench, run_file = _open(args, stack)
        if bench is not None:
            stopping.advice = how_to_go_on(run_file)
            tell_where(config.bench, config.device)

        def load(row: int) -> Capture:
            return run_file.load(row, ("vth",))  # the one trace that a sweep looks at

        again = Again()
        recording = stack.enter_context(RecordingBench(bench, run_file, reader=load, stopping=stopping, retaking=again))
        view = stack.enter_context(SweepView(quiet=args.json))
        try:
            found, vth_v = calibrate(config, recording, view)
            again.close()
        except (KeyboardInterrupt, HilError) as error:
            if bench is None:
                raise
            return stopped(run_file, error, "what was measured is safe")
        if bench is not None:
            run_file.add_event("complete", f"{found.pulses_spent:,} pulses")
    if args.replay is None:
        with resumable(run_file):
            return _finish(args, config, found, vth_v, run_file)
    if args.out is not None:
        return _finish(args, config, found, vth_v, run_file)
    _print(args, config, found, vth_v, {"run_file": str(run_file.path)})
    return 0


def _open(args: argparse.Namespace, stack: ExitStack) -> tuple[CalibrateConfig, Bench | None, RunFile]:
    """Settings, bench (None for a replay) and run file, of a new calibration or of a recorded one."""
    from drivers.opening import make_bench
    from hil.calibrate.outcome import begin, config_of
    from hil.store.frozen import agree, changed_parts, resumed
    from hil.store.history import behind
    from hil.store.runfile import RunFile

    recorded = args.resume or args.replay
    if recorded is not None and (args.what or (args.resume and args.replay)):
        raise InputError("--resume and --replay take everything from the run file: name nothing else to measure")
    if args.replay is not None:
        run_file = stack.enter_context(RunFile.open(args.replay))
        return config_of(run_file), None, run_file
    if args.resume is not None:
        run_file = stack.enter_context(RunFile.open(args.resume, write=True))
        config = config_of(run_file)
        agree(run_file, behind(run_file, config.bench, config.device))
        bench = stack.enter_context(make_bench(config.bench, config.device, seed=config.seed))
        agree(run_file, changed_parts(run_file, bench.identity))
        for line in resumed(run_file):
            print(visible(line), file=sys.stderr)
        return config, bench, run_file
    config = _settings(args)
    bench = stack.enter_context(make_bench(config.bench, config.device, seed=config.seed))
    path = (args.out or _default_out(config)).with_suffix(".sqlite")
    return config, bench, stack.enter_context(begin(path, config, bench))


def _settings(args: argparse.Namespace) -> CalibrateConfig:
    from pydantic import ValidationError

    from calibration.record import check_kept, load_record
    from drivers.benchfile import load_bench
    from drivers.device import load_device, validation_line
    from hil.calibrate.sweeps import CalibrateConfig
    from hil.commands.options import slot_timing
    from hil.store.history import known_passport

    unknown = [what for what in args.what if what not in WHAT]
    if unknown or not args.what:
        named = f"{unknown[0]!r} cannot be calibrated" if unknown else "say what to calibrate"
        raise InputError(f"{named}: {', '.join(WHAT)}, or several of them")
    file = load_bench(args.bench)
    device = load_device(args.device or file.device)
    if args.vth is not None:
        file.check_threshold(args.vth)
    base = load_record(args.calibration) if args.calibration is not None else None
    if base is not None and (base.device != device.id or base.bench != file.name):
        raise InputError(
            f"--calibration {args.calibration} is of device {base.device!r} on bench {base.bench!r}, not of "
            f"{device.id!r} on {file.name!r}"
        )
    odometer = known_passport(file, device).pulses
    if base is not None and file.kind == "pi":
        check_kept(base, odometer)
    try:
        return CalibrateConfig(
            what=tuple(dict.fromkeys(args.what)),
            bench=file,
            device=device,
            timing=slot_timing(args, file),
            vth_v=args.vth,
            gain=args.gain,
            full_scale=args.full_scale,
            slowest_hz=args.slowest,
            seed=args.seed,
            odometer=odometer,
            base=base,
        )
    except ValidationError as error:
        raise InputError(f"calibrate: {validation_line(error)}") from error


def _default_out(config: CalibrateConfig) -> Path:
    now = datetime.now().astimezone()
    return FOLDER / f"{config.device.id}-{'-'.join(config.what)}-{now:%Y%m%d-%H%M%S}.json"


def _finish(args: argparse.Namespace, config: CalibrateConfig, found: Findings, vth_v: float, run_file: RunFile) -> int:
    """Record, passport, pictures, print."""
    from calibration.record import save_record
    from hil.calibrate.outcome import enter, to_record

    record = to_record(config, found, vth_v, run_file)
    path: Path = args.out or run_file.path.with_suffix(".json")
    save_record(record, path)
    if args.replay is None:
        enter(config, record, found)
    figures = _draw(config, found, path)
    _print(args, config, found, vth_v, {"calibration_id": record.id, "file": str(path), "run_file": record.run_file})
    if not args.json:
        at = f" at {record.temperature_c:.1f} °C" if record.temperature_c is not None else ""
        print(visible(f"calibration {record.id}{at} in {path}, pictures: {', '.join(map(str, figures))}"))
        print(visible(_next(args, record, path)))
    return 0


def _draw(config: CalibrateConfig, found: Findings, path: Path) -> list[Path]:
    from calibration.figures import draw_frequency, draw_threshold, draw_transfer

    files = {what: path.with_name(f"{path.stem}-{what}.png") for what in config.what}
    if found.threshold is not None:
        draw_threshold(found.threshold, config.device.id, files["threshold"])
    if found.curve is not None and found.transfer is not None:
        draw_transfer(found.curve, found.transfer, config.device.id, files["transfer"])
    if found.frequency is not None:
        draw_frequency(found.frequency, config.device.id, files["frequency"])
    return list(files.values())


def _print(
    args: argparse.Namespace, config: CalibrateConfig, found: Findings, vth_v: float, more: dict[str, Any]
) -> None:
    """What was found: one JSON object, or lines for people."""
    if args.json:
        print(json.dumps({**_keys(config, found, vth_v), **more}))
        return
    from hil.calibrate.text import lines

    print("\n".join(lines(found, vth_v)))
    print(f"{found.pulses_spent:,} pulses spent")


def _keys(config: CalibrateConfig, found: Findings, vth_v: float) -> dict[str, Any]:
    from calibration.measure.threshold import usable

    keys: dict[str, Any] = {"vth_v": vth_v, "pulses_spent": found.pulses_spent}
    if found.threshold is not None:
        gain = found.threshold.gain
        keys |= {
            "gain": {"value": gain.value, "interval": [gain.lo, gain.hi]},
            "window_v": list(usable(found.threshold.window, config.limits_v)),
        }
    return keys | {what: found.results[what] for what in config.what}


def _next(args: argparse.Namespace, record: CalibrationRecord, path: Path) -> str:
    if record.curves:
        return f"use it: hil run --bench {quote(str(args.bench))} --calibration {quote(str(path))}"
    return f"next: hil calibrate transfer --bench {quote(str(args.bench))} --calibration {quote(str(path))}"

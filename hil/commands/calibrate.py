"""Measure how a device on a bench answers, and store it as a calibration record.

hil calibrate transfer --bench bench.toml      pulses in → spikes out at one V_th and clock; what decoding needs
"""

from __future__ import annotations

import argparse
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console
from rich.progress import Progress

from calibration.passport import Entry, add_entry, load_passport
from calibration.record import CalibrationRecord, save_record
from calibration.transfer import measure_transfer, pulse_grid, slots_a_count
from drivers.benchfile import load_bench
from drivers.device import load_device

if TYPE_CHECKING:
    from calibration.transfer import TransferCurve

FOLDER = Path("calibrations")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `hil calibrate`."""
    parser.add_argument("what", choices=("transfer",))
    parser.add_argument("--bench", default="mock", metavar="NAME|FILE", help="bench to measure on (default: mock)")
    parser.add_argument("--device", metavar="NAME|FILE", help="device file (default: the bench's)")
    parser.add_argument("--vth", type=float, metavar="V", help="threshold voltage (default: the bench's)")
    parser.add_argument("--mode", choices=("adaptive", "fixed"), help="slot mode (default: the bench's)")
    parser.add_argument("--clock", type=float, metavar="HZ", help="dendrite clock of adaptive slots")
    parser.add_argument("--window", type=float, metavar="S", help="pulse window of fixed slots")
    parser.add_argument("--full-scale", type=int, default=32, metavar="N", help="measure up to N pulses (default: 32)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the simulated neuron")
    parser.add_argument("--out", type=Path, metavar="FILE", help="record to write (default: under calibrations/)")
    parser.add_argument("--json", action="store_true", help="print one JSON object on standard output")


def run(args: argparse.Namespace) -> int:
    """Measure the transfer curve and write the record; returns the exit code."""
    from hil.benches import make_bench
    from hil.setup import slot_timing

    file = load_bench(args.bench)
    device = load_device(args.device or file.device)
    vth_v = file.vth_v if args.vth is None else args.vth
    timing = slot_timing(args, file)
    console = Console(stderr=True)
    with (
        make_bench(file, device, seed=args.seed) as bench,
        Progress(console=console, transient=True, disable=args.json or not console.is_terminal) as progress,
    ):
        task = progress.add_task("measuring", total=1.0)
        curve = measure_transfer(
            bench,
            timing,
            vth_v,
            full_scale=args.full_scale,
            progress=lambda share: progress.update(task, completed=share),
        )
        grid = pulse_grid(args.full_scale)
        spent = int((grid * slots_a_count(grid, timing)).sum())
        record = CalibrationRecord(
            made_at=datetime.now(UTC),
            bench=file.name,
            identity=bench.identity,
            device=device.id,
            vth_v=vth_v,
            timing_key=timing.key(),
            curves=(curve.to_dict(),),
            pulses_spent=spent,
            device_pulses=load_passport(device.id).pulses if file.kind == "pi" else spent,
        )
    if file.kind == "pi":
        slope = float(np.polyfit(curve.pulses, curve.mean_spikes, 1)[0])
        entry = Entry(
            at=record.made_at,
            calibration=record.id,
            vth_v=vth_v,
            timing_key=timing.key(),
            pulses_before=record.device_pulses,
            pulses_a_spike=1 / slope if slope > 0 else None,
        )
        add_entry(load_passport(device.id), entry)
    path = args.out or FOLDER / f"{device.id}-{record.made_at:%Y%m%d-%H%M%S}.json"
    save_record(record, path)
    if args.json:
        print(json.dumps({"calibration_id": record.id, "file": str(path), "pulses_spent": spent, "vth_v": vth_v}))
    else:
        _print(curve, spent)
        print(f"calibration {record.id} in {path}; use it with --calibration {path}")
    return 0


def _print(curve: TransferCurve, spent: int) -> None:
    for pulses, mean, sd in zip(curve.pulses, curve.mean_spikes, curve.sd_spikes, strict=True):
        bar = "▇" * round(40 * mean / max(float(curve.mean_spikes.max()), 1e-9))
        print(f"{pulses:>6} pulses  {mean:8.2f} ± {sd:5.2f} spikes  {bar}")
    print(f"{spent:,} pulses spent at V_th {curve.vth_v:g} V, {curve.timing_key}")

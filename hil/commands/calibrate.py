"""Measure how a device on a bench answers, and store it as a calibration record.

hil calibrate transfer --bench bench.toml      pulses in → spikes out at one V_th and clock; what decoding needs
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console
from rich.progress import Progress

from calibration.passport import Entry, add_entry, load_passport
from calibration.record import CalibrationRecord, save_record
from calibration.sweep import Sweep
from calibration.threshold import Progress as SweepProgress
from calibration.threshold import measure_threshold, usable
from calibration.threshold_figure import draw_threshold
from calibration.transfer import measure_transfer, pulse_grid, slots_a_count
from drivers.benchfile import BenchFile, load_bench
from drivers.device import DeviceFile, load_device
from hil.benches import make_bench
from hil.setup import slot_timing

if TYPE_CHECKING:
    from calibration.estimate import Estimate
    from calibration.transfer import TransferCurve
    from drivers.bench import Bench
    from drivers.signals import SlotTiming

FOLDER = Path("calibrations")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `hil calibrate`."""
    parser.add_argument("what", choices=("threshold", "transfer"))
    parser.add_argument("--bench", default="mock", metavar="NAME|FILE", help="bench to measure on (default: mock)")
    parser.add_argument("--device", metavar="NAME|FILE", help="device file (default: the bench's)")
    parser.add_argument("--vth", type=float, metavar="V", help="threshold voltage (default: the bench's)")
    parser.add_argument("--mode", choices=("adaptive", "fixed"), help="slot mode (default: the bench's)")
    parser.add_argument("--clock", type=float, metavar="HZ", help="dendrite clock of adaptive slots")
    parser.add_argument("--window", type=float, metavar="S", help="pulse window of fixed slots")
    parser.add_argument("--gain", type=float, default=4.0, metavar="N", help="pulses a spike wanted (default: 4)")
    parser.add_argument("--full-scale", type=int, default=32, metavar="N", help="measure up to N pulses (default: 32)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the simulated neuron")
    parser.add_argument("--out", type=Path, metavar="FILE", help="record to write (default: under calibrations/)")
    parser.add_argument("--json", action="store_true", help="print one JSON object on standard output")


def run(args: argparse.Namespace) -> int:
    """Measure and write the record; returns the exit code."""
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

        def show(share: float, text: str = "measuring") -> None:
            progress.update(task, completed=share, description=text)

        if args.what == "threshold":
            return _threshold(args, file, device, bench, timing, show)
        return _transfer(args, file, device, bench, timing, vth_v, show)


def _threshold(
    args: argparse.Namespace,
    file: BenchFile,
    device: DeviceFile,
    bench: Bench,
    timing: SlotTiming,
    show: Callable[[float, str], None],
) -> int:
    sweep = Sweep(bench, timing, "calibrate/threshold")

    def watch(progress: SweepProgress) -> None:
        at = f", V_th about {progress.vth_v:.3f} V" if progress.vth_v is not None else ""
        show(progress.done, f"{progress.stage}{at}, {sweep.pulses_spent:,} pulses")

    limits = (file.limits.vth_min_v, file.limits.vth_max_v)
    result = measure_threshold(sweep, limits, target=args.gain, show=watch)
    record = _record(file, device, bench, timing, result.vth_v, result.pulses_spent).model_copy(
        update={"results": {"threshold": result.model_dump(mode="json")}}
    )
    path = _save(args, record)
    _enter(file, record, result.gain.value, usable(result.window, limits))
    draw_threshold(result, device.id, path.with_suffix(".png"))
    window = list(usable(result.window, limits))
    gain = {"value": result.gain.value, "interval": [result.gain.lo, result.gain.hi]}
    if args.json:
        print(
            json.dumps(
                {
                    "vth_v": result.vth_v,
                    "gain": gain,
                    "window_v": window,
                    "pulses_spent": result.pulses_spent,
                    "calibration_id": record.id,
                    "file": str(path),
                }
            )
        )
        return 0
    print(f"usable window   {window[0]:.3f}…{window[1]:.3f} V")
    print(
        f"V_th            {result.vth_v:.3f} V gives {_interval(result.gain)} pulses a spike, "
        f"standard deviation {_interval(result.spread)}"
    )
    print(f"asked {args.gain:g} pulses a spike at {_interval(result.asked_v)} V; {result.pulses_spent:,} pulses spent")
    print(f"calibration {record.id} in {path}, picture in {path.with_suffix('.png')}")
    print(f"next: hil calibrate transfer --bench {args.bench} --vth {result.vth_v:g}")
    return 0


def _interval(estimate: Estimate) -> str:
    known = [f"{end:.4g}" if end is not None else "?" for end in (estimate.lo, estimate.hi)]
    return f"{estimate.value:.4g} ({known[0]}…{known[1]})" if estimate.value is not None else f"{known[0]}…{known[1]}"


def _transfer(
    args: argparse.Namespace,
    file: BenchFile,
    device: DeviceFile,
    bench: Bench,
    timing: SlotTiming,
    vth_v: float,
    show: Callable[[float, str], None],
) -> int:
    curve = measure_transfer(
        bench, timing, vth_v, full_scale=args.full_scale, progress=lambda share: show(share, "measuring")
    )
    grid = pulse_grid(args.full_scale)
    spent = int((grid * slots_a_count(grid, timing)).sum())
    record = _record(file, device, bench, timing, vth_v, spent).model_copy(update={"curves": (curve.to_dict(),)})
    path = _save(args, record)
    slope = float(np.polyfit(curve.pulses, curve.mean_spikes, 1)[0])
    _enter(file, record, 1 / slope if slope > 0 else None, None)
    if args.json:
        print(json.dumps({"calibration_id": record.id, "file": str(path), "pulses_spent": spent, "vth_v": vth_v}))
    else:
        _print(curve, spent)
        print(f"calibration {record.id} in {path}; use it with --calibration {path}")
    return 0


def _record(
    file: BenchFile, device: DeviceFile, bench: Bench, timing: SlotTiming, vth_v: float, spent: int
) -> CalibrationRecord:
    return CalibrationRecord(
        made_at=datetime.now(UTC),
        bench=file.name,
        identity=bench.identity,
        device=device.id,
        vth_v=vth_v,
        timing_key=timing.key(),
        pulses_spent=spent,
        device_pulses=load_passport(device.id).pulses if file.kind == "pi" else spent,
    )


def _save(args: argparse.Namespace, record: CalibrationRecord) -> Path:
    path: Path = args.out or FOLDER / f"{record.device}-{args.what}-{record.made_at:%Y%m%d-%H%M%S}.json"
    save_record(record, path)
    return path


def _enter(
    file: BenchFile, record: CalibrationRecord, pulses_a_spike: float | None, window_v: tuple[float, float] | None
) -> None:
    """Into the passport of a real device."""
    if file.kind != "pi":
        return
    entry = Entry(
        at=record.made_at,
        calibration=record.id,
        vth_v=record.vth_v,
        timing_key=record.timing_key,
        pulses_before=record.device_pulses,
        pulses_a_spike=pulses_a_spike,
        low_edge_v=window_v[0] if window_v else None,
        high_edge_v=window_v[1] if window_v else None,
    )
    add_entry(load_passport(record.device), entry)


def _print(curve: TransferCurve, spent: int) -> None:
    for pulses, mean, sd in zip(curve.pulses, curve.mean_spikes, curve.sd_spikes, strict=True):
        bar = "▇" * round(40 * mean / max(float(curve.mean_spikes.max()), 1e-9))
        print(f"{pulses:>6} pulses  {mean:8.2f} ± {sd:5.2f} spikes  {bar}")
    print(f"{spent:,} pulses spent at V_th {curve.vth_v:g} V, {curve.timing_key}")

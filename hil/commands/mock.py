"""Serve the simulated bench over the real wire protocols: pigpiod, DS4024 and Pico in front of one board.

    hil mock serve                                   in one terminal; it writes mock-wire.toml
    hil run --digits 0:2 --bench mock-wire.toml      in another: exactly the code that runs on the Pi

Servers listen on this machine only. Ctrl-C ends them.
"""

from __future__ import annotations

import argparse
import sys
import threading
import tomllib
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

from calibration.record import CalibrationRecord, save_record
from calibration.transfer import measure_transfer, pulse_grid, slots_a_count
from drivers.benchfile import BenchFile, PicoSettings, Wiring, load_bench
from drivers.device import load_device
from drivers.durable import write_durably
from drivers.errors import BenchError, InputError, LimitError
from drivers.mock.board import FAULTS as BOARD_FAULTS
from drivers.mock.board import Board
from drivers.mock.ds4024.faults import FAULTS as SCOPE_FAULTS
from drivers.mock.ds4024.server import ScopeServer
from drivers.mock.pico import FAULTS as PICO_FAULTS
from drivers.mock.pico import WIRING as PICO_WIRING
from drivers.mock.pico import PicoServer
from drivers.mock.pigpiod import FAULTS as PIGPIOD_FAULTS
from drivers.mock.pigpiod import PigpiodServer
from drivers.pi import PiBench

PIGPIO_WIRING = Wiring(dendrite=17, reset=27, sync=22, select=(23, 24, 25, 12))
FULL_SCALE = 32
REALISTIC_LATENCY_S = 0.3e-3  # a request to pigpiod over loopback on a Pi; assumed


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `hil mock`."""
    parser.add_argument("action", choices=("serve",))
    parser.add_argument("--profile", choices=("fast", "realistic"), default="fast", help="latencies and transfer rates")
    parser.add_argument("--device", default="nominal", metavar="NAME|FILE", help="simulated device (default: nominal)")
    parser.add_argument(
        "--fault", action="append", default=[], metavar="NAME", help="switch a fault on; may be repeated"
    )
    parser.add_argument("--source", choices=("pigpio", "pico"), default="pigpio", help="pulse source in the bench file")
    parser.add_argument("--reader", choices=("scope", "pico", "both"), default="scope", help="axon reader, likewise")
    parser.add_argument("--out", type=Path, default=Path("mock-wire.toml"), metavar="FILE", help="bench file to write")
    parser.add_argument("--seed", type=int, default=0, help="seed of the simulated neuron")


def run(args: argparse.Namespace) -> int:
    """Serve until Ctrl-C or SIGTERM."""
    faults = _sorted_faults(args.fault)
    settings = load_bench("mock").board
    with ExitStack() as stack:
        board = Board(load_device(args.device), settings, seed=args.seed, faults=faults["board"])
        latency_s = REALISTIC_LATENCY_S if args.profile == "realistic" else 0.0
        pigpiod = stack.enter_context(
            PigpiodServer(board, PIGPIO_WIRING, faults=faults["pigpiod"], latency_s=latency_s)
        )
        scope = stack.enter_context(ScopeServer(board, faults=faults["scope"], profile=args.profile))
        pico = stack.enter_context(
            PicoServer(board, faults=faults["pico"], profile=args.profile, sync_input=_sync_input(args.source))
        )
        text = bench_file(args, pigpiod, scope, pico)
        calibrate(args, BenchFile.model_validate(tomllib.loads(text)))
        write_durably(args.out, text, "bench file")
        print(f"pigpiod   {pigpiod.host}:{pigpiod.port}")
        print(f"DS4024    {scope.vxi11_resource}  or  {scope.socket_resource}")
        print(f"Pico      {pico.port}")
        print(f"wrote {args.out}; try: hil run --digits 0:2 --bench {args.out}", flush=True)
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            print("hil: simulated bench stopped", file=sys.stderr)
    return 0


def _sync_input(source: str) -> int | None:
    """Where pigpio makes the pulses the Pico only listens, and hears sync on its default pin."""
    return PicoSettings().sync_pin if source == "pigpio" else None


def _sorted_faults(names: list[str]) -> dict[str, list[str]]:
    """Each fault to the part that has it; raises InputError."""
    known = {"board": BOARD_FAULTS, "pigpiod": PIGPIOD_FAULTS, "scope": SCOPE_FAULTS, "pico": PICO_FAULTS}
    found: dict[str, list[str]] = {part: [] for part in known}
    for name in names:
        part = next((p for p, faults in known.items() if name.partition(":")[0] in faults), None)
        if part is None:
            listing = "; ".join(f"{p}: {', '.join(sorted(faults))}" for p, faults in known.items())
            raise InputError(f"--fault {name!r} is unknown; {listing}")
        found[part].append(name)
    return found


def bench_file(args: argparse.Namespace, pigpiod: PigpiodServer, scope: ScopeServer, pico: PicoServer) -> str:
    """The text of a bench file for these servers."""
    wiring = PICO_WIRING if args.source == "pico" else PIGPIO_WIRING
    select = ", ".join(map(str, wiring.select))
    return f"""# Written by hil mock serve; valid while it runs.
name = "mock-wire"
kind = "pi"
device = "{args.device}"
calibration = "{calibration_path(args.out)}"
pulse_source = "{args.source}"
axon_reader = "{args.reader}"

[wiring]
dendrite = {wiring.dendrite}
reset = {wiring.reset}
sync = {wiring.sync}
select = [{select}]

[board]
addresses = {len(wiring.select)}

[pigpio]
host = "{pigpiod.host}"
port = {pigpiod.port}

[scope]
resource = "{scope.vxi11_resource}"

[pico]
port = "{pico.port}"

[threshold]
source = "pico"
"""


def calibrate(args: argparse.Namespace, file: BenchFile) -> None:
    """Measure the transfer curve by playing, with the Pico as reader since it is quick, and write the record.

    Faults that stop a measurement leave the bench without a calibration, which is said.
    """
    reader = file.model_copy(update={"axon_reader": "pico"})
    device = load_device(file.device)
    try:
        with PiBench(reader, device) as bench:
            curve = measure_transfer(bench, file.slot, file.vth_v, full_scale=FULL_SCALE)
    except (BenchError, LimitError) as error:
        print(f"no calibration: {error}", file=sys.stderr)
        return
    grid = pulse_grid(FULL_SCALE)
    spent = int((grid * slots_a_count(grid, file.slot)).sum())
    record = CalibrationRecord(
        made_at=datetime.now(UTC),
        bench=file.name,
        identity={"kind": "pi", "device": device.id},
        device=device.id,
        vth_v=file.vth_v,
        timing_key=file.slot.key(),
        curves=(curve.to_dict(),),
        pulses_spent=spent,
        device_pulses=spent,
    )
    save_record(record, calibration_path(args.out))
    print(f"measured  calibration {record.id} in {calibration_path(args.out)}")


def calibration_path(out: Path) -> Path:
    """Beside the bench file."""
    return out.absolute().with_suffix(".calibration.json")

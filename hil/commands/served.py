"""What `hil mock serve` writes: a bench file for its servers, and the calibration of the neuron behind them."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from pathlib import Path

from calibration.record import CalibrationRecord
from calibration.transfer import measure_transfer, pulse_grid, slots_a_count
from drivers.benchfile import BenchFile, load_bench
from drivers.device import DeviceFile
from drivers.mock.bench import MockBench
from drivers.mock.ds4024.server import ScopeServer
from drivers.mock.pico import WIRING as PICO_WIRING
from drivers.mock.pico import PicoServer
from drivers.mock.pigpiod import PigpiodServer
from drivers.mock.status import StatusServer
from drivers.settings import GpioSettings, Wiring
from hil.bringup.template import literal

PIGPIO_WIRING = Wiring(dendrite=17, reset=27, sync=22, select=(23, 24, 25, 12))
AXON_PIN = GpioSettings().axon_pin
FULL_SCALE = 32
PICO_REPLY_S = 5.0


def bench_file(
    args: argparse.Namespace,
    pigpiod: PigpiodServer,
    scope: ScopeServer,
    pico: PicoServer,
    status: StatusServer | None = None,
) -> str:
    """The text of a bench file for these servers."""
    wiring = PICO_WIRING if args.source == "pico" else PIGPIO_WIRING
    select = ", ".join(map(str, wiring.select))
    reader = literal(args.reader.split("+") if "+" in args.reader else args.reader)
    every = getattr(args, "audit_every", None)
    return f"""# Written by hil mock serve; valid while it runs.
name = "mock-wire"
kind = "pi"
device = {literal(args.device)}
calibration = {literal(str(calibration_path(args.out)))}
witness = "{status.address if status is not None else ""}"
pulse_source = "{args.source}"
axon_reader = {reader}
{f"audit_every = {every}" if every else ""}
passports = {literal(f"{args.out.stem}.passports")}

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

[gpio]
axon_pin = {AXON_PIN}

[scope]
resource = "{scope.vxi11_resource}"

[pico]
port = "{pico.port}"
reply_s = {PICO_REPLY_S}  # it is a program on this machine, which may be busy

[threshold]
source = "pico"
"""


def calibrate(file: BenchFile, device: DeviceFile, seed: int) -> CalibrationRecord:
    """The transfer curve of the served neuron, measured in process: on simulated time, without the faults.

    The board in process is the one behind the wire: a busy machine or a fault that is asked for spoils nothing. The
    served neuron has had none of its pulses.
    """
    settings = load_bench("mock").model_copy(update={"board": file.board, "slot": file.slot})
    with MockBench(settings, device, seed=seed) as bench:
        curve = measure_transfer(bench, file.slot, file.vth_v, full_scale=FULL_SCALE)
    grid = pulse_grid(FULL_SCALE)
    spent = int((grid * slots_a_count(grid, file.slot)).sum())
    return CalibrationRecord(
        made_at=datetime.now(UTC),
        bench=file.name,
        identity={"kind": "pi", "device": device.id},
        device=device.id,
        vth_v=file.vth_v,
        made_v=curve.made_v if curve.made_v != file.vth_v else None,
        timing_key=file.slot.key(),
        curves=(curve.to_dict(),),
        pulses_spent=spent,
    )


def calibration_path(out: Path) -> Path:
    """Beside the bench file."""
    return out.absolute().with_suffix(".calibration.json")

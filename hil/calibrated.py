"""What comes of a calibration: its run file, its record, its entry in the device's passport."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from calibration.passport import Entry, add_entry, load_passport
from calibration.record import CalibrationRecord
from drivers.bench import InputError, RunFileError
from hil.benches import temperature_c
from hil.calibrating import CalibrateConfig, Findings
from hil.recorded import software
from hil.runfile import RunFile

if TYPE_CHECKING:
    from drivers.bench import Bench


def begin(path: Path, config: CalibrateConfig, bench: Bench) -> RunFile:
    """A new run file for a calibration, numbered if the name is taken; raises RunFileError."""
    facts = {
        "calibrate": config.model_dump_json(),
        "identity": dict(bench.identity),
        "temperature_c": temperature_c(bench),
        "software": software(),
        "begun": datetime.now(UTC).isoformat(timespec="seconds"),
        "device": config.device.id,
        "odometer": config.odometer,
        "tick_s": config.bench.tick_s,
    }
    return RunFile.create(free_name(path), facts)


def free_name(path: Path) -> Path:
    """The name, or the name with a number: records and figures may be replaced, what was measured never is."""
    free, n = path, 1
    while free.exists():
        n += 1
        free = path.with_name(f"{path.stem}-{n}{path.suffix}")
    return free


def config_of(run: RunFile) -> CalibrateConfig:
    """The settings frozen in a calibration's run file; raises RunFileError."""
    if "calibrate" not in run.facts:
        raise RunFileError(f"run file {run.path} holds no calibration; `hil resume` and `hil replay` are for runs")
    try:
        return CalibrateConfig.model_validate_json(run.fact("calibrate"))
    except ValueError as error:
        raise RunFileError(f"run file {run.path}: its settings are of another version ({error})") from error


def check_same(run: RunFile, identity: Mapping[str, str]) -> None:
    """Raise InputError when a calibration would go on with other parts than it was begun with."""
    was: dict[str, str] = run.fact("identity")
    for part in sorted(was.keys() | identity.keys()):
        if was.get(part) != identity.get(part):
            raise InputError(
                f"run file {run.path} was begun with {part} {was.get(part)!r}, and the bench has "
                f"{identity.get(part)!r}: put that back, or begin a new calibration"
            )


def to_record(config: CalibrateConfig, found: Findings, vth_v: float, run: RunFile) -> CalibrationRecord:
    """The record of these findings, with what the base had and they do not replace."""
    base = config.base
    curves = [c for c in base.curves if c["vth_v"] == vth_v] if base is not None else []
    if found.curve is not None:
        mine = found.curve.to_dict()
        curves = [c for c in curves if c["timing_key"] != mine["timing_key"]] + [mine]
    return CalibrationRecord(
        made_at=datetime.fromisoformat(run.fact("begun")),
        bench=config.bench.name,
        identity=run.fact("identity"),
        device=config.device.id,
        vth_v=vth_v,
        timing_key=config.timing.key(),
        curves=tuple(curves),
        results={**(base.results if base is not None else {}), **found.results},
        pulses_spent=found.pulses_spent,
        device_pulses=config.odometer + found.pulses_spent,
        temperature_c=run.facts.get("temperature_c"),
        run_file=str(run.path.absolute()),
    )


def enter(config: CalibrateConfig, record: CalibrationRecord, found: Findings) -> None:
    """Into the passport of a real device."""
    if config.bench.kind != "pi":
        return
    gain = found.threshold.gain.value if found.threshold is not None else None
    if gain is None and found.transfer is not None:
        gain = found.transfer.pulses_per_spike
    window = found.threshold.window if found.threshold is not None else None
    entry = Entry(
        at=record.made_at,
        calibration=record.id,
        vth_v=record.vth_v,
        timing_key=record.timing_key,
        pulses_before=record.device_pulses,
        pulses_a_spike=gain,
        low_edge_v=window.lower_v.value if window else None,
        high_edge_v=window.upper_v.value if window else None,
    )
    add_entry(load_passport(record.device), entry)

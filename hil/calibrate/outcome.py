"""What comes of a calibration: its run file, its record, its entry in the device's passport."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from calibration.record import CalibrationRecord
from drivers.wear.passport import Entry, add_entry, load_passport, passport_folder
from hil.calibrate.sweeps import CalibrateConfig, Findings
from hil.store import frozen
from hil.store.recording import made_v

if TYPE_CHECKING:
    from drivers.bench import Bench
    from hil.store.runfile import RunFile


def begin(path: Path, config: CalibrateConfig, bench: Bench) -> RunFile:
    """A new run file for a calibration; raises RunFileError.

    It gets a number where the name is taken: records may be replaced, what was measured never is.
    """
    more = {"odometer": config.odometer, "temperature_c": bench.temperature_c}
    return frozen.begin(path, "calibrate", config, bench.identity, numbered=True, **more)


def config_of(run: RunFile) -> CalibrateConfig:
    """The settings frozen in a calibration's run file; raises RunFileError, WrongKindError."""
    return frozen.settings_of(run, CalibrateConfig, "calibrate")


def to_record(config: CalibrateConfig, found: Findings, vth_v: float, run: RunFile) -> CalibrationRecord:
    """The record of these findings, with what the base had and they do not replace.

    A record with a curve of its base is as old as that.
    """
    kept, results = _kept(config, found, vth_v, run.fact("identity"))
    made_at, pulses = frozen.begun_at(run), config.odometer + found.pulses_spent
    if kept and config.base is not None:
        made_at, pulses = min(made_at, config.base.made_at), min(pulses, config.base.device_pulses)
    return CalibrationRecord(
        made_at=made_at,
        bench=config.bench.name,
        identity=run.fact("identity"),
        device=config.device.id,
        vth_v=vth_v,
        made_v=_made_otherwise(run, vth_v),
        timing_key=config.timing.key(),
        curves=(*kept, *([found.curve.to_dict()] if found.curve is not None else [])),
        results={**results, **found.results},
        pulses_spent=found.pulses_spent,
        device_pulses=pulses,
        temperature_c=run.facts.get("temperature_c"),
        run_file=str(run.path.absolute()),
    )


def _made_otherwise(run: RunFile, vth_v: float) -> float | None:
    """What was made of V_th, None where it was as asked."""
    found = made_v(run, vth_v)
    return None if found == vth_v else found


def _kept(
    config: CalibrateConfig, found: Findings, vth_v: float, identity: Mapping[str, str]
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Curves and results of the base that hold still: those of the same V_th, and curves of the same parts as long as
    the neuron was not seen to drift away from them.
    """
    base = config.base
    if base is None:
        return [], {}
    results = {name: r for name, r in base.results.items() if name == "threshold" or base.vth_v == vth_v}
    folder = passport_folder(config.bench.passports) if config.bench.kind == "pi" else None
    drifted = folder is not None and base.id in load_passport(base.device, folder).drifted
    if drifted or base.identity != dict(identity):
        return [], results
    mine = found.curve.timing_key if found.curve is not None else None
    return [c for c in base.curves if c["vth_v"] == vth_v and c["timing_key"] != mine], results


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
        pulses_before=config.odometer + found.pulses_spent,
        pulses_a_spike=gain,
        low_edge_v=window.lower_v.value if window else None,
        high_edge_v=window.upper_v.value if window else None,
    )
    add_entry(record.device, entry, passport_folder(config.bench.passports))

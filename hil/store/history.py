"""What run files know of a device's life: its passport must know as much, or it is not the one that was kept.

A passport that is lost, zeroed or restored from an old copy would let a device have its endurance twice.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from calibration.record import check_kept, load_record
from drivers.errors import HilWarning, InputError, RunFileError
from drivers.wear.passport import Passport, load_passport, passport_folder
from hil.store.frozen import raw_settings
from hil.store.runfile import RunFile

if TYPE_CHECKING:
    from drivers.benchfile import BenchFile
    from drivers.device import DeviceFile

PLACES = (Path("runs"), Path("calibrations"), Path())  # where commands put run files unless told otherwise
MOST_LOOKED_AT = 50  # run files of one folder, the newest


def known_passport(bench: BenchFile, device: DeviceFile) -> Passport:
    """The passport of a device on a real bench, which must not be younger than the record in the bench file and the run
    files that lie where commands put them; a simulated device is new every time.

    Raises InputError, CalibrationError.
    """
    if bench.kind != "pi":
        return Passport(device=device.id)
    passport = load_passport(device.id, passport_folder(bench.passports))
    record = Path(bench.calibration) if bench.calibration else None
    if record is not None and record.exists():
        found = load_record(record)
        if found.device == device.id:
            check_kept(found, passport.pulses)
    places = {place.absolute() for place in (*PLACES, *([record.parent] if record is not None else []))}
    for path in (path for place in sorted(places) for path in _newest(place)):
        had = _pulses_by(path, device.id, bench)
        if had > passport.pulses:
            raise InputError(_lost(device.id, had, f"when {path} ended", passport.pulses))
    return passport


def behind(run: RunFile, bench: BenchFile, device: DeviceFile) -> list[str]:
    """Why a run cannot go on: its device's passport knows of less than the run itself. Raises InputError."""
    if bench.kind != "pi":
        return []
    passport = load_passport(device.id, passport_folder(bench.passports))
    had = _pulses(run)
    return [_lost(device.id, had, "when this run stopped", passport.pulses)] if passport.pulses < had else []


def _lost(device: str, had: int, when: str, known: int) -> str:
    return (
        f"device {device!r} had had {had:,} pulses {when}, and its passport knows of {known:,}: it is not the one that "
        "was kept; restore it, or name its folder as `passports` in the bench file"
    )


def _newest(folder: Path) -> list[Path]:
    found = sorted(folder.glob("*.sqlite"), key=lambda path: path.stat().st_mtime, reverse=True)
    return found[:MOST_LOOKED_AT]


def _pulses_by(path: Path, device: str, on: BenchFile) -> int:
    """The pulses that a device had had by the end of a run file; 0 where it says nothing of that device here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", HilWarning)  # of a copy without its log, which nobody has named
        try:
            with RunFile.open(path) as run:
                bench = raw_settings(run).get("bench")
                same = isinstance(bench, dict) and run.facts.get("device") == device and _one_life(bench, on)
                return _pulses(run) if same else 0
        except RunFileError:
            return 0  # damaged, or some other file


def _one_life(said: dict[str, Any], bench: BenchFile) -> bool:
    """Whether a device on the bench of a run file is the one of this name here: one that a twin simulates is not the
    one on real hardware, and not that of a twin with other passports.
    """
    if said.get("kind") != "pi" or bool(said.get("witness")) != bool(bench.witness):
        return False
    return not bench.witness or said.get("passports") == bench.passports


def _pulses(run: RunFile) -> int:
    before = run.facts.get("odometer", 0)
    pulses: int = run.totals()["pulses"]
    return int(before) + pulses

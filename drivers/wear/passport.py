"""The device passport: every pulse and reset a physical memristor has ever had, and how it changed over its life."""

from __future__ import annotations

import grp
import os
from pathlib import Path

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from drivers.device import validation_line
from drivers.durable import write_durably
from drivers.errors import InputError
from drivers.wear.ledger import read_ledger

SYSTEM_FOLDER = Path("/var/lib/memristive-hil/passports")


class Entry(BaseModel):
    """What one calibration said of the device; None where it did not look."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    at: AwareDatetime
    calibration: str
    vth_v: float
    timing_key: str
    pulses_before: int = Field(ge=0)
    pulses_a_spike: float | None = None
    low_edge_v: float | None = None
    high_edge_v: float | None = None


class Passport(BaseModel):
    """One memristor's life so far.

    `in_hand` is what a shot that was being played may have given it, in passports from before there were ledgers; it
    counts. `has_ledger` says that the ledger beside it has the last word on pulses, resets and time.
    `drifted` are ids of calibrations that the sentinel has found the device to have left. `described` is how its file
    described it when it was played last.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    device: str
    pulses: int = Field(default=0, ge=0)
    resets: int = Field(default=0, ge=0)
    played_s: float = Field(default=0.0, ge=0)
    in_hand: int = Field(default=0, ge=0)
    has_ledger: bool = False
    entries: tuple[Entry, ...] = ()
    drifted: tuple[str, ...] = ()
    described: str = ""


def passport_folder(stated: str = "") -> Path:
    """Where passports are: as a bench file states it (`passports`), else $HIL_PASSPORTS, else the system's place.

    The same for every user and every home, so that a device has one life (Filesystem Hierarchy Standard 3.0, 5.8).
    Raises InputError when nobody has made the system's place, saying how to, and what to move there.
    """
    named = stated or os.environ.get("HIL_PASSPORTS")
    if named:
        return Path(named)
    if not (SYSTEM_FOLDER.is_dir() and os.access(SYSTEM_FOLDER, os.W_OK)):
        old = _folder_once()
        move = f"; then move the passports from {old} there" if old.is_dir() else ""
        raise InputError(
            f"passports of real devices are kept in {SYSTEM_FOLDER}, which you cannot write to: once, sudo install -d "
            f"-m 2775 -g {_group()} {SYSTEM_FOLDER}{move}; or name a folder as `passports` in the bench file"
        )
    return SYSTEM_FOLDER


def _folder_once() -> Path:
    """Where passports were in the first version, by user."""
    data = os.environ.get("XDG_DATA_HOME") or Path(os.path.expanduser("~")) / ".local" / "share"  # noqa: PTH111
    return Path(data) / "memristive-hil" / "passports"


def _group() -> str:
    """The group of whoever asks, by name."""
    try:
        return grp.getgrgid(os.getgid()).gr_name
    except KeyError:
        return str(os.getgid())


def passport_file(device: str, folder: Path) -> Path:
    """The file of one device."""
    return folder / f"{device}.json"


def ledger_file(device: str, folder: Path) -> Path:
    """The ledger of one device."""
    return folder / f"{device}.wear"


def load_passport(device: str, folder: Path) -> Passport:
    """The passport of a device with the totals of its ledger; a new one if it has neither.

    Raises InputError when its files cannot be trusted.
    """
    passport, ledger = _read(device, folder), ledger_file(device, folder)
    wear = read_ledger(ledger)
    if wear is None:
        if passport is not None and passport.has_ledger:
            raise InputError(f"ledger {ledger} is missing: the wear of its device is not known; restore it")
        found = passport or Passport(device=device)
        return found.model_copy(update={"pulses": found.pulses + found.in_hand, "in_hand": 0})
    if passport is None:
        raise InputError(f"passport {passport_file(device, folder)} is missing, its ledger is not; restore it")
    if wear.pulses < passport.pulses or wear.resets < passport.resets:
        raise InputError(
            f"ledger {ledger} says {wear.pulses:,} pulses and {wear.resets:,} resets, its passport {passport.pulses:,} "
            f"and {passport.resets:,} already; restore it from a backup"
        )
    totals = {"pulses": wear.pulses, "resets": wear.resets, "played_s": wear.played_s, "in_hand": 0}
    return passport.model_copy(update=totals)


def _read(device: str, folder: Path) -> Passport | None:
    """The passport as it stands in its file."""
    path = passport_file(device, folder)
    try:
        found = Passport.model_validate_json(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise InputError(f"passport {path}: {error.strerror or error}") from error
    except ValidationError as error:
        raise InputError(f"passport {path}: {validation_line(error)}; restore it from a backup") from error
    if found.device != device:
        raise InputError(f"passport {path} is of device {found.device!r}, not {device!r}; restore it from a backup")
    return found


def save_passport(passport: Passport, folder: Path) -> None:
    """Write it durably; raises InputError."""
    write_durably(passport_file(passport.device, folder), passport.model_dump_json(indent=1), "passport")


def amend(device: str, folder: Path, **changes: object) -> None:
    """Change fields of a passport and nothing else: the totals in it stay behind its ledger's. Raises InputError."""
    found = _read(device, folder) or Passport(device=device)
    save_passport(found.model_copy(update=changes), folder)


def add_entry(device: str, entry: Entry, folder: Path) -> None:
    """Write one more calibration into a passport."""
    amend(device, folder, entries=(*load_passport(device, folder).entries, entry))


def mark_drifted(device: str, calibration: str, folder: Path) -> None:
    """Write down that a calibration holds no more, so that no later run trusts it."""
    drifted = load_passport(device, folder).drifted
    if calibration not in drifted:
        amend(device, folder, drifted=(*drifted, calibration))

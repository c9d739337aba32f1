"""The device passport: every pulse and reset a physical memristor has ever had, and how it changed over its life."""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from drivers.device import validation_line
from drivers.durable import write_durably
from drivers.errors import InputError


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

    `in_hand` is what a shot that was being played may have given it; it counts if nobody says how the shot ended.
    `drifted` are ids of calibrations that the sentinel has found the device to have left.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    device: str
    pulses: int = Field(default=0, ge=0)
    resets: int = Field(default=0, ge=0)
    played_s: float = Field(default=0.0, ge=0)
    in_hand: int = Field(default=0, ge=0)
    entries: tuple[Entry, ...] = ()
    drifted: tuple[str, ...] = ()


def passport_folder() -> Path:
    """Where passports are: $HIL_PASSPORTS, or under the user's data folder (XDG base directory specification)."""
    named = os.environ.get("HIL_PASSPORTS")
    if named:
        return Path(named)
    data = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(data) / "memristive-hil" / "passports"


def passport_file(device: str, folder: Path | None = None) -> Path:
    """The file of one device."""
    return (folder or passport_folder()) / f"{device}.json"


def load_passport(device: str, folder: Path | None = None) -> Passport:
    """The passport of a device, a new one if it has none; raises InputError when its file cannot be trusted.

    Pulses that were in hand when a program was killed are counted now.
    """
    path = passport_file(device, folder)
    try:
        found = Passport.model_validate_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Passport(device=device)
    except OSError as error:
        raise InputError(f"passport {path}: {error.strerror or error}") from error
    except ValidationError as error:
        raise InputError(f"passport {path}: {validation_line(error)}; restore it from a backup") from error
    return found.model_copy(update={"pulses": found.pulses + found.in_hand, "in_hand": 0})


def save_passport(passport: Passport, folder: Path | None = None) -> None:
    """Write it durably; raises InputError."""
    write_durably(passport_file(passport.device, folder), passport.model_dump_json(indent=1), "passport")


def add_entry(passport: Passport, entry: Entry, folder: Path | None = None) -> Passport:
    """The passport with one more calibration, saved."""
    longer = passport.model_copy(update={"entries": (*passport.entries, entry)})
    save_passport(longer, folder)
    return longer


def mark_drifted(device: str, calibration: str, folder: Path | None = None) -> None:
    """Write down that a calibration holds no more, so that no later run trusts it; not while the device is played."""
    passport = load_passport(device, folder)
    if calibration not in passport.drifted:
        save_passport(passport.model_copy(update={"drifted": (*passport.drifted, calibration)}), folder)

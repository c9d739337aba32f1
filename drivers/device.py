"""Device files: who a memristor is and how many pulses it may have. Its physics, if simulated, is the twin's."""

from __future__ import annotations

import os
import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from drivers.errors import InputError

T = TypeVar("T", bound=BaseModel)


class DeviceFile(BaseModel):
    """One physical or simulated memristor.

    `endurance_pulses` and `endurance_resets` have no default: only the owner of a device can state what it may be
    given in its life. `model` holds the parameters of the simulated neuron; nothing above the seam reads it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(
        min_length=1,
        max_length=64,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$",
        description="what its passport and calibrations call it; letters, digits, dot, dash, underline",
    )
    description: str = Field(default="", description="for people: die, cell, stack, when it was formed and how")
    endurance_pulses: int = Field(gt=0, description="dendrite pulses that it may have in its life")
    endurance_resets: int = Field(gt=0, description="returns to low resistance that it may have in its life")
    model: dict[str, Any] | None = None


def configured(kind: Literal["benches", "devices"]) -> dict[str, Path]:
    """Files in the user's configuration folder (XDG base directory specification), by name."""
    base = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return {path.stem: path for path in sorted((Path(base) / "memristive-hil" / kind).glob("*.toml"))}


def load_device(name: str) -> DeviceFile:
    """Read a device file by path, or by the name of one in the user's configuration folder or shipped with the twin.

    Raises InputError.
    """
    mine = configured("devices")
    path = mine.get(name, Path(name))
    if path.suffix != ".toml":
        shipped = files("drivers") / "mock" / "devices"
        names = sorted(p.name.removesuffix(".toml") for p in shipped.iterdir() if p.name.endswith(".toml"))
        if name not in names:
            raise InputError(f"device {name!r} is neither a .toml file nor one of: {', '.join([*names, *mine])}")
        text = (shipped / f"{name}.toml").read_text(encoding="utf-8")
    else:
        text = read_text(path, "device file")
    return parse_toml(DeviceFile, text, f"device file {name}")


def read_text(path: Path, what: str) -> str:
    """The file's text; raises InputError that names the file."""
    try:
        return path.read_text(encoding="utf-8-sig")  # editors on Windows put a mark at the start
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{what} {path}: {getattr(error, 'strerror', None) or error}") from error


def parse_toml(model: type[T], text: str, what: str) -> T:
    """Validate TOML text; raises InputError with every wrong field, its value and why, in one line."""
    try:
        return model.model_validate(tomllib.loads(text))
    except ValidationError as error:
        raise InputError(f"{what}: {validation_line(error)}") from error
    except (ValueError, RecursionError) as error:  # also numbers of thousands of digits, and brackets without end
        raise InputError(f"{what}: not valid TOML: {error}") from error


def validation_line(error: ValidationError) -> str:
    """All of pydantic's complaints in one line: field = value: reason; …"""
    parts = []
    for item in error.errors():
        where = ".".join(str(p) for p in item["loc"]) or "file"
        shown = (
            "" if item["type"] in ("missing", "extra_forbidden") or not item["loc"] else f" = {item['input']!r:.200}"
        )
        parts.append(f"{where}{shown}: {item['msg'].removeprefix('Value error, ')}")
    return "; ".join(parts)

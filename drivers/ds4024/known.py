"""What is known of one oscilloscope: how fast its link is, and which faster ways of reading it have been proven on it.

Measured while reading, proven by `hil doctor --loopback`, and kept beside the passports under its serial number. What
was proven with one firmware is not with another.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from drivers.device import validation_line
from drivers.durable import write_durably
from drivers.errors import InputError

SUFFIX = ".oscilloscope"
RATIO_HOLDS = timedelta(hours=1)  # crystals follow the temperature, by some 0.1 to 1 ppm a kelvin


class Known(BaseModel):
    """Of the instrument at `resource`: bytes a second out of memory, s that a command and a query take (None: unknown).

    `sparse`: two samples a pulse told all that five did; `vernier`: its time base takes any three digits.
    `ratio` of its clock to the pulse source's, as it was at `ratio_at`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    serial: str = ""
    firmware: str = ""
    resource: str = ""
    at: AwareDatetime | None = None
    bytes_per_s: float | None = Field(default=None, gt=0)
    write_s: float = Field(default=0.030, ge=0)
    ask_s: float = Field(default=0.020, ge=0)
    sparse: bool = False
    vernier: bool = False
    ratio: float | None = Field(default=None, gt=0.99, lt=1.01)
    ratio_at: AwareDatetime | None = None

    def ratio_now(self, now: datetime) -> float | None:
        """The ratio of the clocks where it has been told lately; edges that are not due by it are all read."""
        fresh = self.ratio_at is not None and timedelta(0) <= now - self.ratio_at <= RATIO_HOLDS
        return self.ratio if fresh else None

    def of(self, serial: str, firmware: str) -> Known:
        """What of it holds for the instrument that answers: nothing for another one, or with another firmware."""
        return self if (self.serial, self.firmware) == (serial, firmware) else Known(serial=serial, firmware=firmware)


def kept(folder: Path, *, serial: str = "", resource: str = "") -> Known:
    """What is kept of the instrument of that serial number, or the latest that answered at a resource.

    Raises InputError where it cannot be read.
    """
    found = [_read(path) for path in sorted(folder.glob(f"{serial or '*'}{SUFFIX}"))]
    mine = [known for known in found if serial or known.resource == resource]
    return max(mine, key=lambda known: known.at or datetime.min.replace(tzinfo=UTC), default=Known(serial=serial))


def keep(known: Known, folder: Path) -> None:
    """Write it durably; raises InputError."""
    folder.mkdir(parents=True, exist_ok=True)
    write_durably(folder / f"{known.serial}{SUFFIX}", known.model_dump_json(indent=1), "what is known of a scope")


def _read(path: Path) -> Known:
    try:
        return Known.model_validate_json(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from error
    except ValidationError as error:
        raise InputError(f"{path}: {validation_line(error)}; remove it, and run hil doctor --loopback again") from error

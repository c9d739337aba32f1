"""The device passport: every pulse and reset a physical memristor has ever had, and how it changed over its life."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from calibration.durable import write_durably
from drivers.bench import InputError, LimitError
from drivers.device import validation_line

if TYPE_CHECKING:
    from drivers.bench import Bench
    from drivers.device import DeviceFile
    from drivers.signals import Capture, Frame, SlotTiming

SHOT_S = 2.0  # a bench never queues more than this


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


class CountedBench:
    """A bench that writes every shot into the passport of its device, and refuses to exceed the device's endurance."""

    def __init__(self, inner: Bench, device: DeviceFile, folder: Path | None = None) -> None:
        self._inner = inner
        self._folder = folder
        self.device = device
        self.passport = load_passport(device.id, folder)

    @property
    def identity(self) -> dict[str, str]:
        """Of the bench inside."""
        return self._inner.identity

    @property
    def temperature_c(self) -> float | None:
        """Of the bench inside, if it has a sensor."""
        found: float | None = getattr(self._inner, "temperature_c", None)
        return found

    @property
    def spent_s(self) -> dict[str, float]:
        """Where the bench inside spent its time, if it says."""
        spent: dict[str, float] = getattr(self._inner, "spent_s", {})
        return spent

    def set_threshold(self, volts: float) -> None:
        """See the bench inside."""
        self._inner.set_threshold(volts)

    def make_safe(self) -> None:
        """See the bench inside."""
        self._inner.make_safe()

    def play(self, frames: Iterable[Frame]) -> Iterator[Capture]:
        """Play and count; raises LimitError before a frame that the device's endurance does not allow."""
        planned = [0, 0]

        def checked() -> Iterator[Frame]:
            for frame in frames:
                planned[0] += frame.total_pulses
                planned[1] += int(frame.played.sum())
                self._check(*planned)
                self._hold(frame.timing, frame.total_pulses)
                yield frame

        playing = self._inner.play(checked())
        try:
            for capture in playing:
                pulses, resets = capture.frame.total_pulses, int(capture.frame.played.sum())
                planned[0], planned[1] = planned[0] - pulses, planned[1] - resets
                self._count(pulses, resets, capture.bench_s)
                yield capture
        finally:
            # Closing first: only then is it sure that nothing more is played.
            close = getattr(playing, "close", None)
            if close is not None:
                close()
            self._settle(planned[0])

    def _check(self, pulses: int, resets: int) -> None:
        for what, had, more, most in (
            ("pulses", self.passport.pulses, pulses, self.device.endurance_pulses),
            ("resets", self.passport.resets, resets, self.device.endurance_resets),
        ):
            if had + more > most:
                raise LimitError(
                    f"device {self.device.id!r} has had {had:,} {what} and would get {more:,} more; "
                    f"its file allows {most:,} in its life"
                )

    def _hold(self, timing: SlotTiming, pulses: int) -> None:
        """Before a frame: a bench that is killed may have played what it queues at most."""
        fastest = timing.dendrite_clock_hz if timing.mode == "adaptive" else pulses / timing.window_s
        self._update(in_hand=min(pulses, round(SHOT_S * fastest)))

    def _count(self, pulses: int, resets: int, seconds: float) -> None:
        was = self.passport
        self._update(pulses=was.pulses + pulses, resets=was.resets + resets, played_s=was.played_s + seconds)

    def _settle(self, unplayed: int) -> None:
        """After playing: what was planned and not captured counts as far as it can have been played."""
        lost = min(unplayed, self.passport.in_hand)
        self._update(pulses=self.passport.pulses + lost, in_hand=0)

    def _update(self, **changes: object) -> None:
        self.passport = self.passport.model_copy(update=changes)
        save_passport(self.passport, self._folder)

    def __enter__(self) -> CountedBench:
        self._inner.__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        self._inner.__exit__(*exc)

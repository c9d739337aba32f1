"""The calibration record: one JSON file that says what was measured, on what, when, and how long that may hold."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, field_validator

from calibration.storedcurve import CurveFact
from calibration.transfer import TransferCurve
from drivers.device import validation_line
from drivers.durable import write_durably
from drivers.errors import CalibrationError, InputError
from drivers.settings import PLACES

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

FORMAT = 1
VTH_STEP_V = 1e-3  # the coarsest step of a threshold DAC
VTH_SAME_V = 0.01  # 1.5 % in gain on the nominal device, which is within a curve's own error
MOST_AGE_S = 12 * 3600.0  # a working day: HfO2 states and comparator offsets drift with temperature
MOST_PULSES = 100_000_000  # applied since
CLOCK_SLACK_S = 60.0  # by which two clocks may differ
LONG_S = 365 * 24 * 3600.0  # more than that is rather a clock that was never set than a record that was kept
NO_RECORD_BEFORE = datetime(2024, 1, 1, tzinfo=UTC)  # this program is younger


class CalibrationRecord(BaseModel):
    """What one calibration found.

    `vth_v` is the V_th asked for; `made_v` what the bench really made, null where that is the same or nobody wrote it
    down. `curves` are transfer curves (`TransferCurve.to_dict`), `results` what was fitted: threshold, transfer,
    frequency.
    `identity` is what the bench said of its parts; `device_pulses` how many dendrite pulses the device had had when it
    was finished.
    The id is the SHA-256 of everything else.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="constants")

    format: int = FORMAT
    made_at: AwareDatetime
    bench: str
    identity: dict[str, str]
    device: str
    vth_v: float
    made_v: float | None = None
    timing_key: str
    curves: tuple[CurveFact, ...] = ()
    results: dict[str, Any] = Field(default_factory=dict)
    pulses_spent: int = Field(ge=0)
    device_pulses: int = Field(default=0, ge=0)
    temperature_c: float | None = None
    run_file: str = ""
    most_age_s: float = Field(default=MOST_AGE_S, gt=0)
    most_pulses: int = Field(default=MOST_PULSES, gt=0)

    @field_validator("results")
    @classmethod
    def _results_are_results(cls, results: dict[str, Any]) -> dict[str, Any]:
        if results:
            models = _result_models()
            for name, result in results.items():
                if name not in models:
                    raise ValueError(f"result {name!r} is none of {', '.join(models)}")
                models[name].model_validate(result)
        return results

    @property
    def id(self) -> str:
        """The hash of the content, 16 hexadecimal digits."""
        document = self.model_dump(mode="json")
        if self.made_v is None:
            del document["made_v"]  # as in records from before it was written down, whose ids stay what they were
        text = json.dumps(document, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def threshold_v(self) -> float:
        """The V_th to ask for so that the bench makes the one that this was measured at."""
        far = self.made_v is not None and abs(self.made_v - self.vth_v) > VTH_STEP_V
        return self.made_v if far and self.made_v is not None else self.vth_v

    def curve(self, timing_key: str, vth_v: float, full_scale: int) -> TransferCurve:
        """The curve for this timing and V_th that reaches `full_scale` pulses; raises CalibrationError."""
        for data in self.curves:
            curve = TransferCurve.from_dict(data)
            here = min(abs(curve.vth_v - vth_v), abs(curve.made_v - vth_v)) < VTH_STEP_V / 2
            if curve.timing_key == timing_key and here and curve.pulses[-1] >= full_scale:
                return curve
        have = ", ".join(f"{c['timing_key']} at {c['vth_v']:g} V up to {c['pulses'][-1]}" for c in self.curves)
        raise CalibrationError(
            f"calibration {self.id} has no transfer curve for {timing_key} at {vth_v:g} V up to {full_scale} pulses "
            f"(it has {have or 'none'}); run hil calibrate transfer with the same settings"
        )


def _result_models() -> dict[str, type[BaseModel]]:
    """What each result must look like; imported only where there is one, because fits are heavy."""
    from calibration.measure.frequency import FrequencyResult
    from calibration.measure.quality import TransferResult
    from calibration.measure.threshold import ThresholdResult

    return {"threshold": ThresholdResult, "transfer": TransferResult, "frequency": FrequencyResult}


def check_made(curve: TransferCurve, made_v: float) -> None:
    """Raise CalibrationError when the bench makes another V_th than the curve was measured at."""
    if abs(made_v - curve.made_v) > VTH_SAME_V:
        raise CalibrationError(
            f"the bench makes V_th = {made_v:.4g} V, and the transfer curve was measured at {curve.made_v:.4g} V: set "
            f"that (--vth {curve.made_v:.4g}), or run hil calibrate transfer again"
        )


def check_valid(
    record: CalibrationRecord,
    *,
    bench: str,
    identity: Mapping[str, str],
    device: str,
    device_pulses: int | None,
    drifted: Collection[str] = (),
    now: datetime | None = None,
) -> None:
    """Raise CalibrationError when a record is foreign or has expired, saying why and what to run.

    `device_pulses` and `drifted` are of the device's passport; None for a simulated device, which is new every time.
    """
    again = "run hil calibrate transfer again"
    if record.device != device:
        raise CalibrationError(f"calibration {record.id} is of device {record.device!r}, not {device!r}; {again}")
    if record.bench != bench:
        raise CalibrationError(f"calibration {record.id} is of bench {record.bench!r}, not {bench!r}; {again}")
    for part, was in record.identity.items():
        if part in identity and identity[part] != was and part not in PLACES:
            raise CalibrationError(f"calibration {record.id}: {part} was {was!r}, is {identity[part]!r}; {again}")
    if record.id in drifted:
        raise CalibrationError(f"calibration {record.id}: the neuron was seen to drift away from it in a run; {again}")
    _check_age(record, now or datetime.now(UTC), again)
    if device_pulses is None:
        return
    check_kept(record, device_pulses)
    since = device_pulses - record.device_pulses
    if since > record.most_pulses:
        raise CalibrationError(
            f"calibration {record.id}: {since:,} pulses have been applied since; "
            f"it holds for {record.most_pulses:,}: {again}"
        )


def check_kept(record: CalibrationRecord, device_pulses: int) -> None:
    """Raise CalibrationError where the passport of the record's device knows of less than the record does."""
    if device_pulses < record.device_pulses:
        raise CalibrationError(
            f"calibration {record.id} was made after {record.device_pulses:,} pulses, and the passport of device "
            f"{record.device!r} knows of {device_pulses:,}: it is not the one that was kept; restore it, or name its "
            "folder as `passports` in the bench file"
        )


def _check_age(record: CalibrationRecord, now: datetime, again: str) -> None:
    """A Pi has no clock of its own: until the network gives it the time it lives in the past, or in 1970."""
    age_s = (now - record.made_at).total_seconds()
    if age_s < -CLOCK_SLACK_S:
        raise CalibrationError(
            f"calibration {record.id} is dated {-age_s / 3600:.1f} h from now: the clock of this computer is behind"
            f"{', or was ahead when it was made' if -age_s > LONG_S else ''}; look at it with timedatectl, set it, "
            "then try again"
        )
    if record.made_at < NO_RECORD_BEFORE:
        raise CalibrationError(
            f"calibration {record.id} is dated {record.made_at:%Y-%m-%d}: the clock was wrong when it was made; look "
            f"at it with timedatectl, then {again}"
        )
    if age_s > max(record.most_age_s, LONG_S):
        raise CalibrationError(
            f"calibration {record.id} is {age_s / 3600:.1f} h old, if the clock of this computer is right: look at it "
            f"with timedatectl; the record holds for {record.most_age_s / 3600:g} h: {again}"
        )
    if age_s > record.most_age_s:
        raise CalibrationError(
            f"calibration {record.id} is {age_s / 3600:.1f} h old; it holds for {record.most_age_s / 3600:g} h: {again}"
        )


def save_record(record: CalibrationRecord, path: Path) -> None:
    """Write a record so that the file is the old one or the new one, whole, whatever happens; raises InputError."""
    document = {"id": record.id, **record.model_dump(mode="json")}
    write_durably(path, json.dumps(document, indent=1), "calibration file")


def load_record(path: Path) -> CalibrationRecord:
    """Read a record; raises InputError when it is missing, not one, or was changed by hand."""
    try:
        document = json.loads(path.read_text(encoding="utf-8-sig"))
        claimed = document.pop("id")
        record = CalibrationRecord.model_validate(document)
    except OSError as error:
        raise InputError(f"calibration file {path}: {error.strerror or error}") from error
    except ValidationError as error:
        raise InputError(f"calibration file {path}: {validation_line(error)}") from error
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
        raise InputError(f"calibration file {path}: not a calibration record ({error})") from error
    if record.format > FORMAT:
        raise InputError(f"calibration file {path} has format {record.format}; this version reads up to {FORMAT}")
    if record.id != claimed:
        raise InputError(
            f"calibration file {path}: its content has id {record.id}, it claims {claimed}: it was changed"
        )
    return record

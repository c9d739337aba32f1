from __future__ import annotations

import json
import math
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError

from calibration.record import CalibrationRecord, check_valid, load_record, save_record
from calibration.storedcurve import check_stored
from calibration.transfer import TransferCurve, measure_transfer
from drivers.benchfile import load_bench
from drivers.device import load_device
from drivers.errors import CalibrationError, InputError
from drivers.mock.bench import MockBench
from drivers.signals import SlotTiming

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def record() -> CalibrationRecord:
    bench = MockBench(load_bench("mock"), load_device("nominal"))
    curve = measure_transfer(bench, SlotTiming(), 0.7, full_scale=8, pulses_per_count=500)
    return CalibrationRecord(
        made_at=NOW,
        bench="mock",
        identity={"pico_uid": "1"},
        device="nominal",
        vth_v=0.7,
        timing_key=SlotTiming().key(),
        curves=(curve.to_dict(),),
        pulses_spent=4_000,
        device_pulses=10_000,
    )


def valid(record: CalibrationRecord, **changes: object) -> None:
    given = {"bench": "mock", "identity": {"pico_uid": "1"}, "device": "nominal", "device_pulses": 11_000, "now": NOW}
    check_valid(record, **{**given, **changes})  # type: ignore[arg-type]


def test_what_is_saved_is_read_back_with_its_curve(record: CalibrationRecord, tmp_path: Path) -> None:
    save_record(record, tmp_path / "new" / "c.json")
    again = load_record(tmp_path / "new" / "c.json")
    assert again == record
    assert again.id == record.id
    curve = again.curve(SlotTiming().key(), 0.7, 8)
    assert curve.pulses.tolist() == list(range(9))
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["c.json"]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"device": "other"}, "is of device 'nominal', not 'other'"),
        ({"bench": "other"}, "is of bench 'mock', not 'other'"),
        ({"identity": {"pico_uid": "2"}}, "pico_uid was '1', is '2'"),
        ({"now": NOW + timedelta(hours=13)}, "is 13.0 h old; it holds for 12 h"),
        ({"now": NOW - timedelta(hours=1)}, "is dated 1.0 h from now"),
        ({"device_pulses": 200_000_000}, "199,990,000 pulses have been applied since"),
        ({"drifted": "itself"}, "was seen to drift away from it in a run; run hil calibrate"),
    ],
)
def test_a_foreign_or_expired_record_says_why(
    record: CalibrationRecord, changes: dict[str, object], reason: str
) -> None:
    valid(record, drifted=("another",))
    if "drifted" in changes:
        changes = {"drifted": (record.id,)}
    with pytest.raises(CalibrationError, match=reason):
        valid(record, **changes)


def test_results_must_be_of_a_known_kind_and_shape(record: CalibrationRecord) -> None:
    content = record.model_dump()
    with pytest.raises(ValidationError, match="'speed' is none of threshold, transfer, frequency"):
        CalibrationRecord.model_validate({**content, "results": {"speed": {}}})
    with pytest.raises(ValidationError, match="vth_v"):
        CalibrationRecord.model_validate({**content, "results": {"threshold": {"gain": 4}}})


FORGED_CURVES: dict[str, tuple[dict[str, object], str]] = {
    "no pulses": ({"pulses": None}, "curve.pulses: Input should be a valid list"),
    "no key": ({"timing_key": 7}, "curve.timing_key: Input should be a valid string"),
    "a V_th that is a text": ({"vth_v": "0.7"}, "curve.vth_v: Input should be a valid number"),
    "a V_th beyond all": ({"made_v": math.inf}, "curve.made_v: Input should be a finite number"),
    "a clock that stands": ({"made_hz": 0.0}, "curve.made_hz: Input should be greater than 0"),
    "pulses beyond all": ({"pulses": [0, 1 << 63]}, "curve.pulses.1: Input should be less than or equal to 2147483647"),
    "pulses that fall": ({"pulses": [1, 0]}, "curve: pulses must rise from point to point"),
    "a point too many": ({"slots": [4, 4, 4]}, "pulses, slots and histogram must be of one length"),
    "points without slots": ({"slots": [0, 4]}, "curve.slots.0: Input should be greater than or equal to 1"),
    "counts that are no numbers": ({"histogram": [[4], [{}, 4]]}, "curve.histogram.1.0: Input should be a valid int"),
    "slots that are not there": ({"histogram": [[4], [3]]}, "does not have as many slots as the curve says"),
    "a table without end": ({"histogram": [[4], [4, *([0] * (1 << 23))]]}, "the histogram has more than 16,777,216"),
    "something more": ({"colour": "red"}, "curve.colour: Extra inputs are not permitted"),
}


@pytest.mark.parametrize("name", FORGED_CURVES)
def test_curves_are_looked_at_before_anything_is_computed_from_them(
    record: CalibrationRecord, name: str, tmp_path: Path
) -> None:
    """Also those with the id that goes with their content."""
    changes, message = FORGED_CURVES[name]
    sound = {"timing_key": "t", "vth_v": 0.7, "pulses": [0, 1], "slots": [4, 4], "histogram": [[4], [3, 1]]}
    assert TransferCurve.from_dict(check_stored(sound)).mean_spikes.tolist() == [0, 0.25]
    save_record(record.model_copy(update={"curves": ({**sound, **changes},)}), tmp_path / "c.json")
    with pytest.raises(InputError, match=re.escape(message)):
        load_record(tmp_path / "c.json")


def test_a_curve_for_other_settings_is_refused(record: CalibrationRecord) -> None:
    with pytest.raises(CalibrationError, match=r"no transfer curve for adaptive@100000Hz at 0.7 V up to 32 pulses"):
        record.curve(SlotTiming().key(), 0.7, 32)


def test_a_record_changed_by_hand_or_broken_is_refused(record: CalibrationRecord, tmp_path: Path) -> None:
    file = tmp_path / "c.json"
    save_record(record, file)
    document = json.loads(file.read_text())
    file.write_text(json.dumps({**document, "vth_v": 0.8}))
    with pytest.raises(InputError, match="it was changed"):
        load_record(file)
    file.write_text(json.dumps({**document, "volts": 1}))
    with pytest.raises(InputError, match="volts: Extra inputs"):
        load_record(file)
    file.write_text("[1]")
    with pytest.raises(InputError, match="not a calibration record"):
        load_record(file)
    with pytest.raises(InputError, match="No such file"):
        load_record(tmp_path / "none.json")


def test_a_passport_that_knows_less_than_the_record_is_not_the_one_that_was_kept(record: CalibrationRecord) -> None:
    with pytest.raises(CalibrationError, match=r"after 10,000 pulses, .* knows of 20: .*restore it"):
        valid(record, device_pulses=20)
    valid(record, device_pulses=None)


@pytest.mark.parametrize(
    ("made_at", "now"),
    [
        (NOW, NOW - timedelta(hours=1)),
        (datetime(1970, 1, 1, 0, 5, tzinfo=UTC), NOW),
        (NOW, datetime(2083, 1, 1, tzinfo=UTC)),
        (datetime(2083, 1, 1, tzinfo=UTC), NOW),
    ],
)
def test_an_impossible_age_names_the_clock(record: CalibrationRecord, made_at: datetime, now: datetime) -> None:
    with pytest.raises(CalibrationError, match=r"clock .*timedatectl"):
        valid(record.model_copy(update={"made_at": made_at}), now=now)

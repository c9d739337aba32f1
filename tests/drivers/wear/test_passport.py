from __future__ import annotations

from pathlib import Path

import pytest

from drivers.errors import InputError
from drivers.wear.ledger import Wear, to_line
from drivers.wear.passport import (
    SYSTEM_FOLDER,
    Passport,
    ledger_file,
    load_passport,
    mark_drifted,
    passport_file,
    passport_folder,
    save_passport,
)


def test_the_ledger_has_the_last_word(tmp_path: Path) -> None:
    save_passport(Passport(device="a", pulses=5, has_ledger=True, drifted=("x",)), tmp_path)
    ledger_file("a", tmp_path).write_text(to_line(Wear(70, 7, 1.5)))
    found = load_passport("a", tmp_path)
    assert (found.pulses, found.resets, found.played_s, found.drifted) == (70, 7, 1.5, ("x",))


def test_a_passport_from_before_ledgers_counts_what_was_in_hand(tmp_path: Path) -> None:
    save_passport(Passport(device="a", pulses=50, in_hand=20), tmp_path)
    assert load_passport("a", tmp_path).pulses == 70


@pytest.mark.parametrize(
    ("json", "wear", "message"),
    [
        ('{"device": "a", "pulses": -5}', None, r"a\.json: pulses = -5: .*restore it from a backup"),
        ('{"device": "b", "pulses": 5}', None, r"a\.json is of device 'b', not 'a'"),
        ('{"device": "a", "pulses": 5, "has_ledger": true}', None, r"a\.wear is missing: the wear .* is not known"),
        ('{"device": "a", "pulses": 50, "has_ledger": true}', to_line(Wear(9, 9)), r"says 9 pulses and 9 resets"),
        ('{"device": "a", "pulses": 0, "has_ledger": true}', "\0" * 30, r"a\.wear: no line of it is whole"),
        (None, to_line(Wear(9, 9)), r"a\.json is missing, its ledger is not"),
    ],
)
def test_files_that_cannot_be_trusted_are_refused_by_name(
    tmp_path: Path, json: str | None, wear: str | None, message: str
) -> None:
    if json is not None:
        passport_file("a", tmp_path).write_text(json)
    if wear is not None:
        ledger_file("a", tmp_path).write_text(wear)
    with pytest.raises(InputError, match=message):
        load_passport("a", tmp_path)


def test_a_calibration_that_drifted_is_remembered_once(tmp_path: Path) -> None:
    for _ in range(2):
        mark_drifted("a", "abc", tmp_path)
    assert load_passport("a", tmp_path).drifted == ("abc",)


def test_marking_drift_leaves_the_totals_to_the_ledger(tmp_path: Path) -> None:
    """What was promised while it was marked may be taken back: the passport must not remember it."""
    save_passport(Passport(device="a", pulses=5, has_ledger=True), tmp_path)
    ledger_file("a", tmp_path).write_text(to_line(Wear(100, 10)))
    mark_drifted("a", "abc", tmp_path)
    with ledger_file("a", tmp_path).open("a") as file:
        file.write(to_line(Wear(60, 6)))
    assert load_passport("a", tmp_path).pulses == 60


def test_passports_are_where_the_bench_file_says_and_never_by_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert passport_folder(str(tmp_path)) == tmp_path
    monkeypatch.setenv("HIL_PASSPORTS", "/elsewhere")
    assert passport_folder() == Path("/elsewhere")
    assert passport_folder(str(tmp_path)) == tmp_path
    monkeypatch.delenv("HIL_PASSPORTS")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    (tmp_path / "memristive-hil" / "passports").mkdir(parents=True)
    if not SYSTEM_FOLDER.exists():
        with pytest.raises(InputError, match=rf"sudo install -d -m 2775 .*then move the passports from {tmp_path}"):
            passport_folder()

from __future__ import annotations

import grp
import os
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from drivers.errors import InputError
from drivers.wear.ledger import Wear, to_line
from drivers.wear.passport import (
    SYSTEM_FOLDER,
    Entry,
    Passport,
    add_entry,
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
        ('{"device": "a", "pulses": -1}', None, r"a\.json: pulses = -1: .*restore it from a backup"),
        ('{"device": "b", "pulses": 5}', None, r"a\.json is of device 'b', not 'a'"),
        ('{"device": "A", "pulses": 5}', None, r"a\.json is of device 'A', not 'a'"),
        ('{"device": "a", "pulses": 5, "has_ledger": true}', None, r"a\.wear is missing: the wear .* is not known"),
        ('{"device": "a", "pulses": 50, "has_ledger": true}', to_line(Wear(9, 9)), r"says 9 pulses and 9 resets"),
        ('{"device": "a", "pulses": 0, "has_ledger": true}', "\0" * 30, r"a\.wear: no line of it is whole"),
        (
            '{"device": "a", "resets": 50, "has_ledger": true}',
            to_line(Wear(9, 9)),
            r"its passport 0 and 50",
        ),
        (None, to_line(Wear(9, 9)), r"a\.json is missing, its ledger is not"),
        ('{"device": "a", "resets": -1}', None, r"a\.json: resets = -1"),
        ('{"device": "a", "played_s": -1}', None, r"a\.json: played_s = -1"),
        ('{"device": "a", "in_hand": -1}', None, r"a\.json: in_hand = -1"),
        ('{"device": "a", "more": 1}', None, r"a\.json: more"),
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


def test_a_device_without_files_is_new(tmp_path: Path) -> None:
    assert load_passport("a", tmp_path) == Passport(device="a")
    assert (Passport(device="a").pulses, Passport(device="a").resets, Passport(device="a").in_hand) == (0, 0, 0)
    assert not Passport(device="a").has_ledger


def test_a_ledger_at_its_passport_s_totals_is_taken(tmp_path: Path) -> None:
    save_passport(Passport(device="a", pulses=70, resets=7, in_hand=3, has_ledger=True), tmp_path)
    ledger_file("a", tmp_path).write_text(to_line(Wear(70, 7)))
    found = load_passport("a", tmp_path)
    assert (found.pulses, found.resets, found.in_hand) == (70, 7, 0)  # the ledger has counted it


def test_what_was_in_hand_counts_once(tmp_path: Path) -> None:
    save_passport(Passport(device="a", pulses=50, resets=4, in_hand=20), tmp_path)
    found = load_passport("a", tmp_path)
    assert (found.pulses, found.resets, found.in_hand) == (70, 4, 0)


def test_a_passport_cannot_be_read_as_a_folder(tmp_path: Path) -> None:
    passport_file("a", tmp_path).mkdir()
    with pytest.raises(InputError, match=r"passport .*a\.json: Is a directory"):
        load_passport("a", tmp_path)


def test_a_calibration_is_entered_and_nothing_else_changes(tmp_path: Path) -> None:
    save_passport(Passport(device="a", pulses=5, drifted=("x",), has_ledger=True), tmp_path)
    ledger_file("a", tmp_path).write_text(to_line(Wear(100, 10)))
    entries = [
        Entry(at=datetime.now(UTC), calibration=name, vth_v=0.7, timing_key="t", pulses_before=n, low_edge_v=0.3)
        for n, name in enumerate(("one", "two"))
    ]
    for entry in entries:
        add_entry("a", entry, tmp_path)
    written = Passport.model_validate_json(passport_file("a", tmp_path).read_text())
    assert written == Passport(device="a", pulses=5, drifted=("x",), has_ledger=True, entries=tuple(entries))
    with pytest.raises(ValueError, match="frozen"):
        written.pulses = 6  # type: ignore[misc]
    with pytest.raises(ValueError, match="pulses_before"):
        Entry(at=datetime.now(UTC), calibration="c", vth_v=0.7, timing_key="t", pulses_before=-1)


def test_several_calibrations_can_have_drifted(tmp_path: Path) -> None:
    for name in ("one", "two", "one"):
        mark_drifted("a", name, tmp_path)
    assert load_passport("a", tmp_path).drifted == ("one", "two")


def test_where_passports_were_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the system's place; XDG_DATA_HOME's default is ~/.local/share."""
    monkeypatch.setattr("drivers.wear.passport.SYSTEM_FOLDER", tmp_path / "var")
    monkeypatch.delenv("HIL_PASSPORTS")
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    group = re.escape(grp.getgrgid(os.getgid()).gr_name)
    with pytest.raises(InputError, match=rf"-g {group} {tmp_path}/var; or name") as error:
        passport_folder()
    assert "move the passports" not in str(error.value)
    old = tmp_path / ".local" / "share" / "memristive-hil" / "passports"
    old.mkdir(parents=True)
    with pytest.raises(InputError, match=f"then move the passports from {old} there"):
        passport_folder()
    monkeypatch.setattr("os.getgid", lambda: 999_999)
    with pytest.raises(InputError, match="-g 999999 "):
        passport_folder()
    (tmp_path / "var").write_text("no folder")
    with pytest.raises(InputError, match="which you cannot write to"):
        passport_folder()
    (tmp_path / "var").unlink()
    (tmp_path / "var").mkdir()
    assert passport_folder() == tmp_path / "var"
    monkeypatch.setattr("os.access", lambda *_: False)
    with pytest.raises(InputError, match="which you cannot write to"):
        passport_folder()

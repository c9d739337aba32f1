"""No order of kills, resumes, two programs, two homes and spoilt passports gets a device past its endurance."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.hil.endurance import Walk

STEPS = (
    "played",
    "killed",
    "resumed",
    "two at once",
    "by environment",
    "another folder",
    "both deleted",
    "both zeroed",
)


def test_the_passport_knows_of_all_that_reached_the_board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sample of `benchmarks/soak_endurance.py`, in which every kind of step is drawn."""
    monkeypatch.setenv("HIL_LOCKS", str(tmp_path))
    with Walk(tmp_path, 0, "pico") as walk:
        for kind in STEPS:
            walk.step(kind)
        assert walk.board().pulses > 0
        assert walk.behind == walk.behind_resets == 0

"""The table of Figure 2: the rates in brackets are those of the picture beside it, which is drawn with seed 0."""

from __future__ import annotations

import re

import pytest

from calibration.figure2 import CONDITIONS, measure_panel
from drivers.benchfile import load_bench
from drivers.device import load_device
from drivers.opening import make_bench
from tests.docs.documents import ROOT, rows

PAGE = (ROOT / "docs" / "explanation" / "calibration.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(("device", "column"), [("figure2", 2), ("nominal", 3)])
def test_the_rates_are_what_the_picture_shows(device: str, column: int) -> None:
    told = [cells[column] for cells in rows(PAGE) if re.match(r"[ad]-[cf]: ", cells[0])]
    stated = [rate for text in told for rate in re.search(r"\((.*)\)", text)[1].split(", ")]  # type: ignore[index]
    file = load_bench("mock")
    with make_bench(file, load_device(device)) as bench:
        found = [measure_panel(bench, file.slot, *condition, ()).per_second for condition in CONDITIONS]
    assert stated == [f"{rate:.3g}" for rate in found]
    assert found[0] > found[1] > found[2]
    assert found[3] < found[4] < found[5]

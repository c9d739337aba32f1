"""Pictures are whole or not there, and what hinders them is said in one line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from calibration.picture import new_figure, save_figure
from drivers.errors import InputError


def test_all_files_or_none(tmp_path: Path) -> None:
    figure = new_figure(2, 2)
    figure.subplots().plot([1, 2])
    save_figure(figure, tmp_path / "a.png", tmp_path / "a.svg")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    assert "</svg>" in (tmp_path / "a.svg").read_text()
    with pytest.raises(InputError, match=r"figure .*b\.foo: its suffix must name a format: .*png"):
        save_figure(figure, tmp_path / "b.png", tmp_path / "b.foo")
    with pytest.raises(InputError, match=r"figure .*: its suffix"):
        save_figure(figure, tmp_path / "b")
    (tmp_path / "c.png").mkdir()
    with pytest.raises(InputError, match=r"figure .*c\.png: is a folder"):
        save_figure(figure, tmp_path / "c.png")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "a.svg", "c.png"]


def test_a_window_system_that_matplotlib_does_not_know() -> None:
    failed = subprocess.run(
        [sys.executable, "-c", "from calibration.picture import new_figure; new_figure(1, 1)"],
        env={"MPLBACKEND": "nonsense", "PYTHONPATH": str(Path(__file__).parents[2])},
        check=False,
        capture_output=True,
        text=True,
    )
    assert failed.stderr.splitlines()[-1].startswith("drivers.errors.InputError: MPLBACKEND is 'nonsense'")

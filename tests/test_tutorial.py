"""The tutorial's code blocks run as they stand, one after the other, in an empty folder."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pytest

TUTORIAL = Path(__file__).parents[1] / "docs" / "tutorial.md"


def test_tutorial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    text = TUTORIAL.read_text(encoding="utf-8")
    names: dict[str, Any] = {}
    blocks = re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    with mpl.rc_context({"backend": "Agg"}):
        for block in blocks:
            exec(compile(block, str(TUTORIAL), "exec"), names)  # noqa: S102
    assert len(blocks) == 5
    said = capsys.readouterr().out
    assert "identical: True" in said
    assert Path("axon.svg").exists()
    assert Path("tutorial.sqlite").exists()


def test_every_page_it_points_to_is_there() -> None:
    text = TUTORIAL.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (TUTORIAL.parent / target).exists(), target

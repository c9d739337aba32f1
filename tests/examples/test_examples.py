"""Every example runs as it stands, in an empty folder, and leaves the files it names."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import matplotlib as mpl
import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.mark.parametrize("example", sorted(path.name for path in EXAMPLES.glob("*.py")))
def test_example(
    example: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with mpl.rc_context({"backend": "Agg"}):
        runpy.run_path(str(EXAMPLES / example), run_name="__main__")
    assert capsys.readouterr().out.strip()
    named = re.findall(r'"(\w+\.(?:svg|sqlite))"', (EXAMPLES / example).read_text(encoding="utf-8"))
    assert all((tmp_path / name).stat().st_size > 0 for name in named)

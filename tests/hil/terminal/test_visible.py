"""What a file says reaches a terminal as text."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hil.cli import main
from hil.store.runfile import RunFile
from hil.terminal.visible import visible

HOSTILE = "\x1b]0;owned\x07\x1b[2J[red]not markup[/] \u202egnirts"


@given(st.text())
def test_nothing_that_moves_a_cursor_is_left(text: str) -> None:
    shown = visible(text)
    assert shown.isprintable() or all(c.isprintable() or c.isspace() or ord(c) > 0xFF for c in shown)
    assert not any(ord(c) < 32 or 127 <= ord(c) < 160 for c in shown)
    if text.isprintable():
        assert shown == text


def test_escapes_are_written_out() -> None:
    assert visible(HOSTILE) == "\\x1b]0;owned\\x07\\x1b[2J[red]not markup[/] \\u202egnirts"
    assert visible("name\udcff") == "name\\udcff"


def test_hostile_runs_are_listed_as_text(capsys: pytest.CaptureFixture[str]) -> None:
    name = f"runs/{HOSTILE.replace('/', '')}.sqlite"
    RunFile.create(Path(name), {"identity": {}}).close()
    assert main(["runs"]) == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "[red]not markup[]" in out
    assert main(["report", name]) == 1
    err = capsys.readouterr().err
    assert "\x1b" not in err
    assert "[red]not markup[]" in err

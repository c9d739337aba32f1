"""What a file says reaches a terminal as text."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hil.bringup.accept import Acceptance
from hil.bringup.done import Done
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


X = "e\x1b]0;owned\x07"
FEW = ["--physical", "conv1:0", "--full-scale", "conv1=4"]
NAMED = {
    "run": ["run", "--digits", "0:1", *FEW, "--bench", f"{X}.toml", "--out", f"r{X}.sqlite"],
    "plan": ["plan", "--digits", "0:1", *FEW, "--bench", f"{X}.toml"],
    "evaluate": ["evaluate", "--digits", "1", *FEW, "--bench", f"{X}.toml"],
    "calibrate": ["calibrate", "transfer", "--full-scale", "4", "--device", "ideal", "--out", f"c{X}.json"],
    "bench show": ["bench", "show", "--bench", f"{X}.toml"],
    "resume": ["resume", f"{X}.sqlite"],
    "report": ["report", f"{X}.sqlite"],
    "export": ["export", f"{X}.sqlite", "--to", "csv"],
    "pack": ["runs", "--pack", f"{X}.sqlite"],
    "export sr": ["export", f"{X}.sqlite", "--to", "sr", "--traces", "--out", f"{X}.sr"],
    "import": [
        "import",
        f"{X}.sr",
        "--axon",
        "axon",
        "--sync",
        "sync",
        "--frame",
        f"{X}.sqlite",
        "--bench",
        "mock",
        "--out",
        f"i{X}.sqlite",
    ],
}


def test_names_reach_a_terminal_as_text(capfd: pytest.CaptureFixture[str]) -> None:
    """Of files that are read and made, and of a bench."""
    Path(f"{X}.toml").write_text(
        'name = "x\\u001b]0;owned\\u0007"\nkind = "mock"\ndevice = "ideal"\n', encoding="utf-8"
    )
    assert main(["run", "--digits", "0:1", *FEW, "--traces", "--out", f"{X}.sqlite"]) == 0
    capfd.readouterr()
    for name, argv in NAMED.items():
        assert main(argv) == 0, name
        said = "".join(capfd.readouterr())
        assert "\x1b" not in said, name
        assert "\x07" not in said, name
        assert "\\x1b]0;owned\\x07" in said or name == "plan", name


def test_what_an_instrument_says_reaches_a_terminal_as_text(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also as a step of an acceptance that failed."""
    monkeypatch.setattr(Acceptance, "steps", lambda _: iter([Done("doctor", "failed", HOSTILE)]))
    assert main(["accept", "--yes", "--out", "accepted"]) == 1
    said = "".join(capsys.readouterr())
    assert "\x1b" not in said
    assert visible(HOSTILE) in said

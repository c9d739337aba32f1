"""An interruption is told as one, with the way to go on, wherever it falls."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from hil.cli import main
from hil.terminal.interrupt import StopRequest, ending_alike, interrupt, undisturbed


@pytest.fixture(autouse=True)
def _hearing() -> Iterator[None]:
    """As a new program: not deaf after the interruption of another test."""
    interrupt._deaf_until = 0.0
    yield
    interrupt._deaf_until = 0.0


def hang_up() -> None:
    os.kill(os.getpid(), signal.SIGHUP)


def test_what_must_not_be_disturbed_hears_of_it_at_its_end() -> None:
    done = []

    def disturbed() -> None:
        with ending_alike():
            with undisturbed():
                hang_up()
                done.append("whole")
            done.append("too late")

    with pytest.raises(KeyboardInterrupt):
        disturbed()
    assert done == ["whole"]


def test_the_advice_is_told_with_the_second_signal() -> None:
    def stopped_twice() -> None:
        with ending_alike(), StopRequest() as stopping:
            hang_up()
            assert stopping()
            stopping.advice = "go on: hil resume r.sqlite"
            hang_up()

    with pytest.raises(KeyboardInterrupt) as error:
        stopped_twice()
    assert error.value.__notes__ == ["go on: hil resume r.sqlite"]


@pytest.mark.parametrize(
    ("made", "told"), [(KeyboardInterrupt, "hil: interrupted\n"), (ImportError, "hil: interrupted (")]
)
def test_whatever_a_library_makes_of_it_is_an_interruption(
    made: type[BaseException], told: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """PyCapsule_Import drops an interrupt and raises ImportError, for one."""
    command = ModuleType("hil.commands.runs")

    def run(_args: object) -> int:
        try:
            hang_up()
        except KeyboardInterrupt:
            raise made from None
        return 0

    vars(command).update(add_arguments=lambda _parser: None, run=run)
    monkeypatch.setitem(sys.modules, "hil.commands.runs", command)
    assert main(["runs"]) == 130
    assert capsys.readouterr().err.startswith(told)


def test_without_a_signal_an_unknown_error_stays_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("hil.cli._dispatch", lambda _argv: int("none"))
    with pytest.raises(ValueError, match="invalid literal"):
        main(["runs"])

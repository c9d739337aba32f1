"""What a person sees while digits are played, in terminals of every size."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass

import numpy as np
import pytest
from rich.console import Console

from drivers.signals import Capture, Frame, FrameKey, SlotTiming, Stray, Trace
from hil.run.digits import DigitResult
from hil.terminal.live import Live
from hil.terminal.pictures import blocks, strip

ESCAPE = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")


@dataclass
class Screen:
    """A terminal of a size, and what was written to it."""

    width: int
    height: int = 30
    terminal: bool = True

    def __post_init__(self) -> None:
        self.file = io.StringIO()
        self.console = Console(
            file=self.file, force_terminal=self.terminal, width=self.width, height=self.height, color_system="truecolor"
        )

    def lines(self) -> list[str]:
        return [ESCAPE.sub("", line) for line in re.split(r"[\r\n]+", self.file.getvalue())]


def shot(*, traced: bool = True) -> Capture:
    """The first half of kernel 3 of conv1 of digit 7, with a slot that has to be taken again and a stray."""
    n = 392
    where = np.arange(n, dtype=np.int32)
    frame = Frame(
        FrameKey("run", 7), SlotTiming(), where % 9, np.zeros_like(where), np.full_like(where, 3), where, first_slot=0
    )
    ok = where != 20
    axon = Trace("axon", np.tile(np.array([100, 200], dtype=np.uint8), 4000), 0.02, 0, 100, 1e-6, 0.0)
    return Capture(frame, where % 5, np.zeros(n), ok, 0.25, Stray(0, 1, 0), (axon,) if traced else ())


def result(answer: int) -> DigitResult:
    return DigitResult(7, 9, answer, 0.9, 100, 25, 0.25, 0, 0, 0)


def shown(screen: Screen, *, traced: bool = True, again: bool = False) -> list[str]:
    with Live(25_088, 100, console=screen.console) as live:
        for answer in (9, 9, 4):
            if again:
                live.retaking(shot().frame.part(20, 21), "late")
            live.watch(shot(traced=traced))
            live.count(result(answer))
        live.gauge({"drift": {"statistic": 1.25, "limit": 10.35}})
        live.show("a result [bold]as it is[/bold]")
    return screen.lines()


def test_where_there_is_room_everything_is_shown() -> None:
    lines = shown(Screen(80), again=True)
    text = "\n".join(lines)
    for wanted in (
        *(
            "2 of 3 right, 66.7 % (20.8 % to 93.9 %)".replace(" %", "%"),
            "drift 1.2 of 10.3",
            "3 slots again in 3 shots, 3 strays",
        ),
        *("spikes of conv1 kernel 3", "axon, the last 2 ms, 0.0 to 2.0 V", "digit 7: conv1 3", "3/100", "0.75 s on"),
    ):
        assert wanted in text, text
    assert lines.count("digit 7: 1 slot is played again: late") == 1
    assert "▀" * 28 in text
    assert "⣿" in text
    assert "a result [bold]as it is[/bold]" in lines


@pytest.mark.parametrize("width", [40, 59, 60, 79, 80, 120])
def test_nothing_is_wider_than_the_terminal(width: int) -> None:
    lines = shown(Screen(width))
    assert max(map(len, lines)) <= width
    assert any("3/100" in line for line in lines)
    if width < 80:
        assert not any("▀" in line for line in lines)


def test_a_run_without_an_oscilloscope_has_its_map(capsys: pytest.CaptureFixture[str]) -> None:
    text = "\n".join(shown(Screen(100), traced=False))
    assert "spikes of conv1 kernel 3" in text
    assert "axon" not in text


@pytest.mark.parametrize("kind", ["no terminal", "dumb"])
def test_where_nothing_can_be_redrawn_there_are_only_results(
    kind: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if kind == "dumb":
        monkeypatch.setenv("TERM", "dumb")
    screen = Screen(100, terminal=kind == "dumb")
    assert shown(screen) == [""]
    assert capsys.readouterr().out == "a result [bold]as it is[/bold]\n"


def test_a_map_is_two_rows_to_a_line() -> None:
    text = blocks(np.arange(15).reshape(5, 3))
    assert text.plain == "▀▀▀\n▀▀▀\n▀▀▀"


def test_no_short_pulse_is_lost_between_dots() -> None:
    volts = np.zeros(10_000)
    volts[5_000] = 3.3
    text = strip(volts, 20, 4).plain.splitlines()
    assert [len(line) for line in text] == [20] * 4
    assert sum(ord(character) != 0x2800 for character in text[0]) == 1
    assert all(character == "⣀" for character in text[3].replace(text[3][10], "⣀"))

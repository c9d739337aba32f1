"""Notes of the decoder where people look: while a run goes on, at its end, in its report, and when it is replayed."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from drivers.mock.probe import render
from drivers.signals import Trace
from hil.cli import main
from hil.commands.options import settle

NOTE = re.compile(r"\d+ axon pulses were torn and have been joined")


@pytest.fixture
def torn(monkeypatch: pytest.MonkeyPatch) -> None:
    """A probe with a loose contact: of every axon pulse the third sample is missing."""

    def loose(*args: object) -> Trace:
        trace = render(*args)  # type: ignore[arg-type]
        if trace.name != "axon":
            return trace
        high = trace.codes > 127
        begins = np.flatnonzero(high & ~np.concatenate([[False], high[:-1]]))
        codes = trace.codes.copy()
        codes[begins + 2] = 31
        return replace(trace, codes=codes)

    monkeypatch.setattr("drivers.mock.scoped.render", loose)


def test_notes_are_shown_wherever_people_look(torn: None, capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["run", "--digits", "4:6", "--physical", "conv1:3", "--traces", "--full-scale", "conv1=12"]
    assert main([*argv, "--out", "run.sqlite"]) == 0
    said = capsys.readouterr()
    live = [line for line in said.err.splitlines() if NOTE.search(line)]
    assert [line.partition(":")[0] for line in live] == ["digit 4"]  # every kind once
    assert re.search(rf"noted in 2 shots: {NOTE.pattern}", said.out)

    assert main(["report", "run.sqlite"]) == 0
    page = Path("run.html").read_text(encoding="utf-8")
    data = json.loads(re.search(r'<script type="application/json" id="run">(.*?)</script>', page, re.DOTALL)[1])  # type: ignore[index]
    ((shots, text),) = data["overview"]["notes"]
    assert shots == 2
    assert NOTE.fullmatch(text)

    capsys.readouterr()
    for more in ([], ["--set", "spikes.slot_tolerance=0.02"]):
        assert main(["replay", "run.sqlite", *more]) == 0
        assert re.search(rf"noted in 2 shots: {NOTE.pattern}", capsys.readouterr().out)
    assert main(["replay", "run.sqlite", "--json"]) == 0
    ((noted),) = json.loads(capsys.readouterr().out)["notes"]
    assert (noted["captures"], bool(NOTE.fullmatch(noted["text"]))) == (2, True)


def test_an_evaluation_shows_what_was_noted(
    torn: None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def traced(*args: Any, **_: Any) -> Any:  # as of a bench with an oscilloscope
        return settle(*args, traces=True)  # type: ignore[misc]

    monkeypatch.setattr("hil.commands.evaluate.settle", traced)
    argv = ["evaluate", "--digits", "4:6", "--physical", "conv1:3", "--fidelity", "pulses", "--full-scale", "conv1=12"]
    assert main([*argv, "--out", "e.sqlite"]) == 0
    assert re.search(rf"noted in 2 shots: {NOTE.pattern}", capsys.readouterr().out)
    assert main([*argv, "--out", "f.sqlite", "--json"]) == 0
    (noted,) = json.loads(capsys.readouterr().out)["notes"]
    assert NOTE.fullmatch(noted["text"])

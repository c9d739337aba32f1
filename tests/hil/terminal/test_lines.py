"""How far a long work is, where there is no terminal."""

from __future__ import annotations

import numpy as np

from hil.terminal.lines import Lines


def test_lines_come_now_and_then_and_seldomer_the_longer_it_takes() -> None:
    said: list[str] = []
    now_s = 100.0
    lines = Lines(say=said.append, clock=lambda: now_s)
    lines.begin("evaluating conv1", 36_000)
    for done in range(1, 36_001):  # an hour
        now_s = 100.0 + done / 10
        lines.tell(done)
    assert said[0] == "evaluating conv1: 100 of 36,000, some 59.8 min left"
    assert 12 <= len(said) <= 18
    dones = [int(line.split()[2].replace(",", "")) for line in said]
    assert (np.diff(dones, 2) > 0).all()


def test_what_is_soon_done_says_nothing_and_each_stretch_begins_anew() -> None:
    said: list[str] = []
    now_s = 0.0
    lines = Lines(say=said.append, clock=lambda: now_s)
    for _ in range(5):
        lines.begin("a step", 10)
        for done in range(11):
            now_s += 0.9
            lines.tell(done)
    assert said == []
    lines.tell(0)
    now_s += 100
    lines.tell(10)  # all of it: the result says so
    assert said == []

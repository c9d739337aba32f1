"""Pins and lines, pulses and latches: what is quick against what is plain."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from drivers.device import load_device
from drivers.mock.board import Board
from drivers.mock.pigpiod.header import _expand
from drivers.mock.pigpiod.wired import Wired
from drivers.mock.timeline import in_order
from drivers.pins import WAVE_PINS
from drivers.settings import BoardSettings, Wiring

MASKS = st.sampled_from([0, 0, 1, 2, 4, 5, 1 << 27])
ROWS = st.lists(st.tuples(st.integers(0, 50), MASKS, MASKS), max_size=30)


@given(ROWS, MASKS, st.booleans())
def test_a_wave_sets_before_it_clears(rows: list[tuple[int, int, int]], before: int, proper: bool) -> None:
    """Whether or not it sets only what is low and clears only what is high."""
    level = before
    gaps, sets, clears = [], [], []
    for gap, some, others in rows:
        gaps.append(gap)
        sets.append(some & ~level if proper else some)
        clears.append(others & level & ~some if proper else others)
        level = (level | sets[-1]) & ~clears[-1]
    times = np.cumsum(gaps, dtype=np.int64)
    expected, level = [], before
    for t, on, off in zip(times.tolist(), sets, clears, strict=True):
        if on and off:
            expected.append((t, level | on))
        level = (level | on) & ~off
        if on or off:
            expected.append((t, level))
    shown = _expand(times, np.array(sets, dtype=np.int64), np.array(clears, dtype=np.int64), before)
    assert list(zip(*(column.tolist() for column in shown), strict=True)) == expected


@given(st.permutations(sorted(WAVE_PINS)), st.lists(st.integers(0, (1 << 28) - 1), max_size=20))
def test_lines_are_moved_to_their_pins_and_back(pins: list[int], words: list[int]) -> None:
    wiring = Wiring(dendrite=pins[0], reset=pins[1], sync=pins[2], select=tuple(pins[3:9]))
    wired = Wired(Board(load_device("ideal"), BoardSettings(addresses=6), clock=lambda: 0), wiring)
    levels = wired.levels(np.array(words, dtype=np.int64))
    plain = [sum((word >> line.pin & 1) << bit for bit, line in enumerate(wiring.lines())) for word in words]
    assert levels.tolist() == plain
    others = np.array(words[::-1], dtype=np.int64)
    shown = wired.shown(others, levels)
    assert wired.levels(shown).tolist() == plain
    assert ((shown ^ others) & ~wired.mask).tolist() == [0] * len(words)


@given(st.lists(st.lists(st.integers(0, 40)), min_size=1, max_size=4))
def test_times_come_once_and_in_order(times: list[list[int]]) -> None:
    found = in_order(*(np.array(sorted(some), dtype=np.int64) for some in times))
    assert found.tolist() == sorted({t for some in times for t in some})

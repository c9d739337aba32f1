from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from hil.calibrate.view import Axes
from hil.terminal.chart import chart


def draw(x: list[float], y: list[float], *, log: bool = False) -> list[str]:
    return chart(x, y, Axes("x", "y", log_x=log, log_y=log), width=20, height=5).splitlines()


def test_a_rising_line_goes_from_the_lower_left_to_the_upper_right() -> None:
    lines = draw([0, 1, 2], [0, 1, 2])
    assert lines[1].endswith(chr(0x2808))
    assert lines[5].split("┤")[1][0] == chr(0x2840)
    assert lines[1].strip().startswith("2 ┤")
    assert lines[6].split() == ["0", "x", "2"]


def test_logarithmic_axes_leave_out_what_has_no_logarithm() -> None:
    dots = sum(
        bin(ord(c) - 0x2800).count("1") for c in "".join(draw([-1, 1, 10, 100], [1, 0, 10, 100], log=True)) if c >= "⠀"
    )
    assert dots == 2
    assert draw([], []) == ["y", "", "", "", "", "", "x"]


@settings(derandomize=True, max_examples=50)
@given(st.lists(st.tuples(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6)), min_size=1, max_size=50))
def test_no_point_falls_off_the_page(points: list[tuple[float, float]]) -> None:
    lines = draw(*map(list, zip(*points, strict=True)))
    assert len(lines) == 7
    assert all(len(line.split("┤")[1]) == 20 for line in lines[1:6])
    assert np.any([c > chr(0x2800) for line in lines[1:6] for c in line.split("┤")[1]])

"""Maps and traces in a terminal, of half blocks (Unicode block U+2580) and braille dots (U+2800)."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from rich.color import Color
from rich.style import Style
from rich.text import Text

# Magma at nine equal steps (matplotlib; Smith and van der Walt, CC0), as on the page.
_STOPS = np.array(
    [
        *((0, 0, 4), (28, 16, 68), (79, 18, 123), (129, 37, 129), (181, 54, 122)),
        *((229, 80, 100), (251, 135, 97), (254, 194, 135), (252, 253, 191)),
    ]
)
_UNKNOWN = (70, 70, 70)
_DOTS = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]])  # by row and column within a character


def blocks(counts: NDArray[np.integer]) -> Text:
    """A map (rows, columns), two rows to a line of half blocks; negative counts are not known yet and grey."""
    rows, columns = counts.shape
    most = max(int(counts.max(initial=0)), 1)
    text = Text()
    for top in range(0, rows, 2):
        for column in range(columns):
            upper = _colour(int(counts[top, column]), most)
            lower = _colour(int(counts[top + 1, column]), most) if top + 1 < rows else None
            text.append("▀", Style(color=upper, bgcolor=lower))
        if top + 2 < rows:
            text.append("\n")
    return text


def _colour(count: int, most: int) -> Color:
    if count < 0:
        return Color.from_rgb(*_UNKNOWN)
    at = min(count / most, 1.0) * (len(_STOPS) - 1)
    low = min(int(at), len(_STOPS) - 2)
    red, green, blue = _STOPS[low] + (at - low) * (_STOPS[low + 1] - _STOPS[low])
    return Color.from_rgb(red, green, blue)


def strip(volts: NDArray[np.floating], columns: int, lines: int) -> Text:
    """A trace (samples,) in `lines` of `columns` characters: all that lies between lowest and highest of each dot."""
    dots, height = columns * 2, lines * 4
    edges = np.linspace(0, len(volts), dots + 1).astype(int)
    low, high = float(volts.min()), float(volts.max())
    span = max(high - low, 1e-9)
    cells = np.full((lines, columns), 0x2800)
    for dot, (a, b) in enumerate(pairwise(edges)):
        piece = volts[a : max(b, a + 1)]
        ends = (np.array([piece.max(), piece.min()]) - low) / span * (height - 1)
        top, bottom = (height - 1 - np.round(ends)).astype(int)
        for row in range(top, bottom + 1):
            cells[row // 4, dot // 2] |= _DOTS[row % 4, dot % 2]
    return Text("\n".join("".join(map(chr, line)) for line in cells), style="yellow")

"""The picture of a simulated DS4024's screen: `:DISPlay:DATA?`, a BMP of 800 × 480 points, drawn from the record.

RIGOL MSO4000/DS4000 user's guide: 14 × 8 divisions; channels 1 to 4 are yellow, cyan, magenta and blue.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from drivers.mock.ds4024.memory import Codes

WIDTH, HEIGHT = 800, 480
COLUMNS, ROWS = 14 * 50, 8 * 50  # of the grid: 50 points a division
LEFT, TOP = (WIDTH - COLUMNS) // 2, (HEIGHT - ROWS) // 2
GRID = (60, 60, 60)
COLOURS = {1: (255, 230, 0), 2: (0, 220, 220), 3: (220, 0, 220), 4: (60, 110, 255)}

Picture = NDArray[np.uint8]


def picture(channels: Mapping[int, Codes]) -> Picture:
    """(480, 800, 3) red, green, blue of channels with their codes (n,); the top row first."""
    screen = np.zeros((HEIGHT, WIDTH, 3), dtype=np.uint8)
    inside = screen[TOP : TOP + ROWS + 1, LEFT : LEFT + COLUMNS + 1]
    inside[:, ::50] = inside[::50, :] = GRID
    for number, codes in channels.items():
        if len(codes):
            _draw(inside, codes, COLOURS[number])
    return screen


def _draw(inside: Picture, codes: Codes, colour: tuple[int, int, int]) -> None:
    """One trace: in every column a line from its least to its greatest sample, joined with the column before."""
    column = np.arange(len(codes)) * COLUMNS // len(codes)
    row = (ROWS - codes.astype(np.int64) * ROWS // 255).clip(0, ROWS)
    before = row[0]
    for x in np.unique(column).tolist():
        here = row[np.searchsorted(column, x) : np.searchsorted(column, x, side="right")]
        inside[min(here.min(), before) : max(here.max(), before) + 1, x] = colour
        before = here[-1]


def bmp(screen: Picture) -> bytes:
    """A picture (height, width, 3) as an uncompressed 24-bit BMP: rows from below, blue first, padded to 4 bytes."""
    height, width, _ = screen.shape
    row = np.zeros((height, (3 * width + 3) // 4 * 4), dtype=np.uint8)
    row[:, : 3 * width] = screen[::-1, :, ::-1].reshape(height, 3 * width)
    header = struct.pack("<2sIHHI", b"BM", 54 + row.nbytes, 0, 0, 54)
    header += struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, row.nbytes, 2835, 2835, 0, 0)
    return header + row.tobytes()

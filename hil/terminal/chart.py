"""A scatter plot in a terminal, of braille dots (Unicode block U+2800: two by four to a character)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from hil.calibrate.view import Axes

_DOTS = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]])  # by row and column within a character


def chart(x: Sequence[float], y: Sequence[float], axes: Axes, width: int, height: int) -> str:
    """Points (n,) in `height` lines of `width` characters, with the ends of both axes written beside them.

    Points that are not finite, or not positive on a logarithmic axis, are left out.
    """
    xs, ys = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    keep = np.isfinite(xs) & np.isfinite(ys) & ((xs > 0) | (not axes.log_x)) & ((ys > 0) | (not axes.log_y))
    xs, ys = xs[keep], ys[keep]
    cells = np.full((height, width), 0x2800)
    if not len(xs):
        return "\n".join([axes.y, *("" for _ in range(height)), axes.x])
    column = _place(np.log(xs) if axes.log_x else xs, width * 2)
    row = height * 4 - 1 - _place(np.log(ys) if axes.log_y else ys, height * 4)
    np.bitwise_or.at(cells, (row // 4, column // 2), _DOTS[row % 4, column % 2])
    lines = ["".join(map(chr, line)) for line in cells]
    ends = [f"{ys.max():.3g}", *[""] * (height - 2), f"{ys.min():.3g}"] if height > 1 else [f"{ys.max():.3g}"]
    pad = max(map(len, ends))
    body = [f"{end:>{pad}} ┤{line}" for end, line in zip(ends, lines, strict=True)]
    left, right = f"{xs.min():.3g}", f"{xs.max():.3g}"
    bottom = f"{left}{axes.x:^{max(width - len(left) - len(right), 1)}}{right}"
    return "\n".join([f"{'':>{pad}} {axes.y}", *body, f"{'':>{pad}}  {bottom}"])


def _place(values: np.ndarray, dots: int) -> np.ndarray:
    """(n,) which of `dots` each value falls on; a single value sits in the middle."""
    span = values.max() - values.min()
    share = (values - values.min()) / span if span > 0 else np.full(len(values), 0.5)
    return np.round(share * (dots - 1)).astype(np.int64)

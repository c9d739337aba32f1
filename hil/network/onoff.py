"""Kernels that see a pixel twice, how bright it is and how dark, as one kernel that sees it once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def on_off_as_one(weight: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(units, 2, 5, 5), what counts where a pixel x is bright and where 1 − x is → the same sums with less work.

    on·x + off·(1 − x) = (on − off)·x + off summed up, also at the border, which is dark. Returns on − off
    (units, 1, 5, 5) and the sums of off (units,).
    """
    on, off = np.split(weight, 2, axis=1)
    dark: NDArray[np.float32] = off.sum(axis=(1, 2, 3))
    return on - off, dark

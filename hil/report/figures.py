"""Pictures of what the network saw: every layer's maps for one digit, as the paper shows them for its "9"."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from calibration.picture import new_figure, save_figure

if TYPE_CHECKING:
    from hil.network.layers import Floats
    from hil.run.digits import DigitResult

_GAP = 1  # pixels between tiles


def tiles(maps: Floats, columns: int) -> NDArray[np.float32]:
    """Maps (channels, rows, columns) → one picture, each map scaled to its own largest value, nan between them."""
    channels, height, width = maps.shape
    rows = -(-channels // columns)
    sheet = np.full((rows * (height + _GAP) - _GAP, columns * (width + _GAP) - _GAP), np.nan, dtype=np.float32)
    for i, tile in enumerate(maps):
        top, left = i // columns * (height + _GAP), i % columns * (width + _GAP)
        sheet[top : top + height, left : left + width] = tile / max(float(tile.max()), 1e-12)
    return sheet


def draw_maps(file: Path, result: DigitResult, image: NDArray[np.uint8], maps: dict[str, Floats]) -> None:
    """Draw the digit, the maps of both convolutions after pooling, fc1's activations and the ten outputs.

    The suffix chooses the format (png, svg, pdf); raises InputError when the file cannot be written.
    """
    figure = new_figure(11, 9)
    axes = figure.subplot_mosaic(
        [["digit", "conv1", "conv1"], ["fc2", "conv2", "conv2"], ["fc1", "fc1", "fc1"]],
        width_ratios=(1, 1, 1),
        height_ratios=(2, 2, 1),
    )
    axes["digit"].imshow(image, cmap="gray_r")
    axes["digit"].set_title(f"test digit {result.index}" + (f", a {result.label}" if result.labelled else ""))
    for name, columns in (("conv1", 8), ("conv2", 16)):
        axes[name].imshow(tiles(maps[name], columns), cmap="magma")
        axes[name].set_title(f"{name} after ReLU and max-pool: {len(maps[name])} maps")
    axes["fc1"].imshow(maps["fc1"].reshape(16, 64), cmap="magma", aspect="auto")
    axes["fc1"].set_title("fc1: 1024 activations")
    logits = maps["fc2"].ravel()
    colours = ["tab:orange" if k == result.answer else "tab:gray" for k in range(10)]
    axes["fc2"].bar(range(10), logits - logits.min(), color=colours)
    axes["fc2"].set_xticks(range(10))
    axes["fc2"].set_title(f"answer {result.answer}, confidence {result.confidence:.1%}")
    axes["fc2"].set_ylabel("output above the smallest")
    for name in ("digit", "conv1", "conv2", "fc1"):
        axes[name].set_xticks([])
        axes[name].set_yticks([])
    save_figure(figure, file)

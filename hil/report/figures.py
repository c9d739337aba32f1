"""Pictures of what the network saw: every layer's maps for one digit, as the paper shows them for its "9"."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from calibration.picture import new_figure, printed, save_figure

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


@printed
def draw_maps(
    file: Path, result: DigitResult, image: NDArray[np.uint8], maps: dict[str, Floats], about: str = ""
) -> None:
    """Draw the digit, every channel of every layer, and the ten outputs; `about` says whence it all is.

    What Supplementary Figures 7 and 8 of Wang et al. (2018) show for a "9": the channels after each convolution's
    max-pool, each to its own largest value, and what the dense layers make of them. The suffix chooses the format (png,
    svg, pdf); raises InputError when the file cannot be written.
    """
    from matplotlib.cm import ScalarMappable

    figure = new_figure(7.2, 7.4)
    axes = figure.subplot_mosaic(
        [["digit", "conv1"], ["fc2", "conv2"], ["fc1", "fc1"]], width_ratios=(1, 2.3), height_ratios=(1.15, 2.3, 0.9)
    )
    shade = axes["digit"].imshow(image, cmap="gray_r", vmin=0, vmax=255)
    axes["digit"].set_title(f"test digit {result.index}" + (f", a {result.label}" if result.labelled else ""))
    figure.colorbar(shade, ax=axes["digit"], label="grey level", shrink=0.8)
    for name, columns in (("conv1", 8), ("conv2", 8)):
        axes[name].imshow(tiles(maps[name], columns), vmin=0, vmax=1)
        low, high = (float(end(maps[name].max(axis=(1, 2)))) for end in (np.min, np.max))
        side = maps[name].shape[-1]
        axes[name].set_title(
            f"{name} after ReLU and max-pool: {len(maps[name])} channels of {side}×{side}, "
            f"largest {low:.2g} to {high:.2g}"
        )
        figure.colorbar(ScalarMappable(), ax=axes[name], label="share of the channel's largest", shrink=0.8)
    dense = axes["fc1"].imshow(maps["fc1"].reshape(16, 64), aspect="auto")
    axes["fc1"].set_title("fc1 after ReLU: 1024 activations")
    figure.colorbar(dense, ax=axes["fc1"], label="activation")
    logits = maps["fc2"].ravel()
    bars = axes["fc2"].bar(range(10), logits - logits.min(), color="gray")
    bars[result.answer].set_color("C1")
    axes["fc2"].set_xticks(range(10))
    axes["fc2"].set_title(f"fc2: answer {result.answer} ({result.confidence:.1%})")
    axes["fc2"].set_ylabel("output above the smallest")
    for name in ("digit", "conv1", "conv2", "fc1"):
        axes[name].set_xticks([])
        axes[name].set_yticks([])
        axes[name].spines[:].set_visible(False)
    if about:
        figure.suptitle(about, fontsize=6, color="dimgray", x=0.01, ha="left")
    save_figure(figure, file, dpi=200)

"""Anybody's picture of a digit, made into what the network was trained on.

As MNIST was made (LeCun et al.): the ink white on black, its box scaled to 20 pixels on the longer side, and its centre
of mass in the middle of 28×28. A picture that is 28×28 and white on black already is taken as it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from drivers.errors import InputError
from hil.network.mnist import SIDE

BOX = 20  # pixels of the longer side
LEAST_CONTRAST = 25  # grey levels between ink and paper
INK = 0.2  # of the darkest ink: less is paper
SHADES = " .:-=+*#%@"

Grey = NDArray[np.uint8]


@dataclass(frozen=True)
class OwnDigit:
    """What became of a picture: (28, 28) uint8, and in words."""

    image: Grey
    made: str

    def shown(self) -> str:
        """The image in characters, two pixels high each."""
        pairs = self.image.reshape(SIDE // 2, 2, SIDE).mean(axis=1)
        steps = np.minimum((pairs / 256 * len(SHADES)).astype(int), len(SHADES) - 1)
        return "\n".join("".join(SHADES[step] for step in row) for row in steps)


def read_own(path: Path) -> OwnDigit:
    """Read a picture of one digit, grey or colour, of any size. Raises InputError."""
    from PIL import Image

    try:
        with Image.open(path) as opened:
            mode, size = opened.mode, opened.size
            whole = opened.convert("RGBA")
            paper = Image.new("RGBA", whole.size, "white")
            grey = np.asarray(Image.alpha_composite(paper, whole).convert("L"))
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise InputError(f"--image {path}: not a picture that can be read ({error})") from error
    steps = [f"{size[0]}×{size[1]} {mode}"]
    border = np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])
    background = float(np.median(border))
    ink = grey.astype(float) - background
    if -ink.min() > ink.max():  # what differs from the paper is darker than it
        ink = -ink
        steps.append("inverted")
    if ink.max() < LEAST_CONTRAST:
        raise InputError(
            f"--image {path}: no digit to be seen: ink and paper differ by {ink.max():.0f} of 255 grey levels; "
            f"at least {LEAST_CONTRAST}"
        )
    if grey.shape == (SIDE, SIDE) and "inverted" not in steps and background == 0:
        return OwnDigit(grey.copy(), ", ".join([*steps, "taken as it is"]))
    ink = np.clip(ink / ink.max(), 0, 1)
    image, how = _centred(ink)
    return OwnDigit(image, ", ".join([*steps, how]))


def _centred(ink: NDArray[np.float64]) -> tuple[Grey, str]:
    """Ink (h, w) of 0…1 → (28, 28) uint8, cropped, scaled and with its centre of mass in the middle."""
    from PIL import Image

    rows, columns = np.flatnonzero((ink > INK).any(axis=1)), np.flatnonzero((ink > INK).any(axis=0))
    box = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    height, width = (max(1, round(side * BOX / max(box.shape))) for side in box.shape)
    small = Image.fromarray(np.round(box * 255).astype(np.uint8)).resize((width, height), Image.Resampling.BOX)
    scaled = np.asarray(small).astype(float)
    weight = scaled / scaled.sum()
    middle = (weight.sum(axis=1) @ np.arange(height), weight.sum(axis=0) @ np.arange(width))
    top, left = (
        int(np.clip(round((SIDE - 1) / 2 - at), 0, SIDE - side)) for at, side in zip(middle, scaled.shape, strict=True)
    )
    image = np.zeros((SIDE, SIDE), dtype=np.uint8)
    image[top : top + height, left : left + width] = np.round(scaled * 255 / scaled.max())
    return image, f"its ink of {box.shape[1]}×{box.shape[0]} made {width}×{height}"

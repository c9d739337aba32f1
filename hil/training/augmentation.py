"""What training does to its digits (PyTorch): small changes of shape, and zeroed pixels."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

ROTATION = math.radians(12)
SHIFT_PIXELS = 2.0
SCALE_AND_SHEAR = 0.1
WARP_PIXELS, WARP_GRID = 0.6, 5  # standard deviation of a smooth random displacement, drawn at so many points a side


def distort(images: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
    """Rotate, scale, shear, shift and warp each of images (n, 1, 28, 28) a little.

    The warp is smooth and random (as in Simard, Steinkraus, Platt, ICDAR 2003, with a coarser field).
    """
    n = len(images)

    def draw(most: float) -> torch.Tensor:
        return (torch.rand(n, generator=rng) * 2 - 1) * most

    angle, shear = draw(ROTATION), draw(SCALE_AND_SHEAR)
    wide, high = 1 + draw(SCALE_AND_SHEAR), 1 + draw(SCALE_AND_SHEAR)
    right, down = (draw(SHIFT_PIXELS) * 2 / images.shape[-1] for _ in range(2))
    cos, sin = torch.cos(angle), torch.sin(angle)
    rows = [torch.stack([cos * wide, shear - sin * high, right], 1), torch.stack([sin * wide, cos * high, down], 1)]
    grid = F.affine_grid(torch.stack(rows, 1).to(images.device), list(images.shape), align_corners=False)
    warp = torch.randn(n, 2, WARP_GRID, WARP_GRID, generator=rng) * (WARP_PIXELS * 2 / images.shape[-1])
    smooth = F.interpolate(warp.to(images.device), images.shape[-2:], mode="bicubic", align_corners=True)
    grid = grid + smooth.permute(0, 2, 3, 1)
    return F.grid_sample(images, grid, align_corners=False)


def zero_some(images: torch.Tensor, share: float, most: float, rng: torch.Generator) -> torch.Tensor:
    """In a `share` of the images, set 0…`most` of the pixels to zero."""
    n = len(images)
    level = torch.rand(n, 1, 1, 1, generator=rng) * most
    touched = torch.rand(n, 1, 1, 1, generator=rng) < share
    return images * ~((torch.rand(images.shape, generator=rng) < level) & touched).to(images.device)

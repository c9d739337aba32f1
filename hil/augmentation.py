"""What training does to its digits (PyTorch): small affine changes, zeroed pixels, and a spiking neuron's noise."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

ROTATION = math.radians(10)
SHIFT_PIXELS = 1.5
SCALE_AND_SHEAR = 0.08
PULSES_A_SPIKE = 4.0  # the generic neuron that conv1 is made ready for: mean and variance of pulses to fire
VARIATION2 = 0.27
SETTLING_VARIANCE = 0.15  # of the count itself: a slot starts afresh and ends between two spikes


def distort(images: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
    """Rotate, scale, shear and shift each of images (n, 1, 28, 28) a little."""
    n = len(images)

    def draw(most: float) -> torch.Tensor:
        return (torch.rand(n, generator=rng) * 2 - 1) * most

    angle, shear = draw(ROTATION), draw(SCALE_AND_SHEAR)
    wide, high = 1 + draw(SCALE_AND_SHEAR), 1 + draw(SCALE_AND_SHEAR)
    right, down = (draw(SHIFT_PIXELS) * 2 / images.shape[-1] for _ in range(2))
    cos, sin = torch.cos(angle), torch.sin(angle)
    rows = [torch.stack([cos * wide, shear - sin * high, right], 1), torch.stack([sin * wide, cos * high, down], 1)]
    grid = F.affine_grid(torch.stack(rows, 1), list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, align_corners=False)


def zero_some(images: torch.Tensor, share: float, most: float, rng: torch.Generator) -> torch.Tensor:
    """In a `share` of the images, set 0…`most` of the pixels to zero."""
    n = len(images)
    level = torch.rand(n, 1, 1, 1, generator=rng) * most
    touched = torch.rand(n, 1, 1, 1, generator=rng) < share
    return images * ~((torch.rand(images.shape, generator=rng) < level) & touched)


def as_spikes(drive: torch.Tensor, full_scale: torch.Tensor, pulses: int, share: float) -> torch.Tensor:
    """Drives (n, units, rows, columns) as a spiking neuron would hand them back, in a `share` of the images.

    Pulses are rounded and cut off at full scale, spikes counted with the spread of a renewal process, and turned back
    by the mean; the gradient passes straight through. A generic neuron: nothing is taken from a device file.
    """
    with torch.no_grad():
        scale = full_scale[:, None, None]
        sent = (drive.float() / scale * pulses).clamp(0, pulses).round()
        spread = torch.sqrt(VARIATION2 * sent / PULSES_A_SPIKE + SETTLING_VARIANCE)
        exact = sent / PULSES_A_SPIKE + torch.randn_like(sent) * spread
        spikes = (exact + torch.rand_like(sent) - 0.5).round().clamp(min=0) * (sent > 0)
        back = spikes * PULSES_A_SPIKE / pulses * scale
        played = (torch.rand(len(drive), 1, 1, 1) < share).float()
        change = ((back - drive) * played).to(drive.dtype)
    return drive + change

"""What training does to its digits (PyTorch): small affine changes, zeroed pixels, and a spiking neuron's noise."""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F

ROTATION = math.radians(10)
SHIFT_PIXELS = 1.5
SCALE_AND_SHEAR = 0.08
PULSES_A_SPIKE = 4.0  # the generic neuron that conv1 is made ready for: mean of the pulses to fire,
VARIATION = 0.55  # and their coefficient of variation
CHANCES = 1_024  # equally likely outcomes that a slot's spike count is drawn from


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
    grid = F.affine_grid(torch.stack(rows, 1).to(images.device), list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, align_corners=False)


def zero_some(images: torch.Tensor, share: float, most: float, rng: torch.Generator) -> torch.Tensor:
    """In a `share` of the images, set 0…`most` of the pixels to zero."""
    n = len(images)
    level = torch.rand(n, 1, 1, 1, generator=rng) * most
    touched = torch.rand(n, 1, 1, 1, generator=rng) < share
    return images * ~((torch.rand(images.shape, generator=rng) < level) & touched).to(images.device)


def spiking_estimates(pulses: int) -> torch.Tensor:
    """(pulses + 1, CHANCES): the pulses that one slot's spike count tells of, for each number sent and each chance.

    The neuron is a renewal process that starts afresh with the slot: pulses to fire are gamma distributed and rounded
    up, so that the k-th spike falls on or before pulse n with the chance P(T₁ + … + T_k ≤ n). Counts are turned back by
    the inverse of their mean. Nothing is taken from a device file.
    """
    from scipy.stats import gamma

    deviation = VARIATION * PULSES_A_SPIKE
    mean = PULSES_A_SPIKE - 0.5  # rounding up adds half a pulse
    fires_at = np.diff(gamma.cdf(np.arange(-1, pulses + 1), (mean / deviation) ** 2, scale=deviation**2 / mean))
    chance, at_least = (np.arange(CHANCES) + 0.5) / CHANCES, [np.ones(pulses + 1)]
    nth = np.eye(1, pulses + 1)[0]  # when the spike before the first fell: at the start
    for _ in range(pulses):
        nth = np.convolve(nth, fires_at)[: pulses + 1]
        at_least.append(np.cumsum(nth))
    spikes = (np.array(at_least)[1:, :, None] > chance).sum(axis=0)
    mean_spikes = spikes.mean(axis=1)
    counts = np.arange(pulses + 1)
    back = np.interp(counts, mean_spikes, counts)
    beyond = counts > mean_spikes[-1]
    back[beyond] = pulses + (counts[beyond] - mean_spikes[-1]) * PULSES_A_SPIKE
    return torch.from_numpy(back[spikes].astype(np.float32))


def as_spikes(drive: torch.Tensor, full_scale: torch.Tensor, estimates: torch.Tensor, share: float) -> torch.Tensor:
    """Drives (n, units, rows, columns) as a spiking neuron would hand them back, in a `share` of the images.

    Drives are coded as whole pulses, cut off at full scale (units,), and come back as what `spiking_estimates` says;
    the gradient passes straight through.
    """
    with torch.no_grad():
        played = (torch.rand(len(drive), device=drive.device) < share).nonzero()[:, 0]
        scale, full = full_scale[:, None, None], len(estimates) - 1
        drives = drive[played].float()
        sent = (drives / scale * full).round().clamp(0, full).int()
        # Four draws from each random word: drawing is what takes the time.
        words = torch.empty(-(-sent.numel() // 4), dtype=torch.int64, device=drive.device).random_()
        chance = words.view(torch.int16)[: sent.numel()].view(sent.shape) & (CHANCES - 1)
        back = estimates.flatten().index_select(0, (sent * CHANCES + chance).flatten()).view(sent.shape)
        change = torch.zeros_like(drive)
        change[played] = (back / full * scale - drives).to(drive.dtype)
    return drive + change

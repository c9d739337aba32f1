"""The network while it is trained (PyTorch), and its plain non-negative weights once it is.

Weights of the first three layers are squares, w = v², started sparse: then each unit soon lives on few inputs, as its
non-negative weights must, and a weight that is not needed vanishes by itself. Batch normalisation without scale follows
the pool, and is folded into weights and biases at the end; biases are held at or below zero, as a neuron's threshold
is. The last layer is signed while it is trained; see `folded`.
"""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import nn

from hil.training.augmentation import as_spikes, spiking_estimates

CONV1_PULSES = 32
DEFAULT_SEED = 67_280_421_310_721  # PyTorch's own


class Network(nn.Module):
    """The network in training; `forward` returns logits (n, 10)."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        rng = torch.Generator().manual_seed(seed)
        self.root1 = _sparse((32, 1, 5, 5), 4, rng)
        self.root2 = _sparse((64, 32, 5, 5), 12, rng)
        self.root3 = _sparse((1024, 3136), 8, rng)
        self.norm1, self.norm2, self.norm3 = nn.BatchNorm2d(32), nn.BatchNorm2d(64), nn.BatchNorm1d(1024)
        for norm in self.norms:
            norm.weight.requires_grad_(requires_grad=False)
        torch.manual_seed(DEFAULT_SEED + seed)  # the linear layer draws its start from the default generator
        self.last = nn.Linear(1024, 10)
        self.register_buffer("full_scale", torch.ones(32))
        self.full_scale: torch.Tensor
        self.register_buffer("estimates", spiking_estimates(CONV1_PULSES), persistent=False)
        self.estimates: torch.Tensor

    @property
    def norms(self) -> tuple[nn.BatchNorm2d, nn.BatchNorm2d, nn.BatchNorm1d]:
        """The three normalisations."""
        return self.norm1, self.norm2, self.norm3

    def forward(self, images: torch.Tensor, spiking: float = 0.0) -> torch.Tensor:
        """Logits; `spiking` is the share of the images whose conv1 is played."""
        h = F.conv2d(images, self.root1**2, padding=2)
        if spiking > 0:
            h = as_spikes(h, self.full_scale, self.estimates, spiking)
        h = F.relu(self.norm1(F.max_pool2d(h, 2)))
        h = F.relu(self.norm2(F.max_pool2d(F.conv2d(h, self.root2**2, padding=2), 2)))
        h = F.relu(self.norm3(F.linear(h.flatten(1), self.root3**2)))
        logits: torch.Tensor = self.last(h)
        return logits

    @torch.no_grad()
    def measure_full_scale(self, images: torch.Tensor) -> None:
        """Set conv1's full scale to the 99.9 % quantile of its drives on these images."""
        drive = F.conv2d(images, self.root1**2, padding=2).transpose(0, 1).flatten(1)
        self.full_scale.copy_(torch.from_numpy(np.quantile(drive.cpu().numpy(), 0.999, axis=1)))

    @torch.no_grad()
    def hold_biases(self) -> None:
        """Keep every folded bias at or below zero."""
        for norm in self.norms:
            assert norm.running_mean is not None  # noqa: S101 (tells the type checker that statistics are tracked)
            assert norm.running_var is not None  # noqa: S101
            norm.bias.copy_(torch.minimum(norm.bias, norm.running_mean / torch.sqrt(norm.running_var + norm.eps)))


def _sparse(shape: tuple[int, ...], large: int, rng: torch.Generator) -> nn.Parameter:
    """Roots of weights: about `large` of a unit's inputs matter at first, the rest are tiny."""
    inputs = math.prod(shape[1:])
    matters = torch.rand(shape, generator=rng) < large / inputs
    root = torch.where(
        matters, 0.4 + 0.6 * torch.rand(shape, generator=rng), 0.01 + 0.02 * torch.rand(shape, generator=rng)
    )
    return nn.Parameter(root / math.sqrt(large))


def folded(network: Network) -> dict[str, NDArray[np.float64]]:
    """The trained network as plain non-negative weights and biases: conv1.weight … fc2.bias.

    The last layer is made positive exactly: one constant added to all ten weights of an input adds the same to all ten
    logits, so the softmax stays as it is. The smallest constant that will do is taken.
    """
    tensors: dict[str, NDArray[np.float64]] = {}
    roots = (network.root1, network.root2, network.root3)
    for name, root, norm in zip(("conv1", "conv2", "fc1"), roots, network.norms, strict=True):
        scale = 1 / np.sqrt(_numbers(norm.running_var) + norm.eps)
        weight = _numbers(root) ** 2
        tensors[f"{name}.weight"] = weight * scale.reshape(-1, *[1] * (weight.ndim - 1))
        tensors[f"{name}.bias"] = np.minimum(_numbers(norm.bias) - _numbers(norm.running_mean) * scale, 0.0)
    last = _numbers(network.last.weight)
    tensors["fc2.weight"] = last - last.min(axis=0)
    tensors["fc2.bias"] = _numbers(network.last.bias)
    return tensors


def _numbers(tensor: torch.Tensor | None) -> NDArray[np.float64]:
    if tensor is None:
        raise ValueError("the normalisation has no statistics")
    return tensor.detach().cpu().numpy().astype(np.float64)

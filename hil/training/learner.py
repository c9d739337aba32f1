"""The network while it is trained (PyTorch), and its plain weights once it is.

All-positive, weights of the first three layers are squares, w = v², started sparse: then each unit soon lives on few
inputs, as its non-negative weights must, and a weight that is not needed vanishes by itself. Biases are held at or
below zero, as a neuron's threshold is, and the last layer is signed while it is trained; see `folded`. Differential,
weights and biases have either sign. Batch normalisation without scale follows the pool, and is folded into weights and
biases at the end.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import nn

from hil.network.encode import Coding
from hil.network.layers import BORDER
from hil.network.weights import CHANNELS, LayerWeights, Sees, Sign
from hil.training.spiking import Later, Playing, SpikingNeuron, as_spikes, pooled_spikes

DEFAULT_SEED = 67_280_421_310_721  # PyTorch's own
LEAST_SHARE = 1e-3  # of the largest full scale: a unit that hardly ever passes its threshold is not scaled by nothing
DROPPED = 0.3  # of fc1's outputs, while a differential network is trained
REVIVED = 0.02  # of the largest root of a unit: below that, a root that training goes on from could not move


class Learner(nn.Module):
    """The network in training; `forward` returns logits (n, 10)."""

    def __init__(
        self,
        seed: int,
        sign: Sign = "positive",
        neuron: SpikingNeuron | None = None,
        later: tuple[Later, ...] = (),
        sees: Sees = "on",
        coding: Coding = "whole",
    ) -> None:
        super().__init__()
        self.sees, self.coding = sees, coding
        self.later = {layer.name: layer.pulses for layer in later}
        rng = torch.Generator().manual_seed(seed)
        self.sign = sign
        self.neuron = neuron or SpikingNeuron.generic()
        start = _sparse if sign == "positive" else _normal
        self.raw1 = start((32, CHANNELS[sees], 5, 5), 4, rng)
        self.raw2 = start((64, 32, 5, 5), 12, rng)
        self.raw3 = start((1024, 3136), 8, rng)
        self.norm1, self.norm2, self.norm3 = nn.BatchNorm2d(32), nn.BatchNorm2d(64), nn.BatchNorm1d(1024)
        for norm in self.norms:
            norm.weight.requires_grad_(requires_grad=False)
        torch.manual_seed(DEFAULT_SEED + seed)  # the linear layer draws its start from the default generator
        self.last = nn.Linear(1024, 10)
        self.register_buffer("full_scale", torch.ones(32 if sign == "positive" else 64))
        self.full_scale: torch.Tensor

    @property
    def norms(self) -> tuple[nn.BatchNorm2d, nn.BatchNorm2d, nn.BatchNorm1d]:
        """The three normalisations."""
        return self.norm1, self.norm2, self.norm3

    @property
    def raws(self) -> tuple[nn.Parameter, nn.Parameter, nn.Parameter]:
        """What is learnt of the first three layers: roots of weights, or weights."""
        return self.raw1, self.raw2, self.raw3

    def weight(self, raw: torch.Tensor) -> torch.Tensor:
        """The weights of one of `raws`."""
        return raw**2 if self.sign == "positive" else raw

    def halves(self, images: torch.Tensor) -> torch.Tensor:
        """conv1's drives (n, 32, 28, 28), or (n, 64, 28, 28) of positive halves and then negative ones."""
        weight = self.weight(self.raw1)
        if self.sign == "differential":
            weight = torch.cat([F.relu(weight), F.relu(-weight)])
        return F.conv2d(seen(images, weight), weight)

    def forward(self, images: torch.Tensor, playings: Sequence[tuple[Playing, int]] = ()) -> torch.Tensor:
        """Logits; `playings` says of how many images, in order, conv1 is played how; of the rest it is in software.

        Where conv1 is played, `later` layers are too.
        """
        drive = self._conv1(images, playings)
        h = F.relu(self.norm1(drive))
        if self.coding == "excess":
            h = self._excess(h, self._full_scale_above(drive), [(playing.pulses, n) for playing, n in playings])
        h = F.relu(self.norm2(F.max_pool2d(F.conv2d(h, self.weight(self.raw2), padding=2), 2)))
        h = self._later("conv2", h, playings)
        h = F.relu(self.norm3(F.linear(h.flatten(1), self.weight(self.raw3))))
        h = self._later("fc1", h, playings)
        if self.sign == "differential":
            h = F.dropout(h, DROPPED, self.training)
        logits: torch.Tensor = self.last(h)
        return logits

    def _conv1(self, images: torch.Tensor, playings: Sequence[tuple[Playing, int]]) -> torch.Tensor:
        halves, maps, done = self.halves(images), [], 0
        for playing, count in (*playings, (None, len(images) - sum(n for _, n in playings))):
            if count:
                spiking = playing is not None and playing.pulses > 0 and self.coding == "whole"
                table = self.neuron.estimates(playing.pulses).to(images.device) if playing and spiking else None
                play = playing.play if playing else "all"
                maps.append(pooled_spikes(halves[done : done + count], self.full_scale, table, play))
                done += count
        return torch.cat(maps)

    @torch.no_grad()
    def _full_scale_above(self, drive: torch.Tensor) -> torch.Tensor:
        """How far conv1's full scales (units,) are above the thresholds, normalised as its pooled drives are."""
        norm, mean, variance = self.norm1, self.norm1.running_mean, self.norm1.running_var
        if self.training:
            variance, mean = torch.var_mean(drive.float(), (0, 2, 3), unbiased=False)
        assert mean is not None and variance is not None  # noqa: S101, PT018 (tells the type checker that they are tracked)
        above = (self.full_scale - mean) / torch.sqrt(variance + norm.eps) + norm.bias
        return torch.maximum(above, LEAST_SHARE * above.max())

    def _later(self, name: str, active: torch.Tensor, playings: Sequence[tuple[Playing, int]]) -> torch.Tensor:
        if name not in self.later:
            return active
        most = active.detach().float().view(len(active), active.shape[1], -1).amax((0, 2))
        return self._excess(active, most, [(self.later[name] * (playing.pulses > 0), n) for playing, n in playings])

    def _excess(self, active: torch.Tensor, most: torch.Tensor, played: Sequence[tuple[int, int]]) -> torch.Tensor:
        """Activations (n, units, …) as a neuron hands them back that is given what is above a unit's threshold.

        `played` says of how many images, in order, with how many pulses for `most` (units,); none: in software.
        """
        maps, back, done = active.view(len(active), active.shape[1], -1, 1), [], 0
        full_scale = most.clamp(min=torch.finfo(torch.float32).tiny)
        for pulses, count in (*played, (0, len(active) - sum(n for _, n in played))):
            part = maps[done : done + count]
            table = self.neuron.estimates(pulses).to(active.device) if pulses and count else None
            back.append(part if table is None else as_spikes(part, full_scale, table))
            done += count
        return torch.cat(back).view(active.shape)

    @torch.no_grad()
    def measure_full_scale(self, images: torch.Tensor) -> None:
        """Set conv1's full scales to the 99.9 % quantile of its drives on these images."""
        drive = self.halves(images).transpose(0, 1).flatten(1).float()
        scale = torch.from_numpy(np.quantile(drive.cpu().numpy(), 0.999, axis=1)).to(drive)
        self.full_scale.copy_(torch.maximum(scale, 1e-3 * scale.max()))

    @torch.no_grad()
    def hold_biases(self) -> None:
        """Keep every folded bias of an all-positive network at or below zero."""
        for norm in self.norms if self.sign == "positive" else ():
            assert norm.running_mean is not None  # noqa: S101 (tells the type checker that statistics are tracked)
            assert norm.running_var is not None  # noqa: S101
            norm.bias.copy_(torch.minimum(norm.bias, norm.running_mean / torch.sqrt(norm.running_var + norm.eps)))

    @torch.no_grad()
    def begin_from(self, layers: Sequence[LayerWeights], images: torch.Tensor) -> None:
        """Take up trained layers, each unit scaled so that its pooled drive spreads by 1 on images (n, 1, 28, 28).

        The next layer's weights make up for it, so that the network stays what it was, but for roots that were too
        small to learn from.
        """
        maps, scale = images, torch.ones(1)
        for layer, raw, norm in zip(layers, self.raws, self.norms, strict=False):
            weight = torch.from_numpy(layer.weight).to(images)
            drive = _pooled_drive(maps, weight)
            over = [d for d in range(drive.dim()) if d != 1]
            mean, deviation = drive.mean(over), drive.std(over) + 1e-6
            inputs = scale.to(images).repeat_interleave(weight[0].numel() // len(scale)).view(weight[:1].shape)
            scaled = weight * inputs / deviation.view(-1, *[1] * (weight.dim() - 1))
            raw.copy_(_revived(scaled) if self.sign == "positive" else scaled)
            bias = torch.from_numpy(layer.bias).to(images)
            norm.running_mean.copy_(mean / deviation)
            norm.running_var.fill_(1 - norm.eps)
            norm.bias.copy_((bias + mean) / deviation)
            maps, scale = F.relu(drive + bias.view(1, -1, *[1] * (drive.dim() - 2))), deviation
        self.last.weight.copy_(torch.from_numpy(layers[-1].weight).to(images) * scale)
        self.last.bias.copy_(torch.from_numpy(layers[-1].bias))


def _pooled_drive(maps: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    if weight.dim() == 2:
        return F.linear(maps.flatten(1), weight)
    return F.max_pool2d(F.conv2d(seen(maps, weight), weight), 2)


def seen(maps: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """The maps (n, channels, rows, columns) with a dark border, and their negative where kernels want twice as many."""
    bordered = F.pad(maps, (BORDER, BORDER, BORDER, BORDER))
    return torch.cat([bordered, 1 - bordered], 1) if weight.shape[1] == 2 * maps.shape[1] else bordered


def _revived(weight: torch.Tensor) -> torch.Tensor:
    root = weight.sqrt()
    least = REVIVED * root.flatten(1).amax(1)
    return torch.maximum(root, least.view(-1, *[1] * (weight.dim() - 1)))


def _sparse(shape: tuple[int, ...], large: int, rng: torch.Generator) -> nn.Parameter:
    """Roots of weights: about `large` of a unit's inputs matter at first, the rest are tiny."""
    inputs = math.prod(shape[1:])
    matters = torch.rand(shape, generator=rng) < large / inputs
    root = torch.where(
        matters, 0.4 + 0.6 * torch.rand(shape, generator=rng), 0.01 + 0.02 * torch.rand(shape, generator=rng)
    )
    return nn.Parameter(root / math.sqrt(large))


def _normal(shape: tuple[int, ...], _large: int, rng: torch.Generator) -> nn.Parameter:
    """Weights of either sign (He et al., ICCV 2015, equation 10)."""
    return nn.Parameter(torch.randn(shape, generator=rng) * math.sqrt(2 / math.prod(shape[1:])))


def folded(network: Learner) -> dict[str, NDArray[np.float64]]:
    """The trained network as plain weights and biases: conv1.weight … fc2.bias.

    The last layer of an all-positive network is made positive exactly: one constant added to all ten weights of an
    input adds the same to all ten logits, so the softmax stays as it is. The smallest constant that will do is taken.
    """
    positive = network.sign == "positive"
    tensors: dict[str, NDArray[np.float64]] = {}
    for name, raw, norm in zip(("conv1", "conv2", "fc1"), network.raws, network.norms, strict=True):
        scale = 1 / np.sqrt(_numbers(norm.running_var) + norm.eps)
        weight = _numbers(raw) ** 2 if positive else _numbers(raw)
        bias = _numbers(norm.bias) - _numbers(norm.running_mean) * scale
        tensors[f"{name}.weight"] = weight * scale.reshape(-1, *[1] * (weight.ndim - 1))
        tensors[f"{name}.bias"] = np.minimum(bias, 0.0) if positive else bias
    last = _numbers(network.last.weight)
    tensors["fc2.weight"] = last - last.min(axis=0) if positive else last
    tensors["fc2.bias"] = _numbers(network.last.bias)
    return tensors


def _numbers(tensor: torch.Tensor | None) -> NDArray[np.float64]:
    if tensor is None:
        raise ValueError("the normalisation has no statistics")
    return tensor.detach().cpu().numpy().astype(np.float64)

"""Train the network with non-negative weights (PyTorch, the extra `train`).

Weights of the first three layers are squares, w = v², started sparse. Batch normalisation without scale, after the
pool, is folded into weights and biases at the end; biases are held at or below zero, as a neuron's threshold is. The
last layer is trained signed and made positive exactly: one constant added to all ten weights of an input shifts every
logit alike. Two stages on clean digits are followed by one with pixels zeroed and with conv1 played on a generic
spiking neuron. Everything is chosen on the last 5,000 training digits; the test digits are never looked at.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import nn

from hil.augmentation import as_spikes, distort, zero_some
from hil.mnist import Digits

VALIDATION = 5_000
BATCH = 128
WARM_UP = 300
AVERAGING = 0.999
CONV1_PULSES = 32
GAUGED = 500  # images that conv1's full scale is measured on while training


@dataclass(frozen=True)
class Stage:
    """Some epochs at one peak learning rate; `zeroed` and `spiking` are shares of the images treated so."""

    epochs: int
    rate: float
    zeroed: float = 0.0
    spiking: float = 0.0


STAGES = (Stage(10, 1e-2), Stage(10, 8e-3), Stage(12, 5e-3, zeroed=0.6, spiking=0.6))
ZEROED_MOST = 0.8


@dataclass(frozen=True)
class Report:
    """How an epoch ended: validation accuracies of the averaged network."""

    stage: int
    epoch: int
    loss: float
    clean: float
    zeroed: float
    spiking: float
    spiking_zeroed: float

    def __str__(self) -> str:
        return (
            f"stage {self.stage} epoch {self.epoch}: loss {self.loss:.4f}, validation {self.clean:.2%}, "
            f"40 % zeroed {self.zeroed:.2%}; conv1 spiking {self.spiking:.2%}, 40 % zeroed {self.spiking_zeroed:.2%}"
        )


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
        self.last = nn.Linear(1024, 10)
        self.register_buffer("full_scale", torch.ones(32))
        self.full_scale: torch.Tensor

    @property
    def norms(self) -> tuple[nn.BatchNorm2d, nn.BatchNorm2d, nn.BatchNorm1d]:
        """The three normalisations."""
        return self.norm1, self.norm2, self.norm3

    def forward(self, images: torch.Tensor, spiking: float = 0.0) -> torch.Tensor:
        """Logits; `spiking` is the share of the images whose conv1 is played."""
        h = F.conv2d(images, self.root1**2, padding=2)
        if spiking > 0:
            h = as_spikes(h, self.full_scale, CONV1_PULSES, spiking)
        h = F.relu(self.norm1(F.max_pool2d(h, 2)))
        h = F.relu(self.norm2(F.max_pool2d(F.conv2d(h, self.root2**2, padding=2), 2)))
        h = F.relu(self.norm3(F.linear(h.flatten(1), self.root3**2)))
        logits: torch.Tensor = self.last(h)
        return logits

    @torch.no_grad()
    def measure_full_scale(self, images: torch.Tensor) -> None:
        """Set conv1's full scale to the 99.9 % quantile of its drives on these images."""
        drive = F.conv2d(images, self.root1**2, padding=2).transpose(0, 1).flatten(1)
        self.full_scale.copy_(torch.from_numpy(np.quantile(drive.numpy(), 0.999, axis=1)))

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


class Trainer:
    """Training that can be interrupted: `checkpoint` holds the averaged network after every stage."""

    def __init__(self, digits: Digits, seed: int, checkpoint: Path | None = None, device: str = "cpu") -> None:
        images = torch.from_numpy(digits[0].copy()).float().div(255)[:, None].to(device)
        labels = torch.from_numpy(digits[1].copy()).long().to(device)
        held = min(VALIDATION, len(images) // 5)
        self.images, self.labels = images[:-held], labels[:-held]
        self.held_images, self.held_labels = images[-held:], labels[-held:]
        self.seed = seed
        self.checkpoint = checkpoint
        self.network = Network(seed).to(device)

    def train(
        self, stages: tuple[Stage, ...], tell: Callable[[Report], None], step: Callable[[float], None] | None = None
    ) -> Network:
        """All stages; an existing checkpoint of the same seed is taken up after its last whole stage.

        `tell` is called after every epoch, `step` with the share of the work done.
        """
        total = sum(stage.epochs for stage in stages)
        done = 0
        finished = self._resume()
        for number, stage in enumerate(stages):
            if number >= finished:
                base = done

                def within(share: float, base: int = base, stage: Stage = stage) -> None:
                    if step is not None:
                        step((base + share * stage.epochs) / total)

                self._stage(number, stage, tell, within)
                self._save(number + 1)
            done += stage.epochs
        return self.network

    def _resume(self) -> int:
        if self.checkpoint is None or not self.checkpoint.exists():
            return 0
        saved = torch.load(self.checkpoint, weights_only=True)
        if saved["seed"] != self.seed:
            return 0
        self.network.load_state_dict(saved["network"])
        return int(saved["stages"])

    def _save(self, stages: int) -> None:
        if self.checkpoint is not None:
            partial = self.checkpoint.with_suffix(".partial")
            torch.save({"seed": self.seed, "stages": stages, "network": self.network.state_dict()}, partial)
            partial.replace(self.checkpoint)

    def _stage(self, number: int, stage: Stage, tell: Callable[[Report], None], step: Callable[[float], None]) -> None:
        torch.manual_seed(self.seed * 1_000 + number)
        rng = torch.Generator().manual_seed(self.seed * 1_000 + 500 + number)
        network = self.network
        learned = [p for p in network.parameters() if p.requires_grad]
        optimiser = torch.optim.AdamW(learned, lr=stage.rate, weight_decay=0.0)
        average = copy.deepcopy(network)
        batches = len(self.images) // BATCH
        network.measure_full_scale(self.images[:GAUGED])
        for epoch in range(stage.epochs):
            order, loss = torch.randperm(len(self.images), generator=rng), 0.0
            network.measure_full_scale(self.images[:GAUGED])
            for k in range(batches):
                t = epoch * batches + k
                _set_rate(optimiser, stage.rate, t, stage.epochs * batches)
                chosen = order[k * BATCH : (k + 1) * BATCH]
                loss += self._step(network, optimiser, stage, chosen, rng)
                _average(average, network, min(AVERAGING, (t + 1) / (t + 10)))
                step((t + 1) / (stage.epochs * batches))
            settled = self._settle(average, stage, rng)
            tell(self._report(settled, number, epoch, loss / batches))
        self.network = settled

    def _step(
        self,
        network: Network,
        optimiser: torch.optim.Optimizer,
        stage: Stage,
        chosen: torch.Tensor,
        rng: torch.Generator,
    ) -> float:
        network.train()
        images = zero_some(distort(self.images[chosen], rng), stage.zeroed, ZEROED_MOST, rng)
        # Half precision where the processor has it; the weights themselves stay in single precision.
        with torch.autocast(images.device.type, torch.bfloat16):
            logits = network(images, stage.spiking)
        loss = F.cross_entropy(logits.float(), self.labels[chosen])
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        network.hold_biases()
        return float(loss.detach())

    @torch.no_grad()
    def _settle(self, average: Network, stage: Stage, rng: torch.Generator) -> Network:
        """The averaged network with normalisation statistics of its own."""
        settled = copy.deepcopy(average)
        settled.measure_full_scale(self.images[:GAUGED])
        for norm in settled.norms:
            norm.reset_running_stats()
            norm.momentum = None  # cumulative
        settled.train()
        for _ in range(60):
            chosen = torch.randint(0, len(self.images), (256,), generator=rng)
            images = zero_some(distort(self.images[chosen], rng), stage.zeroed, ZEROED_MOST, rng)
            settled(images, stage.spiking)
        for norm in settled.norms:
            norm.momentum = 0.1
        settled.hold_biases()
        return settled

    @torch.no_grad()
    def _accuracy(self, network: Network, zeroed: float, spiking: float) -> float:
        network.eval()
        rng = torch.Generator().manual_seed(self.seed)
        right = 0
        for start in range(0, len(self.held_images), 500):
            images = self.held_images[start : start + 500]
            images = images * (torch.rand(images.shape, generator=rng) >= zeroed)
            right += int((network(images, spiking).argmax(1) == self.held_labels[start : start + 500]).sum())
        return right / len(self.held_images)

    def _report(self, network: Network, stage: int, epoch: int, loss: float) -> Report:
        accuracies = [self._accuracy(network, zeroed, spiking) for spiking in (0.0, 1.0) for zeroed in (0.0, 0.4)]
        return Report(stage, epoch, loss, *accuracies)


def _set_rate(optimiser: torch.optim.Optimizer, peak: float, t: int, total: int) -> None:
    rate = peak * min(1.0, (t + 1) / WARM_UP) * 0.5 * (1 + math.cos(math.pi * t / total))
    for group in optimiser.param_groups:
        group["lr"] = rate


@torch.no_grad()
def _average(average: Network, network: Network, keep: float) -> None:
    for kept, new in zip(average.parameters(), network.parameters(), strict=True):
        kept.lerp_(new, 1 - keep)


def folded(network: Network) -> dict[str, NDArray[np.float64]]:
    """The trained network as plain non-negative weights and biases: conv1.weight … fc2.bias."""
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

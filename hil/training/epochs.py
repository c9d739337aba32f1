"""Train the network with non-negative weights (PyTorch, the extra `train`).

Two stages on clean digits are followed by one with pixels zeroed and with conv1 played on a generic spiking neuron.
Everything is chosen on the last 5,000 training digits; the test digits are never looked at.
"""

from __future__ import annotations

import copy
import math
import pickle
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F

from drivers.durable import replacing
from drivers.errors import InputError
from hil.network.mnist import Digits
from hil.training.augmentation import distort, zero_some
from hil.training.nonnegative import Network

VALIDATION = 5_000
BATCH = 128
WARM_UP = 300
AVERAGING = 0.999
SETTLING_BATCHES, SETTLING_BATCH = 60, 256
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


def _ignore(_share: float) -> None:
    """For who does not want to know."""


class Trainer:
    """Training that can be interrupted: `checkpoint` holds everything after every epoch, and is taken up from there.

    A resumed training ends in the same weights as one that was never interrupted. Raises InputError for a checkpoint
    that cannot be read or belongs to another training, or a device that this PyTorch does not have. `digits` are those
    trained on and those held out.
    """

    def __init__(
        self,
        digits: Digits,
        seed: int,
        stages: tuple[Stage, ...] = STAGES,
        checkpoint: Path | None = None,
        device: str = "cpu",
    ) -> None:
        _check_device(device)
        images = torch.from_numpy(digits[0].copy()).float().div(255)[:, None].to(device)
        labels = torch.from_numpy(digits[1].copy()).long().to(device)
        held = min(VALIDATION, len(images) // 5)
        self.digits = (digits[0][:-held], digits[1][:-held]), (digits[0][-held:], digits[1][-held:])
        self.images, self.labels = images[:-held], labels[:-held]
        self.held_images, self.held_labels = images[-held:], labels[-held:]
        self.seed = seed
        self.stages = stages
        self.checkpoint = checkpoint
        self.network = Network(seed).to(device)

    def train(self, tell: Callable[[Report], None], step: Callable[[float], None] = _ignore) -> Network:
        """All stages; `tell` is called after every epoch, `step` after every batch with the share of the work done."""
        total, done = sum(stage.epochs for stage in self.stages), 0
        saved = self._resume()
        for number, stage in enumerate(self.stages):
            if saved is None or number >= saved["stage"]:
                state = _State(self.network, stage, self.seed, number)
                if saved is not None and number == saved["stage"]:
                    state.restore(saved)
                while state.epoch < stage.epochs:
                    tell(self._epoch(state, number, step, (done + state.epoch) / total, 1 / total))
            done += stage.epochs
        return self.network

    def _resume(self) -> dict[str, Any] | None:
        if self.checkpoint is None or not self.checkpoint.exists():
            return None
        try:
            if not zipfile.is_zipfile(self.checkpoint):
                raise pickle.UnpicklingError("not what torch.save writes")
            saved: dict[str, Any] = torch.load(self.checkpoint, weights_only=True)
            training = saved["training"]
        except (OSError, RuntimeError, pickle.UnpicklingError, KeyError, TypeError) as error:
            raise InputError(f"{self.checkpoint}: not a checkpoint of this program; delete it to start anew") from error
        if training != self._training():
            raise InputError(
                f"{self.checkpoint}: belongs to another training ({training}, not {self._training()}); "
                "delete it to start anew, or choose another --out"
            )
        self.network.load_state_dict(saved["settled"])
        return saved

    def _training(self) -> str:
        """What must be alike for a checkpoint to be taken up."""
        stages = "; ".join(f"{s.epochs} × {s.rate:g}, {s.zeroed:g}, {s.spiking:g}" for s in self.stages)
        return f"seed {self.seed}, {len(self.images)} digits, stages {stages}"

    def _save(self, state: _State, number: int) -> None:
        if self.checkpoint is not None:
            settled = {"training": self._training(), "stage": number, "settled": self.network.state_dict()}
            with replacing(self.checkpoint, "checkpoint") as partial:
                torch.save(settled | state.saved(), partial)

    def _epoch(self, state: _State, number: int, step: Callable[[float], None], done: float, share: float) -> Report:
        batches, stage, loss = len(self.images) // BATCH, state.stage, 0.0
        order = torch.randperm(len(self.images), generator=state.rng)
        state.network.measure_full_scale(self.images[:GAUGED])
        for k in range(batches):
            t = state.epoch * batches + k
            _set_rate(state.optimiser, stage.rate, t, stage.epochs * batches)
            loss += self._step(state, order[k * BATCH : (k + 1) * BATCH])
            _average(state.average, state.network, min(AVERAGING, (t + 1) / (t + 10)))
            step(done + share * (k + 1) / batches)
        self.network = self._settle(state)
        report = Report(number, state.epoch, loss / batches, *self.accuracies())
        state.epoch += 1
        self._save(state, number)
        return report

    def _step(self, state: _State, chosen: torch.Tensor) -> float:
        network, stage = state.network, state.stage
        network.train()
        images = zero_some(distort(self.images[chosen], state.rng), stage.zeroed, ZEROED_MOST, state.rng)
        # Half precision where the processor has it; the weights themselves stay in single precision.
        with torch.autocast(images.device.type, torch.bfloat16):
            logits = network(images, stage.spiking)
        loss = F.cross_entropy(logits.float(), self.labels[chosen])
        state.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        state.optimiser.step()
        network.hold_biases()
        return float(loss.detach())

    @torch.no_grad()
    def _settle(self, state: _State) -> Network:
        """The averaged network with normalisation statistics of its own."""
        settled = copy.deepcopy(state.average)
        settled.measure_full_scale(self.images[:GAUGED])
        for norm in settled.norms:
            norm.reset_running_stats()
            norm.momentum = None  # cumulative
        settled.train()
        for _ in range(min(SETTLING_BATCHES, 1 + len(self.images) // SETTLING_BATCH)):
            chosen = torch.randint(0, len(self.images), (SETTLING_BATCH,), generator=state.rng)
            images = distort(self.images[chosen], state.rng)
            settled(zero_some(images, state.stage.zeroed, ZEROED_MOST, state.rng), state.stage.spiking)
        for norm in settled.norms:
            norm.momentum = 0.1
        settled.hold_biases()
        return settled

    def accuracies(self) -> tuple[float, float, float, float]:
        """On the digits held out: clean and with 40 % of the pixels zeroed in software; then with conv1 spiking."""
        with torch.random.fork_rng():
            torch.manual_seed(self.seed)
            clean, zeroed, spiking, both = (self._accuracy(z, s) for s in (0.0, 1.0) for z in (0.0, 0.4))
        return clean, zeroed, spiking, both

    @torch.no_grad()
    def _accuracy(self, zeroed: float, spiking: float) -> float:
        self.network.eval()
        rng = torch.Generator().manual_seed(self.seed)
        right = 0
        for start in range(0, len(self.held_images), 500):
            images = self.held_images[start : start + 500]
            images = images * (torch.rand(images.shape, generator=rng) >= zeroed).to(images.device)
            answers = self.network(images, spiking).argmax(1)
            right += int((answers == self.held_labels[start : start + 500]).sum())
        return right / len(self.held_images)


class _State:
    """Where a stage stands: what has to be kept for the next epoch."""

    def __init__(self, network: Network, stage: Stage, seed: int, number: int) -> None:
        torch.manual_seed(seed * 1_000 + number)
        self.rng = torch.Generator().manual_seed(seed * 1_000 + 500 + number)
        self.stage = stage
        self.epoch = 0
        self.network = copy.deepcopy(network)
        self.average = copy.deepcopy(network)
        learned = [p for p in self.network.parameters() if p.requires_grad]
        self.optimiser = torch.optim.AdamW(learned, lr=stage.rate, weight_decay=0.0, fused=True)

    def saved(self) -> dict[str, Any]:
        return {
            "epoch": self.epoch,
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "rng": self.rng.get_state(),
            "default_rng": torch.get_rng_state(),
        }

    def restore(self, saved: dict[str, Any]) -> None:
        self.epoch = saved["epoch"]
        self.network.load_state_dict(saved["network"])
        self.average.load_state_dict(saved["average"])
        self.optimiser.load_state_dict(saved["optimiser"])
        self.rng.set_state(saved["rng"])
        torch.set_rng_state(saved["default_rng"])


def threads() -> int:
    """How many PyTorch works with: sums are rounded otherwise with another number, and weights differ a little."""
    return int(torch.get_num_threads())


def _check_device(device: str) -> None:
    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"--device {device!r} cannot be used by this PyTorch ({reason}); try cpu") from error


def _set_rate(optimiser: torch.optim.Optimizer, peak: float, t: int, total: int) -> None:
    rate = peak * min(1.0, (t + 1) / WARM_UP) * 0.5 * (1 + math.cos(math.pi * t / total))
    for group in optimiser.param_groups:
        group["lr"] = rate


@torch.no_grad()
def _average(average: Network, network: Network, keep: float) -> None:
    for kept, new in zip(average.parameters(), network.parameters(), strict=True):
        kept.lerp_(new, 1 - keep)

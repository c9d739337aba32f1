"""Train the network (PyTorch, the extra `train`), with the neuron in the loop.

Images are distorted, some have pixels zeroed, and of most conv1 is played on a spiking neuron in one of several ways.
A teacher, if there is one, says what it makes of each image. Everything is chosen on the last 5,000 training digits;
the test digits are never looked at.
"""

from __future__ import annotations

import copy
import math
import pickle
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F

from drivers.durable import replacing
from drivers.errors import InputError
from hil.network.encode import Coding
from hil.network.mnist import HELD_OUT, Digits
from hil.network.weights import Sees, Sign, Weights
from hil.training.augmentation import distort, zero_some
from hil.training.learner import Learner
from hil.training.recipes import RECIPES, Stage
from hil.training.spiking import SOFTWARE, Later, Playing, SpikingNeuron, portions

BATCH = 128
WARM_UP = 300
AVERAGING = 0.999
SETTLING_BATCHES, SETTLING_BATCH = 60, 256
GAUGED = 300  # images that conv1's full scale is measured on while training,
GAUGED_EVERY = 200  # batches
SOFTNESS = 2.0  # temperature at which the teacher's chances are matched (Hinton, Vinyals, Dean, arXiv:1503.02531)
TAUGHT = 0.7  # weight of what the teacher says; the rest is what the labels say


ZEROED_MOST = 0.8
ZEROED_TOLD = (0.4, 0.7)  # that accuracies are told for
STARTED = 2_000  # images that a start is scaled on


@dataclass(frozen=True)
class Accuracy:
    """Share of the digits held out that are answered rightly, with conv1 played so and a share of the pixels zeroed."""

    playing: Playing
    zeroed: float
    share: float

    def __str__(self) -> str:
        how = "software" if self.playing.pulses == 0 else str(self.playing)
        return f"{how} {self.share:.2%}" + (f" at {self.zeroed:.0%} zeroed" if self.zeroed else "")


@dataclass(frozen=True)
class Report:
    """How an epoch ended: validation accuracies of the averaged network, of each way that conv1 is played."""

    stage: int
    epoch: int
    loss: float
    accuracies: tuple[Accuracy, ...]

    def __str__(self) -> str:
        found = ", ".join(map(str, self.accuracies))
        return f"stage {self.stage} epoch {self.epoch}: loss {self.loss:.4f}; validation: {found}"


def _ignore(_share: float) -> None:
    """For who does not want to know."""


@dataclass(frozen=True)
class Pupil:
    """Who is trained: the sign of its weights and the neuron in its loop, the weights it goes on from, its teacher, a
    network that knows better, and the later layers that are played too.
    """

    sign: Sign = "positive"
    neuron: SpikingNeuron | None = None
    start: Weights | None = None
    teacher: Weights | None = None
    later: tuple[Later, ...] = ()
    sees: Sees = "on"
    coding: Coding = "whole"


POSITIVE = Pupil()


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
        stages: tuple[Stage, ...] | None = None,
        checkpoint: Path | None = None,
        device: str = "cpu",
        pupil: Pupil = POSITIVE,
    ) -> None:
        _check_device(device)
        sign, start, teacher = pupil.sign, pupil.start, pupil.teacher
        images = torch.from_numpy(digits[0].copy()).float().div(255)[:, None].to(device)
        labels = torch.from_numpy(digits[1].copy()).long().to(device)
        held = min(HELD_OUT, len(images) // 5)
        self.digits = (digits[0][:-held], digits[1][:-held]), (digits[0][-held:], digits[1][-held:])
        self.images, self.labels = images[:-held], labels[:-held]
        self.held_images, self.held_labels = images[-held:], labels[-held:]
        self.seed = seed
        self.recipe = RECIPES[sign]
        self.stages = stages or (self.recipe.further if start else self.recipe.stages)
        self.checkpoint = checkpoint
        self.network = Learner(seed, sign, pupil.neuron, pupil.later, pupil.sees, pupil.coding)
        self.network.to(device, memory_format=torch.channels_last)
        self.sources = [f"{what} {w.digest[:12]}" for what, w in (("start", start), ("teacher", teacher)) if w]
        self.sources += [f"sees {pupil.sees}"] if pupil.sees != "on" else []
        self.sources += [f"coded {pupil.coding}"] if pupil.coding != "whole" else []
        self.sources += [f"played too {layer}" for layer in pupil.later]
        if start is not None:
            self.network.begin_from(start.layers, self.images[:STARTED])
        self.teacher: Learner | None = None
        if teacher is not None:
            self.teacher = (
                Learner(seed, teacher.sign, sees=teacher.sees).to(device, memory_format=torch.channels_last).eval()
            )
            self.teacher.begin_from(teacher.layers, self.images[:STARTED])

    def train(self, tell: Callable[[Report], None], step: Callable[[float], None] = _ignore) -> Learner:
        """All stages; `tell` is called after every epoch, `step` after every batch with the share of the work done."""
        total, done = sum(stage.epochs for stage in self.stages), 0
        saved = self._resume()
        for number, stage in enumerate(self.stages):
            if saved is None or number >= saved["stage"]:
                state = _State(self.network, stage, self.seed, number, self.recipe.decay)
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
        network = self.network
        parts = [f"seed {self.seed}", f"{len(self.images)} digits", network.sign, f"neuron {network.neuron.name}"]
        return ", ".join([*parts, *self.sources, f"stages {'; '.join(map(str, self.stages))}"])

    def _save(self, state: _State, number: int) -> None:
        if self.checkpoint is not None:
            settled = {"training": self._training(), "stage": number, "settled": self.network.state_dict()}
            with replacing(self.checkpoint, "checkpoint") as partial:
                torch.save(settled | state.saved(), partial)

    def _epoch(self, state: _State, number: int, step: Callable[[float], None], done: float, share: float) -> Report:
        batches, stage, loss = len(self.images) // BATCH, state.stage, 0.0
        order = torch.randperm(len(self.images), generator=state.rng)
        for k in range(batches):
            if k % GAUGED_EVERY == 0:
                state.network.measure_full_scale(self.images[:GAUGED])
            t = state.epoch * batches + k
            _set_rate(state.optimiser, stage.rate, t, stage.epochs * batches)
            loss += self._step(state, order[k * BATCH : (k + 1) * BATCH])
            _average(state.average, state.network, min(AVERAGING, (t + 1) / (t + 10)))
            step(done + share * (k + 1) / batches)
        self.network = self._settle(state)
        report = Report(number, state.epoch, loss / batches, self.accuracies())
        state.epoch += 1
        self._save(state, number)
        return report

    def _step(self, state: _State, chosen: torch.Tensor) -> float:
        network, stage = state.network, state.stage
        network.train()
        images = zero_some(distort(self.images[chosen], state.rng), stage.zeroed, ZEROED_MOST, state.rng)
        images = images.to(memory_format=torch.channels_last)
        # Half precision where the processor has it; the weights themselves stay in single precision.
        with torch.autocast(images.device.type, torch.bfloat16):
            logits = network(images, portions(stage.playings, len(images)))
        loss = self._loss(logits.float(), images, self.labels[chosen])
        state.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        state.optimiser.step()
        network.hold_biases()
        return float(loss.detach())

    def _loss(self, logits: torch.Tensor, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        loss = F.cross_entropy(logits, labels)
        if self.teacher is None:
            return loss
        with torch.no_grad(), torch.autocast(images.device.type, torch.bfloat16):
            said = F.softmax(self.teacher(images).float() / SOFTNESS, 1)
        apart = F.kl_div(F.log_softmax(logits / SOFTNESS, 1), said, reduction="batchmean")
        return (1 - TAUGHT) * loss + TAUGHT * SOFTNESS**2 * apart

    @torch.no_grad()
    def _settle(self, state: _State) -> Learner:
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
            images = zero_some(images, state.stage.zeroed, ZEROED_MOST, state.rng)
            settled(images.to(memory_format=torch.channels_last), portions(state.stage.playings, len(images)))
        for norm in settled.norms:
            norm.momentum = 0.1
        settled.hold_biases()
        return settled

    def accuracies(self) -> tuple[Accuracy, ...]:
        """On the digits held out: in software, with the fewest pulses, with the most; these also with pixels zeroed."""
        ways = [replace(p, share=1) for p in self.stages[-1].playings if p.pulses] or [SOFTWARE]
        fewest, most = min(ways, key=lambda way: way.pulses), max(ways, key=lambda way: way.pulses)
        asked = [(way, 0.0) for way in dict.fromkeys((SOFTWARE, fewest, most))] + [(most, z) for z in ZEROED_TOLD]
        with torch.random.fork_rng():
            torch.manual_seed(self.seed)
            return tuple(Accuracy(way, zeroed, self._accuracy(zeroed, way)) for way, zeroed in asked)

    @torch.no_grad()
    def _accuracy(self, zeroed: float, playing: Playing) -> float:
        self.network.eval()
        rng = torch.Generator().manual_seed(self.seed)
        right = 0
        for start in range(0, len(self.held_images), 500):
            images = self.held_images[start : start + 500]
            images = images * (torch.rand(images.shape, generator=rng) >= zeroed).to(images.device)
            images = images.to(memory_format=torch.channels_last)
            with torch.autocast(images.device.type, torch.bfloat16):
                answers = self.network(images, [(playing, len(images))]).argmax(1)
            right += int((answers == self.held_labels[start : start + 500]).sum())
        return right / len(self.held_images)


class _State:
    """Where a stage stands: what has to be kept for the next epoch."""

    def __init__(self, network: Learner, stage: Stage, seed: int, number: int, decay: float) -> None:
        torch.manual_seed(seed * 1_000 + number)
        self.rng = torch.Generator().manual_seed(seed * 1_000 + 500 + number)
        self.stage = stage
        self.epoch = 0
        self.network = copy.deepcopy(network)
        self.average = copy.deepcopy(network)
        learned = [p for p in self.network.parameters() if p.requires_grad]
        self.optimiser = torch.optim.AdamW(learned, lr=stage.rate, weight_decay=decay, fused=True)

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
def _average(average: Learner, network: Learner, keep: float) -> None:
    for kept, new in zip(average.parameters(), network.parameters(), strict=True):
        kept.lerp_(new, 1 - keep)

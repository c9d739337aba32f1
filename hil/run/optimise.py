"""Which way of playing takes the least bench time at a wanted accuracy, found on training digits held out.

What is tried: which neurons are played, what of their drives, how many pulses full scale is, in one helping or in
several, and last, of the best of these, faster dendrite clocks. The order of slots is not among it: every slot begins
with a reset and lasts as long as its own pulses, so that no order of them is shorter. Nor are fixed slots, which last
as long as the longest adaptive one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from calibration.transfer import TransferCurve
from drivers.errors import InputError, LimitError
from drivers.signals import Frame, FrameKey
from hil.network.encode import Coding, slot_identities
from hil.run.config import noisy
from hil.run.digits import Course, recogniser
from hil.run.opening import open_measured
from hil.run.sequential import find_rule

if TYPE_CHECKING:
    from drivers.bench import Bench
    from hil.network.mnist import Digits
    from hil.network.pooled import Play
    from hil.network.weights import Sees, Weights
    from hil.run.config import RunConfig
    from hil.run.loop import Answer

FULL_SCALES = (8, 16, 32, 64)
HELPINGS = ((4, 28), (8, 24), (8, 56))
FASTER = (1.25, 1.5, 2.0, 2.5)
STOP_ERROR = 0.002  # share of digits that may stop with another answer than all helpings would have given
BATCH = 50


@dataclass(frozen=True)
class Trial:
    """One way of playing, and what it did with the digits: how many of them it answered rightly, and means a digit."""

    config: RunConfig
    digits: int
    right: int
    pulses: float
    bench_s: float

    @property
    def accuracy(self) -> float:
        """Share of the digits that are right."""
        return self.right / self.digits


def ways(config: RunConfig, sees: Sees = "on") -> list[RunConfig]:
    """The configuration with every other way of playing its one layer; raises InputError when there is not one.

    Of weights that see dark pixels whole drives are not tried: they are mostly what is below threshold.
    """
    if len(config.parts) != 1:
        raise InputError(f"one layer must be on the neuron, and --physical is {config.physical}")
    layer = config.parts[0].layer
    codings: list[Coding] = ["whole", "excess"] if config.sign == "positive" and layer.relu else ["whole"]
    codings = codings[-1:] if sees == "on-off" else codings
    plays: list[Play] = ["all", "pooled"] if layer.is_convolution else ["all"]
    leanest: dict[str, Any] = {"play": plays[-1], "coding": codings[-1]}
    single: list[dict[str, Any]] = [
        {"play": play, "coding": coding, "helpings": (), "sure": 1.0, "full_scale_pulses": {layer.name: n}}
        for play, coding in dict.fromkeys([*((play, codings[0]) for play in plays), (plays[-1], codings[-1])])
        for n in FULL_SCALES
    ]
    several = [{**leanest, "helpings": each, "full_scale_pulses": {layer.name: sum(each)}} for each in HELPINGS]
    return [config.model_copy(update=way) for way in (*single, *several)]


def faster(config: RunConfig) -> list[RunConfig]:
    """The configuration with faster dendrite clocks, as far as the bench's limits allow them."""
    found = []
    for times in FASTER:
        timing = config.timing.model_copy(update={"dendrite_clock_hz": times * config.timing.dendrite_clock_hz})
        quicker = config.model_copy(update={"timing": timing})
        if config.timing.mode == "adaptive" and _allowed(quicker):
            found.append(quicker)
    return found


def _allowed(config: RunConfig) -> bool:
    part = config.parts[0]
    pulses = np.full(part.slots, max(config.full_scale_pulses.values()), dtype=np.int32)
    layer, channel, position = slot_identities(part)
    try:
        config.bench.check_frame(Frame(FrameKey("plan", 0, 0), config.timing, pulses, layer, channel, position))
    except LimitError:
        return False
    return True


def optimise(
    config: RunConfig, weights: Weights, digits: Digits, wanted: float, tell: Callable[[int, int], None]
) -> tuple[list[Trial], Trial]:
    """Try every way on the digits (images, labels): all trials, and the one to use.

    That is the quickest of those with the `wanted` accuracy, or the most accurate one where none has it. `tell` gets
    how many ways were tried, of how many. Raises InputError.
    """
    todo = ways(config, weights.sees)
    trials: list[Trial] = []
    total = len(todo) + len(FASTER)

    def tried(some: list[RunConfig]) -> Iterator[Trial]:
        with _Neuron.opened(some) as neuron:
            for way in some:
                tell(len(trials), total)
                yield neuron.try_out(way, weights, digits)

    trials.extend(tried(todo))
    for quicker in faster(chosen(trials, wanted).config):
        trials.extend(tried([quicker]))
    tell(total, total)
    return trials, chosen(trials, wanted)


def chosen(trials: Iterable[Trial], wanted: float) -> Trial:
    """The quickest with the wanted accuracy; else the most accurate, and of these the quickest."""
    return min(trials, key=lambda trial: (max(wanted - trial.accuracy, 0.0), trial.bench_s))


def front(trials: Iterable[Trial]) -> list[Trial]:
    """Those that no other surpasses with as few pulses, by rising pulses: the Pareto front."""
    best, found = -1, []
    for trial in sorted(trials, key=lambda trial: (trial.pulses, -trial.right)):
        if trial.right > best:
            best = trial.right
            found.append(trial)
    return found


@dataclass(frozen=True)
class _Neuron:
    """The simulated neuron at one slot timing, and its transfer curve."""

    bench: Bench
    curve: TransferCurve

    @classmethod
    @contextmanager
    def opened(cls, some: list[RunConfig]) -> Iterator[_Neuron]:
        """For these ways of playing, which have one timing."""
        most = max(some, key=lambda way: max(way.full_scale_pulses.values()))
        with ExitStack() as stack:
            bench, measured = open_measured(most, stack)
            if bench is None or measured.curve is None:
                raise InputError(f"--physical {most.physical}: nothing is played on the neuron")
            yield cls(bench, TransferCurve.from_dict(measured.curve))

    def try_out(self, config: RunConfig, weights: Weights, digits: Digits) -> Trial:
        """Play the second half of the digits so; the first half says when helpings may end. Raises CalibrationError."""
        half = len(digits[0]) // 2
        if config.helpings:
            throughout = config.model_copy(update={"sure": np.inf})
            answers = list(self._answers(throughout, weights, digits, np.arange(half)))
            confidence = np.array([[sure for _, sure in answer.earlier] for answer in answers])
            changed = np.array([[said != answer.answer for said, _ in answer.earlier] for answer in answers])
            config = config.model_copy(update={"sure": find_rule(confidence, changed, STOP_ERROR).sure})
        played = list(self._answers(config, weights, digits, np.arange(half, len(digits[0]))))
        right = sum(int(answer.answer == digits[1][answer.index]) for answer in played)
        pulses, bench_s = (sum(getattr(answer.spent, what) for answer in played) for what in ("pulses", "bench_s"))
        return Trial(config, len(played), right, pulses / len(played), bench_s / len(played))

    def _answers(
        self, config: RunConfig, weights: Weights, digits: Digits, index: NDArray[np.int64]
    ) -> Iterator[Answer]:
        host = recogniser(config, weights, self.curve, config.noise[0], Course())
        parts = (index[k : k + BATCH] for k in range(0, len(index), BATCH))
        yield from host.answers(
            self.bench, ((part, noisy(digits[0][part], part, config.noise[0], config.seed)) for part in parts)
        )

"""Do what a configuration says on an open bench: digits in, one result a digit out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hil.config import RunConfig, noisy, recogniser
from hil.plausible import Judge
from hil.recognise import Odometer

if TYPE_CHECKING:
    from drivers.bench import Bench
    from hil.network import Floats
    from hil.recognise import Watcher
    from hil.weights import Weights


@dataclass(frozen=True)
class DigitResult:
    """One digit's answer, its truth and what it cost."""

    index: int
    label: int
    answer: int
    confidence: float
    pulses: int
    spikes: int
    bench_s: float
    noise: int
    saturated: int
    stray: int

    @property
    def correct(self) -> bool:
        """Whether the answer is the label."""
        return self.answer == self.label

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def heading(config: RunConfig) -> str:
    """What is played where, in a few words."""
    return (
        f"{config.physical} on {config.bench.name} ({config.device.id}, V_th {config.vth_v:g} V, {config.timing.key()})"
    )


def _ignore(_text: str) -> None:
    """For who does not want to know."""


def execute(
    config: RunConfig,
    weights: Weights,
    bench: Bench | None,
    *,
    batch: int = 1,
    odometer: Odometer | None = None,
    watch: Watcher | None = None,
    keep: bool = False,
    strict: bool = True,
    tell: Callable[[str], None] = _ignore,
    done: Mapping[tuple[int, int], int] | None = None,
) -> Iterator[tuple[DigitResult, dict[str, Floats]]]:
    """Recognise the configured digits at every level of noise, in order, `batch` images at a time.

    Yields each result with the maps of every layer (empty unless `keep`). The bench's V_th must have been set. Digits
    in `done`, (noise, index) → pulses they took, are passed over; the odometer counts their pulses.
    `strict` refuses counts that cannot be, with an ImplausibleError, and looks for drift, which it tells.
    """
    from hil.mnist import load_test

    images, labels = load_test()
    distance = odometer or Odometer()
    judge = Judge(config.drift, tell) if strict else None
    for noise in config.noise:
        host = recogniser(config, weights, noise=noise, odometer=distance, keep=keep, judge=judge, watch=watch)
        for answer in host.answers(bench, _batches(images, config, noise, batch, distance, done or {})):
            spent = answer.spent
            result = DigitResult(
                index=answer.index,
                label=int(labels[answer.index]),
                answer=answer.answer,
                confidence=round(answer.confidence, 6),
                pulses=spent.pulses,
                spikes=spent.spikes,
                bench_s=spent.bench_s,
                noise=noise,
                saturated=spent.saturated,
                stray=spent.stray,
            )
            yield result, answer.kept


def _batches(
    images: NDArray[np.uint8],
    config: RunConfig,
    noise: int,
    batch: int,
    odometer: Odometer,
    done: Mapping[tuple[int, int], int],
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.uint8]]]:
    """Batches of digits still to do. The host asks for one just before it plays it: the odometer is right by then."""
    waiting: list[int] = []
    for image in config.images:
        if (noise, image) not in done:
            waiting.append(image)
        if waiting and (len(waiting) == batch or (noise, image) in done):
            yield _batch(images, waiting, noise, config.seed)
            waiting = []
        odometer.pulses += done.get((noise, image), 0)
    if waiting:
        yield _batch(images, waiting, noise, config.seed)


def _batch(
    images: NDArray[np.uint8], which: list[int], noise: int, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    index = np.array(which)
    return index, noisy(images[index], index, noise, seed)

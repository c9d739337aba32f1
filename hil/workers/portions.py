"""Recognising many digits on the simulated neuron, in parts that say all that their results depend on."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from drivers.opening import drifts, make_bench
from hil.network.weights import load_weights
from hil.run.config import RunConfig
from hil.run.digits import Course, DigitResult, recognise_digits
from hil.run.judge import Judge
from hil.run.loop import Odometer

if TYPE_CHECKING:
    from drivers.bench import Bench
    from hil.network.weights import Weights

BATCH = 50  # images that go through the software layers at once: large enough for the matrix products, small in memory
PART = 10 * BATCH  # images of a part


@dataclass(frozen=True)
class Part:
    """Digits of one level of noise. The configuration has its transfer curve; `pulses_before` had the device by then.

    Unless `judged`, nobody looks whether the answers fit the curve.
    """

    config: RunConfig
    pulses_before: int = 0
    judged: bool = True


def parts_of(config: RunConfig) -> list[Part]:
    """The digits of a configuration, by noise and index, in parts whose results do not depend on each other's.

    A device that drifts is new at the beginning, and what comes after depends on what went before: one part.
    """
    if config.parts and drifts(config.device):
        return [Part(config)]
    images = config.images
    return [
        Part(config.model_copy(update={"noise": (noise,), "digits": f"{start}:{min(start + PART, images.stop)}"}))
        for noise in config.noise
        for start in range(images.start, images.stop, PART)
    ]


def recognise_part(part: Part) -> Iterator[DigitResult]:
    """The results of a part, as they come; raises HilError."""
    config = part.config
    bench, weights = _at_hand(_neutral(config).model_dump_json(), threading.get_ident())
    if bench is not None:
        bench.set_threshold(config.vth_v)
    judge = Judge(config.drift, lambda text: print(text, file=sys.stderr)) if part.judged else None
    course = Course(batch=BATCH, judge=judge, odometer=Odometer(part.pulses_before))
    for result, _ in recognise_digits(config, weights, bench, course):
        yield result


def _neutral(config: RunConfig) -> RunConfig:
    """All that bench and weights depend on, alike for all parts."""
    return config.model_copy(update={"digits": "0:1", "noise": (0,)})


@lru_cache(maxsize=2)
def _at_hand(settings: str, thread: int) -> tuple[Bench | None, Weights]:  # noqa: ARG001 (a bench is of one thread)
    """The simulated bench, whose tables take a second to make, and the weights: kept from part to part."""
    config = RunConfig.model_validate_json(settings)
    weights = load_weights(config.weights_path)
    if not config.parts:
        return None, weights
    bench = make_bench(config.bench, config.device, seed=config.seed, fidelity=config.fidelity, traces=config.traces)
    return bench, weights

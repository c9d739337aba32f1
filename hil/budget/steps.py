"""The steps of a loss budget, each of which adds one thing to the one before, on the same digits."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from drivers.device import DeviceFile, load_device
from drivers.opening import drifting, drifts
from hil.budget.captured import record_and_decode
from hil.budget.exact import exact_curve, recognise_exactly
from hil.budget.losses import Step
from hil.network.weights import load_weights
from hil.run.opening import open_measured
from hil.workers.portions import Part, parts_of, recognise_part

if TYPE_CHECKING:
    from hil.run.config import RunConfig
    from hil.run.digits import DigitResult
    from hil.workers.crew import Work

FLOAT = "differential"  # the network of this shape that ships with weights of either sign
# Whoever does the work of a step of this name: results of all parts in order, or as many as there are when stopped.
Doing = Callable[[str, "Work[Part, DigitResult]", Sequence[Part]], "list[list[DigitResult]]"]


@dataclass(frozen=True)
class Wanted:
    """A configuration of one level of noise, with its transfer curve and a device that does not drift.

    `device` is the one that was asked for; unless that drifts by itself, `weaker` (a share) says by how much its pulses
    get weaker over these digits. The first `captured` digits are recorded with traces.
    """

    config: RunConfig
    device: DeviceFile
    weaker: float
    captured: int


def steps(wanted: Wanted, do: Doing) -> Iterator[Step]:
    """All steps in order, until one has no results because it was stopped; raises HilError."""
    taken: list[Step] = []
    for name, about, work, parts in _planned(wanted, taken):
        results = [result for some in do(name, work, parts) for result in some]
        if not results:
            return
        taken.append(Step(name, about, results, taken[-1] if taken else None))
        yield taken[-1]


def _planned(wanted: Wanted, taken: Sequence[Step]) -> Iterator[tuple[str, str, Work[Part, DigitResult], list[Part]]]:
    """Name, what it adds, and the work of each step; those before it have been `taken` when it is asked for."""
    config = wanted.config
    signed = load_weights(FLOAT)
    alone: dict[str, Any] = {"physical": "none", "helpings": (), "sure": 1.0}
    either = {**alone, "weights_path": FLOAT, "weights_digest": signed.digest, "sign": signed.sign, "coding": "whole"}
    yield "float", "weights of either sign, in software", recognise_part, parts_of(config.model_copy(update=either))
    if config.sign == "positive":
        yield "non-negative", "these weights, in software", recognise_part, parts_of(config.model_copy(update=alone))
    exact = config.model_copy(update={"curve": exact_curve(config).to_dict()})
    about = "drives rounded and cut off to whole pulses, and turned back exactly"
    yield "whole pulses", about, recognise_exactly, parts_of(exact)
    yield "ideal neuron", "a spike a pulse, by the curve measured of it", recognise_part, parts_of(_ideal(config))
    yield "stochastic neuron", f"device {wanted.device.id}", recognise_part, parts_of(config)
    device, about = _drifting(wanted, taken[-1])
    aged = config.model_copy(update={"device": device})
    yield "drift", about, recognise_part, _aged(parts_of(config), aged, taken[-1])
    yield from _captured(wanted, aged, taken[-1])


def _ideal(config: RunConfig) -> RunConfig:
    """On the device without chance, with a curve of its own."""
    bench = config.bench.model_copy(update={"calibration": ""})
    ideal = config.model_copy(
        update={"device": load_device("ideal"), "bench": bench, "curve": None, "calibration_id": ""}
    )
    with ExitStack() as stack:
        return open_measured(ideal, stack)[1]


def _drifting(wanted: Wanted, stochastic: Step) -> tuple[DeviceFile, str]:
    pulses = sum(result.pulses for result in stochastic.results)
    if drifts(wanted.device):
        return wanted.device, f"as its file says, over {pulses:,} pulses; decoded by the curve of before"
    about = f"step {wanted.weaker:.1%} smaller after {pulses:,} pulses, evenly; decoded by the curve of before"
    return drifting(wanted.device, -wanted.weaker, pulses), about


def _aged(parts: Sequence[Part], config: RunConfig, before: Step) -> list[Part]:
    """The same digits on the device that drifts: what it has had before a part is what was played of the parts before.

    A step alike in all but the drift tells how much that is, so that parts need not wait for each other.
    """
    spent = {index: result.planned_pulses for index, result in before.by_index.items()}
    first = config.images.start
    return [
        Part(
            part.config.model_copy(update={"device": config.device}),
            pulses_before=sum(spent.get(index, 0) for index in range(first, part.config.images.start)),
            judged=False,
        )
        for part in parts
    ]


def _captured(
    wanted: Wanted, aged: RunConfig, drifted: Step
) -> Iterator[tuple[str, str, Work[Part, DigitResult], list[Part]]]:
    """One part a digit, since that is seconds of work."""
    images = aged.images[: wanted.captured]
    if not images:
        return
    single = [Part(aged.model_copy(update={"digits": f"{index}:{index + 1}"})) for index in images]
    about = f"the first {len(images)}, pulse by pulse with traces, decoded again from these; other draws than before"
    parts = [replace(part, judged=True) for part in _aged(single, aged, drifted)]
    yield "replayed capture", about, record_and_decode, parts

"""Do what a configuration says on an open bench: digits in, one result a digit out."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hil.network.helpings import Helpings
from hil.network.source import UNKNOWN, load_digits
from hil.run.config import RunConfig, noisy
from hil.run.loop import Odometer, Recogniser
from hil.run.recalibration import Calibrations, Digit, Recorded, Renewed

if TYPE_CHECKING:
    from calibration.transfer import TransferCurve
    from drivers.bench import Bench
    from hil.network.layers import Floats
    from hil.network.weights import Weights
    from hil.run.judge import Judge
    from hil.run.loop import Answer, Watcher


@dataclass(frozen=True)
class DigitResult:
    """One digit's answer, its truth and what it cost; `recalibrations` of the run came before it.

    `pulses` and `resets` are all that the device had for it, `retaken_…` the part of it that was played again.
    """

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
    recalibrations: int = 0
    resets: int = 0
    retaken_shots: int = 0
    retaken_slots: int = 0
    retaken_pulses: int = 0

    @property
    def planned_pulses(self) -> int:
        """Those of its frames, as planned; see `hil.run.loop.Odometer`."""
        return self.pulses - self.retaken_pulses

    @property
    def correct(self) -> bool:
        """Whether the answer is the label; false where nobody has labelled it."""
        return self.answer == self.label

    @property
    def labelled(self) -> bool:
        """Whether anybody knows what it is."""
        return self.label != UNKNOWN

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def heading(config: RunConfig) -> str:
    """What is played where, in a few words."""
    what = config.physical if config.play == "all" else f"{config.physical} ({config.play})"
    if config.helpings:
        what += f" in helpings of {'+'.join(map(str, config.helpings))} until {config.sure:g} sure"
    return f"{what} on {config.bench.name} ({config.device.id}, V_th {config.vth_v:g} V, {config.timing.key()})"


@dataclass(frozen=True)
class Course:
    """How digits are recognised, beside what the configuration says.

    `batch` images go through the network at a time; `keep` keeps the maps of every layer; `watch` sees every shot.
    Digits in `done`, (noise, index) → pulses of their frames and of what was played again, are passed over; the
    odometer counts them, and the judge goes on from what it had `judged` by then.
    `judge` looks at every frame; when it finds the curve stale, digits under way are finished, the curve is measured
    again and told to `renewed`. `recorded` is what a run file holds of that.
    """

    batch: int = 1
    keep: bool = False
    watch: Watcher | None = None
    odometer: Odometer = field(default_factory=Odometer)
    done: Mapping[Digit, tuple[int, int]] = field(default_factory=dict)
    judged: Mapping[Digit, Mapping[str, Any]] = field(default_factory=dict)
    judge: Judge | None = None
    recorded: Recorded = field(default_factory=Recorded)
    renewed: Renewed = lambda _number, _curve: None


def recognise_digits(
    config: RunConfig, weights: Weights, bench: Bench | None, course: Course | None = None
) -> Iterator[tuple[DigitResult, dict[str, Floats]]]:
    """Recognise the configured digits at every level of noise, in order.

    Yields each result with the maps of every layer (empty unless kept). The bench's V_th must have been set.
    """
    course = course or Course()
    images, labels = load_digits(config.source)
    calibrations = Calibrations(
        config, bench, course.odometer, course.judge, course.recorded, course.renewed, course.batch
    )
    for noise in config.noise:
        waiting = deque((noise, image) for image in config.images)
        while waiting:
            course.odometer.settle()
            while calibrations.due(waiting[0]):
                calibrations.renew()
            number = calibrations.number
            host = recogniser(config, weights, calibrations.curve, noise, course)
            queue = _Queue(waiting, course, calibrations)
            batches = ((np.array(which), _images(images, which, noise, config.seed)) for which in queue.batches())
            for answer in host.answers(bench, batches):
                result = _result(answer, int(labels[answer.index]), noise, number)
                course.odometer.again(calibrations.place((noise, result.index)), result.retaken_pulses)
                yield result, answer.kept
    course.odometer.settle()


def recogniser(
    config: RunConfig, weights: Weights, curve: TransferCurve | None, noise: int, course: Course
) -> Recogniser:
    """The host loop at one level of noise, with the transfer curve in force."""
    return Recogniser(
        weights=weights,
        physical=config.parts,
        timing=config.timing,
        curve=curve,
        full_scale_pulses=config.full_scale_pulses,
        odometer=course.odometer,
        purpose=config.command,
        noise=noise,
        keep=course.keep,
        judge=course.judge,
        watch=course.watch,
        play=config.play,
        helpings=Helpings(config.helpings) if config.helpings else None,
        sure=config.sure,
        coding=config.coding,
    )


@dataclass(frozen=True)
class _Queue:
    """Digits still to do, until one of them needs another curve. The host asks for a batch just before it plays it:
    the odometer is right by then.
    """

    waiting: deque[Digit]
    course: Course
    calibrations: Calibrations

    def batches(self) -> Iterator[list[int]]:
        """Indices of digits to play together."""
        which: list[int] = []
        while self.waiting and not self.calibrations.due(self.waiting[0]):
            digit = self.waiting.popleft()
            self.course.odometer.reach(self.calibrations.place(digit) - self.calibrations.behind)
            done = digit in self.course.done
            if not done:
                which.append(digit[1])
            if which and (len(which) == self.course.batch or done):
                yield which
                which = []
            if done:
                self._pass_over(digit)
        if which:
            yield which

    def _pass_over(self, digit: Digit) -> None:
        pulses, again = self.course.done[digit]
        self.course.odometer.pulses += pulses
        self.course.odometer.again(self.calibrations.place(digit), again)
        judge, judged = self.course.judge, self.course.judged.get(digit)
        if judge is not None and judged is not None:
            judge.restore(judged)


def _images(images: NDArray[np.uint8], which: list[int], noise: int, seed: int) -> NDArray[np.uint8]:
    index = np.array(which)
    return noisy(images[index], index, noise, seed)


def _result(answer: Answer, label: int, noise: int, recalibrations: int) -> DigitResult:
    spent = answer.spent
    return DigitResult(
        index=answer.index,
        label=label,
        answer=answer.answer,
        confidence=round(answer.confidence, 6),
        pulses=spent.pulses,
        spikes=spent.spikes,
        bench_s=spent.bench_s,
        noise=noise,
        saturated=spent.saturated,
        stray=spent.stray,
        recalibrations=recalibrations,
        resets=spent.resets,
        retaken_shots=spent.retaken.shots,
        retaken_slots=spent.retaken.slots,
        retaken_pulses=spent.retaken.pulses,
    )

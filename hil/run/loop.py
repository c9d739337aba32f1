"""The host loop: digits in, answers out, with the layers you choose played on the neuron.

Images travel through the layers as batches. A layer in software is a matrix product; a layer on the neuron becomes one
frame an image, which the bench plays shot by shot while the next one is being made. It is the same code for every
layer. Nothing here knows which bench it holds, or whether it is being recorded or replayed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

from drivers.errors import CaptureError
from drivers.signals import Capture, Frame, FrameKey, IntArray, Retaken, SlotTiming
from hil.network.encode import Coding, gain_for, slot_identities, to_drives, to_frame, to_pulses
from hil.network.helpings import Helpings
from hil.network.layers import LAYERS, Floats, Layer, activations, as_maps, softmax
from hil.network.pooled import Offered, Play, offer
from hil.network.walk import walk

if TYPE_CHECKING:
    from calibration.transfer import TransferCurve
    from drivers.bench import Bench
    from hil.network.physical import Physical
    from hil.network.weights import Weights
    from hil.run.judge import Judge

Watcher = Callable[[Capture], None]


@dataclass
class Odometer:
    """Dendrite pulses the device has had, as the frames carry them: slow history enters only through this.

    What was played again of a digit enters at a set distance behind it, since when it is known depends on how far
    ahead a bench takes frames, and a resumed run must carry what an uninterrupted one does; see `reach`.
    """

    pulses: int = 0
    _again: dict[int, int] = field(default_factory=dict)

    def again(self, place: int, pulses: int) -> None:
        """The digit at this place of a run took so many pulses more than its frames say."""
        if pulses:
            self._again[place] = pulses

    def reach(self, place: int) -> None:
        """Count what was played again of all digits up to this place."""
        for done in [done for done in self._again if done <= place]:
            self.pulses += self._again.pop(done)

    def settle(self) -> None:
        """Count all that was played again: no digit is under way."""
        self.pulses += sum(self._again.values())
        self._again.clear()


@dataclass
class Spent:
    """What one digit cost so far."""

    pulses: int = 0
    spikes: int = 0
    saturated: int = 0
    stray: int = 0
    bench_s: float = 0.0
    frames: int = 0
    resets: int = 0
    retaken: Retaken = field(default_factory=Retaken)

    def begin(self, saturated: int, helping: int) -> None:
        """Count one frame; what is cut off is cut off once, whatever the number of helpings."""
        self.frames += 1
        self.saturated += saturated if helping == 0 else 0

    def add(self, capture: Capture) -> None:
        """Count one shot."""
        self.pulses += capture.frame.total_pulses + capture.retaken.pulses
        self.resets += int(capture.frame.played.sum()) + capture.retaken.resets
        self.retaken += capture.retaken
        self.spikes += int(capture.spikes.sum())
        self.stray += capture.stray.before + capture.stray.guard + capture.stray.after
        self.bench_s += capture.bench_s


@dataclass(frozen=True)
class Batch:
    """Some images on their way: index in the data set (n,), maps (n, channels, rows, columns), cost of each so far.

    `kept` holds the maps after every layer, when asked for.
    """

    index: NDArray[np.int64]
    maps: Floats
    spent: list[Spent]
    kept: dict[str, Floats] = field(default_factory=dict)

    def some(self, which: NDArray[np.bool_]) -> Batch:
        """Those of the images; their costs go on being counted where they were."""
        kept = {name: maps[which] for name, maps in self.kept.items()}
        spent = [s for s, chosen in zip(self.spent, which, strict=True) if chosen]
        return Batch(self.index[which], self.maps[which], spent, kept)


@dataclass(frozen=True)
class Helping:
    """One helping of several: its number, and the spikes of each image's slots (slots,) counted so far."""

    helpings: Helpings
    number: int
    counted: dict[int, IntArray]

    def curve(self, measured: TransferCurve) -> TransferCurve:
        """Pulses wanted in all → spikes up to this helping."""
        return measured if len(self.helpings.pulses) == 1 else self.helpings.curve(measured, self.number)

    def add(self, image: int, spikes: IntArray) -> IntArray:
        """The spikes of all helpings up to this one."""
        if len(self.helpings.pulses) == 1:
            return spikes
        self.counted[image] = self.counted.get(image, np.zeros_like(spikes)) + spikes
        return self.counted[image]


@dataclass(frozen=True)
class Answer:
    """What the network says to one image; `earlier` is (answer, confidence) after each helping but the last."""

    index: int
    answer: int
    confidence: float
    logits: Floats
    spent: Spent
    kept: dict[str, Floats]
    earlier: tuple[tuple[int, float], ...] = ()


@dataclass(frozen=True)
class Recogniser:
    """A network with some of its layers on a neuron.

    `full_scale_pulses` (a layer's name → pulses) and `curve` say how drives become pulses and spikes drives again;
    `noise` is the share of zeroed pixels in percent and only names the frames. `keep` keeps every layer's maps.
    `judge` looks at every whole frame. `play` says which neurons of a pooled layer are played. With `helpings` the one
    layer on the neuron is played in so many frames, until the confidence of the answer reaches `sure`. `coding` says
    what of a drive becomes pulses.
    """

    weights: Weights
    physical: tuple[Physical, ...]
    timing: SlotTiming
    curve: TransferCurve | None
    full_scale_pulses: dict[str, int]
    odometer: Odometer
    purpose: str = "run"
    noise: int = 0
    keep: bool = False
    judge: Judge | None = None
    watch: Watcher | None = None
    play: Play = "all"
    helpings: Helpings | None = None
    sure: float = 1.0
    coding: Coding = "sums"

    def answers(
        self, bench: Bench | None, images: Iterable[tuple[NDArray[np.int64], NDArray[np.uint8]]]
    ) -> Iterator[Answer]:
        """Recognise images, given as batches of (index (n,), grey levels (n, 28, 28)).

        With one layer on the neuron all batches stream through it, so that the bench never waits for the network;
        with several, each batch goes through all layers before the next, since a bench plays one thing at a time.
        """
        batches = (Batch(index, as_maps(grey), [Spent() for _ in index]) for index, grey in images)
        if self.helpings is not None:
            for batch in batches:
                yield from self._helped(bench, batch, self.helpings)
            return
        if len(self.physical) <= 1:
            yield from self._through(bench, batches)
            return
        for batch in batches:
            yield from self._through(bench, [batch])

    def _through(
        self, bench: Bench | None, batches: Iterable[Batch], helping: Helping | None = None
    ) -> Iterator[Answer]:
        first = 0
        for part in self.physical:
            if bench is None:
                raise ValueError(f"layer {part} is to be played, but there is no bench")
            batches = self._played(bench, part, map(self._in_software(first, part.layer.index), batches), helping)
            if len(self.physical) > 1:
                batches = list(batches)
            first = part.layer.index + 1
        for batch in map(self._in_software(first, len(LAYERS)), batches):
            yield from _conclude(batch)

    def _helped(self, bench: Bench | None, batch: Batch, helpings: Helpings) -> Iterator[Answer]:
        """All images of a batch have the first helping, those whose answer is not yet sure the next, and so on."""
        counted: dict[int, IntArray] = {}
        answers: dict[int, Answer] = {}
        for number in range(len(helpings.pulses)):
            unsure = np.array([int(i) not in answers or answers[int(i)].confidence < self.sure for i in batch.index])
            if not unsure.any():
                break
            for answer in self._through(bench, [batch.some(unsure)], Helping(helpings, number, counted)):
                before = answers.get(answer.index)
                said = () if before is None else (*before.earlier, (before.answer, before.confidence))
                answers[answer.index] = replace(answer, earlier=said)
        yield from (answers[int(i)] for i in batch.index)

    def _in_software(self, first: int, stop: int) -> Callable[[Batch], Batch]:
        def step(batch: Batch) -> Batch:
            for passed in walk(self.weights.layers, batch.maps, first, stop):
                batch = self._onward(batch, passed.layer, passed.maps)
            return batch

        return step

    def _onward(self, batch: Batch, layer: Layer, maps: Floats) -> Batch:
        kept = {**batch.kept, layer.name: maps} if self.keep else batch.kept
        return Batch(batch.index, maps, batch.spent, kept)

    def _played(
        self, bench: Bench, part: Physical, batches: Iterable[Batch], helping: Helping | None = None
    ) -> Iterator[Batch]:
        """One layer on the neuron: frames go out as the bench asks for them, batches come back when complete."""
        if self.curve is None:
            raise ValueError("playing a layer needs a transfer curve")
        helping = helping or Helping(Helpings((self.full_scale_pulses[part.layer.name],)), 0, {})
        curve = helping.curve(self.curve)
        weights = self.weights.layers[part.layer.index]
        full_scale = self.full_scale_pulses[part.layer.name]
        identities = slot_identities(part)
        waiting: deque[tuple[Batch, Offered]] = deque()

        def frames() -> Iterator[Frame]:
            for batch in batches:
                offered = offer(part, weights, batch.maps, self.play)
                waiting.append((batch, offered))
                for i, image in enumerate(batch.index):
                    gain = gain_for(part, weights, full_scale, offered.channels[i], self.coding)
                    pulses, saturated = to_pulses(gain, offered.channels[i], offered.which(i))
                    pulses = helping.helpings.sent(pulses, helping.number)
                    batch.spent[i].begin(saturated, helping.number)
                    key = FrameKey(self.purpose, int(image), self.noise, helping=helping.number)
                    yield to_frame(key, self.timing, pulses, identities, self.odometer.pulses)
                    self.odometer.pulses += int(pulses.sum(dtype=np.int64))

        done = 0
        # Closed at once when a frame is refused: the bench is at rest before anybody hears of it.
        with closing(cast("Generator[Capture]", bench.play(frames()))) as captures:
            for image, spikes, shots in _whole_frames(captures, part.slots, self.watch):
                batch, offered = waiting[0]
                if image != batch.index[done]:
                    raise CaptureError(f"the bench returned image {image} where image {batch.index[done]} was played")
                for capture in shots:
                    batch.spent[done].add(capture)
                if self.judge is not None:
                    sent = np.concatenate([capture.frame.pulses for capture in shots])
                    self.judge(shots[0].frame.key, self.curve, sent, spikes)
                so_far = helping.add(image, spikes).reshape(-1, part.layer.positions)
                gain = gain_for(part, weights, full_scale, offered.channels[done], self.coding)
                offered.take_back(done, to_drives(gain, curve, so_far))
                done += 1
                if done == len(batch.index):
                    waiting.popleft()
                    done = 0
                    yield self._onward(batch, part.layer, activations(part.layer, weights, offered.units))


def _whole_frames(
    captures: Iterator[Capture], slots: int, watch: Watcher | None
) -> Iterator[tuple[int, IntArray, list[Capture]]]:
    """Put shots together again: image, spikes (slots,), and the captures they came from."""
    spikes = np.zeros(slots, dtype=np.int32)
    shots: list[Capture] = []
    filled = 0
    for capture in captures:
        if watch is not None:
            watch(capture)
        first = capture.frame.first_slot
        if first != filled or not capture.ok.all():
            raise CaptureError(f"slots {filled}…{first} of image {capture.frame.key.image} are missing or not trusted")
        filled = first + len(capture.frame)
        spikes[first:filled] = capture.spikes
        shots.append(capture)
        if filled == slots:
            yield capture.frame.key.image, spikes, shots
            spikes, shots, filled = np.zeros(slots, dtype=np.int32), [], 0


def _conclude(batch: Batch) -> Iterator[Answer]:
    logits = batch.maps.reshape(len(batch.index), -1)
    chances = softmax(logits)
    for i, index in enumerate(batch.index):
        best = int(chances[i].argmax())
        kept = {name: maps[i] for name, maps in batch.kept.items()}
        yield Answer(int(index), best, float(chances[i, best]), logits[i], batch.spent[i], kept)

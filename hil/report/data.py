"""What a report shows, gathered from a run file: totals over all slots, and one slot in full."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from drivers.decode.schmitt import find_pulses
from drivers.errors import InputError
from drivers.signals import Capture, FrameKey, Trace
from drivers.timing import length_ticks
from hil.network.layers import Floats
from hil.network.physical import Physical, parse_physical
from hil.run.execute import DigitResult, execute
from hil.run.session import again, config_of, results_of
from hil.store.retakes import measured_shots

if TYPE_CHECKING:
    from hil.network.weights import Weights
    from hil.run.config import RunConfig
    from hil.store.runfile import RunFile

MOST_SHOWN = 12  # digits with their feature maps
AROUND = 6  # slots shown on either side of the chosen one
Progress = Callable[[int, int], None]


@dataclass
class Firing:
    """Spikes over pulses of all trusted slots of a run: slots, sum and sum of squares of spikes by pulses (n,)."""

    slots: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    total: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    squares: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))

    def add(self, pulses: NDArray[np.int32], spikes: NDArray[np.int32]) -> None:
        """Count slots."""
        size = max(int(pulses.max(initial=-1)) + 1, len(self.slots))
        weights = spikes.astype(np.float64)
        self.slots = _grown(self.slots, size) + np.bincount(pulses, minlength=size)
        self.total = _grown(self.total, size) + np.bincount(pulses, weights, minlength=size)
        self.squares = _grown(self.squares, size) + np.bincount(pulses, weights**2, minlength=size)


@dataclass
class Timing:
    """Measured less planned slot length, s, of played slots: every one's extremes, and a sample of them."""

    slots: int = 0
    lowest_s: float = np.inf
    highest_s: float = -np.inf
    worst_share: float = 0.0
    sample_s: list[NDArray[np.float64]] = field(default_factory=list)

    def add(self, planned_s: NDArray[np.float64], measured_s: NDArray[np.float64]) -> None:
        """Compare slots."""
        if not len(planned_s):
            return
        off = measured_s - planned_s
        self.slots += len(off)
        self.lowest_s = min(self.lowest_s, float(off.min()))
        self.highest_s = max(self.highest_s, float(off.max()))
        self.worst_share = max(self.worst_share, float((np.abs(off) / planned_s).max()))
        self.sample_s.append(off[:: max(1, len(off) // 2000)])


@dataclass(frozen=True)
class Shown:
    """One digit with what the network made of it; `software` is the answer without the neuron."""

    result: DigitResult
    image: NDArray[np.uint8]
    maps: dict[str, Floats]
    software: int


@dataclass(frozen=True)
class Zoom:
    """The chosen slot: its kernel's slots (positions,), spike times in each slot if there are traces, and the traces.

    `raster` holds (slot, s after the slot's first pulse could come) of each spike; `traces` are cut to a few slots;
    `slot_s` is where the chosen slot begins and ends in them.
    """

    image: int
    part: Physical
    channel: int
    position: int
    pulses: NDArray[np.int32]
    spikes: NDArray[np.int32]
    raster: NDArray[np.float64] | None = None
    traces: tuple[Trace, ...] = ()
    slot_s: tuple[float, float] | None = None


@dataclass(frozen=True)
class ReportData:
    """Everything on the page."""

    config: RunConfig
    facts: dict[str, Any]
    results: list[DigitResult]
    totals: dict[str, Any]
    events: list[tuple[str, str, str]]
    firing: Firing
    timing: Timing
    retaken: int
    shown: list[Shown]
    zoom: Zoom | None


def gather(
    run: RunFile,
    weights: Weights,
    *,
    image: int | None = None,
    channel: int | None = None,
    position: int | None = None,
    progress: Progress | None = None,
) -> ReportData:
    """Read the run; the arguments choose the slot shown in full. Raises InputError when it was not recorded."""
    config, results = config_of(run), results_of(run)
    firing, timing, retaken = Firing(), Timing(), 0
    tick_s = run.fact("tick_s")
    ids = run.shot_ids()
    for done, shot in enumerate(ids, start=1):
        capture = run.load(shot)
        frame = capture.frame
        good = frame.played & capture.ok
        firing.add(frame.pulses[good], capture.spikes[good])
        timing.add(length_ticks(frame, tick_s)[good] * tick_s, capture.slot_s[good])
        retaken += int(np.count_nonzero(~capture.ok))
        if progress is not None:
            progress(done, len(ids))
    return ReportData(
        config=config,
        facts=run.facts,
        results=results,
        totals={**run.totals(), "bytes": run.bytes_on_disk},
        events=run.events(),
        firing=firing,
        timing=timing,
        retaken=retaken,
        shown=_shown(run, config, weights, results),
        zoom=_zoom(run, config, results, image, channel, position),
    )


def _shown(run: RunFile, config: RunConfig, weights: Weights, results: list[DigitResult]) -> list[Shown]:
    """The digits it got wrong, or else the ones it was least sure of, with all maps."""
    from hil.network.mnist import load_test
    from hil.run.config import noisy

    chosen = [r for r in results if not r.correct] or sorted(results, key=lambda r: r.confidence)[:3]
    wanted = {(r.noise, r.index) for r in chosen[:MOST_SHOWN]}
    if not wanted:
        return []
    every = [(noise, index) for noise in config.noise for index in config.images]
    done = {digit: 0 for digit in every if digit not in wanted}
    plain = config.model_copy(update={"physical": "none"})
    software = {(r.noise, r.index): r.answer for r, _ in execute(plain, weights, None, done=done)}
    images = load_test()[0]
    return [
        Shown(
            result,
            noisy(images[[result.index]], np.array([result.index]), result.noise, config.seed)[0],
            maps,
            software[result.noise, result.index],
        )
        for result, maps in again(run, config, weights, run.load, wanted, strict=False)
    ]


def _zoom(
    run: RunFile,
    config: RunConfig,
    results: list[DigitResult],
    image: int | None,
    channel: int | None,
    position: int | None,
) -> Zoom | None:
    parts = parse_physical(config.physical)
    if not parts or not results:
        if any(choice is not None for choice in (image, channel, position)):
            raise InputError(f"run {run.path} has no recorded slot to show")
        return None
    part = parts[0]
    wrong = [r for r in results if not r.correct]
    result = (wrong or results)[0] if image is None else next((r for r in results if r.index == image), None)
    if result is None:
        raise InputError(f"--image {image}: not among the finished digits of {run.path}")
    if channel is not None and not part.start <= channel < part.stop:
        raise InputError(f"--channel {channel}: recorded are {part.start}…{part.stop - 1} of {part.layer.name}")
    if position is not None and not 0 <= position < part.layer.positions:
        raise InputError(f"--position {position}: allowed 0…{part.layer.positions - 1}")
    key = FrameKey(config.command, result.index, result.noise)
    measured = [(row, shot.merged()) for row, shot in measured_shots(run, key, part.layer.index)]
    shots = [capture for _, capture in measured]
    pulses = np.concatenate([c.frame.pulses for c in shots]).reshape(-1, part.layer.positions)
    spikes = np.concatenate([c.spikes for c in shots]).reshape(-1, part.layer.positions)
    chosen = int(pulses.sum(axis=1).argmax()) if channel is None else channel - part.start
    where = int(pulses[chosen].argmax()) if position is None else position
    slot = chosen * part.layer.positions + where
    row = next(row for row, _ in measured if row.first_slot <= slot < row.stop)
    traced = run.load(row.id, None)
    raster = None
    cut: tuple[Trace, ...] = ()
    slot_s = None
    if traced.traces:
        raster = _raster(traced, config, chosen * part.layer.positions, part.layer.positions)
        cut, slot_s = _cut(traced, config, slot - row.first_slot)
    return Zoom(result.index, part, chosen + part.start, where, pulses[chosen], spikes[chosen], raster, cut, slot_s)


def _edges(capture: Capture, config: RunConfig, name: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Rise and fall times of the pulses on a trace that count."""
    settings = config.bench.spikes
    trace = next(t for t in capture.traces if t.name == name)
    low, high = settings.threshold_v - settings.hysteresis_v / 2, settings.threshold_v + settings.hysteresis_v / 2
    pulses = find_pulses(trace, low, high, inverted=settings.inverted and name == "axon")
    pulses = pulses.at_least(settings.min_width_s)
    return pulses.rise_s, pulses.fall_s


def _raster(capture: Capture, config: RunConfig, first: int, slots: int) -> NDArray[np.float64]:
    """(spikes, 2): slot of the kernel and s after the slot's sync fell, for slots first…first+slots−1 of the frame."""
    rise, fall = _edges(capture, config, "sync")
    axon, _ = _edges(capture, config, "axon")
    played = np.flatnonzero(capture.frame.played)
    count = min(len(played), len(rise) - 1)
    interval = np.searchsorted(rise, axon, side="right") - 1
    inside = (interval >= 0) & (interval < count)
    slot = played[interval[inside]] + capture.frame.first_slot - first
    after = axon[inside] - fall[interval[inside]]
    mine = (slot >= 0) & (slot < slots) & (after >= 0)
    return np.stack([slot[mine].astype(np.float64), after[mine]], axis=1)


def _cut(capture: Capture, config: RunConfig, slot: int) -> tuple[tuple[Trace, ...], tuple[float, float] | None]:
    """The traces around a slot of the shot, and where it begins and ends."""
    rise, _ = _edges(capture, config, "sync")
    played = np.flatnonzero(capture.frame.played)
    at = int(np.searchsorted(played, slot))
    if at >= len(played) or played[at] != slot or len(rise) != len(played) + 1:
        return (), None
    begin, end = float(rise[max(at - AROUND, 0)]), float(rise[min(at + 1 + AROUND, len(rise) - 1)])
    cut = []
    for trace in capture.traces:
        a = int(np.clip((begin - trace.x_origin_s) / trace.x_increment_s, 0, len(trace.codes)))
        b = int(np.clip((end - trace.x_origin_s) / trace.x_increment_s + 1, 0, len(trace.codes)))
        start_s = trace.x_origin_s + a * trace.x_increment_s
        cut.append(
            Trace(
                trace.name,
                trace.codes[a:b],
                trace.y_increment_v,
                trace.y_origin,
                trace.y_reference,
                trace.x_increment_s,
                start_s,
            )
        )
    return tuple(cut), (float(rise[at]), float(rise[at + 1]))


def _grown(values: NDArray[Any], size: int) -> NDArray[Any]:
    return np.concatenate([values, np.zeros(size - len(values), dtype=values.dtype)])

"""What a run will take, worked out before a pulse leaves: time, pulses, wear, disk, and speed against neurons.

The frames of a run's first layer on the neuron follow exactly from the images; those of later layers are planned with
what the software network would send them. Of a long run only some digits are planned, evenly chosen, and scaled up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from drivers.errors import LimitError
from drivers.parts.pace import Pace, bench_pace, summed
from drivers.signals import Frame, FrameKey
from drivers.timing import length_ticks, period_ticks, shots, slot_ticks
from hil.network.encode import gain_for, slot_identities, to_frame, to_pulses
from hil.network.helpings import Helpings
from hil.network.layers import as_maps
from hil.network.pooled import offer
from hil.network.walk import walk
from hil.run.config import RunConfig, noisy

if TYPE_CHECKING:
    from hil.network.weights import Weights

MOST_PLANNED = 256  # digits; their pulses vary by some 40 %, so a scaled-up total is within 5 % (2 sigma)
NEURONS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 784)
SAMPLES_AN_AXON = 5  # oscilloscope samples within an axon pulse, where the bench file does not say
MARGIN_S = 40e-6  # recorded before and after a shot
PACKED_BYTES_A_SAMPLE = 0.24  # of traces on disk, measured on the twin
PACKED_BYTES_A_SLOT = 0.2  # of counts, lengths and places on disk, measured on the twin
MEASURED_BYTES_A_SLOT = 1.8  # more, where lengths come from traces and no two are alike
ROW_BYTES = 1_500  # of a shot or a result without its arrays
FILE_BYTES = 40_000  # of a run file before its first shot


@dataclass(frozen=True)
class Plan:
    """A run's cost, over all its digits. `bench_s` is with slot leads and settling, `limit_s` the pulses alone.

    `transfer_s` is how long an oscilloscope takes to hand over the captures, `parts_s` what every part takes beside
    playing, and `wall_s` all of it; `helps`, what would make each shorter. `network_s` (len(NEURONS),) is the time
    on the bench if so many neurons shared the slots of each kernel, side by side.
    """

    digits: int
    planned: int
    bench_s: float
    limit_s: float
    transfer_s: float
    frames: int
    shots: int
    slots: int
    pulses: int
    resets: int
    capture_bytes: int
    disk_bytes: int
    network_s: tuple[float, ...]
    parts_s: Mapping[str, float] = field(default_factory=dict)
    helps: Mapping[str, str] = field(default_factory=dict)

    @property
    def wall_s(self) -> float:
        """From the first frame to the last count."""
        return self.bench_s + sum(self.parts_s.values())

    @property
    def utilisation(self) -> float | None:
        """Share of the time in which the neuron plays; None where there is no bench."""
        return self.bench_s / self.wall_s if self.helps and self.wall_s else None

    def per_digit(self) -> dict[str, float]:
        """The JSON keys of `hil plan`, a digit."""
        return {name: value / self.digits for name, value in self.totals().items()}

    def totals(self) -> dict[str, float]:
        """The JSON keys of `hil plan`, of the whole run."""
        names = (
            *("bench_s", "limit_s", "wall_s", "transfer_s", "frames", "shots", "slots", "pulses", "resets"),
            *("capture_bytes", "disk_bytes"),
        )
        return {name: getattr(self, name) for name in names}


@dataclass
class _Sum:
    """Running sums over planned frames."""

    bench_s: float = 0.0
    limit_s: float = 0.0
    frames: int = 0
    shots: int = 0
    slots: int = 0
    pulses: int = 0
    resets: int = 0
    samples: float = 0.0
    captured: float = 0.0
    parts_s: dict[str, float] = field(default_factory=dict)


def make_plan(
    config: RunConfig,
    weights: Weights,
    images: NDArray[np.uint8],
    *,
    done: int = 0,
    share: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Plan:
    """Plan the digits of a configuration after the first `done`; `images` is the test set.

    `network_s` is worked out only if `share`; `progress` gets (digits planned, of).

    Raises LimitError when a planned frame exceeds the bench's pulse width, rate or duty.
    """
    every = [(noise, index) for noise in config.noise for index in config.images][done:]
    chosen = [
        every[i] for i in np.unique(np.linspace(0, len(every) - 1, min(len(every), MOST_PLANNED)).round()).astype(int)
    ]
    total, network_s, pace = _Sum(), np.zeros(len(NEURONS)), bench_pace(config.bench)
    for number, (noise, index) in enumerate(chosen, start=1):
        image = noisy(images[[index]], np.array([index]), noise, config.seed)
        for frame in planned_frames(config, weights, image, FrameKey(config.command, index, noise)):
            config.bench.check_frame(frame)
            _add(total, frame, config, pace)
            if share:
                network_s += shared_s(frame, config.bench.tick_s)
        if progress is not None:
            progress(number, len(chosen))
    scale = len(every) / max(len(chosen), 1)
    traces = len(traced(config))
    capture_bytes = total.captured if pace.bytes is not None else total.samples * traces
    parts_s = {name: seconds * scale for name, seconds in total.parts_s.items()}
    parts_s = summed(parts_s, pace.once)
    slot_bytes = PACKED_BYTES_A_SLOT + (MEASURED_BYTES_A_SLOT if traces else 0)
    disk = capture_bytes * PACKED_BYTES_A_SAMPLE + total.slots * slot_bytes + total.shots * ROW_BYTES
    return Plan(
        digits=max(len(every), 1),
        planned=len(chosen),
        bench_s=total.bench_s * scale,
        limit_s=total.limit_s * scale,
        transfer_s=parts_s.get("transfer", 0.0),
        frames=round(total.frames * scale),
        shots=round(total.shots * scale),
        slots=round(total.slots * scale),
        pulses=round(total.pulses * scale),
        resets=round(total.resets * scale),
        capture_bytes=round(capture_bytes * scale),
        disk_bytes=round((disk + ROW_BYTES * len(chosen)) * scale) + (0 if done else FILE_BYTES),
        network_s=tuple((network_s * scale).tolist()),
        parts_s=parts_s,
        helps=pace.helps,
    )


def planned_frames(config: RunConfig, weights: Weights, image: NDArray[np.uint8], key: FrameKey) -> Iterator[Frame]:
    """The frames that one image (1, 28, 28) becomes, one a layer on the neuron; all helpings, if it has several."""
    parts, maps = config.parts, as_maps(image)
    last = max((part.layer.index + 1 for part in parts), default=0)
    for passed in walk(weights.layers, maps, stop=last):
        for part in (part for part in parts if part.layer is passed.layer):
            layer, full_scale = weights.layers[part.layer.index], config.full_scale_pulses[part.layer.name]
            offered = offer(part, layer, maps, config.play)
            gain = gain_for(part, layer, full_scale, offered.channels[0], config.coding)
            pulses, _ = to_pulses(gain, offered.channels[0], offered.which(0))
            helpings = Helpings(config.helpings) if config.helpings else None
            for number in range(len(config.helpings) or 1):
                sent = pulses if helpings is None else helpings.sent(pulses, number)
                yield to_frame(replace(key, helping=number), config.timing, sent, slot_identities(part), 0)
        maps = passed.maps


def traced(config: RunConfig) -> tuple[str, ...]:
    """Names of the traces that every shot of this bench brings."""
    if config.bench.kind == "mock":
        return ("axon", "sync", "dendrite", "membrane") if config.traces else ()
    if config.bench.scope is not None and "scope" in config.bench.readers:
        return tuple(config.bench.scope.channels)
    return ()


def shared_s(frame: Frame, tick_s: float) -> NDArray[np.float64]:
    """(len(NEURONS),) seconds for a frame if N neurons side by side served each kernel's slots in turn.

    Neuron j of N serves positions j, j + N, …; a kernel takes as long as its slowest neuron. N = 1 is the paper's
    time-division multiplexing, N = 784 a neuron for each position of a feature map.
    """
    lengths = length_ticks(frame, tick_s)
    kernel = np.unique(frame.channel, return_inverse=True)[1].reshape(-1)
    kernels = int(kernel.max(initial=-1)) + 1
    total = []
    for n in NEURONS:
        load = np.bincount(kernel * n + frame.position % n, weights=lengths, minlength=kernels * n)
        total.append(load.reshape(kernels, n).max(axis=1, initial=0).sum() * tick_s)
    return np.array(total)


def check_plan(
    plan: Plan, config: RunConfig, *, free_bytes: int | None = None, spent: tuple[int, int] = (0, 0)
) -> None:
    """Raise LimitError when the run would exceed the disk, or what is left of the device's budget.

    `spent` are the pulses and resets that the device has had.
    """
    device = config.device
    for what, had, wanted, budget in (
        ("pulses", spent[0], plan.pulses, device.endurance_pulses),
        ("resets", spent[1], plan.resets, device.endurance_resets),
    ):
        if had + wanted > budget:
            raise LimitError(
                f"this run needs {wanted:,} {what}; device {device.id!r} has {budget - had:,} left of its "
                f"budget of {budget:,}: play fewer digits or kernels, or lower --full-scale"
            )
    if free_bytes is not None and plan.disk_bytes > free_bytes:
        raise LimitError(
            f"this run needs about {plan.disk_bytes / 1e6:,.1f} MB of disk; {free_bytes / 1e6:,.1f} MB are free: "
            "make room, play fewer digits or give --out on another disk"
        )


def summary(plan: Plan, config: RunConfig) -> str:
    """The plan in two lines, as `hil run` shows it first."""
    share = plan.pulses / config.device.endurance_pulses
    wall = "" if plan.utilisation is None else f" in {plan.wall_s:,.1f} s"
    return (
        f"plan: {plan.digits:,} digits, {plan.bench_s:,.2f} s on the bench (pulses alone {plan.limit_s:,.2f} s){wall}, "
        f"{plan.shots:,} shots\n"
        f"      {plan.pulses:,} pulses and {plan.resets:,} resets ({share:.2g} of the device's budget), "
        f"{plan.disk_bytes / 1e6:,.1f} MB of disk"
    )


def to_json(plan: Plan, config: RunConfig, *, total: bool) -> dict[str, Any]:
    """The JSON object of `hil plan`."""
    device = config.device
    return {
        **(plan.totals() if total else plan.per_digit()),
        "digits": plan.digits,
        "utilisation": plan.utilisation,
        "parts_s": {n: s / (1 if total else plan.digits) for n, s in plan.parts_s.items()},
        "wear": {"pulses": plan.pulses / device.endurance_pulses, "resets": plan.resets / device.endurance_resets},
        "neurons": [
            {"neurons": n, "digit_s": s / plan.digits, "digits_per_s": plan.digits / s if s else None}
            for n, s in zip(NEURONS, plan.network_s, strict=True)
        ],
    }


def _add(total: _Sum, frame: Frame, config: RunConfig, pace: Pace) -> None:
    tick_s = config.bench.tick_s
    lengths = length_ticks(frame, tick_s)
    cut = [shot for shot in shots(frame, tick_s, **pace.bounds()) if shot.played.any()]
    for shot in cut:
        total.captured += pace.bytes(shot) if pace.bytes is not None else 0.0
        for name, part_s in pace.cost(shot).items():
            total.parts_s[name] = total.parts_s.get(name, 0.0) + part_s
    seconds = float(lengths.sum()) * tick_s + len(cut) * slot_ticks(frame.timing, tick_s).lead * tick_s
    total.bench_s += seconds
    total.limit_s += float((period_ticks(frame, tick_s) * frame.pulses).sum()) * tick_s
    total.frames += 1
    total.shots += len(cut)
    total.slots += len(frame)
    total.pulses += frame.total_pulses
    total.resets += int(frame.played.sum())
    an_axon = config.bench.scope.samples_per_axon if config.bench.scope is not None else SAMPLES_AN_AXON
    total.samples += (seconds + len(cut) * MARGIN_S) / config.bench.board.sampling_s(config.timing, an_axon)

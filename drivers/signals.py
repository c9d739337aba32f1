"""The vocabulary every room shares: slot timing, frames, shots, traces and captures. Arrays and units, no I/O."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

if TYPE_CHECKING:
    from collections.abc import Sequence

IntArray = NDArray[np.int32]
FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

MAX_PULSES = 65_535  # a slot's count is 16 bits wide on the Pico
PROBE_LAYER = -1  # the layer of slots that belong to no network: sweeps and sentinels


@dataclass(frozen=True)
class Line:
    """A named digital output wired to a pin (BCM or Pico GPIO number); active high and low at rest."""

    name: str
    pin: int


class SlotTiming(BaseModel):
    """How one slot is laid out in time; all times in seconds.

    A slot starts with all selects open and `sync` high. After `break_s` the planned select closes, after `guard_s`
    `reset` is high for `reset_width_s`, and after another `guard_s` `sync` falls and the dendrite pulses begin: this
    lead is the same for every slot. *n* pulses follow at one period, and `settle_s` ends the slot.

    In mode `adaptive` the period is that of `dendrite_clock_hz` and slots without pulses are not played; in mode
    `fixed` (Wang et al. 2018: constant amplitude, frequency carries the value) the *n* pulses are spread over
    `window_s`, period window/n rounded down to the tick of the pulse source, and every slot is equally long.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    mode: Literal["adaptive", "fixed"] = Field(
        default="adaptive", description="adaptive: n pulses at the clock; fixed: n pulses spread over the window"
    )
    dendrite_clock_hz: float = Field(default=100e3, ge=0.01, le=1e6, description="clock of adaptive slots")
    window_s: float = Field(default=3.2e-3, gt=0, le=100.0, description="length of fixed slots")
    pulse_width_s: float = Field(default=2e-6, gt=0, le=1, description="one dendrite pulse")
    reset_width_s: float = Field(
        default=5e-6, gt=0, le=1, description="the return to low resistance that begins a slot"
    )
    break_s: float = Field(
        default=2e-6, ge=1e-6, le=1, description="all selects open between slots; MAX313: 425 ns at worst"
    )
    guard_s: float = Field(
        default=3e-6, ge=0, le=1, description="before and after the reset; waits for switches to settle"
    )
    settle_s: float = Field(
        default=8e-6, gt=0, le=100.0, description="after the last pulse; longer than axon delay plus width"
    )

    @model_validator(mode="after")
    def _pulse_fits_period(self) -> SlotTiming:
        if self.mode == "adaptive" and self.pulse_width_s >= 1 / self.dendrite_clock_hz:
            raise ValueError(
                f"pulse_width_s = {self.pulse_width_s:g} does not fit the period of dendrite_clock_hz = "
                f"{self.dendrite_clock_hz:g}; it must be below {1 / self.dendrite_clock_hz:g}"
            )
        return self

    @property
    def lead_s(self) -> float:
        """Time from the start of a slot to its first dendrite pulse; `sync` is high for just this long."""
        return self.break_s + 2 * self.guard_s + self.reset_width_s

    def key(self) -> str:
        """What a transfer curve depends on besides V_th: the mode and its clock or window."""
        if self.mode == "adaptive":
            return f"adaptive@{self.dendrite_clock_hz:g}Hz"
        return f"fixed@{self.window_s:g}s"


@dataclass(frozen=True)
class FrameKey:
    """What a frame is for; together with a slot's (layer, channel, position) it names every slot ever played.

    `helping` counts the frames that add pulses to what the same slots were played with before.
    """

    purpose: str
    image: int = 0
    noise: int = 0
    attempt: int = 0
    helping: int = 0


@dataclass(frozen=True, eq=False)
class Frame:
    """An ordered list of slots, of any length. Arrays are (slots,) int32.

    `first_slot` is the index of slot 0 in the frame that this one was cut from: slot i asserts select address
    (first_slot + i) mod A. `pulses_before` is how many dendrite pulses the device has had before this frame.
    """

    key: FrameKey
    timing: SlotTiming
    pulses: IntArray
    layer: IntArray
    channel: IntArray
    position: IntArray
    first_slot: int = 0
    pulses_before: int = 0

    def __post_init__(self) -> None:
        shape = self.pulses.shape
        if len(shape) != 1 or any(a.shape != shape for a in (self.layer, self.channel, self.position)):
            raise ValueError(f"a frame's arrays must be equally long and flat, not {shape}")
        if len(self) and (self.pulses.min() < 0 or self.pulses.max() > MAX_PULSES):
            bad = self.pulses.min() if self.pulses.min() < 0 else self.pulses.max()
            raise ValueError(f"pulses per slot = {bad} is outside 0…{MAX_PULSES}")

    def __len__(self) -> int:
        return len(self.pulses)

    @property
    def played(self) -> BoolArray:
        """(slots,) true where the slot is played; adaptive frames leave empty slots out."""
        if self.timing.mode == "fixed":
            return np.ones(len(self), dtype=np.bool_)
        return self.pulses > 0

    @property
    def total_pulses(self) -> int:
        """Dendrite pulses in the frame."""
        return int(self.pulses.sum(dtype=np.int64))

    def part(self, start: int, stop: int) -> Frame:
        """Slots start…stop−1 as a frame of their own, which plays exactly as they would inside this one."""
        cut = slice(start, stop)
        before = int(self.pulses[:start].sum(dtype=np.int64))
        return replace(
            self,
            pulses=self.pulses[cut],
            layer=self.layer[cut],
            channel=self.channel[cut],
            position=self.position[cut],
            first_slot=self.first_slot + start,
            pulses_before=self.pulses_before + before,
        )


def probe_frame(purpose: str, timing: SlotTiming, pulses: Sequence[int] | IntArray, **key: int) -> Frame:
    """A frame whose slots hold chosen counts: what a calibration sweep plays."""
    counts = np.asarray(pulses, dtype=np.int32)
    where = np.arange(len(counts), dtype=np.int32)
    zero = np.zeros_like(where)
    return Frame(FrameKey(purpose, **key), timing, counts, zero + PROBE_LAYER, zero, where)


CLOCK_RATIO = "clock_ratio"  # among a trace's settings where only its end was read: its clock to the pulse source's


@dataclass(frozen=True, eq=False)
class Trace:
    """One oscilloscope channel, exactly as received: raw 8-bit codes and what turns them into volts and seconds.

    volts = (code − y_origin − y_reference) · y_increment_v (RIGOL programming guide, `:WAVeform:PREamble?`), the origin
    of a recording being any part of a code; sample i was taken at x_origin_s + i · x_increment_s, 0 being the trigger.
    """

    name: str
    codes: NDArray[np.uint8]
    y_increment_v: float
    y_origin: float
    y_reference: int
    x_increment_s: float
    x_origin_s: float
    settings: dict[str, str] = field(default_factory=dict)

    @property
    def volts(self) -> FloatArray:
        """(samples,) float64, V."""
        return (self.codes.astype(np.float64) - self.y_origin - self.y_reference) * self.y_increment_v

    @property
    def times_s(self) -> FloatArray:
        """(samples,) float64, s from the trigger."""
        return np.arange(len(self.codes), dtype=np.float64) * self.x_increment_s + self.x_origin_s


@dataclass(frozen=True)
class Stray:
    """Axon spikes that belong to no slot: reported, never counted."""

    before: int = 0
    guard: int = 0
    after: int = 0

    def __bool__(self) -> bool:
        return bool(self.before or self.guard or self.after)


@dataclass(frozen=True)
class Retaken:
    """What playing slots again has cost: shots, and the slots, pulses and resets in them."""

    shots: int = 0
    slots: int = 0
    pulses: int = 0
    resets: int = 0

    def __add__(self, other: Retaken) -> Retaken:
        return Retaken(
            self.shots + other.shots, self.slots + other.slots, self.pulses + other.pulses, self.resets + other.resets
        )


@dataclass(frozen=True, eq=False)
class Capture:
    """What a bench saw while one shot played.

    `frame` is the shot: the part of a frame that was played at once. `spikes` (slots,) int32; `slot_s` (slots,)
    measured length of every slot in s, 0 where not played; `ok` (slots,) false where a slot was late, missing or
    unreadable and has to be retaken. `bench_s` is how long the bench was playing. `retaken` is what was played again
    until every slot was ok, where that has happened.
    """

    frame: Frame
    spikes: IntArray
    slot_s: FloatArray
    ok: BoolArray
    bench_s: float
    stray: Stray = Stray()
    traces: tuple[Trace, ...] = ()
    notes: tuple[str, ...] = ()
    retaken: Retaken = Retaken()


def nothing_played(shot: Frame) -> Capture:
    """The capture of a shot whose slots are all empty and not played."""
    size = len(shot)
    return Capture(shot, np.zeros(size, dtype=np.int32), np.zeros(size), np.ones(size, dtype=np.bool_), bench_s=0.0)

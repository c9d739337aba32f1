"""The settings of a simulated DS4024 that depend on each other: channels, time base, memory.

RIGOL MSO4000/DS4000 user's guide: 8 vertical and 14 horizontal divisions, 1-2-5 steps, depth = rate × s/div × 14,
depths and rates halved when both channels of a pair are on. Ranges of scale and offset: programming guide,
`:CHANnel<n>:SCALe` and `:OFFSet`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

DIVISIONS = 14
FASTEST_S, SLOWEST_S = 2e-9, 1e3
ROLL_FROM_S = 0.2
DEPTHS = (14_000, 140_000, 1_400_000, 14_000_000, 140_000_000)
AUTO_DEPTH = 1_400_000  # assumed: what AUTO aims at
RATE_MAX_HZ = 4e9
_FINE_OFFSET_FROM_V = 0.230  # V/div at the BNC, 1 MΩ


@dataclass(frozen=True)
class Channel:
    """One channel's front end; scale (V/div) and offset (V) include the probe factor, as they are shown."""

    display: bool
    scale: float = 1.0
    offset: float = 0.0
    probe: float = 10.0
    coupling: str = "DC"
    fifty_ohm: bool = False
    invert: bool = False
    vernier: bool = False

    def with_scale(self, volts: float) -> Channel:
        """V/div within the range, in 1-2-5 steps unless vernier; the offset is kept within its new range."""
        low, high = 1e-3 * self.probe, (1.0 if self.fifty_ohm else 5.0) * self.probe
        clamped = min(max(volts, low), high)
        return replace(self, scale=clamped if self.vernier else step_125(clamped)).with_offset(self.offset)

    def with_offset(self, volts: float) -> Channel:
        """Offset within the range that the scale allows."""
        most = self.offset_max
        return replace(self, offset=min(max(volts, -most), most))

    @property
    def offset_max(self) -> float:
        """Largest offset either way, V."""
        at_bnc = self.scale / self.probe
        if self.fifty_ohm:
            return (1.2 if at_bnc < 0.125 else 12.0) * self.probe
        return (2.0 if at_bnc < _FINE_OFFSET_FROM_V else 40.0) * self.probe

    def with_probe(self, factor: float) -> Channel:
        """Another probe factor; what is shown scales with it."""
        ratio = factor / self.probe
        return replace(self, probe=factor, scale=self.scale * ratio, offset=self.offset * ratio)

    @property
    def y_increment(self) -> float:
        """V a code."""
        return self.scale / 32

    @property
    def y_origin(self) -> int:
        """The offset in whole codes."""
        return round(self.offset / self.y_increment)


@dataclass(frozen=True)
class Horizontal:
    """Time base and memory: `depth` is the single-channel depth, None for AUTO; `paired` halves what is really had."""

    scale: float = 1e-6
    offset: float = 0.0
    depth: int | None = None
    paired: bool = False

    @property
    def depth_setting(self) -> int | None:
        """The chosen depth as `:ACQuire:MDEPth?` tells it, None for AUTO."""
        return None if self.depth is None else self._had(self.depth)

    @property
    def rate_hz(self) -> float:
        """`:ACQuire:SRATe?`."""
        depth = self._had(AUTO_DEPTH if self.depth is None else self.depth)
        return min(self._had(RATE_MAX_HZ), float(f"{depth / (DIVISIONS * self.scale):.12g}"))

    @property
    def points(self) -> int:
        """Samples in a full record."""
        return round(self.rate_hz * DIVISIONS * self.scale)

    @property
    def record_s(self) -> float:
        """Length of a record: the screen."""
        return DIVISIONS * self.scale

    @property
    def pre_s(self) -> float:
        """How much of the record lies before the trigger; the offset is where the middle of the screen is."""
        return self.record_s / 2 - self.offset

    def with_scale(self, seconds: float, *, vernier: bool = False) -> Horizontal:
        """s/div within the range, in 1-2-5 steps unless vernier, which is assumed to know three digits."""
        clamped = min(max(seconds, FASTEST_S), SLOWEST_S)
        return replace(self, scale=float(f"{clamped:.2e}") if vernier else step_125(clamped))

    def with_offset(self, seconds: float) -> Horizontal:
        """Horizontal offset, to a hundredth of a division; the trigger may leave the screen on its left only."""
        step = self.scale / 100
        return replace(self, offset=max(round(seconds / step) * step, -self.record_s / 2))

    def _had(self, full: float) -> int:
        return round(full / 2 if self.paired else full)

    def depths(self) -> dict[int, int]:
        """Depths that can be asked for → the single-channel depth they stand for."""
        return {self._had(d): d for d in DEPTHS}


def step_125(value: float) -> float:
    """The nearest number in 1-2-5 steps."""
    decade = 10.0 ** math.floor(math.log10(value) + 1e-9)
    return min((m * decade for m in (1, 2, 5, 10)), key=lambda step: abs(math.log(step / value)))

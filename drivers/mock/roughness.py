"""How rough the simulated world is: what is not ideal on a bench, each with a name, a size and where that comes from.

Sizes are those of roughness 1, which stands for an ordinary bench; `roughness(s)` scales all of them by s. At 0 the
twin is clean, as it is in process and in most tests.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, fields, replace

import numpy as np

from drivers.errors import InputError

MOST = 3.0
LOGIC_V = 3.3
MEMBRANE_SHARE = 0.1  # of the crosstalk: its wire is short, and its node has 1 nF
LEAST_DECAY_S = 1e-9


def _size(value: float, source: str) -> float:
    return field(default=value, metadata={"source": source})


@dataclass(frozen=True)
class Roughness:
    """Sizes in SI units; `fields` of this class carry the source of each."""

    pigpio_jitter_s: float = _size(
        200e-9, "rms of an edge made by DMA: bus contention, a few hundred ns in others' measurements of pigpio waves"
    )
    pigpio_tail_share: float = _size(1e-4, "share of edges that come much later, under CPU and memory load; assumed")
    pigpio_tail_s: float = _size(1e-6, "mean of how much later those come; assumed")
    pi_clock_ppm: float = _size(60.0, "crystal and PLL of the Pi, ± 100 ppm at most; assumed")
    pico_clock_ppm: float = _size(-30.0, "crystal of the Pico, ± 30 ppm (Raspberry Pi, Hardware design with RP2040)")
    scope_clock_ppm: float = _size(4.0, "time base of the DS4000, ± 4 ppm (RIGOL DS4000 data sheet)")
    line_rise_s: float = _size(15e-9, "time constant of a 3.3 V output into wire and ×10 probe, 15 pF; assumed")
    axon_rise_s: float = _size(150e-9, "LM339's pull-up, 3.3 kΩ, into 45 pF of pin, wire and probe; assumed")
    ringing: float = _size(0.06, "overshoot of an edge, of its step: 10 cm of ground lead; assumed")
    ringing_hz: float = _size(30e6, "frequency of the same")
    ringing_decay_s: float = _size(50e-9, "time constant of the same")
    crosstalk: float = _size(0.03, "of a dendrite edge, on axon and membrane: parallel wires; assumed")
    crosstalk_decay_s: float = _size(80e-9, "time constant of the same")
    hum_v: float = _size(15e-3, "amplitude of mains hum on every probe: ground loop of Pi and oscilloscope; assumed")
    hum_hz: float = _size(50.0, "mains")
    drift_v: float = _size(10e-3, "amplitude of the slow drift of the baseline, over minutes; assumed")
    charge_injection_v: float = _size(5e-3, "5 pC into 1 nF of membrane when a MAX313 opens (Maxim 19-0420)")
    slow_overdrive_v: float = _size(
        5e-3, "overdrive at which the LM339 takes its 1.3 µs; with more it is quicker, with less slower (TI LM339)"
    )
    scope_noise_codes: float = _size(0.4, "rms, 0.3 to 0.5 in recordings of DS4000 oscilloscopes")
    scope_offset_codes: float = _size(0.4, "error of the vertical origin, up to 0.43 codes in the same recordings")
    usb_jitter_s: float = _size(0.5e-3, "mean of what a USB transfer to the Pico takes longer now and then; assumed")
    pause_share: float = _size(5e-4, "share of requests at which the host is paused: paging, other programs; assumed")
    pause_s: float = _size(30e-3, "how long each time; assumed")

    @property
    def at_the_node(self) -> dict[str, float]:
        """What acts where the neuron decides: parameters of its model."""
        return {
            "slow_overdrive_v": self.slow_overdrive_v,
            "injected_v": self.charge_injection_v,
            "crosstalk_v": LOGIC_V * self.crosstalk * MEMBRANE_SHARE,
            "crosstalk_s": max(self.crosstalk_decay_s, LEAST_DECAY_S),
        }

    @property
    def rough(self) -> bool:
        """Whether anything is not ideal."""
        return self.scope_offset_codes > 0


UNSCALED = frozenset({"hum_hz", "ringing_hz"})
CLEAN_NOISE_CODES = 0.5  # of the oscilloscope where nothing else is rough


def roughness(scale: float) -> Roughness:
    """All sizes scaled; raises InputError outside 0…3."""
    if not 0 <= scale <= MOST:
        raise InputError(f"roughness = {scale:g} is not within 0…{MOST:g}; 1 is an ordinary bench")
    ordinary = Roughness()
    sizes = {f.name: getattr(ordinary, f.name) * scale for f in fields(Roughness) if f.name not in UNSCALED}
    if scale == 0:
        sizes["scope_noise_codes"] = CLEAN_NOISE_CODES
    return replace(ordinary, **sizes)


SMOOTH = roughness(0.0)


class Pauses:
    """When the host is paused, and by how much a transfer takes longer: draws in order, thread-safe."""

    def __init__(self, rough: Roughness, seed: int) -> None:
        self._rough = rough
        self._rng = np.random.default_rng([seed, 0xFA05])
        self._lock = threading.Lock()

    def next_s(self) -> float:
        """The pause at the next request, s; mostly none."""
        if self._rough.pause_share == 0:
            return 0.0
        with self._lock:
            return self._rough.pause_s if self._rng.random() < self._rough.pause_share else 0.0

    def transfer_s(self) -> float:
        """What the next USB transfer takes longer, s."""
        if self._rough.usb_jitter_s == 0:
            return 0.0
        with self._lock:
            return float(self._rng.exponential(self._rough.usb_jitter_s))

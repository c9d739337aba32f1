"""What a simulated oscilloscope makes of a voltage: 8-bit codes with vertical noise.

Codes follow the DS4000 scale: y_increment = V/div ÷ 32, reference 127, clipped at 0 and 255 (libsigrok rigol-ds,
QCoDeS Rigol_DS4000); code = clip(round(v / y_increment) + 127 + origin).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drivers.signals import Trace

CODES_A_DIVISION = 32
REFERENCE = 127
NOISE_CODES = 0.5  # rms; assumed: about 0.2 % of full scale, usual for an 8-bit oscilloscope
Volts = NDArray[np.float64]


def sample(
    volts: Volts, volts_per_div: float, origin: int, rng: np.random.Generator, noise_codes: float = NOISE_CODES
) -> NDArray[np.uint8]:
    """Volts (n,) → codes (n,) uint8; `origin` shifts the picture up by that many codes."""
    exact = (volts * (CODES_A_DIVISION / volts_per_div) + (REFERENCE + origin)).astype(np.float32)
    if noise_codes > 0:
        exact += rng.standard_normal(len(volts), dtype=np.float32) * np.float32(noise_codes)
    np.rint(exact, out=exact)
    np.clip(exact, 0, 255, out=exact)
    return exact.astype(np.uint8)


@dataclass(frozen=True)
class Screen:
    """How a signal is looked at: `n` samples from t0_ns on, zero volts three divisions below the middle.

    Time 0 is `trigger_ns`, or the first sample. `noise_codes` are rms, and come on top of the signal's own noise;
    `origin` shifts the picture.
    """

    t0_ns: int
    dt_s: float
    n: int
    volts_per_div: float = 0.5
    trigger_ns: int | None = None
    noise_codes: float = NOISE_CODES
    origin: int = -3 * CODES_A_DIVISION


def render(volts: Callable[[str, NDArray[np.int64]], Volts], name: str, screen: Screen, seed: int) -> Trace:
    """A trace of the signal `name`."""
    t_ns = screen.t0_ns + np.round(np.arange(screen.n) * (screen.dt_s * 1e9)).astype(np.int64)
    rng = np.random.default_rng([seed, *name.encode()])
    return Trace(
        name=name,
        codes=sample(volts(name, t_ns), screen.volts_per_div, screen.origin, rng, screen.noise_codes),
        y_increment_v=screen.volts_per_div / CODES_A_DIVISION,
        y_origin=screen.origin,
        y_reference=REFERENCE,
        x_increment_s=screen.dt_s,
        x_origin_s=0.0 if screen.trigger_ns is None else (screen.t0_ns - screen.trigger_ns) * 1e-9,
        settings={"volts_per_div": f"{screen.volts_per_div:g}"},
    )

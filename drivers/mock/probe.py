"""What a simulated oscilloscope makes of a voltage: 8-bit codes with vertical noise.

Codes follow the DS4000 scale: y_increment = V/div ÷ 32, reference 127, clipped at 0 and 255 (libsigrok rigol-ds,
QCoDeS Rigol_DS4000); code = clip(round(v / y_increment) + 127 + origin).
"""

from __future__ import annotations

from collections.abc import Callable

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


def render(
    volts: Callable[[str, NDArray[np.int64]], Volts],
    name: str,
    t0_ns: int,
    dt_s: float,
    n: int,
    volts_per_div: float,
    seed: int,
    *,
    trigger_ns: int | None = None,
    noise_codes: float = NOISE_CODES,
    origin: int = -3 * CODES_A_DIVISION,
) -> Trace:
    """A trace of `n` samples from t0_ns on of the signal `name`, with zero volts three divisions below the middle.

    Its time 0 is `trigger_ns`, or its first sample. `noise_codes` are rms, and come on top of the signal's own noise;
    `origin` shifts the picture.
    """
    t_ns = t0_ns + np.round(np.arange(n) * (dt_s * 1e9)).astype(np.int64)
    rng = np.random.default_rng([seed, *name.encode()])
    return Trace(
        name=name,
        codes=sample(volts(name, t_ns), volts_per_div, origin, rng, noise_codes),
        y_increment_v=volts_per_div / CODES_A_DIVISION,
        y_origin=origin,
        y_reference=REFERENCE,
        x_increment_s=dt_s,
        x_origin_s=0.0 if trigger_ns is None else (t0_ns - trigger_ns) * 1e-9,
        settings={"volts_per_div": f"{volts_per_div:g}"},
    )

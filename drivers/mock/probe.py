"""A simulated probe and 8-bit converter: voltages → oscilloscope codes, by the scale of a RIGOL DS4000.

code = round(v / yinc) + 127 + y_origin, clipped to 0…255, with yinc = V/div ÷ 32 and y_origin = offset / yinc
(RIGOL MSO4000/DS4000 programming guide, `:WAVeform:YINCrement?`, `:WAVeform:YORigin?`, `:WAVeform:YREFerence?`).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from drivers.signals import FloatArray, Trace

CODES_PER_DIV = 32
Y_REFERENCE = 127
NOISE_CODES = 0.5  # rms; assumed, half a code is usual for 8-bit converters at ≥ 10 mV/div
LOGIC_CENTRE_V = 1.65

Volts = Callable[[str, NDArray[np.int64]], FloatArray]


def sample(
    volts: FloatArray,
    volts_per_div: float,
    offset_v: float,
    rng: np.random.Generator,
    *,
    noise_codes: float = NOISE_CODES,
) -> NDArray[np.uint8]:
    """(n,) volts at the probe's tip → (n,) codes, with the instrument's own vertical noise (normal, in codes rms).

    `volts_per_div` and `offset_v` refer to the tip, as the instrument shows them.
    """
    y_increment = volts_per_div / CODES_PER_DIV
    codes = volts.astype(np.float32)
    codes *= np.float32(1 / y_increment)
    codes += np.float32(Y_REFERENCE + y_origin(volts_per_div, offset_v))
    if noise_codes > 0:
        codes += np.float32(noise_codes) * rng.standard_normal(len(codes), dtype=np.float32)
    np.rint(codes, out=codes)
    np.clip(codes, 0, 255, out=codes)
    return codes.astype(np.uint8)


def y_origin(volts_per_div: float, offset_v: float) -> int:
    """`:WAVeform:YORigin?`: the offset in whole codes."""
    return round(offset_v / (volts_per_div / CODES_PER_DIV))


def render(
    volts: Volts,
    name: str,
    t0_ns: int,
    dt_s: float,
    n: int,
    volts_per_div: float,
    seed: int,
    *,
    trigger_ns: int | None = None,
) -> Trace:
    """A Trace of n samples of the signal `name` from t0_ns on, dt_s apart, with logic levels centred on the screen.

    `volts(name, t_ns)` gives what a ×1 probe sees, as `Board.volts` does. The draws of noise depend on seed and name.
    The trace's time 0 is `trigger_ns`, or its first sample.
    """
    t_ns = t0_ns + np.round(np.arange(n) * (dt_s * 1e9)).astype(np.int64)
    rng = np.random.default_rng([seed, *name.encode()])
    offset_v = -LOGIC_CENTRE_V
    return Trace(
        name=name,
        codes=sample(volts(name, t_ns), volts_per_div, offset_v, rng),
        y_increment_v=volts_per_div / CODES_PER_DIV,
        y_origin=y_origin(volts_per_div, offset_v),
        y_reference=Y_REFERENCE,
        x_increment_s=dt_s,
        x_origin_s=0.0 if trigger_ns is None else (t0_ns - trigger_ns) * 1e-9,
        settings={"volts_per_div": f"{volts_per_div:g}", "offset_v": f"{offset_v:g}", "probe": "1"},
    )

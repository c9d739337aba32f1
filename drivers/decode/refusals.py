"""Which lines cannot be read at all, and why: they rest on the wrong side, are flat, or show no pulses of an axon."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from drivers.decode.axon import Heard
from drivers.decode.judge import Shape
from drivers.decode.lines import Line, low_swing
from drivers.decode.measured import Reading
from drivers.decode.schmitt import Pulses, code_of
from drivers.errors import CaptureError

if TYPE_CHECKING:
    from drivers.signals import Trace

_OUTSIDE = 32  # samples at either end of a trace that lie outside the shot
_WIDTHS = (0.5, 2.5)  # of the board's width: what typical axon pulses may measure, with slow edges
_FLAT = 0.5  # of the swing: typical pulses whose mean is lower are narrower than the board makes them
_GLITCHES = 3  # more than the pulses, and the line is not what it should be


def check_axon(seen: Reading, line: Line) -> None:
    """Raise CaptureError for a line that rests on the wrong side."""
    when = _rests_beyond(seen, line)
    if when:
        rest = "low" if line.inverted else "high"
        raise CaptureError(
            f"the axon is {rest} {when}: it is stuck, or the comparator's polarity is not "
            f"spikes.inverted = {str(line.inverted).lower()}"
        )


def check_silent(seen: Reading, line: Line, pulses: int) -> None:
    """Raise CaptureError where no pulse is seen, and something like pulses far below them."""
    if not pulses:
        low = low_swing(seen, line)  # a ×10 probe read as ×1 shows a tenth
        if low is not None and len(low.pulses) and _pulse_like(low, line.width_s):
            raise CaptureError(flat(seen.trace, line))


def _rests_beyond(seen: Reading, line: Line) -> str:
    """When the line is on the wrong side of its threshold: both before and after the shot, or most of the time."""
    threshold = code_of(seen.trace, seen.samples, line.threshold_v)
    outside = min(len(seen.samples) // 2, max(_OUTSIDE, len(seen.samples) // 100))
    before = np.median(seen.samples.part(0, outside))
    after = np.median(seen.samples.part(len(seen.samples) - outside, len(seen.samples)))
    # A neuron that fires by itself as often as the one-shot lets it is high there too, and most of the time.
    if min(before, after) > threshold and not (len(seen.pulses) and _pulse_like(seen, line.width_s)):
        return "before and after the shot"
    return "most of the time" if seen.levels.middle > threshold else ""


def _pulse_like(seen: Reading, width_s: float) -> bool:
    """Whether most of what is seen is as wide as pulses are: noise and crosstalk are not."""
    least, most = _WIDTHS
    return bool(least * width_s <= np.median(seen.pulses.width_s) <= most * width_s)


def flat(trace: Trace, line: Line) -> str:
    """What to say of a line that never passes its threshold."""
    low, high = levels_v(trace)
    return (
        f"{trace.name} stays within {low:.3g}…{high:.3g} V and never passes {line.threshold_v:g} ± "
        f"{line.hysteresis_v / 2:g} V: check the probe, its switch against scope.probe, and the {trace.name} line"
    )


def unlike(seen: Reading, heard: Heard, shape: Shape) -> str:
    """Why none of the axon's pulses can be believed; empty if they can."""
    narrow = heard.glitches > heard.counted + _GLITCHES
    if narrow or (heard.counted and seen.height < _FLAT * seen.swing):
        return (
            f"axon pulses are {_typical(seen.pulses):.2g} s wide, narrower than board.axon_width_s = "
            f"{shape.width_s:g}: check the axon line and the one-shot"
        )
    width_s = _typical(heard.usual.pulses)
    least, most = _WIDTHS
    if (
        len(heard.usual.pulses)
        and not least * shape.width_s - seen.trace.x_increment_s <= width_s <= most * shape.width_s
    ):
        return (
            f"axon pulses are {width_s:.2g} s wide, not board.axon_width_s = {shape.width_s:g}: correct the one of both"
        )
    return ""


def _typical(pulses: Pulses) -> float:
    return float(np.median(pulses.width_s)) if len(pulses) else 0.0


def levels_v(trace: Trace) -> tuple[float, float]:
    """The lowest and highest voltage of a trace, V."""
    low, high = sorted(code_volts(trace, float(code)) for code in (trace.codes.min(), trace.codes.max()))
    return low, high


def code_volts(trace: Trace, code: float) -> float:
    """The voltage that a code stands for."""
    return (code - trace.y_origin - trace.y_reference) * trace.y_increment_v

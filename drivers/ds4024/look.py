"""What a DS4024's channels show without a trigger: lines at rest, and of a shot why there was none."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from drivers.checks import Check
from drivers.signals import Trace

if TYPE_CHECKING:
    from collections.abc import Sequence

    from drivers.decode.lines import Line
    from drivers.ds4024.link import ScopeLink
    from drivers.settings import ScopeSettings, SpikeSettings

_FEW = 10  # samples; noise alone does not take so many of them far
_TENTH = (0.04, 0.35)  # of a logic level: what a ×10 probe that is read as ×1 shows


def why_no_trigger(
    traces: Sequence[Trace], settings: ScopeSettings, spikes: SpikeSettings, lead_s: float, *, whole: bool
) -> str:
    """One line that names the wire, the setting or the part, and what to do.

    `traces` are of a shot, whose sync pulses last `lead_s`. Where they are not known to hold the `whole` of it, they
    may show nothing: then the line is empty.
    """
    by_name = {trace.name: trace for trace in traces}
    sync, axon = by_name["sync"], by_name["axon"]
    channel, other = settings.channels["sync"], settings.channels["axon"]
    swing, logic_v = _swing(sync), 2 * spikes.threshold_v
    if _share_above(sync, spikes.threshold_v) > 0:
        return (
            f"sync is on CHAN{channel} with {swing:.2f} V, and yet the oscilloscope did not trigger: press Default "
            "at its front panel, leave its trigger menu alone, and run hil doctor again"
        )
    if _TENTH[0] * logic_v < swing < _TENTH[1] * logic_v:
        return (
            f"sync on CHAN{channel} swings by {swing:.2f} V only, not by {logic_v:.1f} V: set the probes' switches to "
            f"scope.probe = {settings.probe:g}, or scope.probe to what the switches say"
        )
    if _pulses_of(axon, spikes.threshold_v, lead_s):
        return (
            f"CHAN{other} (axon) shows the pulses of sync and CHAN{channel} (sync) none: sync and axon are swapped; "
            "exchange the two probes, or their numbers in [scope] channels"
        )
    if not whole:
        return ""
    return (
        f"sync on CHAN{channel} stays at {float(np.median(sync.volts)):.2f} V: check the sync wire from its GPIO to "
        "the probe, and the probe's ground"
    )


def rest_check(link: ScopeLink, name: str, line: Line, settings: ScopeSettings) -> Check:
    """Whether a line, axon or sync, rests on its own side of its threshold while the instrument runs."""
    channel = settings.channels["axon" if name == "axon" else "sync"]
    low, high = (link.number(f":MEAS:{item}? CHAN{channel}") for item in ("VMIN", "VMAX"))
    inverted = line.inverted
    edge = line.threshold_v + (line.hysteresis_v / 2 if inverted else -line.hysteresis_v / 2)
    ok = low > edge if inverted else high < edge
    rest = "high" if inverted else "low"
    advice = "" if ok else f"the {name} wire must be {rest} at rest: check it; --loopback tells more"
    return Check(f"scope {name} at rest", ok, f"{low:.3g}…{high:.3g} V on CHAN{channel}", advice)


def _swing(trace: Trace) -> float:
    """From the resting level to what a few samples reach: sync is high for a small part of a record."""
    volts = trace.volts
    few = np.partition(volts, len(volts) - _FEW)[len(volts) - _FEW]
    return float(few - np.median(volts))


def _share_above(trace: Trace, volts: float) -> float:
    return float((trace.volts > volts).mean())


def _pulses_of(trace: Trace, threshold_v: float, width_s: float) -> bool:
    """Whether the trace has pulses of about this width."""
    high = trace.volts > threshold_v
    edges = np.flatnonzero(high[1:] != high[:-1])
    if len(edges) < 4:
        return False
    widths = np.diff(edges)[int(high[0]) :: 2] * trace.x_increment_s
    return bool(abs(float(np.median(widths)) / width_s - 1) < 0.3)

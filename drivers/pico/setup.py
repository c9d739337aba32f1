"""What the Pico is told and what it is spared: its settings from a bench file, and shots that it could not play."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from drivers.errors import InputError, LimitError
from drivers.pico.image import digest, sources
from drivers.timing import period_ticks, slot_ticks

if TYPE_CHECKING:
    from drivers.benchfile import BenchFile
    from drivers.signals import Frame


def settings_of(file: BenchFile, *, plays: bool, counts: bool, vbus: object) -> list[str]:
    """The settings of a bench file as the firmware takes them; raises InputError where the wiring cannot be."""
    pico, wiring = file.pico, file.wiring
    assert pico is not None and wiring is not None  # noqa: S101, PT018 (checked by the caller)
    pins = [line.pin for line in wiring.lines()]
    if plays and pins != list(range(pins[0], pins[0] + len(pins))):
        raise InputError(
            f"bench {file.name!r}: on a Pico dendrite, reset, sync and the selects are GPIOs in a row, for example "
            f"{', '.join(f'{line.name} = {pins[0] + i}' for i, line in enumerate(wiring.lines()))}; wired are {pins}"
        )
    values: dict[str, object] = {
        "base": pins[0] if plays else "none",
        "lines": len(pins) if plays else 0,
        "addresses": file.board.addresses,
        "select": file.board.select,
        "axon": pico.axon_pin if counts else "none",
        "sync": pico.sync_pin if counts and not plays else "none",
        "estop": "none" if pico.estop_pin is None else pico.estop_pin,
        "vbus": vbus,
        "dac": pico.dac if file.threshold.source == "pico" else "none",
        "address": file.threshold.address,
        "vdd_uv": round(file.threshold.vdd_v * 1e6),
        "vth_min_uv": round(file.limits.vth_min_v * 1e6),
        "vth_max_uv": round(file.limits.vth_max_v * 1e6),
        "qualify_ns": max(20, round(file.spikes.qualify_s(file.board) * 1e9)),
        "silence_ms": round(pico.heartbeat_timeout_s * 1e3),
    }
    return [f"{name}={value}" for name, value in values.items()]


def check_timing(frame: Frame, tick_s: float, limits: dict[str, int]) -> None:
    """Raise LimitError where the sequencer cannot play a shot's slots; `limits` are the firmware's, in ticks."""
    ticks = slot_ticks(frame.timing, tick_s)
    fields = (
        ("break_s", ticks.break_, limits["break_ticks"]),
        ("guard_s", ticks.guard, limits["guard_ticks"]),
        ("reset_width_s", ticks.reset, limits["reset_ticks"]),
        ("pulse_width_s", ticks.width, limits["width_ticks"]),
        ("settle_s", ticks.settle, limits["settle_ticks"]),
    )
    for name, value, least in fields:
        if value < least:
            raise LimitError(f"slot.{name} = {value * tick_s:g}: the Pico needs {least * tick_s:g}")
    if ticks.lead > limits["lead_ticks"]:
        raise LimitError(
            f"break, guards and reset take {ticks.lead * tick_s:g} s; the Pico's slots begin with "
            f"{limits['lead_ticks'] * tick_s:g} s at most"
        )
    period = period_ticks(frame, tick_s)
    touching = np.flatnonzero((frame.pulses > 0) & (period < ticks.width + limits["low_ticks"]))
    if len(touching):
        i = int(touching[0])
        raise LimitError(
            f"slot {frame.first_slot + i}: {frame.pulses[i]} pulses every {period[i] * tick_s:g} s, each "
            f"{ticks.width * tick_s:g} s wide, would touch; use fewer pulses or a slower clock"
        )


def firmware_digest() -> str:
    """What `id` says when the Pico has just the firmware that came with this program."""
    return digest(sources())

"""A bench file in words: its parts, its wires, its slot, what it may do to a device, and what to type next."""

from __future__ import annotations

from collections.abc import Iterator
from shlex import quote
from typing import TYPE_CHECKING

from drivers.signals import probe_frame
from drivers.timing import length_ticks
from hil.terminal.where import every

if TYPE_CHECKING:
    from drivers.benchfile import BenchFile

HEADER = {
    2: 3, 3: 5, 4: 7, 5: 29, 6: 31, 7: 26, 8: 24, 9: 21, 10: 19, 11: 23, 12: 32, 13: 33, 14: 8, 15: 10, 16: 36, 17: 11,
    18: 12, 19: 35, 20: 38, 21: 40, 22: 15, 23: 16, 24: 18, 25: 22, 26: 37, 27: 13,
}  # fmt: skip
EXAMPLE = 10  # pulses in the slot that is told of


def explain(file: BenchFile, given: str) -> Iterator[str]:
    """Line by line; `given` is what the user called the bench."""
    yield f"bench {file.name!r}: {'simulated, in this process' if file.kind == 'mock' else _parts(file)}"
    yield f"device {file.device}, V_th {file.vth_v:g} V, calibration {file.calibration or 'none'}"
    yield ""
    yield from _wires(file)
    yield from _slot(file)
    limits = file.limits
    yield f"limits     pulses up to {limits.pulse_width_max_s:g} s and {limits.pulse_rate_max_hz:g} Hz, on "
    yield f"           {limits.duty_max:.0%} of the time at most; V_th {limits.vth_min_v:g} … {limits.vth_max_v:g} V,"
    yield f"           parked at {limits.vth_max_v:g} V"
    yield ""
    yield f"next: hil doctor --bench {quote(given)}"


def _parts(file: BenchFile) -> str:
    pulses = {"pigpio": f"pigpiod at {file.pigpio.host}:{file.pigpio.port}"}.get(file.pulse_source or "", "the Pico")
    titles = {"scope": "the oscilloscope", "pico": "the Pico", "gpio": "the Pi's GPIO"}
    counter, *auditor = (titles.get(name, name) for name in file.readers)
    reads = f"{counter}, with {auditor[0]} auditing {every(file)}" if auditor else counter
    makes = {"pico": "the Pico's DAC", "manual": "a supply that a person sets"}
    threshold = makes.get(file.threshold.source, file.threshold.source.upper())
    return f"pulses from {pulses}; spikes counted by {reads}; V_th from {threshold}"


def _wires(file: BenchFile) -> Iterator[str]:
    if file.wiring is None:
        return
    on_pi = file.pulse_source == "pigpio"
    for line in file.wiring.lines():
        where = f"GPIO {line.pin}, header pin {HEADER.get(line.pin, '?')}" if on_pi else f"GP{line.pin} of the Pico"
        yield f"{line.name:<10} {where}"
    if file.panel is not None:
        for name, pin in file.panel.pins().items():
            yield f"{name.removeprefix('panel.'):<10} GPIO {pin}, header pin {HEADER.get(pin, '?')}"
    if file.gpio is not None and "gpio" in file.readers:
        where = f"GPIO {file.gpio.axon_pin}, header pin {HEADER.get(file.gpio.axon_pin, '?')}"
        yield f"{'axon':<10} {where}"
    if file.pico is not None and "pico" in file.readers:
        yield f"{'axon':<10} GP{file.pico.axon_pin} of the Pico"
    if file.scope is not None:
        channels = ", ".join(
            f"{channel} {name}" for name, channel in sorted(file.scope.channels.items(), key=lambda c: c[1])
        )
        yield f"{'scope':<10} {file.scope.resource}; channels {channels}; probes ×{file.scope.probe:g}"
    yield ""


def _slot(file: BenchFile) -> Iterator[str]:
    slot, board = file.slot, file.board
    ticks = int(length_ticks(probe_frame("shown", slot, [EXAMPLE]), file.tick_s)[0])
    how = f"at {slot.dendrite_clock_hz:g} Hz" if slot.mode == "adaptive" else f"spread over {slot.window_s:g} s"
    us = {
        name: getattr(slot, name) * 1e6 for name in ("break_s", "guard_s", "reset_width_s", "pulse_width_s", "settle_s")
    }
    yield f"slot       {slot.mode}, in µs: open {us['break_s']:g}, guard {us['guard_s']:g},"
    yield f"           reset {us['reset_width_s']:g}, guard {us['guard_s']:g}, pulses of {us['pulse_width_s']:g} {how},"
    yield f"           settle {us['settle_s']:g}; {EXAMPLE} pulses take {ticks * file.tick_s * 1e6:g}"
    yield f"board      {board.addresses} addresses, {board.select}; axon {board.axon_width_s * 1e6:g} µs wide"

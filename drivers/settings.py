"""The tables of a bench file: what may be said of the board, its limits, its wiring and every part, in SI units."""

from __future__ import annotations

import math
import os
from typing import Annotated, Literal, cast

from pydantic import BaseModel, ConfigDict, Field, model_validator

from drivers.errors import InputError
from drivers.pins import free_output, pi_output_fault
from drivers.signals import Line, SlotTiming

SAMPLES_A_GAP = 1.6  # of the shortest gap: one sample at the least lies in it, wherever it falls
SETTLE_SPARE_S, _SETTLE_ROOM = 2e-6, 1.1  # a slot settles for so much more than delay and width
COMPARATOR_RESPONSE_S = 1.3e-6  # LM339 at 5 mV overdrive: TI LM339


class Section(BaseModel):
    """A table of a bench file: frozen, and unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class BoardSettings(Section):
    """The PCB: how many select addresses are wired and what its one-shot and comparator do."""

    addresses: int = Field(
        default=0, ge=0, le=65_536, description="select addresses wired; 0: the dendrite reaches the neuron directly"
    )
    select: Literal["one-hot", "binary"] = Field(
        default="one-hot", description="one line an address, or a binary code that counts from 1"
    )
    axon_width_s: float = Field(
        default=2e-6, ge=2e-6, le=1.0, description="how long the one-shot holds the axon high; as measured"
    )
    axon_delay_s: float = Field(
        default=COMPARATOR_RESPONSE_S, ge=0, le=1e-3, description="from V_m = V_th to the axon's edge; LM339 1.3 µs"
    )

    def gap_s(self, timing: SlotTiming) -> float:
        """The shortest time beside the axon's pulse that whoever samples the lines has to resolve.

        That is the comparator's delay, which is all that lies between two axon pulses when the neuron is over its
        threshold again before the first has ended; the time from the fall of sync to a slot's first spike; and a third
        of the lead.
        """
        first_s = timing.pulse_width_s + self.axon_delay_s
        return min(self.axon_delay_s or first_s, first_s, timing.lead_s / 3)

    def sampling_s(self, timing: SlotTiming, samples_per_axon: float) -> float:
        """Time between samples that gives so many in every axon pulse and resolves every gap."""
        return min(self.axon_width_s / samples_per_axon, self.gap_s(timing) / SAMPLES_A_GAP)

    @property
    def settle_s(self) -> float:
        """How long a slot must settle after its last pulse: the comparator's delay, the axon's pulse, and some room."""
        need = self.axon_delay_s + self.axon_width_s
        return max(SlotTiming().settle_s, math.ceil((_SETTLE_ROOM * need + SETTLE_SPARE_S) * 1e6) * 1e-6)

    @property
    def select_lines(self) -> int:
        """How many select lines it takes to address them all."""
        if self.addresses == 0:
            return 0
        return self.addresses if self.select == "one-hot" else self.addresses.bit_length()

    def select_code(self, slot: int) -> int:
        """The select lines' levels (bit 0 = select0) that close the address of slot `slot`.

        0 closes nothing, so that lines at rest are safe: binary codes count from 1.
        """
        if self.addresses == 0:
            return 0
        address = slot % self.addresses
        return 1 << address if self.select == "one-hot" else address + 1

    @model_validator(mode="after")
    def _lines_fit(self) -> BoardSettings:
        if self.select_lines > 16:
            raise ValueError(
                f"addresses = {self.addresses} ({self.select}) needs {self.select_lines} lines; at most 16"
            )
        return self


class Limits(Section):
    """What the bench may do to the device; a frame outside is refused before a pulse leaves."""

    pulse_width_max_s: float = Field(default=1e-3, gt=0, description="longest pulse that the device may get")
    pulse_rate_max_hz: float = Field(default=250e3, gt=0, description="fastest dendrite clock")
    duty_max: float = Field(default=0.5, gt=0, le=1, description="largest share of the time that pulses may be on")
    vth_min_v: float = Field(
        default=0.2, ge=0, description="lowest V_th; there the low-resistance state has to fire by itself"
    )
    vth_max_v: float = Field(
        default=2.0, gt=0, le=5, description="highest V_th, where it is parked: no state of the device may reach it"
    )

    @model_validator(mode="after")
    def _ordered(self) -> Limits:
        if self.vth_min_v >= self.vth_max_v:
            raise ValueError(f"vth_min_v = {self.vth_min_v:g} must be below vth_max_v = {self.vth_max_v:g}")
        return self


class Wiring(Section):
    """Line to pin (BCM numbers on a Pi, GPIO numbers on a Pico)."""

    dendrite: int = Field(ge=0, le=29, description="GPIO of the dendrite pulses")
    reset: int = Field(ge=0, le=29, description="GPIO of the return to low resistance")
    sync: int = Field(ge=0, le=29, description="GPIO that marks the slots; never wire it to a switch")
    select: tuple[int, ...] = Field(
        default=(), description="GPIOs of select0, select1, …; on a Pico all lines are GPIOs in a row"
    )

    def lines(self) -> tuple[Line, ...]:
        """dendrite, reset, sync, select0…"""
        selects = (Line(f"select{i}", pin) for i, pin in enumerate(self.select))
        return (Line("dendrite", self.dendrite), Line("reset", self.reset), Line("sync", self.sync), *selects)

    @model_validator(mode="after")
    def _one_line_a_pin(self) -> Wiring:
        seen: dict[int, str] = {}
        for line in self.lines():
            if line.pin in seen:
                raise ValueError(f"pin {line.pin} has two lines: {seen[line.pin]} and {line.name}")
            seen[line.pin] = line.name
        return self


class SpikeSettings(Section):
    """How axon spikes and sync edges are found in traces.

    A line has pulses where it passes its threshold by half the hysteresis; where they begin and end follows from the
    levels that the trace itself shows. `sync_threshold_v` and `sync_hysteresis_v` are those of the axon unless given.
    Axon pulses narrower than `min_width_s` (a quarter of board.axon_width_s unless given) are glitches. A shot of which
    `doubtful_share` of the slots, and at least three, hold something doubtful is not trusted at all.
    """

    threshold_v: float = Field(default=1.65, ge=-1000, le=1000, description="what pulses pass; half of 3.3 V")
    hysteresis_v: float = Field(default=0.6, gt=0, description="by half of it they must pass the threshold")
    sync_threshold_v: float | None = Field(
        default=None, ge=-1000, le=1000, description="threshold of sync, where it is not that of the axon"
    )
    sync_hysteresis_v: float | None = Field(default=None, gt=0, description="hysteresis of sync, likewise")
    min_width_s: float | None = Field(
        default=None, ge=0, description="shorter pulses are glitches; by default a quarter of board.axon_width_s"
    )
    slot_tolerance: float = Field(
        default=0.01, gt=0, lt=1, description="by how much a slot may differ from its plan before it is retaken"
    )
    edge_slack_s: float = Field(
        default=2e-6,
        ge=0,
        description="what an edge of sync may come late but for the clock: pigpio's DMA waits for the bus",
    )
    doubtful_share: float = Field(
        default=0.1, ge=0, le=1, description="share of doubtful slots from which on no slot of a shot is trusted"
    )
    inverted: bool = Field(default=False, description="the axon is low while it fires")

    @property
    def sync_level_v(self) -> float:
        """The threshold of sync."""
        return self.threshold_v if self.sync_threshold_v is None else self.sync_threshold_v

    @property
    def sync_span_v(self) -> float:
        """The hysteresis of sync."""
        return self.hysteresis_v if self.sync_hysteresis_v is None else self.sync_hysteresis_v

    def narrowest_s(self, board: BoardSettings) -> float:
        """Width below which an axon pulse is a glitch."""
        return board.axon_width_s / 4 if self.min_width_s is None else self.min_width_s

    def qualify_s(self, board: BoardSettings) -> float:
        """How long a counter waits to believe a change: no longer than the shortest rest between two axon pulses."""
        if self.min_width_s is not None:
            return self.min_width_s
        return min(self.narrowest_s(board), 0.8 * board.axon_delay_s or math.inf)


class PigpioSettings(Section):
    """Where pigpiod listens."""

    host: str = Field(default="localhost", description="where pigpiod runs")
    port: int = Field(default=8888, ge=1, le=65_535, description="its port")

    def address(self) -> tuple[str, int]:
        """Host and port; what the file leaves out PIGPIO_ADDR and PIGPIO_PORT say, as to the programs of pigpio.

        Raises InputError where PIGPIO_PORT is no port.
        """
        host, port = self.host, self.port
        if "host" not in self.model_fields_set:
            host = os.environ.get("PIGPIO_ADDR") or host
        said = os.environ.get("PIGPIO_PORT")
        if "port" not in self.model_fields_set and said:
            if not said.isascii() or not said.isdigit() or not 1 <= int(said[:6]) <= 65_535:
                raise InputError(
                    f"PIGPIO_PORT = {said!r}: a port, 1 to 65535; set it, or pigpio.port in the bench file"
                )
            port = int(said)
        return host, port


class GpioSettings(Section):
    """The axon on a GPIO of the Pi that pigpiod samples: 3.3 V at the most, and the daemon started with -s 1."""

    axon_pin: int = Field(default=13, ge=2, le=27, description="GPIO of the axon (BCM), an input")


TraceName = Literal["axon", "sync", "dendrite", "membrane", "vth"]
Ratio = Annotated[float, Field(ge=0.01, le=1000)]
Volts = Annotated[float, Field(gt=0)]


def _of(setting: float | dict[TraceName, float], name: str, otherwise: float) -> float:
    """A setting that is one for all traces or a table by name."""
    return setting.get(cast("TraceName", name), otherwise) if isinstance(setting, dict) else setting


class ScopeSettings(Section):
    """The RIGOL DS4024: its VISA resource and what is on its channels (trace name → channel 1-4).

    `probe` and `volts_per_div` are one number for all channels, or a table by trace name with `10.0` and `0.5` for the
    names that it leaves out.
    """

    resource: str = Field(description="VISA resource, such as TCPIP0::192.0.2.10::INSTR or USB0::0x1AB1::…::INSTR")
    channels: dict[Literal["axon", "sync", "dendrite", "membrane", "vth"], int] = Field(
        default={"axon": 1, "sync": 3},
        description="what is on which channel, 1 to 4; axon and sync at least; 1 and 2 share memory, and 3 and 4",
    )
    probe: Ratio | dict[TraceName, Ratio] = Field(
        default=10.0, description="the probes' switch, as it stands on them; one number, or a table by trace name"
    )
    volts_per_div: Volts | dict[TraceName, Volts] = Field(
        default=0.5, description="vertical scale at the probe's tip; one number, or a table by trace name"
    )
    samples_per_axon: int = Field(
        default=5, ge=2, le=1000, description="samples in an axon pulse; sets the sample rate"
    )
    timeout_s: float = Field(default=10.0, gt=0, description="longest wait for a reply")
    transfer_bytes_per_s: float = Field(default=0.3e6, gt=0, description="how fast memory is read, for planning")
    audit_every: int = Field(
        default=1,
        ge=1,
        description="where audit_every is not given: the second of two readers checks one shot in so many",
    )
    read_style: Literal["windows", "whole"] = Field(
        default="windows", description="memory by STARt and STOP, or all of it by POINts"
    )

    def probe_of(self, name: str) -> float:
        """By how much the probe of a trace attenuates."""
        return _of(self.probe, name, 10.0)

    def volts_per_div_of(self, name: str) -> float:
        """The vertical scale of a trace, V/div at the probe's tip."""
        return _of(self.volts_per_div, name, 0.5)

    @model_validator(mode="after")
    def _channels(self) -> ScopeSettings:
        wrong = {n: c for n, c in self.channels.items() if not 1 <= c <= 4}
        if wrong:
            raise ValueError(f"channels {wrong}: a DS4024 has channels 1-4")
        if len(set(self.channels.values())) != len(self.channels):
            raise ValueError(f"channels {self.channels}: two signals on one channel")
        if not {"axon", "sync"} <= set(self.channels):
            raise ValueError("channels must name at least axon and sync")
        return self


class PicoSettings(Section):
    """The Pico on USB: a serial port, or empty to find it by its USB identity."""

    port: str = Field(default="", description="serial port; empty: the one Pico on USB")
    axon_pin: int = Field(default=15, ge=0, le=29, description="GPIO of the axon")
    sync_pin: int = Field(default=14, ge=0, le=29, description="GPIO that reads sync where pigpio makes the pulses")
    estop_pin: int | None = Field(default=None, ge=0, le=29, description="GPIO of a normally closed contact to 3.3 V")
    heartbeat_timeout_s: float = Field(
        default=2.0, ge=0.1, le=60, description="the Pico makes the board safe after so much silence"
    )
    reply_s: float | None = Field(
        default=None,
        ge=0.1,
        le=60,
        description="how long an answer is waited for (default: 0.35, or HIL_PICO_REPLY_S)",
    )
    dac: Literal["mcp4728", "mcp4725", "none"] = Field(
        default="mcp4728", description="the DAC on its I²C 0 (GPIO 0, 1)"
    )


class ThresholdSettings(Section):
    """What makes V_th, by its name in `drivers.parts.table`, and where a DAC on the Pi's I²C bus is."""

    source: str = Field(default="pico", description="pico, mcp4728, mcp4725 (on the Pi), or manual")
    i2c_bus: int = Field(default=1, ge=0, description="the Pi's I²C bus; 1 is GPIO 2 and 3")
    address: int = Field(default=0x60, ge=0x08, le=0x77, description="I²C address; 96 is 0x60")
    vdd_v: float = Field(default=3.3, gt=0, le=5.5, description="supply of the DAC; the reference of an MCP4725")


class PanelSettings(Section):
    """gpiozero pins (BCM): bench enable, e-stop (normally closed, opens on stop) and lamp.

    Enable and lamp are outputs that must be low from power-on: the supply is off and the lamp says so until a program
    has looked at the stop. The stop is an input, and may be on any pin.
    """

    enable: int | None = Field(default=None, ge=0, le=27, description="GPIO of the supply relay, low at boot")
    estop: int | None = Field(default=None, ge=0, le=27, description="GPIO of a normally closed contact to ground")
    lamp: int | None = Field(default=None, ge=0, le=27, description="GPIO of the lamp, low at boot")

    def pins(self) -> dict[str, int]:
        """What is wired: panel.enable … → pin."""
        return {f"panel.{n}": p for n in ("enable", "estop", "lamp") if (p := getattr(self, n)) is not None}

    @model_validator(mode="after")
    def _low_at_boot(self) -> PanelSettings:
        harm = {"enable": "would switch the supply on before anybody has looked", "lamp": "would light it"}
        for name, what in harm.items():
            pin = getattr(self, name)
            fault = None if pin is None else pi_output_fault(pin)
            if fault is not None:
                free = free_output(self.pins().values())
                raise ValueError(f"{name} = {pin}: {fault}, which {what}; use another, for example {free}")
        return self


ADDRESSES = {"pigpio": ("host", "port"), "scope": ("resource",), "pico": ("port",)}  # where a part is, not which one
PLACES = ("pigpiod",)  # what parts say of themselves that is such an address

"""Bench files: which parts a bench has, how they are wired, and what they may do. TOML in, checked settings out."""

from __future__ import annotations

import os
import warnings
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, field_validator, model_validator

from drivers.device import configured, parse_toml, read_text
from drivers.errors import HilWarning, InputError, LimitError
from drivers.parts import table
from drivers.pins import I2C_PINS, WAVE_PINS, free_output, pi_output_fault, pico_output_fault
from drivers.settings import (
    ADDRESSES,
    BoardSettings,
    GpioSettings,
    Limits,
    PanelSettings,
    PicoSettings,
    PigpioSettings,
    ScopeSettings,
    Section,
    SpikeSettings,
    ThresholdSettings,
    Wiring,
)
from drivers.signals import Frame, SlotTiming
from drivers.timing import made

SWITCH_SETTLING_S = 425e-9  # MAX313 t_on, hot: Maxim 19-0420
MOCK_TICK_S = 1e-6  # as pigpio: what is planned here can be played there
_SHIPPED = ("mock",)
BOTH = ("pico", "scope")  # what axon_reader = "both" stands for
TWO = 2
NAME_READERS = 'name one reader, as "gpio", or two, as ["gpio", "scope"], of which the second audits the first'


class BenchFile(Section):
    """One bench: its parts, wiring, slot timing and limits.

    Parts are named as in `drivers.parts.table`; `parts` are the settings of those that come from other packages. That
    they exist is checked when a bench file is loaded and when a bench is opened, not here: a run that was recorded
    with a part stays readable where that part is not installed. `passports` is the folder where what real devices have
    had is counted (default: the system's place, see `drivers.wear.passport.passport_folder`).
    """

    name: str = Field(min_length=1, max_length=64, description="what runs and calibrations call this bench")
    kind: Literal["mock", "pi"] = Field(description="mock: simulated in process; pi: the parts named here")
    device: str = Field(default="nominal", description="device file, seen from this file")
    slot: SlotTiming = SlotTiming()
    board: BoardSettings = BoardSettings()
    limits: Limits = Limits()
    spikes: SpikeSettings = SpikeSettings()
    vth_v: float = Field(default=0.7, gt=0, description="V_th where no calibration says another")
    calibration: str = Field(default="", description="calibration record to use, seen from this file")
    witness: str = Field(default="", description="host:port of a simulated bench's status, asked after every shot")
    pulse_source: str | None = Field(default=None, description="pigpio or pico")
    axon_reader: str | tuple[str, str] | None = Field(
        default=None,
        description='gpio, scope or pico; or two, as ["gpio", "scope"]: the first counts, the second audits; both is '
        '["pico", "scope"]',
    )
    audit_every: int | None = Field(
        default=None, ge=1, description="the second reader checks one shot in so many; by default scope.audit_every"
    )
    wiring: Wiring | None = None
    pigpio: PigpioSettings = PigpioSettings()
    gpio: GpioSettings | None = None
    scope: ScopeSettings | None = None
    pico: PicoSettings | None = None
    threshold: ThresholdSettings = ThresholdSettings()
    panel: PanelSettings | None = None
    parts: dict[str, dict[str, Any]] = Field(default_factory=dict)
    passports: str = ""

    @field_validator("axon_reader", mode="before")
    @classmethod
    def _one_or_two(cls, value: Any) -> Any:
        """One name, or two; `gpio+scope`, as commands and errors say it, is two."""
        named = table.apart(value) if isinstance(value, str) else value
        if isinstance(named, (list, tuple)) and not (len(named) == TWO and all(isinstance(n, str) for n in named)):
            raise ValueError(NAME_READERS)
        if named is not None and not isinstance(named, (str, list, tuple)):
            raise ValueError(NAME_READERS)
        return named

    @model_validator(mode="before")
    @classmethod
    def _settle_follows(cls, values: Any) -> Any:
        """Where `slot.settle_s` is not given, it follows from the board."""
        if not isinstance(values, dict):
            return values
        slot, board = values.get("slot", {}), values.get("board", {})
        if not isinstance(slot, dict) or "settle_s" in slot:
            return values
        try:
            made = board if isinstance(board, BoardSettings) else BoardSettings.model_validate(board)
        except ValidationError:
            return values  # the board is refused in its turn, by name
        return {**values, "slot": {**slot, "settle_s": made.settle_s}}

    @model_validator(mode="after")
    def _settles(self) -> BenchFile:
        need = self.board.axon_delay_s + self.board.axon_width_s
        if self.slot.settle_s <= need:
            raise ValueError(
                f"slot.settle_s = {self.slot.settle_s:g} must exceed axon delay plus width = {need:g} (LM339, one-shot)"
            )
        if self.slot.guard_s < SWITCH_SETTLING_S:
            raise ValueError(
                f"slot.guard_s = {self.slot.guard_s:g} is shorter than a MAX313 takes: {SWITCH_SETTLING_S:g}"
            )
        return self

    @model_validator(mode="after")
    def _complete(self) -> BenchFile:
        if self.kind == "mock":
            return self
        if self.wiring is None or self.pulse_source is None or self.axon_reader is None:
            raise ValueError("a bench of kind pi needs wiring, pulse_source and axon_reader")
        if len(self.wiring.select) != self.board.select_lines:
            raise ValueError(
                f"wiring.select has {len(self.wiring.select)} pins; board.addresses = {self.board.addresses} "
                f"({self.board.select}) needs {self.board.select_lines}"
            )
        if "gpio" in self.readers and self.pulse_source != "pigpio":
            raise ValueError(
                f"axon_reader = gpio needs pulse_source = pigpio, whose daemon samples it, not {self.pulse_source}"
            )
        if "pico" in self.readers and self.spikes.inverted:
            raise ValueError(
                "spikes.inverted = true: the Pico counts pulses that rise, and cannot be told otherwise; exchange the "
                "comparator's inputs, or use axon_reader = scope"
            )
        return self._pins_possible(self.wiring)

    def _pins_possible(self, wiring: Wiring) -> BenchFile:
        for line in wiring.lines():
            fault = pico_output_fault(line.pin) if self.pulse_source == "pico" else None
            if self.pulse_source == "pigpio":
                fault = pi_output_fault(line.pin)
                if line.pin not in WAVE_PINS:
                    fault = "pigpio may drive GPIO 2-27 only"
            if fault is not None:
                harm = ", and would close the switch" if "boot" in fault else ""
                more = f"; use another, for example {self._free_pin()}" if self.pulse_source == "pigpio" else ""
                raise ValueError(f"wiring.{line.name} = {line.pin}: {fault}{harm}{more}")
        return self

    @model_validator(mode="after")
    def _one_use_a_pin(self) -> BenchFile:
        """Lines, panel and I²C share the Pi's header."""
        users: dict[int, str] = {}
        for name, pin in self._header():
            if pin in users:
                raise ValueError(
                    f"{name} = {pin}: that pin is {users[pin]} already; use another, for example {self._free_pin()}"
                )
            users[pin] = name
        return self

    def _header(self) -> list[tuple[str, int]]:
        """Every pin of the Pi that this bench uses, and what for."""
        used: list[tuple[str, int]] = []
        if self.kind == "pi" and self.pulse_source == "pigpio" and self.wiring is not None:
            used += [(f"wiring.{line.name}", line.pin) for line in self.wiring.lines()]
        if self.kind == "pi" and self.gpio is not None and "gpio" in self.readers:
            used.append(("gpio.axon_pin", self.gpio.axon_pin))
        if self.threshold.source in ("mcp4728", "mcp4725"):
            used += [(f"I²C bus {self.threshold.i2c_bus}", pin) for pin in I2C_PINS.get(self.threshold.i2c_bus, ())]
        if self.panel is not None:
            used += self.panel.pins().items()
        return used

    def _free_pin(self) -> int:
        return free_output({pin for _, pin in self._header()})

    @property
    def tick_s(self) -> float:
        """The time step of this bench's pulse source; raises InputError for one that is not installed."""
        if self.kind == "mock" or self.pulse_source is None:
            return MOCK_TICK_S
        tick_s: float = table.find("pulse_source", self.pulse_source).tick_s
        return tick_s

    def wired(self) -> Wiring:
        """Its wiring; raises InputError where there is none."""
        if self.wiring is None:
            raise InputError(f"bench {self.name!r} has no [wiring] table")
        return self.wiring

    @property
    def readers(self) -> tuple[str, ...]:
        """Its axon readers by name: the one that counts, and the one that audits it where there are two."""
        named = BOTH if self.axon_reader == "both" else self.axon_reader
        return () if named is None else (named,) if isinstance(named, str) else named

    @property
    def audits_every(self) -> int:
        """One shot in how many the second reader audits."""
        if self.audit_every is not None:
            return self.audit_every
        return self.scope.audit_every if self.scope is not None else 1

    def roles(self) -> list[tuple[table.Role, str]]:
        """Which parts a bench of kind pi names, and for what."""
        found: list[tuple[table.Role, str]] = [("threshold", self.threshold.source)]
        if self.axon_reader is not None:
            found.insert(0, ("axon_reader", table.together(self.axon_reader)))
        if self.pulse_source is not None:
            found.insert(0, ("pulse_source", self.pulse_source))
        return [*found, ("panel", "gpio")] if self.panel is not None else found

    def check_parts(self) -> None:
        """Raise InputError when a part does not exist, lacks its table, has wrong settings, or settings no part has."""
        if self.kind == "mock":
            return
        named = self.roles()
        for role, name in named:
            table.find(role, name).settings_in(self, role, name)
        unknown = sorted(self.parts.keys() - {name for _, name in named} - set(self.readers))
        if unknown:
            raise InputError(f"[parts.{unknown[0]}]: bench {self.name!r} names no part {unknown[0]!r}")

    def check_audits(self) -> None:
        """Raise InputError where how often an auditor looks is stated, and there is none.

        Not of the settings of a run that was recorded: they are as they are.
        """
        rarely = [("audit_every", self.audit_every)] if self.audit_every is not None else []
        if self.scope is not None and self.scope.audit_every != 1:
            rarely.append(("scope.audit_every", self.scope.audit_every))
        if rarely and len(self.readers) < TWO:
            key, value = rarely[0]
            here = "" if not self.readers else f': axon_reader = "{self.readers[0]}" is one'
            raise InputError(f"{key} = {value} needs two readers, of which the second audits{here}; leave it out")

    def at_addresses_of(self, other: BenchFile) -> BenchFile:
        """The same bench with its parts where another file says that they are."""
        update: dict[str, Section] = {}
        for table_name, fields in ADDRESSES.items():
            mine, theirs = getattr(self, table_name), getattr(other, table_name)
            if mine is not None and theirs is not None:
                update[table_name] = mine.model_copy(update={field: getattr(theirs, field) for field in fields})
        return self.model_copy(update=update)

    def check_threshold(self, volts: float) -> None:
        """Raise InputError when V_th cannot be made on this bench."""
        if not self.limits.vth_min_v <= volts <= self.limits.vth_max_v:
            raise InputError(
                f"V_th = {volts:g} V cannot be made on bench {self.name!r}: "
                f"allowed {self.limits.vth_min_v:g}…{self.limits.vth_max_v:g} V"
            )

    def check_frame(self, frame: Frame) -> None:
        """Raise LimitError when a frame, as the pulse source makes it, would exceed pulse width, rate or duty."""
        if not frame.total_pulses:
            return
        timing, limits, tick_s = frame.timing, self.limits, self.tick_s
        most = int(frame.pulses.max())
        real = made(timing, tick_s, most)
        rate_hz = timing.dendrite_clock_hz if timing.mode == "adaptive" else most / timing.window_s
        checks = (
            ("pulse width", timing.pulse_width_s, real.width_s, limits.pulse_width_max_s, " s"),
            ("pulse rate", rate_hz, real.rate_hz, limits.pulse_rate_max_hz, " Hz"),
            ("duty", rate_hz * timing.pulse_width_s, real.duty, limits.duty_max, ""),
        )
        for what, asked, value, limit, unit in checks:
            if value > limit * (1 + 1e-9):
                rounded = abs(value - asked) > 1e-6 * asked
                why = f" ({asked:g}{unit} in steps of {tick_s:g} s)" if rounded else ""
                raise LimitError(
                    f"{what} = {value:g}{unit}{why} exceeds the limit of bench {self.name!r}, {limit:g}{unit}"
                )


def load_bench(name: str) -> BenchFile:
    """Read a bench file by path, or by the name of a shipped one or one in the user's configuration folder.

    Raises InputError. Paths in it (`device`, `calibration`, `passports`) are relative to the file and come back whole.
    """
    mine = configured("benches")
    path = Path(name) if name in _SHIPPED else mine.get(name, Path(name))
    if path.suffix == ".toml":
        file = parse_toml(BenchFile, read_text(path, "bench file"), f"bench file {name}")
        try:
            file.check_parts()
            file.check_audits()
        except InputError as error:
            raise InputError(f"bench file {name}: {error}") from error
        return _anchored(file, path)
    if name not in _SHIPPED:
        raise InputError(
            f"bench {name!r} is neither a .toml file nor one of: {', '.join(dict.fromkeys([*_SHIPPED, *mine]))}"
        )
    text = (files("drivers") / "benches" / f"{name}.toml").read_text(encoding="utf-8")
    return parse_toml(BenchFile, text, f"bench file {name}")


def is_shipped(name: str) -> bool:
    """Whether a bench of this name comes with the program, and so changes only with its version."""
    return name in _SHIPPED


def _anchored(bench: BenchFile, file: Path) -> BenchFile:
    device = _from_file(file, "device", bench.device) if bench.device.endswith(".toml") else bench.device
    calibration = _from_file(file, "calibration", bench.calibration) if bench.calibration else ""
    passports = str(file.absolute().parent / bench.passports) if bench.passports else ""
    host, port = bench.pigpio.address()
    pigpio = PigpioSettings(host=host, port=port)
    return bench.model_copy(
        update={"pigpio": pigpio, "device": device, "calibration": calibration, "passports": passports}
    )


def _from_file(file: Path, key: str, name: str) -> str:
    """A path as a bench file states it, seen from that file's folder; whoever reads it says when nothing is there.

    What is found only from the working folder is still taken, as it once was, and said.
    """
    meant = file.absolute().parent / name
    if not meant.exists() and Path(name).exists():
        better = os.path.relpath(Path(name).absolute(), file.absolute().parent)
        warnings.warn(
            f"bench file {file}: {key} = {name!r} is found from the working folder only; write {better!r}, as seen "
            "from the bench file",
            HilWarning,
            stacklevel=4,
        )
        meant = Path(name).absolute()
    return str(meant)

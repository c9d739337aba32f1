"""From what is there and what the user says to the text of a bench file."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from drivers.benchfile import BenchFile
from drivers.device import DeviceFile, parse_toml
from drivers.errors import InputError
from drivers.settings import (
    BoardSettings,
    GpioSettings,
    Limits,
    PanelSettings,
    PicoSettings,
    PigpioSettings,
    ScopeSettings,
    SpikeSettings,
    ThresholdSettings,
    Wiring,
)
from drivers.signals import SlotTiming
from hil.bringup.template import key_lines, section_lines

Pulses = Literal["pigpio", "pico"]
Reader = Literal["scope", "pico", "both", "gpio", "gpio+scope"]
AUDIT_EVERY = 20  # shots; an oscilloscope reads for many times as long as a shot plays
Table = tuple[str, Any, Mapping[str, Any]]  # its name, its model, what is stated of it
READERS: tuple[Reader, ...] = get_args(Reader)
PI_COUNTS: tuple[Reader, ...] = ("gpio", "gpio+scope")
# The pins of docs/how-to/board.md
PI_WIRING: dict[str, Any] = {"dendrite": 17, "reset": 27, "sync": 22, "select": [23, 24, 25, 12]}
PICO_WIRING: dict[str, Any] = {"dendrite": 2, "reset": 3, "sync": 4, "select": [5, 6, 7, 8]}
PANEL: dict[str, Any] = {"enable": 26, "estop": 6, "lamp": 16}
# … and what its simulated node, one-shot and comparator need
SLOT: dict[str, Any] = {"dendrite_clock_hz": 50e3, "reset_width_s": 10e-6, "guard_s": 4e-6, "settle_s": 12e-6}
BOARD: dict[str, Any] = {"axon_width_s": 4.7e-6, "axon_delay_s": 1.6e-6}


def readers_beside(pulses: Pulses) -> tuple[Reader, ...]:
    """Who may count where these pulses are made."""
    return tuple(one for one in READERS if pulses == "pigpio" or one not in PI_COUNTS)


@dataclass(frozen=True)
class Answers:
    """What a bench is to be; None or empty where nobody has said."""

    name: str
    pulses: Pulses
    reader: Reader
    threshold: Literal["pico", "mcp4728", "mcp4725", "manual"]
    device: str = ""
    vth_min_v: float | None = None
    vth_max_v: float | None = None
    addresses: int = 4
    scope: str = ""
    pico_port: str = ""
    pigpiod: PigpioSettings = field(default_factory=PigpioSettings)
    dac_address: int = 0x60
    panel: bool = True

    @property
    def has_pico(self) -> bool:
        """Whether a Pico has any part in it."""
        return self.pulses == "pico" or self.reader in ("pico", "both") or self.threshold == "pico"

    @property
    def has_scope(self) -> bool:
        """Whether an oscilloscope reads the axon, or audits who does."""
        return self.reader in ("scope", "both", "gpio+scope")

    def missing(self) -> frozenset[str]:
        """Dotted keys that must be stated and are not."""
        asked = {"device": self.device, "limits.vth_min_v": self.vth_min_v, "limits.vth_max_v": self.vth_max_v}
        if self.has_scope:
            asked["scope.resource"] = self.scope
        return frozenset(key for key, value in asked.items() if value in (None, ""))


def bench_text(answers: Answers) -> str:
    """The commented bench file; keys that nobody stated stand in it as comments.

    Raises InputError where the parts do not go together, or nothing is missing and it still is no valid bench file.
    """
    if answers.reader in PI_COUNTS and answers.pulses != "pigpio":
        raise InputError(
            f"--reader {answers.reader}: pigpiod samples that GPIO, so the Pi makes the pulses: --pulses pigpio"
        )
    missing = answers.missing()
    selects = (PI_WIRING if answers.pulses == "pigpio" else PICO_WIRING)["select"][: answers.addresses]
    top = {
        "name": answers.name,
        "kind": "pi",
        "device": answers.device,
        "vth_v": 0.7,
        "pulse_source": answers.pulses,
        "axon_reader": answers.reader.split("+") if "+" in answers.reader else answers.reader,
    }
    lines = ["# A bench of this project, written by `hil bench init`. Every key that it may have is here.", ""]
    for key in ("name", "kind", "pulse_source", "axon_reader", "device", "vth_v"):
        lines += key_lines(key, BenchFile.model_fields[key], top[key], stated=key not in missing)
    if "+" in answers.reader:
        lines += key_lines("audit_every", BenchFile.model_fields["audit_every"], AUDIT_EVERY)
    lines += [*key_lines("calibration", BenchFile.model_fields["calibration"], None)]
    tables: list[Table] = [
        ("slot", SlotTiming, SLOT),
        ("board", BoardSettings, BOARD | {"addresses": answers.addresses}),
        ("limits", Limits, _stated(vth_min_v=answers.vth_min_v, vth_max_v=answers.vth_max_v)),
        ("wiring", Wiring, (PI_WIRING if answers.pulses == "pigpio" else PICO_WIRING) | {"select": selects}),
        ("threshold", ThresholdSettings, {"source": answers.threshold, "address": answers.dac_address}),
    ]
    if answers.pulses == "pigpio":
        tables.append(("pigpio", PigpioSettings, answers.pigpiod.model_dump()))
    tables += _reader_tables(answers)
    if answers.has_pico:
        dac = "none" if answers.threshold != "pico" else "mcp4728"
        tables.append(("pico", PicoSettings, {"port": answers.pico_port, "dac": dac}))
    if answers.panel:
        tables.append(("panel", PanelSettings, PANEL))
    for title, model, values in tables:
        lines += section_lines(title, model, values, missing)
    text = "\n".join(lines) + "\n"
    if not missing:
        parse_toml(BenchFile, text, "the bench file to be written")
    else:
        tomllib.loads(text)
    return text


def _reader_tables(answers: Answers) -> list[Table]:
    """What the readers need beside the Pico's own table."""
    tables: list[Table] = []
    if answers.reader in PI_COUNTS:
        tables.append(("gpio", GpioSettings, {}))
    if answers.has_scope:
        at_the_top = {"audit_every": None} if "+" in answers.reader else {}
        tables.append(("scope", ScopeSettings, {"resource": answers.scope, **at_the_top}))
    if answers.reader != "pico":
        tables.append(("spikes", SpikeSettings, {}))
    return tables


def _stated(**values: float | None) -> dict[str, float]:
    return {key: value for key, value in values.items() if value is not None}


def device_text(name: str, description: str, endurance: Mapping[str, int | None]) -> tuple[str, list[str]]:
    """The commented device file, and the keys of it that nobody stated. Raises InputError where one is wrong."""
    values: dict[str, Any] = {"id": name, "description": description, **endurance}
    missing = [key for key in ("id", *endurance) if not values[key]]
    lines = ["# A device of this project, written by `hil device init`."]
    for key, value in values.items():
        lines += key_lines(key, DeviceFile.model_fields[key], value, stated=key not in missing)
    text = "\n".join(lines) + "\n"
    if not missing:
        parse_toml(DeviceFile, text, "the device file to be written")
    return text, missing

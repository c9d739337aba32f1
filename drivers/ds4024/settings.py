"""A DS4024's settings: who answers, what every setting has to be for a capture plan, and proof that it is.

RIGOL MSO4000&DS4000 programming guide. Firmware below 00.02.03 corrupts RAW reads (microsoft/Qcodes issue 1206) and is
refused.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from drivers.ds4024.link import as_number
from drivers.ds4024.plan import DIVISIONS
from drivers.errors import BenchError, InputError

if TYPE_CHECKING:
    from drivers.ds4024.link import ScopeLink
    from drivers.ds4024.plan import CapturePlan
    from drivers.settings import ScopeSettings, SpikeSettings

FIRMWARE_LEAST = (0, 2, 3)
CODES_PER_DIV = 32
Y_REFERENCE = 127
_BETWEEN_S, _VERNIER = 1.23e-3, 0.005  # a time base between two steps, and how well it has to be made
SETTING_TOLERANCE = 1e-3  # relative; how well a setting that is read back must agree


def identify(reply: str) -> dict[str, str]:
    """`*IDN?` → maker, model, serial, firmware; raises BenchError for another instrument or old firmware."""
    fields = [f.strip() for f in reply.split(",")]
    if len(fields) != 4 or "rigol" not in fields[0].lower() or not re.match(r"(DS|MSO)4\d\d\d", fields[1], re.I):
        raise BenchError(f"scope.resource leads to {reply!r}, not to a RIGOL DS4000 or MSO4000")
    firmware = fields[3]
    if not re.fullmatch(r"\d+(\.\d+){2,4}", firmware) or _version(firmware) < FIRMWARE_LEAST:
        least = ".".join(f"{n:02d}" for n in FIRMWARE_LEAST)
        raise BenchError(f"the oscilloscope's firmware {firmware} corrupts memory reads; update it to {least} or later")
    return dict(zip(("scope_maker", "scope_model", "scope_serial", "scope_firmware"), fields, strict=True))


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(n) for n in text.split("."))


TIMES = frozenset({":ACQ:TYPE", ":ACQ:MDEP", ":TIM:VERN", ":TIM:SCAL", ":TIM:OFFS"})  # what changes no volts


def wanted_settings(plan: CapturePlan, settings: ScopeSettings, spikes: SpikeSettings) -> list[tuple[str, str]]:
    """Every setting in the order in which it has to be made: what others depend on comes first."""
    used = set(settings.channels.values())
    wanted = [(f":CHAN{n}:DISP", str(int(n in used))) for n in range(1, 5)]
    for name, n in sorted(settings.channels.items(), key=lambda item: item[1]):
        probe, volts_per_div = settings.probe_of(name), settings.volts_per_div_of(name)
        if not 1e-3 <= volts_per_div / probe <= 5:  # out of range, the link can lose its step
            raise InputError(
                f"scope.volts_per_div = {volts_per_div:g} with scope.probe = {probe:g} is {volts_per_div / probe:g} "
                f"V/div at the input of CHAN{n} ({name}); allowed 0.001…5"
            )
        middle_v = spikes.threshold_v if name == "axon" else spikes.sync_level_v
        wanted += [
            (f":CHAN{n}:IMP", "OMEG"),
            (f":CHAN{n}:COUP", "DC"),
            (f":CHAN{n}:BWL", "OFF"),
            (f":CHAN{n}:INV", "0"),
            (f":CHAN{n}:PROB", f"{probe:g}"),
            (f":CHAN{n}:SCAL", f"{volts_per_div:g}"),
            (f":CHAN{n}:OFFS", f"{-middle_v:g}"),  # the threshold in the middle of the screen
        ]
    sync = settings.channels["sync"]
    return [
        *wanted,
        (":ACQ:TYPE", "NORM"),
        (":TIM:MODE", "MAIN"),
        (":TIM:VERN", str(int(plan.vernier))),
        (":TIM:SCAL", f"{plan.s_per_div:g}"),
        (":ACQ:MDEP", str(plan.depth)),
        (":TIM:OFFS", f"{plan.offset_s:.9g}"),
        (":TRIG:MODE", "EDGE"),
        (":TRIG:EDG:SOUR", f"CHAN{sync}"),
        (":TRIG:EDG:SLOP", "POS"),
        (":TRIG:EDG:LEV", f"{spikes.sync_level_v:g}"),
        (":TRIG:COUP", "DC"),
        (":TRIG:HOLD", "1e-07"),
        (":TRIG:NREJ", "0"),
    ]


def apply_settings(
    link: ScopeLink, applied: dict[str, str], wanted: Iterable[tuple[str, str]], plan: CapturePlan
) -> bool:
    """Make the settings that differ from `applied`, read each back, and check the sample rate that comes of them.

    Returns whether there were any.

    Raises BenchError where the instrument keeps something else; `applied` is then emptied.
    """
    changed = {header: value for header, value in wanted if applied.get(header) != value}
    if not changed:
        return False
    link.write(":RUN")  # the memory depth can be set in no other state
    for header, value in changed.items():
        link.settle(f"{header} {value}")
        reply = link.ask(f"{header}?")
        # Some firmware calls the depth AUTO whatever it is; the sample rate tells.
        auto = header == ":ACQ:MDEP" and reply == "AUTO"
        if not auto and not _same(reply, value, _step(header, applied)):
            applied.clear()
            raise BenchError(f"the oscilloscope has {header} {reply} after being set to {value}")
        applied[header] = value
    if ":ACQ:MDEP" in changed:
        link.sleep(link.pace.depth_s)
    rate_hz = link.number(":ACQ:SRAT?")
    if rate_hz < plan.rate_hz * (1 - SETTING_TOLERANCE):
        applied.clear()
        raise BenchError(
            f"the oscilloscope samples at {rate_hz:g} Sa/s, planned were {plan.rate_hz:g}: it does not take the memory "
            f"depth {plan.depth:,}; set it by hand once (Acquire, Mem Depth)"
        )
    return True


def takes_vernier(link: ScopeLink) -> bool:
    """Whether a time base between its steps is taken, with the sample rate that belongs to it; changes settings."""
    link.write(":RUN")
    link.settle(":TIM:VERN 1")
    link.settle(f":TIM:SCAL {_BETWEEN_S:g}")
    made_s, rate_hz = link.number(":TIM:SCAL?"), link.number(":ACQ:SRAT?")
    said, sampled = link.ask(":ACQ:MDEP?"), rate_hz * _BETWEEN_S * DIVISIONS
    depth = sampled if said == "AUTO" else as_number(":ACQ:MDEP?", said)
    return abs(made_s / _BETWEEN_S - 1) < _VERNIER and abs(depth / sampled - 1) < _VERNIER


def _step(header: str, applied: dict[str, str]) -> float:
    """How far a setting may be rounded, absolute: times to a fiftieth of a division, voltages to a code."""
    if header == ":TIM:OFFS":
        return float(applied[":TIM:SCAL"]) / 50
    if header == ":TRIG:EDG:LEV":
        channel = applied[":TRIG:EDG:SOUR"]
        return float(applied[f":{channel}:SCAL"]) / CODES_PER_DIV
    if header.endswith(":OFFS"):
        return float(applied[header.replace(":OFFS", ":SCAL")]) / CODES_PER_DIV
    return 0.0


def _same(reply: str, value: str, step: float) -> bool:
    """Whether a setting read back is what was set, as text or as number to 0.1 % or `step`."""
    if reply == value:
        return True
    try:
        return math.isclose(float(reply), float(value), rel_tol=SETTING_TOLERANCE, abs_tol=step)
    except ValueError:
        return False

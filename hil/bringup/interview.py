"""What nobody stated for a bench file or a device file, asked for one by one at a terminal."""

from __future__ import annotations

import sys
from collections.abc import Collection, Mapping
from dataclasses import replace

from drivers.benchfile import BenchFile
from drivers.device import DeviceFile, load_device
from drivers.settings import Limits, ScopeSettings
from hil.bringup.ask import NOT_GUESSED, ask, ask_field, one_of
from hil.bringup.compose import Answers, readers_beside

LOWEST = f"{NOT_GUESSED}it lies below what the sense current makes of your device's low resistance"
HIGHEST = f"{NOT_GUESSED}it lies above what the sense current makes of your device's highest resistance"
ENDURANCE = NOT_GUESSED + "its sheet or its maker states it, and beyond it the device may die"


def complete_bench(answers: Answers, stated: Collection[str]) -> Answers:
    """Ask for everything of a bench that is not among the `stated`; raises InputError where nobody answers."""
    print("Return takes what stands in brackets; Ctrl-C writes nothing.", file=sys.stderr)
    answers = _chosen(answers, stated, "pulses", ("pigpio", "pico"), "who makes the pulses: the Pi itself, or a Pico")
    why = "who counts axon spikes: the oscilloscope, a Pico, both, the Pi itself where it makes the pulses"
    answers = _chosen(answers, stated, "reader", readers_beside(answers.pulses), why)
    why = "what makes V_th: the Pico's DAC, one on I²C, a supply"
    answers = _chosen(answers, stated, "threshold", ("pico", "mcp4728", "mcp4725", "manual"), why)
    if answers.has_scope and "scope" not in stated:
        field = ScopeSettings.model_fields["resource"]
        answers = replace(answers, scope=ask_field("scope.resource", field, answers.scope or None))
    if "addresses" not in stated:
        why = "select addresses that are wired, 0 to 4"
        answers = replace(answers, addresses=int(ask("addresses", why, one_of(*"01234"), str(answers.addresses))))
    if "panel" not in stated:
        has = ask("panel", "whether enable relay, e-stop and lamp hang on the Pi", one_of("yes", "no"), "yes")
        answers = replace(answers, panel=has == "yes")
    if not answers.device:
        why = f"{BenchFile.model_fields['device'].description}; `hil device init` writes one"
        answers = replace(answers, device=ask("device", why, _device))
    if answers.vth_min_v is None:
        low = ask_field("limits.vth_min_v", Limits.model_fields["vth_min_v"], read=float, more=LOWEST)
        answers = replace(answers, vth_min_v=low)
    if answers.vth_max_v is None:
        low = answers.vth_min_v

        def above(text: str) -> float:
            return Limits.model_validate({"vth_min_v": low, "vth_max_v": float(text)}).vth_max_v

        why = f"{Limits.model_fields['vth_max_v'].description}; V above {low:g} to 5. {HIGHEST}"
        answers = replace(answers, vth_max_v=ask("limits.vth_max_v", why, above))
    return answers


def _chosen(answers: Answers, stated: Collection[str], name: str, choices: tuple[str, ...], why: str) -> Answers:
    """One of several, unless it is stated."""
    if name in stated:
        return answers
    said = ask(name, f"{why} ({', '.join(choices)})", one_of(*choices), getattr(answers, name))
    return replace(answers, **{name: said})


def complete_device(
    name: str, description: str, endurance: Mapping[str, int | None]
) -> tuple[str, str, dict[str, int | None]]:
    """Ask for everything of a device that nobody stated; raises InputError where nobody answers."""
    fields = DeviceFile.model_fields
    name = name or ask_field("id", fields["id"])
    description = description or ask_field("description", fields["description"], "")
    found = {
        key: value if value is not None else ask_field(key, fields[key], read=float, more=ENDURANCE)
        for key, value in endurance.items()
    }
    return name, description, found


def _device(text: str) -> str:
    load_device(text)
    return text

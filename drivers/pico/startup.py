"""What can be seen of a Pico and its wiring without touching the neuron: at its start, and when counts are refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from drivers.checks import Check
from drivers.pico.setup import firmware_digest

if TYPE_CHECKING:
    from drivers.benchfile import BenchFile
    from drivers.pico.link import PicoLink

PICO_2 = "; on a Pico 2, fit 8.2 kΩ or less from it to ground (RP2350 erratum E9)"
LOOKS = 8  # at a level, before it is believed to be at rest


def start_checks(link: PicoLink, identity: Mapping[str, str], file: BenchFile) -> list[Check]:
    """After `Pico.prepare`; `identity` are the fields of `id`. One sync pulse is made, nothing reaches the neuron."""
    test, status = link.ask("test"), link.ask("status")
    ours = firmware_digest()
    found = [
        Check(
            "Pico firmware",
            identity["digest"] == ours,
            f"{identity['firmware']}, digest {identity['digest']}, ours {ours}",
            "run `hil flash`",
        ),
        Check("Pico clock", test["clock"] == "ok", f"{status['clock_hz']} Hz", "must be a multiple of 25 MHz"),
        Check("Pico lines", test["lines"] == "low", f"at rest they are {test['lines']}", "look for a short"),
    ]
    on_a_pico_2 = PICO_2 if "RP2350" in identity["machine"] else ""
    if file.pico is not None and file.pico.dac != "none":
        advice = "check SDA on GPIO 0, SCL on GPIO 1, the DAC's supply and its address"
        found.append(Check("Pico DAC", test["dac"] == "ok", f"{file.pico.dac} is {test['dac']}", advice))
    if "pico" in file.readers:
        advice = "check the axon wire and the comparator: at rest the axon is low; its inputs may be exchanged"
        found.append(Check("Pico axon at rest", status["axon"] == "0", f"level {status['axon']}", advice + on_a_pico_2))
        if file.pulse_source == "pico":
            advice = "sync did not reach the counter: is the line shorted?"
            high = status["axon"] != "0"  # the counter waits for a low axon, whatever sync does
            told = "not to be told while the axon is high" if high else test["path"]
            found.append(Check("Pico sequencer to counter", high or test["path"] == "ok", told, advice))
    if file.pico is not None and file.pico.estop_pin is not None:
        pressed = f"pressed: {status['estop']}"
        found.append(Check("Pico e-stop", status["estop"] == "0", pressed, "release it" + on_a_pico_2))
    return found


def axon_hint(link: PicoLink) -> str:
    """What may be wrong where edges of sync were missing or too many."""
    # A neuron that fires by itself all the time is high now and then only.
    if all(link.ask("status")["axon"] == "1" for _ in range(LOOKS)):
        return "the axon is high at rest: the comparator is inverted, or the line is stuck or not connected"
    return "check the sync and axon lines, then run hil doctor"

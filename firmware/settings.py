"""What this Pico is wired to and may do. The host sends it from its bench file; it is kept, so that V_th is parked
at the right voltage and the lines are held low from power-up on, before any host is there.
"""

import json
import os

from protocol import ProtocolError, integer

FILE = "settings.json"
RESERVED = (23, 24, 25)  # the Pico's own: regulator, VBUS sense, LED
I2C_PINS = (0, 1)

# name: default, least, most; None as default means that "none" is allowed
NUMBERS = {
    "base": (None, 0, 26),  # dendrite's pin; reset, sync and the selects follow
    "lines": (0, 0, 19),
    "addresses": (0, 0, 65536),
    "axon": (None, 0, 28),
    "sync": (None, 0, 28),  # read where something else makes the pulses
    "estop": (None, 0, 28),
    "vbus": (None, 0, 28),
    "address": (0x60, 0x08, 0x77),
    "vdd_uv": (3_300_000, 2_700_000, 5_500_000),
    "vth_min_uv": (0, 0, 5_000_000),
    "vth_max_uv": (2_000_000, 1, 5_000_000),
    "qualify_ns": (500, 20, 1_000_000),
    "silence_ms": (2000, 100, 60_000),
}
CHOICES = {"dac": ("mcp4728", "mcp4725", "none"), "select": ("one-hot", "binary")}


def defaults() -> "dict[str, object]":
    """Nothing is wired but the DAC."""
    values = {name: spec[0] for name, spec in NUMBERS.items()}
    for name, choices in CHOICES.items():
        values[name] = choices[0]
    return values


def parse(args: "list[str]") -> "dict[str, object]":
    """Settings from name=value words, the rest by default; raises ProtocolError."""
    values = defaults()
    for arg in args:
        name, _, text = arg.partition("=")
        if name in CHOICES:
            if text not in CHOICES[name]:
                raise ProtocolError("range", "%s is one of %s" % (name, " ".join(CHOICES[name])))
            values[name] = text
        elif name in NUMBERS:
            default, least, most = NUMBERS[name]
            values[name] = None if default is None and text == "none" else integer(name, text, least, most)
        else:
            raise ProtocolError("args", "no setting " + name)
    wrong = faults(values)
    if wrong:
        raise ProtocolError("range", wrong)
    return values


def line_pins(values) -> "list[int]":
    """dendrite, reset, sync, select0 …"""
    return [] if values["base"] is None else list(range(values["base"], values["base"] + values["lines"]))


def faults(values) -> str:
    """What cannot be, or nothing."""
    lines = line_pins(values)
    if lines and (values["lines"] < 3 or lines[-1] > 28):
        return "lines=%d from pin %d do not fit" % (values["lines"], values["base"])
    used = dict.fromkeys(RESERVED, "reserved")
    if values["dac"] != "none":
        used.update(dict.fromkeys(I2C_PINS, "I2C"))
    wanted = [("line", pin) for pin in lines] + [(name, values[name]) for name in ("axon", "sync", "estop")]
    for name, pin in wanted:
        if pin is not None and pin in used:
            return "pin %d: %s and %s" % (pin, used[pin], name)
        used[pin] = name
    if lines and values["sync"] is not None:
        return "sync is read only where the lines are somebody else's"
    if values["vth_min_uv"] >= values["vth_max_uv"]:
        return "vth_min_uv is not below vth_max_uv"
    top = {"mcp4728": 2_047_500, "mcp4725": values["vdd_uv"], "none": 5_000_000}[values["dac"]]
    if values["vth_max_uv"] > top:
        return "vth_max_uv=%d: %s makes %d at most" % (values["vth_max_uv"], values["dac"], top)
    return ""


def load() -> "dict[str, object]":
    """What was kept, or the defaults if there is nothing or it cannot be."""
    try:
        with open(FILE) as file:
            kept = json.load(file)
        values = defaults()
        values.update({name: kept[name] for name in values})
        return defaults() if faults(values) else values
    except (OSError, ValueError, KeyError, TypeError):
        return defaults()


def keep(values, known) -> None:
    """Write them down, unless they are what is known already: flash wears, and an erase takes 45 ms. A power cut
    leaves the old or the new file.
    """
    if values == known:
        return
    with open(FILE + ".new", "w") as file:
        json.dump(values, file)
    os.rename(FILE + ".new", FILE)

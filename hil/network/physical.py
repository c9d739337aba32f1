"""Which part of the network runs on the neuron: `conv1`, `conv1:0-7`, `conv1,conv2`, `fc1`, `all`, `none`."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from drivers.errors import InputError
from hil.network.layers import LAYERS, Layer

_PART = re.compile(r"(?P<layer>\w+)(?::(?P<first>\d+)(?:-(?P<last>\d+))?)?")


@dataclass(frozen=True)
class Physical:
    """Units start…stop−1 of a layer, played on the neuron, each as one channel or, with two halves, as two."""

    layer: Layer
    start: int
    stop: int
    halves: int = 1

    @property
    def channels(self) -> range:
        """What is played, in order: unit k, or its positive half as 2k and its negative one as 2k + 1."""
        return range(self.halves * self.start, self.halves * self.stop)

    @property
    def slots(self) -> int:
        """Slots a frame of these units has."""
        return len(self.channels) * self.layer.positions

    def __str__(self) -> str:
        if (self.start, self.stop) == (0, self.layer.units):
            return self.layer.name
        return f"{self.layer.name}:{self.start}-{self.stop - 1}"


def parse_physical(text: str, halves: int = 1) -> tuple[Physical, ...]:
    """The parts in order of layers, at most one range a layer, of so many halves a unit; raises InputError."""
    if text == "none":
        return ()
    if text == "all":
        return tuple(Physical(layer, 0, layer.units, halves) for layer in LAYERS)
    parts = [replace(_parse_part(part.strip()), halves=halves) for part in text.split(",")]
    names = [part.layer.name for part in parts]
    if len(set(names)) != len(names):
        raise InputError(f"--physical {text!r} names a layer twice; give one range a layer")
    return tuple(sorted(parts, key=lambda part: part.layer.index))


def _parse_part(text: str) -> Physical:
    match = _PART.fullmatch(text)
    layer = next((x for x in LAYERS if match and x.name == match["layer"]), None)
    if match is None or layer is None:
        known = ", ".join(x.name for x in LAYERS)
        raise InputError(
            f"--physical: unknown layer {text!r}; known: {known}, each with a range such as :0-7; all; none"
        )
    if match["first"] is None:
        return Physical(layer, 0, layer.units)
    first = int(match["first"])
    last = int(match["last"] or first)
    if not first <= last < layer.units:
        raise InputError(f"--physical {text!r}: {layer.name} has units 0-{layer.units - 1}")
    return Physical(layer, first, last + 1)

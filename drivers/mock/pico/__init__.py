"""The Pico of the twin: the real firmware in a real interpreter, on a simulated chip before the simulated board."""

from drivers.mock.pico.server import FAULTS, WIRING, PicoServer

__all__ = ["FAULTS", "WIRING", "PicoServer"]

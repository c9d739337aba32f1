"""A strict pigpiod: the daemon's socket protocol, limits and hazards (pigpio v79) in front of the simulated board."""

from drivers.mock.pigpiod.server import FAULTS, PigpiodServer

__all__ = ["FAULTS", "PigpiodServer"]

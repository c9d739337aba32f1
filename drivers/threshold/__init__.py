"""Threshold sources that are not the Pico: a DAC on the Pi's I²C bus, or a person."""

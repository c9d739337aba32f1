"""Handwritten digits through one memristive neuron: encode, play, decode, recognise."""

__version__ = "0.1.0"

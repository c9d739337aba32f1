"""Handwritten digits through one memristive neuron: encode, play, decode, recognise.

`from hil import open_run, recognise` is the way in for notebooks; the command line is `hil`, or `python -m hil`.
"""

import lazy_loader

__version__ = "0.1.0"
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

"""Sweeps, fits, firing statistics and the calibration record. `__init__.pyi` lists the names for notebooks.

    from calibration import Sweep, measure_threshold, measure_transfer, save_record

Each is imported from its room when it is first asked for.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

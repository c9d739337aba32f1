"""One room per piece of hardware, plus the vocabulary they share. `__init__.pyi` lists the names for notebooks.

    from drivers import SlotTiming, open_bench, probe_frame

    with open_bench("mock") as bench:
        volts = bench.set_threshold(0.7)
        for capture in bench.play([probe_frame("demo", SlotTiming(), [1, 2, 4, 8])]):
            print(capture.spikes)

Each is imported from its room when it is first asked for, so that `hil --help` stays quick.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

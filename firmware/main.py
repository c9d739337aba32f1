"""Starts the firmware. The only file that has to be source: MicroPython looks for main.py, and finds compiled modules
by itself.
"""

import gc

gc.threshold(16_384)  # while importing: what compiling leaves behind goes before it scatters over the heap

import buffers  # noqa: E402 (first, see there)
from loop import run  # noqa: E402

gc.threshold(-1)
filled = buffers.plug()

if __name__ == "__main__":
    run()

"""Run the firmware under CPython, where there is no MicroPython for this machine: what time and sys lack is added."""

import io
import runpy
import sys
import time
from types import SimpleNamespace

time.ticks_ms = lambda: time.monotonic_ns() // 1_000_000  # type: ignore[attr-defined]
time.ticks_diff = lambda a, b: a - b  # type: ignore[attr-defined]
time.sleep_ms = lambda ms: time.sleep(ms / 1000)  # type: ignore[attr-defined]
# Unbuffered, as poll asks the file descriptor and must not miss what a buffer holds.
raw_in, raw_out = io.FileIO(0, "r", closefd=False), io.FileIO(1, "w", closefd=False)
sys.stdin = SimpleNamespace(buffer=raw_in, fileno=raw_in.fileno)  # type: ignore[assignment]
sys.stdout = SimpleNamespace(buffer=raw_out)  # type: ignore[assignment]
runpy.run_path("main.py", run_name="__main__")

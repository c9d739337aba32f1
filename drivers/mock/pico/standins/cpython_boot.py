"""Run the firmware under CPython, where there is no MicroPython for this machine: what time and sys lack is added."""

import gc
import io
import runpy
import sys
import time

from link import chip

time.ticks_ms = lambda: time.monotonic_ns() // 1_000_000  # type: ignore[attr-defined]
time.ticks_diff = lambda a, b: a - b  # type: ignore[attr-defined]
time.ticks_add = lambda a, b: a + b  # type: ignore[attr-defined]
time.sleep_ms = lambda ms: time.sleep(ms / 1000)  # type: ignore[attr-defined]
gc.threshold = lambda _: None  # type: ignore[attr-defined]
chip.connect()
import usb  # noqa: E402 (is connected)

# Unbuffered, as poll asks the file descriptor and must not miss what a buffer holds.
sys.stdin = usb.Input(io.FileIO(0, "r", closefd=False))  # type: ignore[assignment]
sys.stdout = usb.Output(io.FileIO(1, "w", closefd=False))  # type: ignore[assignment]
sys.implementation._machine = "Raspberry Pi Pico with RP2040, twin in CPython"  # type: ignore[attr-defined]
sys.modules["select"] = usb
sys.path.insert(0, "")
chip.ask("interrupt_byte", byte=3)
runpy.run_path("main.py", run_name="__main__")

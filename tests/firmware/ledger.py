"""A ledger of memory: what the firmware's own lines take, temporaries included, counted line by line.

CPython's allocator is asked after every line of a firmware file; what the stand-ins and the twin take in between is
left out. Blocks of arrays and bytes are as large here as on a Pico; small objects are larger here, so that what passes
here passes there.
"""

from __future__ import annotations

import sys
import tracemalloc
from collections.abc import Callable
from types import FrameType
from typing import Any

from tests.firmware.pico_modules import FIRMWARE


class Ledger:
    """`peak` is the most that was in use at a time, `largest` the most that one line took; bytes."""

    def __init__(self) -> None:
        self.peak = self.largest = 0
        self.where = ""
        self._last = self._foreign = 0
        self._folder = str(FIRMWARE)

    def __enter__(self) -> Ledger:
        tracemalloc.start()
        self._last = tracemalloc.get_traced_memory()[0]
        sys.settrace(self._call)
        return self

    def __exit__(self, *exc: object) -> None:
        sys.settrace(None)
        tracemalloc.stop()

    def _call(self, frame: FrameType, _event: str, _arg: Any) -> Callable[..., Any] | None:
        if not frame.f_code.co_filename.startswith(self._folder):
            return None
        if frame.f_code.co_name == "<module>":  # CPython's compiler has been at work, not the firmware
            now = tracemalloc.get_traced_memory()[0]
            self._foreign += now - self._last
            self._last = now
            tracemalloc.reset_peak()
        return self._line

    def _line(self, frame: FrameType, _event: str, _arg: Any) -> Callable[..., Any]:
        now, peak = tracemalloc.get_traced_memory()
        self.peak = max(self.peak, peak - self._foreign)
        if peak - self._last > self.largest:
            self.largest = peak - self._last
            self.where = f"{frame.f_code.co_filename}:{frame.f_lineno}"
        self._last = now
        tracemalloc.reset_peak()
        return self._line

    def foreign(self, call: Callable[..., Any], *args: Any, **options: Any) -> Any:
        """Call something that is not the firmware's: what it keeps is not counted."""
        before = tracemalloc.get_traced_memory()[0]
        trace = sys.gettrace()
        sys.settrace(None)
        try:
            return call(*args, **options)
        finally:
            now = tracemalloc.get_traced_memory()[0]
            self._foreign += now - before
            self._last += now - before
            tracemalloc.reset_peak()
            sys.settrace(trace)

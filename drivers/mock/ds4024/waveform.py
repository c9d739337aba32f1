"""The :WAVeform subsystem of a simulated DS4024, with what is peculiar to it.

RIGOL MSO4000&DS4000 programming guide, :WAVeform; sigrok libsigrok `rigol-ds`, QCoDeS `Rigol_DS4000.py` and the
DS4000 drivers they were compared with:

* RAW needs RESet and BEGin before DATA?, and END afterwards: without END the reading thread stays with its channel;
* a NORM read leaves POINts at 1400, which caps the next RAW read;
* RAW is refused while the instrument runs; END leaves a query error in the queue;
* ASCii in RAW scales channel k by the settings of channel k + 1.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np

from drivers.mock.ds4024.front import SOURCES, Choice, number
from drivers.mock.ds4024.memory import SCREEN_POINTS, Ahead, Codes, Reading, block, envelope
from drivers.mock.ds4024.scpi import NO_DATA, QUERY_UNTERMINATED, SETTINGS_CONFLICT, Commands, ScpiError
from drivers.mock.probe import REFERENCE

if TYPE_CHECKING:
    from collections.abc import Callable

    from drivers.mock.ds4024.acquisition import Record
    from drivers.mock.ds4024.faults import Faults

_FORMATS = Choice("BYTE", ("BYTE", "WORD", "ASCii"))
_MODES = Choice("NORM", ("NORMal", "MAXimum", "RAW"))
_PREAMBLE_QUERIES = ("XINCrement", "XORigin", "XREFerence", "YINCrement", "YORigin", "YREFerence")
_FIRST_PREAMBLE_QUERY = 4
_LATE_STATUSES = 4
_STALE_PREAMBLES = 2


class Waveform:
    """Reads records out.

    `record` gives what is in memory or, while running, on the screen; `codes(record, channel, first, count)` its
    samples; `running` and `now_ns` the instrument's state and clock.
    """

    def __init__(
        self,
        record: Callable[[], Record | None],
        codes: Callable[[Record, int, int, int], Codes],
        running: Callable[[], bool],
        now_ns: Callable[[], int],
        faults: Faults,
        bytes_per_s: float | None,
    ) -> None:
        self._record, self._codes, self._running, self._now_ns = record, codes, running, now_ns
        self._faults, self._bytes_per_s = faults, bytes_per_s
        self._source, self._mode, self._format = 1, "NORM", "BYTE"
        self._points, self._start, self._stop = SCREEN_POINTS, 1, SCREEN_POINTS
        self._reading: Reading | None = None
        self._worker = ThreadPoolExecutor(1, "ds4024-samples")
        self._locked: int | None = None  # the channel that the reading thread stays with until END
        self._stale = 0
        scale = {
            f"WAVeform:{name}": (lambda k=k: self._preamble()[k])
            for k, name in enumerate(_PREAMBLE_QUERIES, _FIRST_PREAMBLE_QUERY)
        }
        self.commands = Commands(
            queries={
                "WAVeform:SOURce": lambda: f"CHAN{self._source}",
                "WAVeform:MODE": lambda: self._mode,
                "WAVeform:FORMat": lambda: self._format,
                "WAVeform:POINts": lambda: str(self._points),
                "WAVeform:STARt": lambda: str(self._start),
                "WAVeform:STOP": lambda: str(self._stop),
                "WAVeform:STATus": self._status,
                "WAVeform:DATA": self._data,
                "WAVeform:PREamble": lambda: ",".join(self._preamble()),
                **scale,
            },
            actions={"WAVeform:RESet": self.forget_reading, "WAVeform:BEGin": self._begin, "WAVeform:END": self._end},
            settings={
                "WAVeform:SOURce": self._set_source,
                "WAVeform:MODE": self._set_mode,
                "WAVeform:FORMat": self._set_format,
                "WAVeform:POINts": self._set_points,
                "WAVeform:STARt": self._set_start,
                "WAVeform:STOP": self._set_stop,
            },
        )

    # ---- settings -----------------------------------------------------------------------------------------------

    def _set_source(self, text: str) -> None:
        self._source = int(SOURCES.parse(text)[-1])

    def _set_mode(self, text: str) -> None:
        mode = _MODES.parse(text)
        if mode == "RAW" and self._running():
            raise ScpiError(SETTINGS_CONFLICT)
        if mode == "RAW" and self._mode != "RAW" and self._faults.strikes("stale_preamble"):
            self._stale = _STALE_PREAMBLES
        self._mode = mode

    def _set_format(self, text: str) -> None:
        self._format = _FORMATS.parse(text)

    def _set_points(self, text: str) -> None:
        self._points = self._clamped(text)

    def _set_start(self, text: str) -> None:
        self._start = self._clamped(text)

    def _set_stop(self, text: str) -> None:
        self._stop = self._clamped(text)

    def _clamped(self, text: str) -> int:
        record = self._record()
        most = record.points if record is not None and self._memory else SCREEN_POINTS
        return min(max(round(number(text)), 1), most)

    # ---- the reading thread -------------------------------------------------------------------------------------

    @property
    def _memory(self) -> bool:
        """Whether memory is read, and not the screen."""
        return self._mode == "RAW" or (self._mode == "MAX" and not self._running())

    @property
    def _total(self) -> int:
        return max(0, min(self._stop - self._start + 1, self._points))

    def forget_reading(self) -> None:
        """`:WAVeform:RESet`; a new acquisition does the same."""
        if self._reading is not None:
            self._reading.codes.close()
        self._reading = None

    def _begin(self) -> None:
        record = self._record()
        if self._running() or self._mode != "RAW":
            raise ScpiError(SETTINGS_CONFLICT)
        if record is None:
            raise ScpiError(NO_DATA)
        self._locked = self._source if self._locked is None else self._locked
        source = self._locked
        late = _LATE_STATUSES if self._faults.strikes("late_idle") else 0
        total = min(self._total, record.points - self._start + 1)
        first = self._start - 1
        self._reading = Reading(
            codes=Ahead(self._worker, lambda begin, count: self._codes(record, source, begin, count), first, total),
            first=first,
            total=total,
            began_ns=self._now_ns(),
            bytes_per_s=self._bytes_per_s,
            idle_after=late,
        )

    def _end(self) -> None:
        self.forget_reading()
        self._locked = None
        raise ScpiError(QUERY_UNTERMINATED)

    def _status(self) -> str:
        return self._reading.status(self._now_ns()) if self._reading is not None else "IDLE,0"

    # ---- data ---------------------------------------------------------------------------------------------------

    def _data(self) -> bytes:
        if self._memory and self._mode == "RAW":
            codes = self._reading.fetch(self._now_ns()) if self._reading is not None else np.empty(0, dtype=np.uint8)
            if len(codes) and self._faults.strikes("short_block"):
                codes = codes[: len(codes) - max(1, len(codes) // 10)]
            return block(self._encoded(codes, scaled_as=self._source % 4 + 1))
        record = self._record()
        if record is None:
            return block(b"")
        codes = self._codes(record, self._source, 0, record.points)
        if not self._memory:
            codes = envelope(codes)
            self._points = min(self._points, SCREEN_POINTS)
        return block(self._encoded(codes[self._start - 1 : self._stop], scaled_as=self._source))

    def _encoded(self, codes: Codes, *, scaled_as: int) -> bytes:
        if self._format == "BYTE":
            return codes.tobytes()
        if self._format == "WORD":
            return codes.astype("<u2").tobytes()
        record = self._record()
        if record is None:
            return b""
        view = record.channels[scaled_as]
        volts = (codes.astype(np.float64) - view.y_origin - REFERENCE) * view.y_increment
        return "".join(f"{v:.6e}," for v in volts).encode("ascii")

    def _preamble(self) -> list[str]:
        record = self._record()
        memory = self._memory
        if self._stale > 0:
            self._stale -= 1
            memory = False
        mode = {"NORM": 0, "MAX": 1, "RAW": 2}[self._mode] if memory else 0
        points = (self._total if memory else SCREEN_POINTS) if record is not None else 0
        x_increment = x_origin = y_increment = 0.0
        y_origin = 0
        if record is not None:
            x_increment = 1 / record.horizontal.rate_hz if memory else record.horizontal.scale / 100
            if memory and self._faults.on("wrong_increment"):
                x_increment *= 2
            x_origin = -record.pre_s
            view = record.channels[self._source]
            y_increment, y_origin = view.y_increment, view.y_origin
        code = {"BYTE": 0, "WORD": 1, "ASC": 2}[self._format]
        numbers = (f"{x_increment:.6e}", f"{x_origin:.6e}", "0", f"{y_increment:.6e}", str(y_origin), str(REFERENCE))
        return [str(code), str(mode), str(points), "1", *numbers]

"""Traces out of a DS4024's memory: what a channel showed while a shot played, with everything that scales it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from drivers.ds4024.blocks import Rate
from drivers.ds4024.link import ScopeLink, as_number
from drivers.ds4024.memory import (
    AS_BYTES,
    BOUNDS,
    WINDOW,
    NoRecordError,
    Preamble,
    end_reading,
    read_again,
    read_memory,
)
from drivers.ds4024.plan import DIVISIONS
from drivers.ds4024.settings import CODES_PER_DIV, SETTING_TOLERANCE, Y_REFERENCE
from drivers.errors import CaptureError, ConnectionLostError
from drivers.signals import Trace

if TYPE_CHECKING:
    from collections.abc import Mapping

    from drivers.ds4024.plan import CapturePlan
    from drivers.settings import ScopeSettings

RATE_MOST_HZ, DEPTH_MOST = 4e9, 140e6  # data sheet of the DS4000 series
_INCREMENT_TOLERANCE = 0.05  # beyond it XINCrement is not believed


class Fetcher:
    """Reads channels; what it has learned of a channel holds until settings change or the connection is lost."""

    def __init__(self, link: ScopeLink, settings: ScopeSettings, rate: Rate) -> None:
        self._link, self._settings, self.rate = link, settings, rate
        self._short = True  # whether the short way has led somewhere so far
        self._memory: tuple[float, int] | None = None
        self._preambles: dict[int, Preamble] = {}
        self._sent: dict[str, str] = {}  # what is known to be set for reading
        self._keeps = True  # whether that has stayed so far

    def forget(self, *, times_only: bool = False) -> None:
        """Settings have changed, or somebody else may have changed them; `times_only`: volts are what they were."""
        self._memory = None
        self._sent = {header: value for header, value in self._sent.items() if times_only and header not in BOUNDS}
        if not times_only:
            self._preambles.clear()

    def prepare(self, start: int) -> None:
        """Ask and set what can be beforehand, so that the first record is read as soon as any, from `start` on."""
        _, depth = self.know_memory()
        self._link.write(":STOP")  # memory can be chosen in no other state
        ready = {":WAV:SOUR": f"CHAN{self._settings.channels['axon']}", **AS_BYTES, ":WAV:POIN": str(depth)}
        for header, value in ready.items():
            self._link.write(f"{header} {value}")
        if self._link.ask(":WAV:POIN?") == str(depth):  # no more than there is in memory, which may have been empty
            self._link.write(f":WAV:STAR {start}")
            self._sent.update(ready, **{":WAV:STAR": str(start)})

    @property
    def selected(self) -> str | None:
        """The channel that is read soonest, as it is selected already; None: not known."""
        said = self._sent.get(":WAV:SOUR")
        return next((name for name, number in self._settings.channels.items() if said == f"CHAN{number}"), None)

    def trace(
        self,
        name: str,
        plan: CapturePlan,
        armed: Mapping[str, str],
        *,
        from_s: float | None = None,
        more: Mapping[str, str] | None = None,
    ) -> Trace:
        """What the plan reads of a channel, or of that what comes `from_s` after the trigger.

        `armed` are the settings that it was armed with; `more` is noted beside them. Raises CaptureError,
        NoRecordError, ConnectionLostError.
        """
        channel = self._settings.channels[name]  # type: ignore[index]
        rate_hz, depth = self.know_memory()
        # Where the shot lies follows from the time base; the preamble's own times have been seen wrong.
        scale = rate_hz / plan.rate_hz
        start = max(1, math.floor((plan.start - 1) * scale) + 1)
        stop = min(depth, math.ceil(plan.stop * scale))
        if from_s is not None:
            start = max(start, math.floor((plan.pre_s + from_s) * rate_hz) + 1)
        codes, preamble = self._read(channel, depth, start, stop)
        check_volts(channel, preamble, float(armed[f":CHAN{channel}:SCAL"]))
        settings = {**armed, **(more or {})}
        settings["preamble"] = ",".join(f"{v:g}" for v in vars(preamble).values())
        if abs(preamble.x_increment_s * rate_hz - 1) > _INCREMENT_TOLERANCE:
            settings["x_increment"] = f"1 / :ACQ:SRAT?, not {preamble.x_increment_s:g} of the preamble"
        return Trace(
            name=name,
            codes=codes,
            y_increment_v=preamble.y_increment_v,
            y_origin=preamble.y_origin,
            y_reference=preamble.y_reference,
            x_increment_s=1 / rate_hz,
            x_origin_s=(start - 1) / rate_hz - plan.pre_s,
            settings=settings,
        )

    def _read(self, channel: int, depth: int, start: int, stop: int) -> tuple[NDArray[np.uint8], Preamble]:
        """Codes and preamble, by the short way where that has been gone before."""
        while self._short and self._settings.read_style == "windows":
            remembered = bool(self._sent) and self._keeps
            try:
                known, sent = self._preambles.get(channel), self._sent if self._keeps else {}
                found = read_again(self._link, channel, depth, start, stop, known, self.rate, sent)
            except NoRecordError:
                raise
            except CaptureError:  # what was sent again, then all of it from the beginning; and so from now on
                self._keeps, self._short = self._keeps and not remembered, remembered
            except ConnectionLostError:  # all of it, this time
                self._link.open()
                end_reading(self._link)
                break
            else:
                self._preambles[channel] = found[1]
                return found
        self._sent.clear()
        window = WINDOW if self._settings.read_style == "windows" else None
        codes, preamble = read_memory(self._link, channel, depth, start, stop, window=window, rate=self.rate)
        self._preambles[channel] = preamble
        return codes, preamble

    def know_memory(self) -> tuple[float, int]:
        """Sample rate and depth of records, asked once for the settings as they are."""
        self._memory = self._memory or self._ask_memory()
        return self._memory

    def _ask_memory(self) -> tuple[float, int]:
        """Sample rate and depth of the record; in AUTO the depth follows from rate and time base."""
        rate_hz = self._link.number(":ACQ:SRAT?")
        said = self._link.ask(":ACQ:MDEP?")
        if said == "AUTO":
            depth = rate_hz * self._link.number(":TIM:SCAL?") * DIVISIONS
        else:
            depth = as_number(":ACQ:MDEP?", said)
        if not 0 < rate_hz <= RATE_MOST_HZ or not 1 <= depth <= DEPTH_MOST:
            raise CaptureError(f"the oscilloscope says that it took {depth:g} samples at {rate_hz:g} Sa/s")
        return rate_hz, round(depth)


def check_volts(channel: int, preamble: Preamble, scale_v: float) -> None:
    """Raise CaptureError where a preamble does not belong to so many V a division."""
    if (
        abs(preamble.y_increment_v * CODES_PER_DIV / scale_v - 1) > SETTING_TOLERANCE
        or preamble.y_reference != Y_REFERENCE
    ):
        raise CaptureError(
            f"channel {channel}: the preamble's {preamble.y_increment_v:g} V a code and reference "
            f"{preamble.y_reference} do not belong to {scale_v:g} V/div; expected "
            f"{scale_v / CODES_PER_DIV:g} and {Y_REFERENCE}"
        )

"""Reading a DS4024's memory: RAW mode, its reading thread, and everything that can go wrong with it.

The order of commands is that of published drivers of the series (QCoDeS, dvorak's DS4014 driver, libsigrok rigol-ds):
source, format, mode; RESet and BEGin; what the reading thread gives (drivers.ds4024.blocks); END always, because the
next channel is read wrongly without it. A channel whose count is wrong is read again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from drivers.ds4024.blocks import BLOCK_MOST, Rate, collect
from drivers.errors import CaptureError, ConnectionLostError

if TYPE_CHECKING:
    from drivers.ds4024.link import ScopeLink

TRIES = 3
WINDOW = 250_000  # samples asked for at a time; blocks of up to 1 000 000 bytes have been seen
_PREAMBLE_TRIES = 10
_EXECUTION_ERROR = 16  # *ESR? bit 4
_RAW, _BYTE = 2, 0  # the preamble's mode and format fields
AS_BYTES = {":WAV:FORM": "BYTE", ":WAV:MODE": "RAW"}
BOUNDS = (":WAV:POIN", ":WAV:STOP", ":WAV:STAR")  # what a shorter memory bounds


class NoRecordError(CaptureError):
    """The memory is empty: the oscilloscope stopped without having seen a trigger."""


@dataclass(frozen=True)
class Preamble:
    """`:WAVeform:PREamble?`: points, and what turns codes into volts and indices into seconds."""

    mode: int
    points: int
    x_increment_s: float
    x_origin_s: float
    y_increment_v: float
    y_origin: float
    y_reference: int


def parse_preamble(text: str) -> Preamble:
    """Ten comma-separated fields; raises CaptureError."""
    fields = text.split(",")
    try:
        _, mode, points, _, x_increment, x_origin, _, y_increment, y_origin, y_reference = map(float, fields)
        whole = int(mode), int(points), round(y_reference)
    except (ValueError, OverflowError) as error:
        raise CaptureError(f"the oscilloscope's preamble is {text!r}, not ten numbers") from error
    return Preamble(whole[0], whole[1], x_increment, x_origin, y_increment, y_origin, whole[2])


def enter_raw(link: ScopeLink, channel: int, depth: int) -> Preamble:
    """Select a channel's memory of `depth` samples and return its preamble, once it is that of RAW mode.

    Raises NoRecordError when the memory is empty.
    """
    link.settle(f":WAV:SOUR CHAN{channel}")
    link.settle(":WAV:FORM BYTE")
    link.settle(":WAV:MODE RAW")
    link.sleep(link.pace.settle_s)
    mode = link.ask(":WAV:MODE?")
    if mode != "RAW":
        raise CaptureError(f"the oscilloscope stays in waveform mode {mode} instead of RAW: it has not stopped")
    # A NORM read leaves POINts at 1400, which would cap this one.
    for command in (":WAV:STAR 1", f":WAV:STOP {depth}", f":WAV:POIN {depth}"):
        link.write(command)
    for _ in range(_PREAMBLE_TRIES):
        preamble = parse_preamble(link.ask(":WAV:PRE?"))
        if preamble.mode == _RAW:
            if preamble.points == 0:
                raise NoRecordError("the oscilloscope's memory is empty")
            return preamble
        link.sleep(link.pace.settle_s)
    raise CaptureError(f"the oscilloscope's preamble stays in mode {preamble.mode}, not {_RAW} (RAW)")


def read_again(
    link: ScopeLink,
    channel: int,
    depth: int,
    start: int,
    stop: int,
    expected: Preamble | None,
    rate: Rate,
    sent: dict[str, str],
) -> tuple[NDArray[np.uint8], Preamble]:
    """Samples start…stop of a channel in few commands, one window; `expected` is its preamble, if it has been read
    before with the same volts, and `sent` what is known to be set, by its commands.

    Raises NoRecordError, and CaptureError where anything is not as it should be; `read_memory` is to be tried instead.
    """
    window = dict(zip(BOUNDS, map(str, (depth, stop, start)), strict=True))  # the depth may have grown since
    needed = {":WAV:SOUR": f"CHAN{channel}", **AS_BYTES, **window}
    news = [f"{header} {value}" for header, value in needed.items() if sent.get(header) != value]
    sent.clear()
    for command in (*news, ":WAV:RES"):
        link.write(command, pause=False)  # the preamble and the count tell whether they were taken
    said = link.ask(":WAV:PRE?")
    found = parse_preamble(said)
    if found.mode != _RAW or float(said.split(",")[0]) != _BYTE:
        raise CaptureError(f"channel {channel} is not read as bytes out of memory: its preamble is {said!r}")
    if found.points == 0:
        raise NoRecordError("the oscilloscope's memory is empty")
    expected = expected or found
    if replace(expected, points=found.points, x_origin_s=found.x_origin_s, x_increment_s=found.x_increment_s) != found:
        raise CaptureError(f"channel {channel} is set otherwise than when it was read last: {found}")
    wanted = stop - start + 1
    try:
        _begin_reading(link)
        data = collect(link, wanted, rate)
    finally:
        end_reading(link)
    if len(data) != wanted:
        raise CaptureError(f"channel {channel} gave {len(data):,} samples for {start:,}…{stop:,}, expected {wanted:,}")
    sent.update(needed)
    return np.frombuffer(data, dtype=np.uint8), found


def read_memory(
    link: ScopeLink,
    channel: int,
    depth: int,
    start: int,
    stop: int,
    *,
    window: int | None = WINDOW,
    at_once: bool = True,
    rate: Rate | None = None,
) -> tuple[NDArray[np.uint8], Preamble]:
    """Samples start…stop (from 1, inclusive) of a channel's memory of `depth` samples, and its preamble.

    `at_once` by STARt and STOP, and `window` samples at a time where that fails; without a window it reads the whole
    memory in one go by POINts and cuts it afterwards. Tried three times: again from RESet after a wrong count, over a
    new connection after an I/O error.
    Raises NoRecordError, CaptureError, or ConnectionLostError from the last try.
    """
    rate = rate or Rate()
    tries = 0
    while True:
        tries += 1
        try:
            preamble = enter_raw(link, channel, depth)
            if window is None:
                return _read_window(link, channel, 1, depth, rate)[start - 1 : stop], preamble
            size = min(stop - start + 1, BLOCK_MOST) if at_once and tries == 1 else window
            firsts = range(start, stop + 1, size)
            parts = [_read_window(link, channel, first, min(first + size - 1, stop), rate) for first in firsts]
            return np.concatenate(parts), preamble
        except NoRecordError:
            raise
        except (CaptureError, ConnectionLostError) as error:
            if tries == TRIES:
                raise type(error)(
                    f"channel {channel} could not be read in {TRIES} tries; the last: {error}; restart the "
                    "oscilloscope, and check its LAN or USB cable"
                ) from error
            if isinstance(error, ConnectionLostError):
                link.open()
                end_reading(link)


def _read_window(link: ScopeLink, channel: int, start: int, stop: int, rate: Rate) -> NDArray[np.uint8]:
    wanted = stop - start + 1
    link.write(f":WAV:STAR {start}")
    link.write(f":WAV:STOP {stop}")
    link.write(":WAV:RES")
    link.ask("*ESR?")  # what happened before is not of interest
    _begin_reading(link)
    try:
        data = collect(link, wanted, rate)
        empty = not data and bool(int(link.number("*ESR?")) & _EXECUTION_ERROR)
    finally:
        end_reading(link)
    if empty:
        raise NoRecordError("the oscilloscope refuses to read its memory: it is empty")
    if len(data) != wanted:
        raise CaptureError(f"channel {channel} gave {len(data):,} samples for {start:,}…{stop:,}, expected {wanted:,}")
    return np.frombuffer(data, dtype=np.uint8)


def _begin_reading(link: ScopeLink) -> None:
    """Start the reading thread on the window that is set."""
    link.write(":WAV:BEG")
    link.rest(link.pace.memory_s)


def end_reading(link: ScopeLink) -> None:
    """End the reading thread, whatever has become of it; a query error in the instrument's queue is to be expected."""
    link.write(":WAV:END")
    link.rest(link.pace.memory_s)

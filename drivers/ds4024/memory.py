"""Reading a DS4024's memory: RAW mode, its reading thread, and everything that can go wrong with it.

The order of commands is that of published drivers of the series (QCoDeS, dvorak's DS4014 driver, libsigrok rigol-ds):
source, format, mode; RESet and BEGin; STATus? and DATA? in turn until IDLE and everything has arrived; END always,
because the next channel is read wrongly without it. A channel whose count is wrong is read again.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from drivers.errors import CaptureError, ConnectionLostError

if TYPE_CHECKING:
    from drivers.ds4024.link import ScopeLink

TRIES = 3
WINDOW = 250_000  # samples asked for at a time; blocks of up to 1 000 000 bytes have been seen
_BLOCK_MOST = 1_000_000
_TELLING = 50_000  # bytes: less says more of commands than of the link
_MEASURED_EVERY = 16  # reads
_MEASURED_SHARE, _MEASURED_MOST_S = 0.8, 5.0
_EMPTY_MOST = 20  # blocks in a row without data, after which a window is given up
_PREAMBLE_TRIES = 10
_EXECUTION_ERROR = 16  # *ESR? bit 4
_RAW, _BYTE = 2, 0  # the preamble's mode and format fields


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


class Rate:
    """How fast memory comes, measured while it is read: `copied` into the instrument's buffer, and in all."""

    def __init__(self, bytes_per_s: float | None = None) -> None:
        self.copied = self.bytes_per_s = bytes_per_s
        self._reads = 0

    def due(self, count: int) -> bool:
        """Whether a read of so many bytes is one to measure by."""
        if count < _TELLING:
            return False
        self._reads += 1
        return self.copied is None or self._reads % _MEASURED_EVERY == 1

    def tell(self, copied: float, count: int, handed_s: float) -> None:
        """Bytes a second into the buffer, and how long it took to hand over so many of them."""
        self.copied = copied
        self.bytes_per_s = count / (count / copied + max(handed_s, 0.0))


def read_again(
    link: ScopeLink,
    channel: int,
    depth: int,
    start: int,
    stop: int,
    expected: Preamble | None,
    rate: Rate,
    sent: dict[str, int],
) -> tuple[NDArray[np.uint8], Preamble]:
    """Samples start…stop of a channel in few commands, one window; `expected` is its preamble, if it has been read
    before with the same volts, and `sent` what the window's ends and the points are known to be, by their commands.

    Raises NoRecordError, and CaptureError where anything is not as it should be; `read_memory` is to be tried instead.
    """
    window = {":WAV:POIN": depth, ":WAV:STOP": stop, ":WAV:STAR": start}  # the depth may have grown since
    news = [f"{header} {value}" for header, value in window.items() if sent.get(header) != value]
    sent.clear()
    begin = () if expected is not None else (":WAV:FORM BYTE", ":WAV:MODE RAW")
    for command in (f":WAV:SOUR CHAN{channel}", *begin, *news, ":WAV:RES"):
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
        data = _collect(link, wanted, rate)
    finally:
        end_reading(link)
    if len(data) != wanted:
        raise CaptureError(f"channel {channel} gave {len(data):,} samples for {start:,}…{stop:,}, expected {wanted:,}")
    sent.update(window)
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
            size = min(stop - start + 1, _BLOCK_MOST) if at_once and tries == 1 else window
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
        data = _collect(link, wanted, rate)
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


def _collect(link: ScopeLink, wanted: int, rate: Rate) -> bytes:
    """Everything that the reading thread gives; ends when it is idle and has nothing more."""
    data = bytearray()
    empty = 0
    copied = _measured(link, wanted) if rate.due(wanted) else None
    if copied is None and rate.copied is not None:
        link.sleep(min(wanted, _BLOCK_MOST) / rate.copied)
    handed_s = 0.0
    while empty < _EMPTY_MOST and len(data) <= wanted:
        state, ready = _status(link)
        asked = time.monotonic()
        block = link.block(":WAV:DATA?", _BLOCK_MOST) if ready or state == "IDLE" else b""
        handed_s += time.monotonic() - asked
        data += block
        empty = 0 if block else empty + 1
        if state == "IDLE" and (len(data) >= wanted or not block):
            break  # idle, and asked once more
        if not block:
            link.sleep(link.pace.poll_s)
    if copied is not None:
        rate.tell(copied, wanted, handed_s)
    return bytes(data)


def _measured(link: ScopeLink, wanted: int) -> float | None:
    """Bytes a second that the reading thread copies, told by how its number grows; at least, where it is done at once.

    None where it does not grow: its buffer is full.

    The number is the same before the first DATA?, whether it is what is buffered or what has been copied.
    """
    first_s, (state, first) = time.monotonic(), _status(link)
    if state == "READ" and first < wanted:
        link.sleep(link.pace.poll_s)
        second_s, (state, second) = time.monotonic(), _status(link)
        if second <= first:
            return None
        grows = (second - first) / (second_s - first_s)
        if state == "READ":  # once more, when most of it is there
            link.sleep(min(_MEASURED_SHARE * (wanted - second) / grows, _MEASURED_MOST_S))
            third_s, (state, third) = time.monotonic(), _status(link)
            if third > second and state == "READ":
                return (third - first) / (third_s - first_s)
        return grows
    return wanted / (time.monotonic() - first_s + link.pace.memory_s)


def _status(link: ScopeLink) -> tuple[str, int]:
    """`:WAVeform:STATus?`: READ or IDLE, and a number of samples."""
    reply = link.ask(":WAV:STAT?")
    state, _, ready = reply.partition(",")
    if state not in ("READ", "IDLE") or not ready.isdigit():
        raise CaptureError(f"the oscilloscope answers :WAV:STAT? with {reply!r}")
    return state, int(ready)

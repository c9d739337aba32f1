"""Reading a DS4024's memory: RAW mode, its reading thread, and everything that can go wrong with it.

The order of commands is that of published drivers of the series (QCoDeS, dvorak's DS4014 driver, libsigrok rigol-ds):
source, format, mode; RESet and BEGin; STATus? and DATA? in turn until IDLE and everything has arrived; END always,
because the next channel is read wrongly without it. A channel whose count is wrong is read again.
"""

from __future__ import annotations

import math
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
_BUFFERED_MOST = 900_000  # by then it is fetched
_TELLING = 50_000  # bytes: less says more of commands than of the link
_UNSURE_SHARE = 0.5  # of the time that all should take: then a rate is looked at that is not sure
_EARLY = 0.75  # of the time that an answer takes
_SURE = 200_000  # bytes: by so many the time that a query takes does not matter
_REST_MOST_S = 5.0
_LOOKS = 3  # at how much has been copied, until that tells the rate
_EMPTY_MOST = 20  # blocks in a row without data, after which a window is given up
_PREAMBLE_TRIES = 10
_EXECUTION_ERROR = 16  # *ESR? bit 4
_RAW, _BYTE = 2, 0  # the preamble's mode and format fields
_DUE = "DUE"  # for a status: nobody asked, but by the rate all that can be there is


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


class Rate:
    """How fast memory comes, measured while it is read: `copied` into the instrument's buffer, and in all."""

    def __init__(self, bytes_per_s: float | None = None) -> None:
        self.copied = self.bytes_per_s = bytes_per_s
        self.sure = bytes_per_s is not None  # seen in the middle of enough

    def due_s(self, count: int) -> float:
        """After how long so many bytes are there; 0 where that is not known."""
        return count / self.copied if self.copied else 0.0

    def saw(self, count: int, after_s: float, *, more: bool) -> None:
        """So many bytes had been copied after a time, and `more` were to come: at least, where none were."""
        if not count or after_s <= 0:
            return
        if more and count < _BLOCK_MOST:  # a full buffer waits
            self.copied, self.sure = count / after_s, count >= _SURE
        elif count >= _TELLING and (self.copied is None or count / after_s > self.copied):
            self.copied = count / after_s

    def handed(self, count: int, handed_s: float) -> None:
        """So many bytes took so long to be handed over out of the buffer."""
        if self.copied is not None and count >= _TELLING:
            self.bytes_per_s = count / (count / self.copied + max(handed_s, 0.0))


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
        data = _collect(link, wanted, rate)
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
    """Everything that the reading thread gives; ends with all that is wanted, or when it is idle and has nothing more.

    Where the rate is sure, nobody asks whether there is something: what is due is fetched in two parts or more, and
    what the first one has tells when the next is due.
    """
    data = bytearray()
    empty, part = 0, _part(wanted)
    began_s = time.monotonic()
    handed_s, answer_s = 0.0, link.took_s.get("scope_ask_s", 0.0)
    state, ready = (_DUE, part) if rate.sure else _copied(link, wanted, rate, began_s)
    while empty < _EMPTY_MOST and len(data) <= wanted:
        if state == _DUE:  # it is answered later than it is asked
            _rest(link, began_s + rate.due_s(min(wanted, len(data) + part)) - _EARLY * answer_s)
        asked_s = time.monotonic()
        block = link.block(":WAV:DATA?", _BLOCK_MOST) if ready or state == "IDLE" else b""
        handed_s += max(0.0, time.monotonic() - asked_s - answer_s)  # beside what any answer takes
        data += block
        empty = 0 if block else empty + 1
        if state != "READ" and (len(data) >= wanted or (state == "IDLE" and not block)):
            break  # idle, and asked once more
        if state == _DUE and block:
            if len(data) >= _SURE:
                rate.saw(len(data), asked_s + answer_s - began_s, more=len(block) < _BLOCK_MOST)
            continue
        if state == "READ":  # asking often slows the copy
            until_s = began_s + rate.due_s(min(wanted, len(data) + part))
            _rest(link, max(until_s, time.monotonic() + link.pace.poll_s))
        state, ready = _status(link)
    rate.handed(len(data), handed_s)
    return bytes(data)


def _part(wanted: int) -> int:
    """How many bytes to fetch at a time, all alike: what a full buffer has no room for would be copied later."""
    return -(-wanted // max(2 if wanted >= 2 * _SURE else 1, math.ceil(wanted / _BUFFERED_MOST)))


def _rest(link: ScopeLink, until_s: float) -> None:
    """Leave it alone until a time, but not for very long."""
    link.sleep(max(0.0, min(until_s - time.monotonic(), _REST_MOST_S)))


def _copied(link: ScopeLink, wanted: int, rate: Rate, began_s: float) -> tuple[str, int]:
    """The status once about half has been copied, which tells the rate; the number in it is what has been copied before
    the first DATA?, whether or not it is what is buffered.
    """
    for _ in range(_LOOKS):
        looked_s = _UNSURE_SHARE * rate.due_s(min(wanted, _BLOCK_MOST)) or link.pace.poll_s
        _rest(link, began_s + looked_s)
        state, ready = _status(link)
        rate.saw(min(ready, wanted), time.monotonic() - began_s, more=state == "READ")
        if state == "IDLE" or rate.sure or not 0 < ready < _BLOCK_MOST:
            break
    return state, ready


def _status(link: ScopeLink) -> tuple[str, int]:
    """`:WAVeform:STATus?`: READ or IDLE, and a number of samples."""
    reply = link.ask(":WAV:STAT?")
    state, _, ready = reply.partition(",")
    if state not in ("READ", "IDLE") or not ready.isdigit():
        raise CaptureError(f"the oscilloscope answers :WAV:STAT? with {reply!r}")
    return state, int(ready)

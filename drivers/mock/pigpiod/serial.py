"""Bit-banged serial data: bytes as a wave, and bytes out of the levels of a pin (pigpio.c v79)."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from drivers.mock.pigpiod.protocol import GPIOS, PERMITTED, USER_GPIOS, Code, Refused
from drivers.mock.pigpiod.waves.memory import MOST_MICROS, Pulses

if TYPE_CHECKING:
    from drivers.mock.pigpiod.trains import Times, Words

LEAST_BAUD, MOST_BAUD_OUT, MOST_BAUD_IN = 50, 1_000_000, 250_000
MOST_BITS = 32
HALF_STOPS = range(2, 9)
MOST_CHARS = 1_200
BUFFER_BYTES = 8_192


def bit_delays_us(baud: int, bits: int, half_stops: int) -> list[int]:
    """The length of the start bit, of each data bit and of the stop bits; what rounding takes from one the next has."""
    full = 1_000_000_000 // baud  # ns
    ends = [((i + 1) * full + 500) // 1000 for i in range(bits + 1)]
    ends.append(((bits + 1) * full + half_stops * full // 2 + 500) // 1000)
    return [end - start for start, end in zip([0, *ends], ends, strict=False)]


def word_bytes(bits: int) -> int:
    """How many bytes of a message hold one character."""
    return 1 if bits < 9 else 2 if bits < 17 else 4


def serial_pulses(pin: int, baud: int, extension: bytes) -> Pulses:
    """The pulses of a WVAS message: data bits, half stop bits, µs before the first start bit, characters."""
    if pin < GPIOS and not PERMITTED >> pin & 1:
        raise Refused(Code.NOT_PERMITTED)
    bits, half_stops, offset_us = struct.unpack("<3I", extension[:12].ljust(12, b"\0"))
    data = extension[12:]
    for wrong, code in (
        (pin >= USER_GPIOS, Code.BAD_USER_GPIO),
        (not LEAST_BAUD <= baud <= MOST_BAUD_OUT, Code.BAD_WAVE_BAUD),
        (not 1 <= bits <= MOST_BITS, Code.BAD_DATABITS),
        (half_stops not in HALF_STOPS, Code.BAD_STOPBITS),
        (len(data) > MOST_CHARS, Code.TOO_MANY_CHARS),
        (offset_us > MOST_MICROS, Code.BAD_SER_OFFSET),
    ):
        if wrong:
            raise Refused(code)
    size = word_bytes(bits)
    words = [int.from_bytes(data[i : i + size], "little") for i in range(0, len(data) - size + 1, size)]
    rows: list[tuple[bool, int]] = []  # level, µs
    delays = bit_delays_us(baud, bits, half_stops)
    if words:
        rows.append((True, max(offset_us, delays[0])))
    for word in words:
        levels = [False, *(bool(word >> k & 1) for k in range(bits)), True]
        rows += [(level, delay) for level, delay in zip(levels, delays, strict=True)]
    return _merged(rows, 1 << pin)


def _merged(rows: list[tuple[bool, int]], mask: int) -> Pulses:
    """Runs of one level as one pulse; every start bit begins a pulse of its own."""
    kept: list[tuple[bool, int]] = []
    for level, delay in rows:
        if kept and kept[-1][0] == level:
            kept[-1] = (level, kept[-1][1] + delay)
        else:
            kept.append((level, delay))
    on = np.array([mask if level else 0 for level, _ in kept], dtype=np.int64)
    return Pulses(on, mask - on, np.array([delay for _, delay in kept], dtype=np.int64))


@dataclass
class SerialReader:
    """Reads characters off a pin as `waveRxSerial` does: by the edges, and by a timeout after the last of them."""

    pin: int
    baud: int
    bits: int
    invert: int = 0
    data: bytearray = field(default_factory=bytearray)
    _bit: int = -1  # of the character that is being read; -1 between characters
    _level: int = 1
    _start_us: int = 0
    _heard_us: int = 0
    _next_ns: int = 0
    _word: int = 0

    @property
    def mask(self) -> int:
        """Which pins it listens to."""
        return 1 << self.pin

    @property
    def _bit_ns(self) -> int:
        return 1_000_000_000 // self.baud

    @property
    def _timeout_us(self) -> int:
        return max(1, (self.bits + 2) * self._bit_ns // 1_000_000) * 1000

    def hear(self, before: int, t_ns: Times, words: Words, now_us: int) -> None:
        """Level changes of all pins, and that until now there were no more."""
        level = before >> self.pin & 1
        for at_ns, word in zip(t_ns.tolist(), words.tolist(), strict=True):
            if word >> self.pin & 1 != level:
                level ^= 1
                self._time_out(at_ns // 1000)
                self._edge(level ^ self.invert, at_ns // 1000)
        self._time_out(now_us)

    def take(self, most: int) -> bytes:
        """At most so many of the bytes read, in whole characters."""
        size = word_bytes(self.bits)
        count = min(len(self.data), most) // size * size
        taken = bytes(self.data[:count])
        del self.data[:count]
        return taken

    def _time_out(self, now_us: int) -> None:
        while self._bit >= 0 and now_us - self._heard_us >= self._timeout_us:
            # Inverted, the daemon takes the timeout for a level, and what is left of the character for zeros.
            self._count(self._heard_us + self._timeout_us, 0 if self.invert else self._level)
            self._heard_us += self._timeout_us
            if self._bit > self.bits:
                self._store()
                self._bit = -1

    def _edge(self, level: int, now_us: int) -> None:
        self._heard_us = now_us
        if self._bit >= 0:
            self._level = level
            self._count(now_us, 1 - level)
            if self._bit <= self.bits:
                return
            self._store()
            self._bit = -1
        if level == 0:
            self._level, self._bit, self._start_us = 0, 0, now_us
            self._next_ns = self._bit_ns // 2 + 500

    def _count(self, now_us: int, level: int) -> None:
        """The bits that have passed at this level."""
        while self._bit <= self.bits and now_us - self._start_us > self._next_ns // 1000:
            if self._bit:
                self._word |= level << self._bit - 1
            else:
                self._word = 0
            self._bit += 1
            self._next_ns += self._bit_ns

    def _store(self) -> None:
        size = word_bytes(self.bits)
        if len(self.data) + size < BUFFER_BYTES:  # what finds no room is lost
            self.data += self._word.to_bytes(size, "little")

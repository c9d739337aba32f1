"""Counts on the wire: run-length coded varints in base64, see firmware/PROTOCOL.md."""

from __future__ import annotations

import binascii

import numpy as np
from numpy.typing import NDArray

from drivers.errors import BenchError
from drivers.signals import IntArray
from firmware import protocol

_MOST_BYTES = 5  # of a varint: 32 bits
_MOST_SLOTS = 1 << 16
_MOST_SPIKES = (1 << 31) - 1


def pack_pieces(pulses: IntArray) -> list[bytes]:
    """Run-length coded counts of (slots,), in pieces that fit a line each."""
    begins = np.flatnonzero(np.concatenate([[True], pulses[1:] != pulses[:-1]]))
    repeats = np.diff(np.append(begins, len(pulses)))
    pieces, piece = [], bytearray()
    for count, repeat in zip(pulses[begins].tolist(), repeats.tolist(), strict=True):
        run = protocol.pack_runs([count], [repeat])
        if len(piece) + len(run) > protocol.CHUNK:
            pieces.append(bytes(piece))
            piece = bytearray()
        piece += run
    return [*pieces, bytes(piece)]


def unpack_counts(text: str, slots: int | None = None) -> NDArray[np.int32]:
    """(slots,) counts from packed runs; raises BenchError where they are of another number of slots, or of none."""
    numbers = unpack_varints(text)
    counts, repeats = numbers[::2], numbers[1::2]
    sent = int(repeats.sum())
    if len(counts) != len(repeats) or sent == 0 or sent > _MOST_SLOTS or (counts > _MOST_SPIKES).any():
        raise BenchError("the Pico sent what are no counts")
    if slots is not None and sent != slots:
        raise BenchError(f"the Pico sent counts of {sent} slots and called them {slots}")
    return np.repeat(counts, repeats).astype(np.int32)


def unpack_varints(text: str) -> NDArray[np.int64]:
    """(n,) numbers from base64 of varints; raises BenchError."""
    try:
        data = np.frombuffer(protocol.from_base64(text), dtype=np.uint8)
    except (protocol.ProtocolError, binascii.Error) as error:
        raise BenchError(f"the Pico sent what is no base64: {error}") from error
    last = np.flatnonzero(data < 128)
    if len(data) and (data[-1] >= 128 or np.diff(last, prepend=-1).max() > _MOST_BYTES):
        raise BenchError("the Pico sent numbers that do not end")
    first = np.concatenate([[0], last[:-1] + 1]).astype(np.int64) if len(last) else last
    shift = 7 * (np.arange(len(data)) - np.repeat(first, np.diff(np.append(first, len(data)))))
    return np.add.reduceat((data & 127).astype(np.int64) << shift, first) if len(last) else np.empty(0, dtype=np.int64)

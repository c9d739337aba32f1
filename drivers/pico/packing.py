"""Counts on the wire: run-length coded varints in base64, see firmware/PROTOCOL.md."""

from __future__ import annotations

import binascii

import numpy as np
from numpy.typing import NDArray

from drivers.errors import BenchError
from drivers.signals import IntArray
from firmware import protocol


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


def unpack_counts(text: str) -> NDArray[np.int32]:
    """(slots,) counts from packed runs."""
    runs = unpack_varints(text).reshape(-1, 2)
    return np.repeat(runs[:, 0], runs[:, 1]).astype(np.int32)


def unpack_varints(text: str) -> NDArray[np.int64]:
    """(n,) numbers from base64 of varints; raises BenchError."""
    try:
        data = np.frombuffer(protocol.from_base64(text), dtype=np.uint8)
    except (protocol.ProtocolError, binascii.Error) as error:
        raise BenchError(f"the Pico sent what is no base64: {error}") from error
    last = np.flatnonzero(data < 128)
    first = np.concatenate([[0], last[:-1] + 1]).astype(np.int64) if len(last) else last
    shift = 7 * (np.arange(len(data)) - np.repeat(first, np.diff(np.append(first, len(data)))))
    return np.add.reduceat((data & 127).astype(np.int64) << shift, first) if len(last) else np.empty(0, dtype=np.int64)

"""Lossless packing of what a shot has for each of its slots: a column of a run file holds one array of them.

A shot is on the disk before anybody sees it, so this is done while somebody waits. Numbers are packed by the bytes that
any of them needs. Of slots that follow one another over a layer it is told where they begin. A bench that keeps its
plan has one length of slot for each number of pulses: then these are told instead of the length of every slot.
"""

from __future__ import annotations

import struct
import threading
from functools import lru_cache
from typing import Any

import numpy as np
import zstandard
from numpy.typing import NDArray

from hil.store.packing import decompress

Ints = NDArray[np.int32]
Floats = NDArray[np.float64]

_LENGTH = np.dtype("<f8")
_BY_PULSES, _IN_ORDER = b"\x01", b"\x02"  # no Zstandard frame begins with these (RFC 8878, section 3.1.1)
_WHERE = struct.Struct("<cIQ")  # the mark, positions of a channel, number of the first slot over all channels
_MOST_LARGER = 4  # the layer than a shot of it, so that what is kept for comparing stays small


class _Quick(threading.local):
    """A compressor of each thread's own: making one takes longer than packing a thousand slots with it."""

    def __init__(self) -> None:
        self.compress = zstandard.ZstdCompressor(level=1).compress


_quick = _Quick()


def pack_array(values: NDArray[Any]) -> bytes:
    """A flat array of fixed-width numbers → bytes: all first bytes, all second bytes, …, then Zstandard.

    Of 32-bit whole numbers the last bytes are left out that are zero in all of them; in files of schema 1 they are not.
    """
    if values.dtype != np.int32:
        raw = np.ascontiguousarray(values).view(np.uint8).reshape(len(values), values.itemsize)
        return _quick.compress(np.ascontiguousarray(raw.T).data)
    most = int(values.view(np.uint32).max(initial=0))
    planes = np.empty((max(-(-most.bit_length() // 8), 1), len(values)), dtype=np.uint8)
    for i, plane in enumerate(planes):
        np.copyto(plane, values >> 8 * i if i else values, casting="unsafe")
    return _quick.compress(planes.data)


def unpack_array(packed: bytes, dtype: np.dtype[Any], length: int) -> NDArray[Any]:
    """The inverse of `pack_array`: (length,) of dtype; raises ValueError when the bytes hold anything else."""
    raw = np.frombuffer(decompress(packed, length * dtype.itemsize), dtype=np.uint8)
    planes = len(raw) // length if length else 0
    fewest = 1 if dtype == np.int32 else dtype.itemsize
    if len(raw) != planes * length or (length and planes < fewest):
        raise ValueError(f"{len(raw)} bytes where {length} values of {dtype} were expected")
    values = np.zeros((length, dtype.itemsize), dtype=np.uint8)
    values[:, :planes] = raw.reshape(planes, length).T
    return values.view(dtype).ravel()


def pack_places(channel: Ints, position: Ints) -> tuple[bytes, bytes]:
    """Channels and positions of slots (slots,) → two columns, the second empty where the slots follow one another."""
    side, n = int(position.max(initial=0)) + 1, len(channel)
    if n and side * (int(channel[-1]) + 1) <= _MOST_LARGER * n:
        first = int(channel[0]) * side + int(position[0])
        channels, positions = (of[first : first + n] for of in _layer(side, int(channel[-1]) + 1))
        if np.array_equal(channels, channel) and np.array_equal(positions, position):
            return _WHERE.pack(_IN_ORDER, side, first), b""
    return pack_array(channel), pack_array(position)


def unpack_places(channel: bytes, position: bytes, length: int) -> tuple[Ints, Ints]:
    """The inverse of `pack_places`; raises ValueError when it did not make the bytes."""
    if channel[:1] != _IN_ORDER:
        return unpack_array(channel, np.dtype("<i4"), length), unpack_array(position, np.dtype("<i4"), length)
    if len(channel) != _WHERE.size:
        raise ValueError(f"{len(channel)} bytes where {_WHERE.size} say which slots follow one another")
    _, side, first = _WHERE.unpack(channel)
    if not 0 < side < 1 << 31 or not first + length < 1 << 31:
        raise ValueError(f"slots from {first} on of {side} positions a channel")
    numbers = np.arange(first, first + length, dtype=np.int32)
    return numbers // side, numbers % side


@lru_cache(maxsize=8)
def _layer(side: int, channels: int) -> tuple[Ints, Ints]:
    """Channels and positions of a whole layer."""
    channel, position = np.divmod(np.arange(side * channels, dtype=np.int32), np.int32(side))
    return channel, position


def pack_lengths(slot_s: Floats, pulses: Ints) -> bytes:
    """Lengths of slots (slots,) with the pulses in each → bytes: as a table by pulses where these settle them."""
    most = int(pulses.view(np.uint32).max(initial=0)) + 1
    if 2 * most > len(pulses):
        return pack_array(slot_s)
    index = pulses.astype(np.intp)
    table = np.zeros(most)
    table[index] = slot_s
    if not _same(table.take(index), slot_s):
        return pack_array(slot_s)
    return _BY_PULSES + most.to_bytes(4, "little") + pack_array(table)


def unpack_lengths(packed: bytes, pulses: Ints) -> Floats:
    """The inverse of `pack_lengths`; raises ValueError when it did not make the bytes."""
    if packed[:1] != _BY_PULSES:
        return unpack_array(packed, _LENGTH, len(pulses))
    most = int.from_bytes(packed[1:5], "little")
    if int(pulses.view(np.uint32).max(initial=0)) >= most:
        raise ValueError(f"lengths of slots of up to {most - 1} pulses, which are not those of these slots")
    lengths: Floats = unpack_array(packed[5:], _LENGTH, most)[pulses]
    return lengths


def _same(one: Floats, other: Floats) -> bool:
    """Bit by bit, so that also zeros with a sign and what is no number come back as they were."""
    return np.array_equal(one.view(np.int64), other.view(np.int64))

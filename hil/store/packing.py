"""Lossless packing of oscilloscope codes, through Zstandard.

Eight-bit codes of a nearly two-valued signal with a little noise carry around one bit a sample, and Zstandard's Huffman
stage cannot spend less than one on a symbol. So four samples are made one symbol first: the three most frequent codes
get two bits each, every other code is put aside behind the mark 3. A signal that wanders, such as the membrane, packs
better as differences modulo 256. Which way is smallest is tried on pieces from all over the trace. Everything is done
in stretches, so that packing needs a small part of a trace's bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

import numpy as np
import zstandard
from numpy.typing import NDArray

Codes = NDArray[np.uint8]

_PIECES, _PIECE = 16, 1_024  # samples that all ways are tried on, from all over the trace
_STRETCH = 1 << 18  # samples packed at a time, a multiple of four
_PLAIN, _DIFFERENCES, _QUADS, _QUAD_DIFFERENCES = b"\x00", b"\x01", b"\x02", b"\x03"
_WAYS = (  # and levels of Zstandard: on symbols of four samples the higher one finds repeats, or is misled by them
    *((_PLAIN, 3), (_DIFFERENCES, 3)),
    *((_QUADS, 1), (_QUADS, 9), (_QUAD_DIFFERENCES, 1), (_QUAD_DIFFERENCES, 9)),
)
_OTHER = 3  # the mark of a code that is none of the three
_HEAD = struct.Struct("<3sQQ")  # the three codes, samples, bytes of the packed marks
_MARKS = np.stack([np.arange(256) >> shift & 3 for shift in (6, 4, 2, 0)], axis=1).astype(np.uint8)


def pack_codes(codes: Codes) -> bytes:
    """Codes (samples,) uint8 → bytes; the first byte says how they were packed."""
    codes = np.ascontiguousarray(codes, dtype=np.uint8)
    sample = _pieces(codes)
    way, level = min(_WAYS, key=lambda tried: sum(map(len, _packed(sample, *tried))))
    return b"".join(_packed(codes, way, level))


def unpack_codes(packed: bytes, samples: int | None = None) -> Codes:
    """The inverse of `pack_codes`, of `samples` if that is known; raises ValueError when it did not make the bytes."""
    way = packed[:1]
    if way in (_PLAIN, _DIFFERENCES):
        codes = np.frombuffer(decompress(packed[1:], samples), dtype=np.uint8)
    elif way in (_QUADS, _QUAD_DIFFERENCES):
        codes = _from_quads(packed[1:], samples)
    else:
        raise ValueError(f"unknown packing {way!r}")
    return np.add.accumulate(codes, dtype=np.uint8) if way in (_DIFFERENCES, _QUAD_DIFFERENCES) else codes


def _pieces(codes: Codes) -> Codes:
    """A trace in small: pieces evenly spaced, so that signal and rest have their shares."""
    if len(codes) <= _PIECES * _PIECE:
        return codes
    starts = np.linspace(0, len(codes) - _PIECE, _PIECES).astype(np.intp)
    return np.concatenate([codes[start : start + _PIECE] for start in starts])


def _packed(codes: Codes, way: bytes, level: int) -> list[bytes]:
    """The packed trace in pieces."""
    differences = way in (_DIFFERENCES, _QUAD_DIFFERENCES)
    if way in (_QUADS, _QUAD_DIFFERENCES):
        return [way, *_to_quads(codes, differences, level)]
    stream = zstandard.ZstdCompressor(level=level).compressobj(size=len(codes))
    return [way, *(stream.compress(part.data) for part in _stretches(codes, differences)), stream.flush()]


def _stretches(codes: Codes, differences: bool) -> Iterator[Codes]:
    """The codes, or what each is more than the one before it, a stretch at a time."""
    before = np.uint8(0)
    for start in range(0, len(codes), _STRETCH):
        part = codes[start : start + _STRETCH]
        yield np.diff(part, prepend=before) if differences else part
        before = part[-1]


def _to_quads(codes: Codes, differences: bool, level: int) -> list[bytes]:
    count = np.zeros(256, dtype=np.int64)
    for part in _stretches(codes, differences):
        for start in range(0, len(part), _STRETCH // 8):
            count += np.bincount(part[start : start + _STRETCH // 8], minlength=256)
    common = np.argsort(-count, kind="stable")[:_OTHER].astype(np.uint8)
    mark = np.full(256, _OTHER, dtype=np.uint8)
    mark[common] = np.arange(_OTHER)
    sizes = (
        -(-len(codes) // 4),
        len(codes) - int(count[common].sum()),
    )  # told, so that no more memory is taken
    streams = [zstandard.ZstdCompressor(level=level).compressobj(size=size) for size in sizes]
    made: list[list[bytes]] = [[], []]
    for part in _stretches(codes, differences):  # each but the last is a multiple of four
        marks = mark[part]
        others = part[marks == _OTHER]
        marks = np.pad(marks, (0, -len(marks) % 4)).reshape(-1, 4)
        quads = marks[:, 0] << 6 | marks[:, 1] << 4 | marks[:, 2] << 2 | marks[:, 3]
        for stream, out, values in zip(streams, made, (quads, others), strict=True):
            out.append(stream.compress(np.ascontiguousarray(values).data))
    packed, aside = ([*out, stream.flush()] for stream, out in zip(streams, made, strict=True))
    return [_HEAD.pack(common.tobytes(), len(codes), sum(map(len, packed))), *packed, *aside]


def _from_quads(packed: bytes, most: int | None) -> Codes:
    if len(packed) < _HEAD.size:
        raise ValueError(f"unknown packing: {len(packed)} bytes are too few for it")
    common, samples, marked = _HEAD.unpack_from(packed)
    if most is not None and samples > most:
        raise ValueError(f"{samples} samples where {most} were expected")
    quads = np.frombuffer(decompress(packed[_HEAD.size : _HEAD.size + marked], -(-samples // 4)), dtype=np.uint8)
    others = np.frombuffer(decompress(packed[_HEAD.size + marked :], samples), dtype=np.uint8)
    if len(quads) != -(-samples // 4):
        raise ValueError(f"{len(quads)} symbols of four samples where {samples} samples were expected")
    marks = _MARKS[quads].reshape(-1)[:samples]
    codes: Codes = np.frombuffer(common + b"\x00", dtype=np.uint8)[marks]
    aside = marks == _OTHER
    if np.count_nonzero(aside) != len(others):
        raise ValueError(f"{len(others)} codes put aside where {np.count_nonzero(aside)} were expected")
    codes[aside] = others
    return codes


def decompress(packed: bytes, most: int | None = None) -> bytes:
    """What was packed, of `most` bytes if that is known: a few bytes may claim to be many gigabytes."""
    try:
        claimed = zstandard.get_frame_parameters(packed).content_size
        if most is not None and claimed > most:
            raise ValueError(f"{claimed} bytes where {most} were expected")
        return zstandard.ZstdDecompressor().decompress(packed)
    except zstandard.ZstdError as error:
        raise ValueError(f"not a Zstandard frame: {error}") from error

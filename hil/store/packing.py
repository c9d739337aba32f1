"""Lossless packing of what a run records: oscilloscope codes and plain arrays, through Zstandard.

Eight-bit codes of a nearly two-valued signal with a little noise carry 1.3 to 1.5 bits a sample; Zstandard's Huffman
stage comes close to that on the codes themselves. A signal that wanders, such as the membrane, packs better as
differences modulo 256. Which of the two is smaller is tried on the first samples of each trace.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import zstandard
from numpy.typing import NDArray

_LEVEL = 3
_TRIAL = 1 << 16  # samples both ways are tried on
_PLAIN, _DIFFERENCES = b"\x00", b"\x01"


def pack_codes(codes: NDArray[np.uint8]) -> bytes:
    """Codes (samples,) uint8 → bytes; the first byte says how they were packed."""
    codes = np.ascontiguousarray(codes, dtype=np.uint8)
    zstd = zstandard.ZstdCompressor(level=_LEVEL)
    differences = _differences(codes[:_TRIAL])
    if len(zstd.compress(differences.data)) < len(zstd.compress(codes[:_TRIAL].data)):
        return _DIFFERENCES + zstd.compress(_differences(codes).data)
    return _PLAIN + zstd.compress(codes.data)


def unpack_codes(packed: bytes, samples: int | None = None) -> NDArray[np.uint8]:
    """The inverse of `pack_codes`, of `samples` if that is known; raises ValueError when it did not make the bytes."""
    codes = np.frombuffer(_decompress(packed[1:], samples), dtype=np.uint8)
    if packed[:1] == _PLAIN:
        return codes
    if packed[:1] == _DIFFERENCES:
        return np.add.accumulate(codes, dtype=np.uint8)
    raise ValueError(f"unknown packing {packed[:1]!r}")


def pack_array(values: NDArray[Any]) -> bytes:
    """A flat array of fixed-width numbers → bytes: all first bytes, all second bytes, …, then Zstandard."""
    raw = np.ascontiguousarray(values).view(np.uint8).reshape(len(values), values.itemsize)
    return zstandard.ZstdCompressor(level=1).compress(np.ascontiguousarray(raw.T).data)


def unpack_array(packed: bytes, dtype: np.dtype[Any], length: int) -> NDArray[Any]:
    """The inverse of `pack_array`: (length,) of dtype; raises ValueError when the bytes hold anything else."""
    raw = np.frombuffer(_decompress(packed, length * dtype.itemsize), dtype=np.uint8)
    if len(raw) != length * dtype.itemsize:
        raise ValueError(f"{len(raw)} bytes where {length} values of {dtype} were expected")
    return np.ascontiguousarray(raw.reshape(dtype.itemsize, length).T).view(dtype).ravel()


def _differences(codes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.diff(codes, prepend=np.uint8(0))


def _decompress(packed: bytes, most: int | None = None) -> bytes:
    """What was packed, of `most` bytes if that is known: a few bytes may claim to be many gigabytes."""
    try:
        claimed = zstandard.get_frame_parameters(packed).content_size
        if most is not None and claimed > most:
            raise ValueError(f"{claimed} bytes where {most} were expected")
        return zstandard.ZstdDecompressor().decompress(packed)
    except zstandard.ZstdError as error:
        raise ValueError(f"not a Zstandard frame: {error}") from error

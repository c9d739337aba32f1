"""Random numbers by address: every draw is a pure function of a 64-bit key and an index.

A slot's key comes from the seed, the frame's key and the slot's identity, so that a resumed, reordered or parallel run
sees exactly the same neuron. The mixer is the finaliser of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014).
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from drivers.signals import FrameKey

if TYPE_CHECKING:
    from drivers.signals import Frame

U64 = NDArray[np.uint64]
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_M1 = np.uint64(0xBF58476D1CE4E5B9)
_M2 = np.uint64(0x94D049BB133111EB)


def mix(x: U64) -> U64:
    """(n,) uint64 → (n,) uint64, each bit of the result depending on each bit of the input."""
    z = x + _GOLDEN
    z ^= z >> np.uint64(30)
    z *= _M1
    z ^= z >> np.uint64(27)
    z *= _M2
    z ^= z >> np.uint64(31)
    return z


def uniform(keys: U64, index: int) -> NDArray[np.float64]:
    """(n,) draws in (0, 1), number `index` of each key."""
    step = np.uint64((index * int(_GOLDEN)) & 0xFFFF_FFFF_FFFF_FFFF)
    bits = (mix(keys + step) >> np.uint64(11)).astype(np.float64)
    return bits * 2.0**-53 + 2.0**-54


def uniforms(keys: U64, first: int, count: int) -> NDArray[np.float64]:
    """(n, count) draws in (0, 1): numbers first… of each key."""
    steps = np.arange(first, first + count, dtype=np.uint64) * _GOLDEN
    bits = (mix(keys[:, None] + steps) >> np.uint64(11)).astype(np.float64)
    return bits * 2.0**-53 + 2.0**-54


def uniforms_at(key: np.uint64 | U64, index: NDArray[np.int64]) -> NDArray[np.float64]:
    """(n,) draws in (0, 1): numbers `index` (n,) of one key, or each of its own key (n,)."""
    steps = index.astype(np.uint64) * _GOLDEN
    bits = (mix(key + steps) >> np.uint64(11)).astype(np.float64)
    return bits * 2.0**-53 + 2.0**-54


def normal(keys: U64, index: int) -> NDArray[np.float64]:
    """(n,) standard normal draws, number `index` of each key, by inversion."""
    from scipy.special import ndtri

    draws: NDArray[np.float64] = ndtri(uniform(keys, index))
    return draws


def frame_key(seed: int, key: FrameKey) -> np.uint64:
    """One number for a seed and a frame's key."""
    text = f"{seed}/{key.purpose}/{key.image}/{key.noise}/{key.attempt}"
    if key.helping:
        text += f"/helping {key.helping}"
    return np.uint64(int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little"))


def slot_keys(seed: int, frame: Frame, slots: NDArray[np.intp]) -> U64:
    """(len(slots),) one key for each of the frame's slots, from its layer, channel and position."""
    packed = (frame.layer[slots].astype(np.int64) + 1) << 56
    packed |= frame.channel[slots].astype(np.int64) << 32
    packed |= frame.position[slots].astype(np.int64)
    keys = mix(packed.view(np.uint64))
    keys ^= frame_key(seed, frame.key)
    return mix(keys)


def sequence_keys(seed: int, first: int, count: int) -> U64:
    """(count,) keys number first… of a stream, for a board that does not know what it is used for."""
    return mix(np.arange(first, first + count, dtype=np.uint64) ^ frame_key(seed, FrameKey("board")))

"""Arrays of a shot's slots as columns of a run file: bit for bit, and nothing else is taken for one."""

from __future__ import annotations

import numpy as np
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hil.store.columns import (
    pack_array,
    pack_lengths,
    pack_places,
    unpack_array,
    unpack_lengths,
    unpack_places,
)

INT, FLOAT = np.dtype("<i4"), np.dtype("<f8")
PULSES = arrays(INT, st.integers(0, 60), elements=st.integers(0, 9))


def all_bytes(values: np.ndarray) -> bytes:
    """As files of schema 1 hold an array."""
    raw = np.ascontiguousarray(values).view(np.uint8).reshape(len(values), values.itemsize)
    return zstandard.ZstdCompressor(level=1).compress(np.ascontiguousarray(raw.T).tobytes())


@given(st.one_of(*(arrays(d, st.integers(0, 50)) for d in ("<i4", "<f8", "?")), PULSES))
@settings(derandomize=True)
def test_arrays_come_back_bit_for_bit(values: np.ndarray) -> None:
    for packed in (pack_array(values), all_bytes(values)):
        back = unpack_array(packed, values.dtype, len(values))
        assert back.dtype == values.dtype
        assert back.tobytes() == values.tobytes()


def test_numbers_take_the_bytes_that_they_need() -> None:
    small, large = np.arange(200, dtype=INT), np.arange(200, dtype=INT) << 20
    assert len(unpacked(pack_array(small))) == 200
    assert len(unpacked(pack_array(large))) == len(unpacked(pack_array(-small))) == 800


def unpacked(packed: bytes) -> bytes:
    return zstandard.ZstdDecompressor().decompress(packed)


@given(st.integers(1, 40), st.integers(0, 300), st.integers(0, 80), st.booleans())
@settings(derandomize=True)
def test_places_come_back(side: int, first: int, slots: int, moved: bool) -> None:
    channel, position = np.divmod(np.arange(first, first + slots, dtype=INT), np.int32(side))
    if moved and slots:
        position[slots // 2] += 1
    back = unpack_places(*pack_places(channel, position), slots)
    assert all(
        np.array_equal(one, other) and one.dtype == INT for one, other in zip(back, (channel, position), strict=True)
    )


def test_slots_that_follow_one_another_are_told_by_their_first() -> None:
    channel, position = np.divmod(np.arange(300, 25_088, dtype=INT), np.int32(784))
    packed = pack_places(channel, position)
    assert sum(map(len, packed)) < 20
    swapped = position.copy()
    swapped[[5, 6]] = swapped[[6, 5]]
    assert sum(map(len, pack_places(channel, swapped))) > 100


@given(PULSES, st.integers(0, 2**32), st.sampled_from(["by pulses", "measured", "odd"]))
@settings(derandomize=True)
def test_lengths_come_back_bit_for_bit(pulses: np.ndarray, seed: int, kind: str) -> None:
    """Also zeros with a sign, and what is no number."""
    rng = np.random.default_rng(seed)
    table = rng.random(10) if kind == "by pulses" else np.array([0.0, -0.0, np.nan, np.inf, *rng.random(6)])
    slot_s = rng.random(len(pulses)) if kind == "measured" else table[pulses]
    for packed in (pack_lengths(slot_s, pulses), all_bytes(slot_s)):
        assert unpack_lengths(packed, pulses).tobytes() == slot_s.tobytes()


def test_lengths_that_pulses_settle_are_a_table_and_others_are_not() -> None:
    pulses = np.random.default_rng(1).integers(0, 33, 25_088).astype(INT)
    slot_s = np.random.default_rng(2).random(33)[pulses]
    assert len(pack_lengths(slot_s, pulses)) < 350
    slot_s[7] *= 1 + 1e-15
    packed = pack_lengths(slot_s, pulses)
    assert len(packed) > 10_000
    assert np.array_equal(unpack_lengths(packed, pulses), slot_s)


def test_what_claims_to_be_larger_or_smaller_is_refused() -> None:
    bomb = zstandard.ZstdCompressor().compress(bytes(1 << 24))
    with pytest.raises(ValueError, match="16777216 bytes where 400 were expected"):
        unpack_array(bomb, INT, 100)
    for values, dtype, slots in ((np.arange(4, dtype=INT), INT, 3), (np.zeros(3), FLOAT, 4), (np.zeros(0), FLOAT, 3)):
        with pytest.raises(ValueError, match="expected"):
            unpack_array(pack_array(values), dtype, slots)
    with pytest.raises(ValueError, match="expected"):
        unpack_array(pack_array(np.arange(3, dtype=INT)), FLOAT, 3)  # one byte each


def test_forged_columns_are_refused() -> None:
    pulses = np.arange(40, dtype=INT) % 5
    table = pack_lengths((pulses * 1e-5).astype(FLOAT), pulses)
    with pytest.raises(ValueError, match="up to 4 pulses"):
        unpack_lengths(table, pulses + 1)
    with pytest.raises(ValueError, match="up to 4 pulses"):
        unpack_lengths(table, pulses - 1)
    with pytest.raises(ValueError, match="expected"):
        unpack_lengths(table[:1] + (1 << 31).to_bytes(4, "little") + table[5:], pulses)
    for side, first in ((0, 0), (1 << 31, 0), (5, (1 << 31) - 40), (5, 1 << 60)):
        with pytest.raises(ValueError, match="positions a channel"):
            unpack_places(b"\x02" + side.to_bytes(4, "little") + first.to_bytes(8, "little"), b"", 40)
    with pytest.raises(ValueError, match="3 bytes where 13"):
        unpack_places(b"\x02ab", b"", 40)

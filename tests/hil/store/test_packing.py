from __future__ import annotations

import numpy as np
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from drivers.signals import probe_frame
from hil.store.packing import pack_array, pack_codes, unpack_array, unpack_codes
from tests.hil.rig import bench

CODES = st.one_of(
    arrays(np.uint8, st.integers(0, 300)),
    st.integers(0, 2**32).map(lambda seed: np.random.default_rng(seed).normal(100, 0.7, 3000).astype(np.uint8)),
    st.integers(0, 2**32).map(lambda seed: np.random.default_rng(seed).normal(0, 2, 3000).cumsum().astype(np.uint8)),
)


@given(CODES)
@settings(derandomize=True)
def test_codes_come_back_bit_for_bit(codes: np.ndarray) -> None:
    assert np.array_equal(unpack_codes(pack_codes(codes)), codes)


@given(st.one_of(*(arrays(d, st.integers(0, 50)) for d in ("<i4", "<f8", "?"))))
@settings(derandomize=True)
def test_arrays_come_back_bit_for_bit(values: np.ndarray) -> None:
    back = unpack_array(pack_array(values), values.dtype, len(values))
    assert back.dtype == values.dtype
    assert back.tobytes() == values.tobytes()


@given(st.binary(max_size=60))
@settings(derandomize=True)
def test_what_was_never_packed_is_refused(junk: bytes) -> None:
    with pytest.raises(ValueError, match=r"Zstandard|packing"):
        unpack_codes(b"\x07" + pack_codes(np.arange(9, dtype=np.uint8))[1:] if len(junk) % 2 else junk)
    with pytest.raises(ValueError, match="expected"):
        unpack_array(pack_array(np.arange(3)), np.dtype("<i4"), 3)


def test_traces_of_the_twin_take_at_most_two_fifths_of_a_byte_a_sample() -> None:
    playing = bench(traces=True)
    pulses = np.random.default_rng(1).poisson(4, 600).astype(np.int32)
    (capture,) = playing.play([probe_frame("test", playing.file.slot, pulses)])
    ratios = {trace.name: len(pack_codes(trace.codes)) / len(trace.codes) for trace in capture.traces}
    assert {"axon", "sync", "membrane"} <= set(ratios)
    assert max(ratios.values()) <= 0.42
    assert sum(ratios.values()) / len(ratios) <= 0.33
    assert (ratios["axon"] + ratios["sync"]) / 2 <= 0.27


def test_a_few_bytes_that_claim_to_be_many_are_not_unpacked() -> None:
    bomb = zstandard.ZstdCompressor().compress(bytes(1 << 24))
    assert len(bomb) < 2_000
    with pytest.raises(ValueError, match="16777216 bytes where 400 were expected"):
        unpack_array(bomb, np.dtype("<i4"), 100)
    with pytest.raises(ValueError, match="16777216 bytes where 100 were expected"):
        unpack_codes(b"\x00" + bomb, 100)

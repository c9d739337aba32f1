from __future__ import annotations

import numpy as np
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from drivers.signals import probe_frame
from hil.store.packing import pack_codes, unpack_codes
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


@given(st.binary(max_size=60))
@settings(derandomize=True)
def test_what_was_never_packed_is_refused(junk: bytes) -> None:
    with pytest.raises(ValueError, match=r"Zstandard|packing"):
        unpack_codes(b"\x07" + pack_codes(np.arange(9, dtype=np.uint8))[1:] if len(junk) % 2 else junk)


@pytest.mark.parametrize("samples", [0, 1, 3, 4, 5, 1 << 18, (1 << 18) + 1])
@pytest.mark.parametrize("noise", [0.0, 0.4, 40.0])
def test_codes_of_any_length_come_back(samples: int, noise: float) -> None:
    codes = np.random.default_rng(samples).normal(100, noise, samples).astype(np.uint8)
    assert np.array_equal(unpack_codes(pack_codes(codes)), codes)


@given(st.data())
@settings(derandomize=True, max_examples=60, deadline=None)
def test_damage_is_refused_or_seen_by_its_length(data: st.DataObject) -> None:
    """The checksum of the row finds any damage; what is unpacked of it must not crash."""
    packed = bytearray(pack_codes(np.random.default_rng(1).normal(100, 0.5, 4_000).astype(np.uint8)))
    packed[data.draw(st.integers(1, len(packed) - 1))] ^= data.draw(st.integers(1, 255))
    cut = data.draw(st.integers(1, len(packed)))
    for damaged in (bytes(packed), bytes(packed[:cut])):
        try:
            unpack_codes(damaged)
        except ValueError:
            continue


def test_quads_that_claim_to_be_larger_than_they_are_are_refused() -> None:
    packed = bytearray(pack_codes(np.random.default_rng(1).normal(100, 0.4, 4_000).astype(np.uint8)))
    assert packed[0] == 2
    with pytest.raises(ValueError, match="4000 samples where 3999 were expected"):
        unpack_codes(bytes(packed), 3_999)
    packed[4:12] = (1 << 40).to_bytes(8, "little")
    with pytest.raises(ValueError, match="1099511627776 samples where 4000 were expected"):
        unpack_codes(bytes(packed), 4_000)


def test_a_signal_that_begins_late_is_packed_for_what_it_is() -> None:
    """The first samples are flat; what follows wanders, and packs as differences only."""
    rng = np.random.default_rng(2)
    wander = np.rint(100 + 60 * np.sin(np.arange(400_000) / 900) + 0.4 * rng.standard_normal(400_000)).astype(np.uint8)
    late = np.concatenate([np.full(80_000, 100, dtype=np.uint8), wander])
    alone = len(pack_codes(wander))
    assert len(pack_codes(late)) < 1.05 * alone
    assert alone < 1.1 * len(zstandard.ZstdCompressor(level=19).compress(np.diff(wander, prepend=np.uint8(0)).data))


def test_pulses_in_noise_pack_as_well_as_at_the_highest_level() -> None:
    rng = np.random.default_rng(3)
    level = np.full(200_000, 60.2)
    for start in rng.integers(0, 199_000, 600):
        level[start : start + 20] = 200
    codes = np.rint(level + 0.4 * rng.standard_normal(200_000)).astype(np.uint8)
    assert len(pack_codes(codes)) < 1.05 * len(zstandard.ZstdCompressor(level=19).compress(codes.data))


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
    with pytest.raises(ValueError, match="16777216 bytes where 100 were expected"):
        unpack_codes(b"\x00" + bomb, 100)

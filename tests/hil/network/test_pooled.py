"""Of a block that is pooled only the largest drive is played: which one that is, and what it leaves unchanged."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from hil.network.layers import LAYERS, activations
from hil.network.pooled import NOT_PLAYED, played
from hil.network.weights import LayerWeights

CONV1, CONV2, FC1, _ = LAYERS


def blocks(array: np.ndarray, side: int) -> np.ndarray:
    """(units, positions) → (units, blocks, 4), each block in reading order."""
    square = array.reshape(len(array), side // 2, 2, side // 2, 2)
    return square.transpose(0, 1, 3, 2, 4).reshape(len(array), -1, 4)


@settings(deadline=None)
@given(seed=st.integers(0, 2**32 - 1), levels=st.integers(1, 6))
def test_one_of_each_block_is_played_the_first_of_the_largest(seed: int, levels: int) -> None:
    """With few levels most blocks have ties."""
    drive = np.random.default_rng(seed).integers(0, levels, (3, 784)).astype(np.float32)
    chosen = played("pooled", CONV1, drive)
    assert chosen is not None
    assert (blocks(chosen, 28).sum(axis=2) == 1).all()
    assert (blocks(chosen, 28).argmax(axis=2) == blocks(drive, 28).argmax(axis=2)).all()  # argmax takes the first


def test_a_block_of_equal_drives_plays_its_upper_left() -> None:
    chosen = played("pooled", CONV2, np.ones((2, 196), dtype=np.float32))
    assert chosen is not None
    where = np.argwhere(chosen.reshape(2, 14, 14)[0])
    assert (where % 2 == 0).all()
    assert len(where) == 49


def test_images_do_not_mix() -> None:
    drive = np.random.default_rng(1).random((5, 32, 784), dtype=np.float32)
    whole = played("pooled", CONV1, drive)
    assert whole is not None
    assert all((whole[i] == played("pooled", CONV1, drive[i])).all() for i in range(5))


def test_all_are_played_where_there_is_no_pool_or_nobody_asks() -> None:
    assert played("pooled", FC1, np.ones((1024, 1), dtype=np.float32)) is None
    assert played("all", CONV1, np.ones((32, 784), dtype=np.float32)) is None


@settings(deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_whatever_rises_with_the_drive_pools_to_the_same(seed: int) -> None:
    """Bit by bit, for coding with ties and saturation, biases of either sign and any answer that rises."""
    rng = np.random.default_rng(seed)
    drive = rng.exponential(1.0, (1, 32, 784)).astype(np.float32)
    answer = np.floor(np.minimum(np.rint(drive * 4), 9) / 3).astype(np.float32)  # pulses, cut off, three a spike
    weights = LayerWeights(
        "conv1", np.ones((32, 1, 5, 5), np.float32), rng.normal(0, 1, 32).astype(np.float32), np.ones(32, np.float32)
    )
    chosen = played("pooled", CONV1, drive)
    assert chosen is not None
    pooled = activations(CONV1, weights, np.where(chosen, answer, NOT_PLAYED))
    assert (pooled == activations(CONV1, weights, answer)).all()

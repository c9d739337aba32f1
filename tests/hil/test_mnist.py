from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.bench import InputError
from hil.mnist import load_test, load_training, read_images, read_labels, zero_pixels


def idx(magic: int, shape: tuple[int, ...], body: bytes) -> bytes:
    return gzip.compress(struct.pack(f">{1 + len(shape)}I", magic, *shape) + body)


def test_the_test_set_ships_whole() -> None:
    images, labels = load_test()
    assert images.shape == (10_000, 28, 28)
    assert labels[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]
    assert np.bincount(labels).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (idx(0x803, (2, 28, 28), b"\0" * 784), "x: 784 bytes of data where the header says 1568"),
        (idx(0x801, (2, 28, 28), b"\0" * 1568), "x: magic number 0x801; it must be 0x803"),
        (idx(0x803, (1, 20, 20), b"\0" * 400), "x: images are 20×20; they must be 28×28"),
        (gzip.compress(b"\0\0"), "x: 2 bytes is too short"),
        (b"not gzip", "x: corrupt or truncated"),
        (idx(0x803, (1, 28, 28), b"\0" * 784)[:-9], "x: corrupt or truncated"),
    ],
)
def test_a_broken_image_file_is_named(raw: bytes, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_images(raw, "x")


def test_an_impossible_label_is_named() -> None:
    with pytest.raises(InputError, match="label 10 is outside 0…9"):
        read_labels(idx(0x801, (2,), bytes([3, 10])), "labels")


@given(st.binary(max_size=200))
def test_no_bytes_crash_the_reader(raw: bytes) -> None:
    for data in (raw, gzip.compress(raw)):
        with pytest.raises(InputError):
            read_images(data, "x")


def test_training_files_are_checked(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"train-images-idx3-ubyte.gz is missing"):
        load_training(tmp_path, print)
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(b"x")
    with pytest.raises(InputError, match="MD5 is 9dd4e461268c8034f5c8564e155c67a6; it must be f68b3c2d"):
        load_training(tmp_path, print)


@given(st.floats(0, 1), st.integers(0, 1000))
def test_exactly_the_asked_share_of_pixels_is_zeroed(share: float, seed: int) -> None:
    images = np.full((2, 28, 28), 255, dtype=np.uint8)
    noisy = zero_pixels(images, share, np.random.default_rng(seed))
    assert ((noisy == 0).sum(axis=(1, 2)) == round(share * 784)).all()
    assert (zero_pixels(images, share, np.random.default_rng(seed)) == noisy).all()

"""MNIST: the idx files, strictly read. Y. LeCun, C. Cortes, C. Burges, "The MNIST database of handwritten digits"."""

from __future__ import annotations

import gzip
import zlib
from importlib.resources import files
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from drivers.bench import InputError

SIDE = 28
_IMAGES, _LABELS = 0x803, 0x801
Digits = tuple[NDArray[np.uint8], NDArray[np.uint8]]


def read_images(raw: bytes, name: str) -> NDArray[np.uint8]:
    """An idx3 file's images (n, 28, 28); raises InputError."""
    shape, body = _read_idx(raw, name, _IMAGES, 3)
    if shape[1:] != (SIDE, SIDE):
        raise InputError(f"{name}: images are {shape[1]}×{shape[2]}; they must be {SIDE}×{SIDE}")
    return body.reshape(shape)


def read_labels(raw: bytes, name: str) -> NDArray[np.uint8]:
    """An idx1 file's labels (n,); raises InputError."""
    _, body = _read_idx(raw, name, _LABELS, 1)
    if len(body) and body.max() > 9:
        raise InputError(f"{name}: label {body.max()} is outside 0…9")
    return body


def _read_idx(raw: bytes, name: str, magic: int, dimensions: int) -> tuple[tuple[int, ...], NDArray[np.uint8]]:
    try:
        data = gzip.decompress(raw)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise InputError(f"{name}: corrupt or truncated gzip file ({error})") from error
    head = 4 * (1 + dimensions)
    if len(data) < head:
        raise InputError(f"{name}: {len(data)} bytes is too short for an idx header of {head}")
    found, *shape = (int(v) for v in np.frombuffer(data[:head], dtype=">u4"))
    if found != magic:
        raise InputError(f"{name}: magic number {found:#x}; it must be {magic:#x}")
    body = np.frombuffer(data, dtype=np.uint8, offset=head)
    if len(body) != int(np.prod(shape)):
        raise InputError(f"{name}: {len(body)} bytes of data where the header says {int(np.prod(shape))}")
    return tuple(shape), body


def load_test() -> Digits:
    """The 10,000 test images (n, 28, 28) and labels (n,) that ship with the package."""
    return _load(files("hil") / "data", "t10k")  # type: ignore[arg-type]


def _load(folder: Path, stem: str) -> Digits:
    names = (f"{stem}-images-idx3-ubyte.gz", f"{stem}-labels-idx1-ubyte.gz")
    try:
        images, labels = ((folder / name).read_bytes() for name in names)
    except OSError as error:
        raise InputError(f"{error.filename}: {error.strerror}") from error
    digits = read_images(images, names[0]), read_labels(labels, names[1])
    if len(digits[0]) != len(digits[1]):
        raise InputError(f"{folder}: {len(digits[0])} images but {len(digits[1])} labels")
    return digits


def zero_pixels(images: NDArray[np.uint8], share: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Images (n, 28, 28) with a share (0…1) of the pixels of each, chosen at random, set to zero."""
    pixels = images.shape[1] * images.shape[2]
    order = rng.random((len(images), pixels)).argsort(axis=1)
    gone = (order < round(share * pixels)).reshape(images.shape)
    return np.where(gone, np.uint8(0), images)

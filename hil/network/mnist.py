"""MNIST: the idx files, strictly read. Y. LeCun, C. Cortes, C. Burges, "The MNIST database of handwritten digits"."""

from __future__ import annotations

import gzip
import hashlib
import http.client
import math
import os
import urllib.request
import zlib
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from drivers.durable import write_durably
from drivers.errors import InputError

SIDE = 28
_IMAGES, _LABELS = 0x803, 0x801
_GZIP = b"\x1f\x8b"
MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)
TRAINING_MD5 = {
    "train-images-idx3-ubyte.gz": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
    "train-labels-idx1-ubyte.gz": "d53e105ee54ea40749a09fcbcd1e9432",
}
TRAINING_DIGITS = 60_000
TRAINING_DIGEST = "edc0d1098aa497be14ace79ddd5171e5a3dcf9c4d196c015389203eb3ba1f59b"  # of these images and labels
HELD_OUT = 5_000  # the last training digits, which nothing is trained on: for choices and thresholds
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
        data = gzip.decompress(raw) if raw[:2] == _GZIP else raw
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise InputError(f"{name}: corrupt or truncated gzip file ({error})") from error
    head = 4 * (1 + dimensions)
    if len(data) < head:
        raise InputError(f"{name}: {len(data)} bytes is too short for an idx header of {head}")
    found, *shape = (int(v) for v in np.frombuffer(data[:head], dtype=">u4"))
    if found != magic:
        raise InputError(f"{name}: magic number {found:#x}; it must be {magic:#x}")
    body = np.frombuffer(data, dtype=np.uint8, offset=head)
    if len(body) != math.prod(shape):
        raise InputError(f"{name}: {len(body)} bytes of data where the header says {math.prod(shape)}")
    return tuple(shape), body


def load_test() -> Digits:
    """The 10,000 test images (n, 28, 28) and labels (n,) that ship with the package."""
    return _load(files("hil") / "data", "t10k")  # type: ignore[arg-type]


def load_folder(folder: Path, stem: Literal["t10k", "train"] = "t10k") -> Digits:
    """Test or training digits in a folder: t10k-images-idx3-ubyte, t10k-labels-idx1-ubyte, with or without .gz.

    Raises InputError.
    """
    names = [f"{stem}-{what}-ubyte" for what in ("images-idx3", "labels-idx1")]
    found = [
        next((folder / (name + end) for end in (".gz", "") if (folder / (name + end)).is_file()), None)
        for name in names
    ]
    lacking = [name for name, file in zip(names, found, strict=True) if file is None]
    if lacking:
        raise InputError(f"{folder}: there is no {' and no '.join(lacking)} (with or without .gz)")
    files_ = [file for file in found if file is not None]
    digits = read_images(_bytes(files_[0]), str(files_[0])), read_labels(_bytes(files_[1]), str(files_[1]))
    if len(digits[0]) != len(digits[1]):
        raise InputError(f"{folder}: {len(digits[0])} images but {len(digits[1])} labels")
    if not len(digits[0]):
        raise InputError(f"{folder}: there are no images in it")
    return digits


def _load(folder: Path, stem: str) -> Digits:
    names = (f"{stem}-images-idx3-ubyte.gz", f"{stem}-labels-idx1-ubyte.gz")
    raw = [_bytes(folder / name) for name in names]
    digits = read_images(raw[0], names[0]), read_labels(raw[1], names[1])
    if len(digits[0]) != len(digits[1]):
        raise InputError(f"{folder}: {len(digits[0])} images but {len(digits[1])} labels")
    return digits


def _bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise InputError(f"{file}: {error.strerror or error}") from error


def load_training(folder: Path | None, tell: Callable[[str], None]) -> Digits:
    """Training images and labels: those in `folder`, or else MNIST's 60,000 from the cache or the public mirrors.

    `tell` is told what is being downloaded, and that a folder's are not MNIST's. Raises InputError when a file is
    missing or cannot be had, is no idx file, or is not what MNIST's must be.
    """
    if folder is not None:
        digits = load_folder(folder, "train")
        if not is_mnist(digits):
            tell(f"{folder}: {len(digits[0]):,} images that are not MNIST's")
        return digits
    folder = _cache()
    for name, md5 in TRAINING_MD5.items():
        if not (folder / name).exists():
            _download(name, folder, tell)
        found = _md5(_bytes(folder / name))
        if found != md5:
            raise InputError(f"{folder / name}: MD5 is {found}; it must be {md5}: delete the file and try again")
    return _load(folder, "train")


def is_mnist(digits: Digits) -> bool:
    """Whether these are MNIST's 60,000 training digits, whatever they were packed with."""
    return len(digits[0]) == len(digits[1]) == TRAINING_DIGITS and digest(digits) == TRAINING_DIGEST


def digest(digits: Digits) -> str:
    """SHA-256 of images and labels."""
    return hashlib.sha256(digits[0].tobytes() + digits[1].tobytes()).hexdigest()


def _cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "memristive-hil" / "mnist"


def _md5(raw: bytes) -> str:
    return hashlib.md5(raw, usedforsecurity=False).hexdigest()


def _download(name: str, folder: Path, tell: Callable[[str], None]) -> None:
    """Try each mirror once; the file appears in `folder` only when it is whole and right."""
    failures = []
    for mirror in MIRRORS:
        tell(f"downloading {mirror}{name}")
        try:
            with urllib.request.urlopen(mirror + name, timeout=30) as reply:  # noqa: S310 (fixed https addresses)
                raw = reply.read()
        except (OSError, http.client.HTTPException) as error:
            failures.append(f"{mirror}: {error}")
            continue
        if _md5(raw) == TRAINING_MD5[name]:
            _keep(raw, folder, name)
            return
        failures.append(f"{mirror}: MD5 {_md5(raw)} is wrong")
    raise InputError(
        f"{name} cannot be downloaded ({'; '.join(failures)}); give a folder with the MNIST files: --data, or "
        "--training of hil plan"
    )


def _keep(raw: bytes, folder: Path, name: str) -> None:
    try:
        write_durably(folder / name, raw, "cannot keep")
    except InputError as error:
        raise InputError(f"{error}; set XDG_CACHE_HOME to a folder that can be written") from error


def zero_pixels(images: NDArray[np.uint8], share: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Images (n, 28, 28) with a share (0…1) of the pixels of each, chosen at random, set to zero."""
    pixels = images.shape[1] * images.shape[2]
    order = rng.random((len(images), pixels)).argsort(axis=1)
    gone = (order < round(share * pixels)).reshape(images.shape)
    return np.where(gone, np.uint8(0), images)

"""Which digits a run recognises: the test set that ships, a folder of idx files, or somebody's own pictures."""

from __future__ import annotations

import base64
import zlib
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from drivers.errors import InputError
from hil.network.mnist import SIDE, digest, load_folder, load_test
from hil.network.own import OwnDigit

UNKNOWN = -1  # the label of a digit that nobody has labelled


class DigitSource(BaseModel):
    """As stored in a run file: `shipped` digits by nothing, a `folder` by its path and digest, `own` ones whole.

    `count` is how many there are; `images` are own ones, (count, 28, 28) uint8, compressed and in base64, with their
    `labels` and file `names`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["shipped", "folder", "own"] = "shipped"
    count: int = 10_000
    path: str = ""
    digest: str = ""
    images: str = ""
    labels: tuple[int, ...] = ()
    names: tuple[str, ...] = ()


def folder_source(folder: Path) -> DigitSource:
    """The test digits of a folder with idx files; raises InputError."""
    digits = load_folder(folder)
    return DigitSource(kind="folder", count=len(digits[0]), path=str(folder.absolute()), digest=digest(digits))


def own_source(digits: list[OwnDigit], labels: list[int], names: list[str]) -> DigitSource:
    """Somebody's own pictures; `labels` are all of them or none."""
    raw = zlib.compress(np.stack([digit.image for digit in digits]).tobytes())
    known = labels or [UNKNOWN] * len(digits)
    return DigitSource(
        kind="own", count=len(digits), images=base64.b64encode(raw).decode(), labels=tuple(known), names=tuple(names)
    )


def load_digits(source: DigitSource) -> tuple[NDArray[np.uint8], NDArray[np.integer]]:
    """Images (n, 28, 28) and labels (n,), UNKNOWN where nobody has said.

    Raises InputError where a folder no longer holds the digits that it held.
    """
    if source.kind == "shipped":
        return load_test()
    if source.kind == "own":
        packed = base64.b64decode(source.images)
        raw = zlib.decompressobj().decompress(packed, source.count * SIDE * SIDE + 1)  # a little may claim to be much
        images = np.frombuffer(raw, dtype=np.uint8).reshape(source.count, SIDE, SIDE)
        return images, np.array(source.labels, dtype=np.int16)
    digits = load_folder(Path(source.path))
    if digest(digits) != source.digest:
        raise InputError(f"--data {source.path}: these are not the digits that the run was begun with")
    return digits

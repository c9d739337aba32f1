"""Any recording by its content: the one door to this room."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path

from drivers.errors import InputError
from drivers.tracefile.hdf5 import read_hdf5
from drivers.tracefile.npz import read_npz
from drivers.tracefile.recording import Recording
from drivers.tracefile.rigolcsv import read_csv
from drivers.tracefile.rigolwfm import read_rigol
from drivers.tracefile.sigrok import read_sigrok

FORMATS = "RIGOL .wfm, .bin and CSV, NumPy .npz, sigrok .sr, and our own HDF5 export"
_HDF5 = b"\x89HDF\r\n\x1a\n"


def read_recordings(path: Path) -> Iterator[Recording]:
    """The recordings in a file, one an acquisition, in their order; raises InputError that names the file."""
    try:
        with path.open("rb") as file:
            head = file.read(512)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from error
    if head.startswith(_HDF5):
        yield from read_hdf5(path)
    elif head.startswith(b"PK\x03\x04"):
        yield _zipped(path)
    elif head and _is_text(head):
        yield read_csv(path)
    elif path.suffix.lower() in (".wfm", ".bin"):
        yield read_rigol(path)
    else:
        raise InputError(f"{path} is no recording that can be read: {FORMATS}")


def _is_text(head: bytes) -> bool:
    return not any(byte < 9 for byte in head)


def _zipped(path: Path) -> Recording:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (OSError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: {error}") from error
    return read_npz(path) if names and all(name.endswith(".npy") for name in names) else read_sigrok(path)

"""Write a file so that after a power cut it is either the old one or the new one, whole."""

from __future__ import annotations

import os
from pathlib import Path

from drivers.errors import InputError


def write_durably(path: Path, text: str, what: str) -> None:
    """Replace `path` by one that holds `text`, on the disk when this returns; raises InputError naming `what`."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise InputError(f"{what} {path}: {error.strerror or error}") from error

"""Files that must outlive a power cut: who may write them, and SQLite's errors as lines that say what to do."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from drivers.errors import RunFileError
from hil.store.schema import APPLICATION_ID, MAGIC


def check_header(path: Path) -> None:
    """Refuse what is not a run file before SQLite sees it (SQLite file format, section 1.3)."""
    try:
        with path.open("rb") as file:
            head = file.read(100)
    except OSError as error:
        raise RunFileError(f"run file {path}: {error.strerror or error}") from error
    if len(head) < 100 or not head.startswith(MAGIC):
        raise RunFileError(f"{path} is not a run file: it does not begin as an SQLite file does")
    if int.from_bytes(head[68:72], "big") != APPLICATION_ID:
        raise RunFileError(f"{path} is an SQLite file, but not a run file of hil")


def lock(path: Path) -> int:
    """Hold the file for writing; a killed process lets go by itself. Raises RunFileError when another one has it."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise RunFileError(f"run file {path} is being written by another hil; wait for it or stop it") from error
    return descriptor


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn SQLite's errors into one line that says what to do next."""
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorname", "") or ""
        if code.startswith("SQLITE_FULL") or code == "SQLITE_IOERR_WRITE":
            advice = f"the disk is full or cannot be written; free some space, then `hil resume {path}`"
        elif code.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
            advice = f"it is damaged ({error}); salvage what is left with `sqlite3 {path} .recover`"
        elif code.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
            advice = "another program has locked it; close that program"
        else:
            advice = f"{error} ({code or type(error).__name__})"
        raise RunFileError(f"run file {path}: {advice}") from error
    except UnicodeDecodeError as error:  # a damaged schema: sqlite3 decodes the names of columns
        raise RunFileError(f"run file {path}: it is damaged ({error.reason} in its schema)") from error


def in_use(path: Path) -> bool:
    """Whether some process holds the file for writing."""
    try:
        os.close(lock(path))
    except RunFileError:
        return True
    return False

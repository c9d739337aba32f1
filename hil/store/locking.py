"""Files that must outlive a power cut: who may write them, and SQLite's errors as lines that say what to do."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from shlex import quote

from drivers.errors import RunFileError
from hil.store.schema import APPLICATION_ID, MAGIC

_LOCKS = Path("/proc/locks")


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
            advice = f"the disk is full or cannot be written; free some space, then `hil resume {quote(str(path))}`"
        elif code.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
            advice = f"it is damaged ({error}); salvage what is left with `sqlite3 {quote(str(path))} .recover`"
        elif code.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
            advice = "another program has locked it; close that program"
        else:
            advice = f"{error} ({code or type(error).__name__})"
        raise RunFileError(f"run file {path}: {advice}") from error
    except UnicodeDecodeError as error:  # a damaged schema: sqlite3 decodes the names of columns
        raise RunFileError(f"run file {path}: it is damaged ({error.reason} in its schema)") from error


def in_use(path: Path) -> bool:
    """Whether some process holds the file for writing. Asking never gets in the way of one that is about to."""
    return writer(path) is not None


def writer(path: Path) -> int | None:
    """The process that holds the file for writing, None for none; 0 where the system does not tell which.

    Linux lists every lock in /proc/locks, "1: FLOCK ADVISORY WRITE PID MAJOR:MINOR:INODE 0 EOF" (proc(5)), and dead
    processes hold none. The device there may differ from that of stat(2) (overlayfs, btrfs), so an open descriptor
    decides.
    """
    try:
        status = path.stat()
        lines = _LOCKS.read_text(encoding="ascii").splitlines()
    except FileNotFoundError:
        return None if not path.exists() else _tried(path)
    except OSError as error:
        raise RunFileError(f"run file {path}: {error.strerror or error}") from error
    wanted = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
    for line in lines:
        fields = line.split()
        if fields[1:4] != ["FLOCK", "ADVISORY", "WRITE"]:
            continue
        pid, place = int(fields[4]), fields[5]
        if place == wanted or _holds(pid, status):
            return max(pid, 0)
    return None


def _holds(pid: int, status: os.stat_result) -> bool:
    """Whether a process has a lock on this very file through one of its descriptors (fdinfo in proc(5))."""
    folder = Path(f"/proc/{pid}/fd")
    try:
        for descriptor in folder.iterdir():
            with suppress(OSError):  # closed meanwhile
                if not os.path.samestat(descriptor.stat(), status):
                    continue
                if "FLOCK" in Path(f"/proc/{pid}/fdinfo/{descriptor.name}").read_text(encoding="ascii"):
                    return True
    except OSError:  # gone, or somebody else's
        return False
    return False


def _tried(path: Path) -> int | None:
    """Without a list of locks there is only trying."""
    try:
        os.close(lock(path))
    except RunFileError:
        return 0
    return None

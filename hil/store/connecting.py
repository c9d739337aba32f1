"""Connections that only read: they need no right to write, neither to the file nor to its folder.

While a run file is written it has a log beside it (`-wal`); when it is closed it is one file, in SQLite's rollback mode
(SQLite documentation, "Write-Ahead Logging"), which can be read from anywhere. A killed program leaves the log. To read
a file with a log SQLite wants to write beside it; where it may not, a copy of both is read.
"""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from contextlib import ExitStack
from pathlib import Path

from hil.store import suspicion

_BUSY_S = 10.0
_LOG_IN_USE = b"\x02\x02"  # bytes 18 and 19 of the file: write-ahead log (SQLite file format, section 1.3)


def log_of(path: Path) -> Path:
    """The write-ahead log of a run file."""
    return path.with_name(f"{path.name}-wal")


def lacks_its_log(path: Path) -> bool:
    """Whether a file was being written when it was last changed, and has no log: a copy of one of two files."""
    with path.open("rb") as file:
        head = file.read(20)
    return head[18:20] == _LOG_IN_USE and not log_of(path).exists()


def connect(path: Path, *, write: bool, undo: ExitStack) -> sqlite3.Connection:
    """A connection in autocommit mode that any thread may use; `undo` closes it. Raises sqlite3.Error."""
    if write:
        return _open(path, "mode=rw", undo)
    try:
        return _open(path, "mode=ro", undo)
    except sqlite3.OperationalError:  # SQLITE_CANTOPEN, SQLITE_READONLY_DIRECTORY…: nothing may be written there
        if not log_of(path).exists() or log_of(path).stat().st_size == 0:
            return _open(path, "mode=ro&immutable=1", undo)
    copies = Path(undo.enter_context(tempfile.TemporaryDirectory(prefix="hil-")))
    for file in (path, log_of(path)):
        shutil.copyfile(file, copies / file.name)
    return _open(copies / path.name, "mode=rw", undo)


def _open(path: Path, how: str, undo: ExitStack) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?{how}", uri=True, isolation_level=None, timeout=_BUSY_S, check_same_thread=False
    )
    try:
        suspicion.bound(connection)
        connection.execute("SELECT count(*) FROM sqlite_master")  # the first look opens the log
        connection.execute("PRAGMA trusted_schema = OFF")  # a file from anywhere runs nothing of its own
    except BaseException:
        connection.close()
        raise
    undo.callback(connection.close)
    return connection

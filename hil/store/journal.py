"""A data base connection whose transactions wait for the disk, in a thread if need be."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from hil.store.locking import explained

Rows = list[tuple[Any, ...]]


class Connection(Protocol):
    """What a run file needs of a data base connection in autocommit mode."""

    def execute(self, sql: str, parameters: Any = (), /) -> Any:
        """Run one statement; the result offers fetchone() and fetchall()."""
        ...

    def close(self) -> None:
        """Close it."""
        ...


class Journal:
    """Statements and transactions on one connection, with errors as RunFileErrors that name the file.

    A transaction may be committed in a thread; whatever is asked of the connection meanwhile waits until that is done.
    """

    def __init__(self, path: Path, connection: Connection) -> None:
        self._path = path
        self._connection = connection
        self._disk = ThreadPoolExecutor(1, "disk")
        self._committing: Future[int] | None = None

    def execute(self, sql: str, parameters: tuple[Any, ...] = ()) -> Rows:
        """Run one statement inside the transaction in hand, or on its own; returns its rows."""
        with explained(self._path):
            rows: Rows = self._connection.execute(sql, parameters).fetchall()
        return rows

    def all(self, sql: str, parameters: tuple[Any, ...] = ()) -> Rows:
        """All rows of a query."""
        self._settle()
        return self.execute(sql, parameters)

    def one(self, sql: str, parameters: tuple[Any, ...] = ()) -> Any:
        """The first row, or None."""
        rows = self.all(sql, parameters)
        return rows[0] if rows else None

    @contextmanager
    def transaction(self, *, commit: bool = True) -> Iterator[None]:
        """Everything within, or nothing; without `commit` it is left open for `commit` or `commit_in_thread`."""
        self._settle()
        self.execute("BEGIN IMMEDIATE")
        try:
            yield
            if commit:
                self.execute("COMMIT")
        except BaseException:
            self._roll_back()
            raise

    def commit(self) -> None:
        """Commit the open transaction here and now; raises RunFileError when it cannot be."""
        self._commit(0)

    def commit_in_thread(self, result: int) -> Future[int]:
        """Commit the open transaction; `result` comes once it is on the disk, or the RunFileError that kept it off."""
        self._committing = self._disk.submit(self._commit, result)
        return self._committing

    def _commit(self, result: int) -> int:
        try:
            self.execute("COMMIT")
        except BaseException:
            self._roll_back()
            raise
        return result

    def _roll_back(self) -> None:
        if getattr(self._connection, "in_transaction", False):
            self.execute("ROLLBACK")

    def _settle(self) -> None:
        """Wait for the thread; whoever has its future hears how that went."""
        if self._committing is not None:
            wait([self._committing])
            self._committing = None

    def checkpoint(self) -> None:
        """Bring the log into the file, as far as nobody else reads it."""
        self._settle()
        self.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def into_one_file(self) -> None:
        """Bring the log into the file and do without it; raises RunFileError while somebody else reads it."""
        self._settle()
        self.execute("PRAGMA busy_timeout = 200")
        self.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self.execute("PRAGMA journal_mode = DELETE")

    def close(self) -> None:
        """Close the connection; idempotent."""
        self._settle()
        self._disk.shutdown()
        self._connection.close()

"""How a run file comes into being: whole, under a name that is its own."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from itertools import count
from pathlib import Path
from shlex import quote

from drivers.durable import place, unfinished
from drivers.errors import RunFileError
from hil.store.locking import explained
from hil.store.rows import digest
from hil.store.schema import statements


def create_file(path: Path, facts: Mapping[str, object], *, numbered: bool = False) -> Path:
    """Make a run file that holds these facts (JSON values), durably; returns its name.

    It appears under its name only when complete, and never in the place of another. Where the name is taken it gets a
    number if `numbered`; otherwise, and when it cannot be written, raises RunFileError.
    """
    try:
        partial = unfinished(path)
        try:
            with explained(path), closing(sqlite3.connect(partial, isolation_level=None)) as connection:
                _initialise(connection, facts)
            return place(partial, _numbered(path) if numbered else [path])
        finally:
            partial.unlink(missing_ok=True)
    except FileExistsError as error:
        raise RunFileError(
            f"run file {path} exists already; go on with `hil resume {quote(str(path))}` or give another --out"
        ) from error
    except OSError as error:
        raise RunFileError(f"run file {path} cannot be written: {error.strerror or error}") from error


def _initialise(connection: sqlite3.Connection, facts: Mapping[str, object]) -> None:
    """Make the tables and store the facts, all in one transaction."""
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("BEGIN IMMEDIATE")
    for statement in statements():
        connection.execute(statement)
    for key, value in facts.items():
        text = json.dumps(value, ensure_ascii=False)
        connection.execute("INSERT INTO run (key, value, digest) VALUES (?, ?, ?)", (key, text, digest((key, text))))
    connection.execute("COMMIT")


def _numbered(path: Path) -> Iterator[Path]:
    yield path
    for n in count(2):
        yield path.with_name(f"{path.stem}-{n}{path.suffix}")

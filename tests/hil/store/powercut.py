"""A disk that loses what was not synced: SQLite's writes and syncs, logged, and what a power cut leaves of them."""

from __future__ import annotations

import os
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apsw

SECTOR = 512  # what a disk writes at once or not at all


@dataclass(frozen=True)
class Op:
    """One thing SQLite did to one file: write (data at offset), truncate (to offset), delete or sync; or a note."""

    kind: str
    file: str = ""
    offset: int = 0
    data: bytes = b""
    note: Any = None


class LoggingVfs(apsw.VFS):
    """The operating system's files, with a log of what changed them."""

    def __init__(self, name: str) -> None:
        self.log: list[Op] = []
        self.name = name
        super().__init__(name, "")

    def xOpen(self, name: Any, flags: list[int]) -> Any:  # noqa: N802 (SQLite's name)
        return _LoggingFile(self.log, name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: N802
        super().xDelete(filename, syncdir)
        name = os.path.basename(filename)  # noqa: PTH119
        self.log.append(Op("delete", name))
        if syncdir:
            self.log.append(Op("sync", name))


class _LoggingFile(apsw.VFSFile):
    def __init__(self, log: list[Op], name: Any, flags: list[int]) -> None:
        self._log = log
        self._file = os.path.basename(name.filename() if isinstance(name, apsw.URIFilename) else name or "")  # noqa: PTH119
        super().__init__("", name, flags)

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802
        super().xWrite(data, offset)
        self._log.append(Op("write", self._file, offset, bytes(data)))

    def xTruncate(self, size: int) -> None:  # noqa: N802
        super().xTruncate(size)
        self._log.append(Op("truncate", self._file, size))

    def xSync(self, flags: int) -> None:  # noqa: N802
        super().xSync(flags)
        self._log.append(Op("sync", self._file))


def after_power_cut(start: dict[str, bytes], log: list[Op], rng: random.Random) -> dict[str, bytes]:
    """What the disk may hold when power fails at the end of `log`.

    Everything synced is there. Each later write is there or not, whatever came before or after it, and the sectors of
    one write fare separately; a truncation or the removal of a file happened or not.
    """
    disk = {name: bytearray(content) for name, content in start.items()}
    pending: list[Op] = []
    for op in log:
        if op.kind == "sync":
            for done in (p for p in pending if p.file == op.file):
                _apply(disk, done)
            pending = [p for p in pending if p.file != op.file]
        elif op.kind in ("write", "truncate", "delete"):
            pending.append(op)
    share = rng.random()
    for op in pending:
        if op.kind != "write":
            if rng.random() < share:
                _apply(disk, op)
            continue
        for at in range(0, len(op.data), SECTOR):
            if rng.random() < share:
                _apply(disk, Op("write", op.file, op.offset + at, op.data[at : at + SECTOR]))
    return {name: bytes(content) for name, content in disk.items()}


def _apply(disk: dict[str, bytearray], op: Op) -> None:
    if op.kind == "delete":
        disk.pop(op.file, None)
        return
    content = disk.setdefault(op.file, bytearray())
    if op.kind == "truncate":
        del content[op.offset :]
        return
    if len(content) < op.offset:
        content.extend(bytes(op.offset - len(content)))
    content[op.offset : op.offset + len(op.data)] = op.data


def put(folder: Path, disk: dict[str, bytes]) -> None:
    """Write the files of a disk into a folder."""
    folder.mkdir()
    for name, content in disk.items():
        (folder / name).write_bytes(content)

"""Write a file so that it appears whole or not at all, whatever happens: an error, a signal, a full disk, a power cut.

What is being written has a name of its own in the same folder, which nobody can guess and no link is followed from
(`O_EXCL`, open(2)). When it is whole and on the disk it takes the place of the old file (rename(2)), and the folder is
on the disk too before anybody hears of it.
"""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from drivers.errors import InputError


@contextmanager
def replacing(path: Path, what: str) -> Iterator[Path]:
    """An empty file to write to, which becomes `path` when the context ends well and is gone when it does not.

    Raises InputError naming `what` and the path when there is a folder or a device of that name, or when the disk
    refuses; an OSError within the context counts as that.
    """
    try:
        partial = unfinished(path)
        try:
            yield partial
            sync(partial)
            partial.replace(path)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
        sync(path.parent)
    except OSError as error:
        raise InputError(f"{what} {path}: {error.strerror or error}") from error


def write_durably(path: Path, content: str | bytes, what: str) -> None:
    """Replace `path` by a file that holds `content` (text as UTF-8), on the disk when this returns.

    Raises InputError naming `what`.
    """
    with replacing(path, what) as partial:
        partial.write_bytes(content.encode() if isinstance(content, str) else content)


def unfinished(path: Path) -> Path:
    """An empty file beside `path` under a name of its own, with the rights that `path` has or would get.

    Raises OSError.
    """
    if path.exists() and not path.is_file():
        raise OSError("is a folder" if path.is_dir() else "is not a file: its content cannot be replaced")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise OSError(f"{path.parent} is not a folder") from error
    made = path.with_name(f".hil-{secrets.token_hex(8)}.partial")
    descriptor = os.open(made, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    try:
        if path.exists():
            os.fchmod(descriptor, path.stat().st_mode & 0o777)
    finally:
        os.close(descriptor)
    return made


def place(partial: Path, names: Iterable[Path]) -> Path:
    """Give a finished file the first of these names that is free, for good; raises FileExistsError when none is.

    Of many who want one name a single one gets it (link(2)); on a file system without links, FAT for one, by making an
    empty file of that name first (open(2), `O_EXCL`). File and name are on the disk when this returns.
    """
    sync(partial)
    for name in names:
        try:
            _link(partial, name)
        except FileExistsError:
            continue
        sync(name.parent)
        return name
    raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))


def _link(partial: Path, name: Path) -> None:
    try:
        os.link(partial, name, follow_symlinks=False)
        partial.unlink()
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS):
            raise
        os.close(os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC))
        partial.replace(name)


def sync(path: Path) -> None:
    """Have a file, or the names in a folder, on the disk (fsync(2)); raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

"""One master: what a bench uses (a daemon, a serial port, an oscilloscope, a bus, a device) belongs to one program.

A claim is a lock on a small file (flock(2)) under the system's folder for locks, which the kernel lets go when the
process ends, however it ends. The file says who holds it, for the one who comes second.

Who does several things with a bench one after the other holds it throughout and lends it, step by step, to its own code
and to the programs that it starts (`hold_and_lend`): they inherit the locked descriptor, and HIL_LENT says which it is.
"""

from __future__ import annotations

import fcntl
import json
import os
import stat
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime
from pathlib import Path
from urllib.parse import quote

from drivers.errors import BusyError, InputError

SYSTEM_FOLDER = Path("/run/lock")  # Filesystem Hierarchy Standard 3.0, 3.15; every user may write there on Debian


LENT = "HIL_LENT"


def claims_folder() -> Path:
    """Where claims are: $HIL_LOCKS, or the system's folder for locks, or that for temporary files."""
    named = os.environ.get("HIL_LOCKS")
    if named:
        return Path(named)
    usable = SYSTEM_FOLDER.is_dir() and os.access(SYSTEM_FOLDER, os.W_OK | os.X_OK)
    return SYSTEM_FOLDER if usable else Path(tempfile.gettempdir())


def claim(resources: Iterable[str], purpose: str, descriptors: dict[str, int] | None = None) -> ExitStack:
    """Hold every one of these, in a fixed order; close the stack to let go. Puts their locks into `descriptors`.

    Raises BusyError naming the resource and who holds it, and then holds none; InputError when a lock cannot be made.
    """
    with ExitStack() as held:
        for resource in sorted(set(resources)):
            descriptor = _open(claims_folder() / f"hil-{quote(resource, safe='')}.lock", resource)
            held.callback(os.close, descriptor)
            lent = _is_lent(resource, descriptor)
            # Borrowers are kept apart by a lock of another kind, which a process has (fcntl(2), F_SETLK).
            lock = fcntl.lockf if lent else fcntl.flock
            try:
                lock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except (BlockingIOError, PermissionError) as error:
                raise BusyError(f"{resource} is in use by {_holder(descriptor)}; wait for it or stop it") from error
            if not lent:
                _sign(descriptor, purpose)
            if descriptors is not None:
                descriptors[resource] = descriptor
        return held.pop_all()


@contextmanager
def hold_and_lend(resources: Iterable[str], purpose: str) -> Iterator[tuple[int, ...]]:
    """Hold every one of these while claims of this process and of programs that it starts may have them in turn.

    Yields the descriptors that such a program has to inherit (`pass_fds`). Raises what `claim` raises.
    """
    descriptors: dict[str, int] = {}
    with claim(resources, purpose, descriptors):
        before = os.environ.get(LENT)
        os.environ[LENT] = json.dumps(descriptors)
        try:
            yield tuple(descriptors.values())
        finally:
            del os.environ[LENT]
            if before is not None:
                os.environ[LENT] = before


def _is_lent(resource: str, descriptor: int) -> bool:
    """Whether this process has inherited the lock on a resource, which is the file that `descriptor` is of."""
    with suppress(ValueError, TypeError, KeyError, OSError):
        inherited = json.loads(os.environ[LENT])[resource]
        there, here = os.fstat(inherited), os.fstat(descriptor)
        if (there.st_dev, there.st_ino) == (here.st_dev, here.st_ino):
            fcntl.flock(inherited, fcntl.LOCK_EX | fcntl.LOCK_NB)  # had by whoever has this very descriptor
            return True
    return False


def _open(path: Path, resource: str) -> int:
    """The file of a claim, made if need be so that every user may lock it; no link is followed."""
    flags = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        try:
            descriptor = os.open(path, flags)
        except FileNotFoundError:
            descriptor = os.open(path, flags | os.O_CREAT, 0o666)
        if os.fstat(descriptor).st_uid == os.geteuid() and stat.S_IMODE(os.fstat(descriptor).st_mode) != 0o666:
            os.fchmod(descriptor, 0o666)  # whatever the umask: another user's program must be able to ask
    except OSError as error:
        if not path.parent.is_dir():
            raise InputError(
                f"{resource}: the folder for locks, {path.parent}, is not there: make it, or name another in HIL_LOCKS"
            ) from error
        raise InputError(
            f"{resource}: its lock {path} cannot be opened ({error.strerror or error}); remove that file, or name "
            "another folder for locks in HIL_LOCKS"
        ) from error
    return descriptor


def _sign(descriptor: int, purpose: str) -> None:
    who = {"pid": os.getpid(), "purpose": purpose, "command": " ".join(sys.argv)[:200], "since": _now()}
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, json.dumps(who).encode(), 0)


def _now() -> str:
    return datetime.now().astimezone().isoformat(timespec="seconds")


def _holder(descriptor: int) -> str:
    """Who signed a claim, as printable text."""
    try:
        who = json.loads(os.pread(descriptor, 4096, 0))
        text = f"{who['purpose']} (process {who['pid']}, {who['command']!r}, since {who['since']})"
    except (ValueError, KeyError, TypeError):
        return "another program"
    return "".join(c if c.isprintable() else "?" for c in text)

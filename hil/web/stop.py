"""Asking a run to stop from elsewhere: the signal that Ctrl-C sends, to the process that holds the run file."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from drivers.errors import BenchError, InputError
from hil.store.locking import writer


class NotStoppedError(BenchError):
    """The run could not be asked to stop."""


def ask_to_stop(path: Path) -> int:
    """Ask the process that is writing a run file to stop after the shot in hand; returns its id.

    The process is held by a descriptor before it is asked whether it still has the file, so that no other one that got
    its number can be hit (pidfd_open(2)). Raises InputError when nobody is writing, NotStoppedError.
    """
    pid = writer(path)
    if pid is None:
        raise InputError(f"{path.name} is not running")
    if not pid or not hasattr(os, "pidfd_open"):
        raise NotStoppedError(f"this system does not tell which process writes {path.name}; press Ctrl-C where it runs")
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError as error:
        raise InputError(f"{path.name} is not running any more") from error
    try:
        if writer(path) != pid:
            raise InputError(f"{path.name} is not running any more")
        signal.pidfd_send_signal(descriptor, signal.SIGINT)
    except PermissionError as error:
        raise NotStoppedError(
            f"process {pid} of {path.name} belongs to another user; press Ctrl-C where it runs"
        ) from error
    finally:
        os.close(descriptor)
    return pid

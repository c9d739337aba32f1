"""How a recorded command ends early: written down, and said with the way to go on."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from shlex import quote
from typing import TYPE_CHECKING

from drivers.errors import CalibrationError, RunFileError
from hil.terminal.visible import visible

if TYPE_CHECKING:
    from hil.store.runfile import RunFile

INTERRUPTED = 130  # the exit code of what a person stopped, as shells give it for SIGINT


def how_to_go_on(run: RunFile) -> str:
    """What whoever stopped it does next."""
    return f"go on: hil resume {quote(str(run.path))}"


@contextmanager
def resumable(run: RunFile) -> Iterator[None]:
    """Whoever interrupts what is made of a run file is told how to go on."""
    try:
        yield
    except KeyboardInterrupt as error:
        error.add_note(how_to_go_on(run))
        raise


def stopped(run: RunFile, error: BaseException, done: str) -> int:
    """Write down and say that it ended early and how to go on; raises what ended it, unless a person did.

    `done` says what is safe. After a CalibrationError going on would end alike.
    """
    asked = isinstance(error, KeyboardInterrupt)
    with suppress(RunFileError):  # a full disk takes no event either
        run.add_event("stopped", "on request" if asked else f"{type(error).__name__}: {error}")
    for noted in run.notes():
        print(visible(str(noted)), file=sys.stderr)
    how = "" if isinstance(error, CalibrationError) else f"; {how_to_go_on(run)}"
    print(visible(f"{done}{how}"), file=sys.stderr)
    if not asked:
        raise error
    return INTERRUPTED

"""Standard output and error that cannot end a measurement: display never stops a run.

What a terminal cannot encode is replaced; an output that is closed, full or gone (a pipe whose reader went away, a
dropped ssh, a full disk) is noted once and written to no more, while the run goes on.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO, cast


class SteadyStream:
    """A text stream whose writes never fail: after the first OSError it is `broken` and takes everything in silence.

    For an output that was `closed` before we began it is `unseen` once something was written.
    """

    def __init__(self, stream: TextIO, *, closed: bool = False) -> None:
        self._stream = stream
        self._closed = closed
        self.broken: OSError | None = None
        self.unseen = False
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")

    def write(self, text: str) -> int:
        """Write, or pass over; returns the length either way."""
        self.unseen |= self._closed and bool(text)
        if self.broken is None:
            try:
                self._stream.write(text)
            except OSError as error:
                self._give_up(error)
        return len(text)

    def flush(self) -> None:
        """Flush, or pass over."""
        if self.broken is None:
            try:
                self._stream.flush()
            except OSError as error:
                self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        """Point the descriptor elsewhere, so that what is still buffered does not fail again when Python ends."""
        self.broken = error
        with suppress(OSError, ValueError):
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, self._stream.fileno())
            os.close(null)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _nowhere(descriptor: int) -> TextIO:
    """For an output that was closed before we began (`>&-`): no file of ours may get its descriptor."""
    null = os.open(os.devnull, os.O_WRONLY)
    if null != descriptor:
        os.dup2(null, descriptor)
        os.close(null)
    return os.fdopen(descriptor, "w", closefd=False)


@contextmanager
def steady_output() -> Iterator[SteadyStream]:
    """Standard output and error are steady within; yields the standard output, to ask whether it broke."""
    before = sys.stdout, sys.stderr
    out = SteadyStream(sys.stdout or _nowhere(1), closed=sys.stdout is None)
    err = SteadyStream(sys.stderr or _nowhere(2), closed=sys.stderr is None)
    sys.stdout, sys.stderr = cast("TextIO", out), cast("TextIO", err)
    try:
        yield out
    finally:
        out.flush()
        err.flush()
        sys.stdout, sys.stderr = before

"""Ending with manners: the first Ctrl-C stops after the shot in hand, the second at once.

SIGINT, SIGTERM (what a shutdown sends) and SIGHUP (what a dropped ssh sends) end alike. While a program brings its
bench to rest nothing more is heard: a third signal must not leave a line high.
"""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any

SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
DEAF_S = 10.0  # after an interrupt: longer than any bench takes to come to rest


class _Interrupter:
    """Raises KeyboardInterrupt, and then not again for DEAF_S seconds. `raised`: whether it has."""

    def __init__(self) -> None:
        self._deaf_until = 0.0
        self.raised = False

    def __call__(self) -> None:
        now = time.monotonic()
        if now >= self._deaf_until:
            self._deaf_until = now + DEAF_S
            self.raised = True
            raise KeyboardInterrupt


interrupt = _Interrupter()


@contextmanager
def ending_alike() -> Iterator[None]:
    """Every signal that ends a program raises KeyboardInterrupt within; in the main thread only."""
    interrupt.raised = False
    with _handled(lambda _number, _frame: interrupt()):
        yield


@contextmanager
def undisturbed() -> Iterator[None]:
    """A signal that comes within is heard at the end: an import makes other errors of an interrupt, or swallows it."""
    heard: list[int] = []
    with _handled(lambda number, _frame: heard.append(number)):
        yield
    if heard:
        interrupt()


@contextmanager
def _handled(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    before: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        before = {number: signal.signal(number, handler) for number in SIGNALS}
    try:
        yield
    finally:
        for number, was in before.items():
            signal.signal(number, was)


@contextmanager
def held_back() -> Iterator[None]:
    """Signals wait until the end; in processes that are started within, until they `ignore_all` (sigprocmask(2))."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def ignore_all() -> None:
    """For worker processes: a signal to the group is the parent's business."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)


class StopRequest:
    """A context in which the first signal sets `requested` instead of interrupting; the second one interrupts.

    Outside the main thread, where Python lets nobody handle signals, it does nothing. `advice` is told with an
    interruption, wherever that falls: how to go on, once there is something to go on with.
    """

    def __init__(self) -> None:
        self.requested = False
        self.advice = ""
        self._handled = _handled(self._handle)

    def __call__(self) -> bool:
        """Whether somebody asked to stop."""
        return self.requested

    def __enter__(self) -> StopRequest:
        self._handled.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._handled.__exit__(None, None, None)
        if self.advice and isinstance(error, KeyboardInterrupt):
            error.add_note(self.advice)

    def _handle(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 (Python's signature)
        if self.requested:
            interrupt()
            return
        self.requested = True
        print("\nstopping after the shot in hand; once more stops at once", file=sys.stderr, flush=True)

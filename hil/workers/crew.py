"""Who does the work: this process, several of this machine, or a cluster (`hil.workers.cluster`).

Work comes in pieces, each of which is done in one go by one worker, and the results are put in the order of the pieces.
A piece must hold all that its results depend on: then who did it, and beside what, makes no difference.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from multiprocessing import get_context
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from drivers.errors import WorkerError

if TYPE_CHECKING:
    from concurrent.futures import Future

Piece = TypeVar("Piece")
One = TypeVar("One")
Work = Callable[[Piece], Iterable[One]]  # of a module, so that another process can find it
LOOKS_S = 0.2  # how often the progress of other processes is looked at


def _never() -> bool:
    return False


def _nobody(_done: int) -> None:
    pass


@dataclass(frozen=True)
class Watch:
    """`tell` is told how many results there are by now; when `stopping` says so, what is done is all there will be."""

    tell: Callable[[int], None] = _nobody
    stopping: Callable[[], bool] = _never


class Crew(Protocol):
    """Whoever works; a context manager."""

    def work_off(self, work: Work[Piece, One], pieces: Sequence[Piece], watch: Watch) -> list[list[One]]:
        """The results of each piece, in order; when stopped those that are known, and nothing for other pieces."""
        ...

    def __enter__(self) -> Crew: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def awaited(
    futures: Sequence[Future[list[One]]],
    watch: Watch,
    count: Callable[[], int],
    give_up: Callable[[], None] = lambda: None,
) -> list[list[One]]:
    """The results of each, in order; `count` says how many there are meanwhile.

    When somebody asks to stop, or one has failed, nothing is begun any more, and `give_up` ends what is under way.
    """
    waiting = set(futures)
    while waiting:
        finished, waiting = wait(waiting, LOOKS_S, return_when=FIRST_EXCEPTION)
        watch.tell(count())
        if waiting and (watch.stopping() or any(one.exception() is not None for one in finished)):
            give_up()
            for future in waiting:
                future.cancel()
            break
    for future in futures:
        if future.done() and not future.cancelled():
            future.result()  # raises what the worker raised
    return [[] if future.cancelled() else future.result() for future in futures]


class Here:
    """In the process that asks, one piece after another."""

    def work_off(self, work: Work[Piece, One], pieces: Sequence[Piece], watch: Watch) -> list[list[One]]:
        """See `Crew`."""
        done: list[list[One]] = [[] for _ in pieces]
        count = 0
        for mine, piece in zip(done, pieces, strict=True):
            for one in work(piece):
                mine.append(one)
                count += 1
                watch.tell(count)
                if watch.stopping():
                    return done
        return done

    def __enter__(self) -> Here:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass


@dataclass
class Processes:
    """So many processes of this machine, started within `starting` when there is work; each does `begin` first.

    A fresh interpreter each: a fork would copy the threads of the matrix library in an unknown state. Each has one
    thread for that library, and a single piece is worked off in a process too, so that sums are rounded alike.
    """

    number: int
    begin: Callable[[], None]
    starting: Callable[[], AbstractContextManager[None]] = nullcontext
    _pool: ProcessPoolExecutor | None = None
    _shared: Any = field(init=False)

    def __post_init__(self) -> None:
        fresh = get_context("spawn")
        self._shared = _Shared(fresh.Value("q", 0), fresh.Value("b", 0))

    def work_off(self, work: Work[Piece, One], pieces: Sequence[Piece], watch: Watch) -> list[list[One]]:
        """See `Crew`."""
        pool = self._started()
        self._shared.done.value = 0
        with self.starting():
            futures = [pool.submit(worked, work, piece) for piece in pieces]
        try:
            return awaited(futures, watch, lambda: int(self._shared.done.value), self._give_up)
        except BrokenProcessPool as error:
            raise WorkerError(
                "a worker process has died: was there memory enough? Fewer --workers need less"
            ) from error

    def _started(self) -> ProcessPoolExecutor:
        if self._pool is None:
            os.environ["OPENBLAS_NUM_THREADS"] = "1"  # inherited by the workers, one a core
            context = get_context("spawn")
            self._pool = ProcessPoolExecutor(
                self.number, mp_context=context, initializer=_begin, initargs=(self._shared, self.begin)
            )
        return self._pool

    def _give_up(self) -> None:
        """What is under way ends after the result in hand."""
        self._shared.stop.value = 1

    def __enter__(self) -> Processes:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pool is not None:
            self._shared.stop.value = 1
            self._pool.shutdown(cancel_futures=True)
            self._pool = None


@dataclass(frozen=True)
class _Shared:
    """What all processes see: how many results there are, and whether to stop."""

    done: Any
    stop: Any


_SHARED: _Shared | None = None  # of a worker process


def _begin(shared: _Shared, begin: Callable[[], None]) -> None:
    """What a worker process does first."""
    global _SHARED  # noqa: PLW0603 (set once a process)
    begin()
    _SHARED = shared


def worked(work: Work[Piece, One], piece: Piece) -> list[One]:
    """What a worker does with a piece."""
    results: list[One] = []
    for one in work(piece):
        results.append(one)
        if _SHARED is None:
            continue
        with _SHARED.done.get_lock():
            _SHARED.done.value += 1
        if _SHARED.stop.value:
            break
    return results

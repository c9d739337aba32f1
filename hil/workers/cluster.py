"""A Dask cluster as a crew: `--cluster ADDRESS`, with `pip install '.[cluster]'`.

Its workers must have this package; Dask starts them with one thread for the matrix library, as `Processes` does. On
processors of another kind that library may round otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from types import TracebackType
from typing import TYPE_CHECKING, TypeVar

from drivers.errors import InputError, WorkerError
from hil.workers.crew import awaited, worked

if TYPE_CHECKING:
    from hil.workers.crew import Watch, Work

Piece = TypeVar("Piece")
One = TypeVar("One")
PATIENCE_S = 10  # for a scheduler that must answer


class Cluster:
    """The workers of the scheduler at an address, such as tcp://10.0.0.7:8786; raises InputError."""

    def __init__(self, address: str) -> None:
        try:
            from distributed import Client
        except ModuleNotFoundError as error:
            raise InputError(f"--cluster {address}: needs Dask: pip install 'memristive-hil[cluster]'") from error
        self._address = address
        try:
            self._client = Client(address, timeout=PATIENCE_S, set_as_default=False)
        except (OSError, ValueError, TypeError) as error:
            said = str(error).partition("\n")[0]
            raise InputError(
                f"--cluster {address}: no scheduler answers there ({said or type(error).__name__})"
            ) from error
        try:
            self._check()
        except BaseException:
            self._client.close()
            raise

    def _check(self) -> None:
        """Somebody must be there, with our version."""
        found, address = self._client.run(installed), self._address
        if not found:
            raise InputError(f"--cluster {address}: the scheduler has no workers; start some: dask worker {address}")
        mine = installed()
        for worker, theirs in sorted(found.items()):
            if theirs != mine:
                raise InputError(f"--cluster {address}: {worker} has {theirs}, and here is {mine}: install the same")

    def work_off(self, work: Work[Piece, One], pieces: Sequence[Piece], watch: Watch) -> list[list[One]]:
        """See `hil.workers.crew.Crew`; when somebody asks to stop, pieces under way are waited for."""
        from distributed import KilledWorker

        pool = self._client.get_executor(pure=False)
        futures = [pool.submit(worked, work, piece) for piece in pieces]

        def count() -> int:
            ended = (one for one in futures if one.done() and not one.cancelled())
            return sum(len(one.result()) for one in ended if one.exception() is None)

        try:
            return awaited(futures, watch, count)
        except KilledWorker as error:
            raise WorkerError(f"--cluster {self._address}: a piece of the work killed its workers: {error}") from error

    def __enter__(self) -> Cluster:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()


def installed() -> str:
    """Versions of this package and of the one that rounds, as a worker has them."""
    try:
        return f"memristive-hil {version('memristive-hil')} and numpy {version('numpy')}"
    except PackageNotFoundError:
        return "no memristive-hil"

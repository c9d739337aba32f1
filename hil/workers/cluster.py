"""A Dask cluster as a crew: `--cluster ADDRESS`, with `pip install '.[cluster]'`.

Its workers must have this package; Dask starts them with one thread for the matrix library, as `Processes` does. On
processors of another kind that library may round otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from drivers.errors import BenchError, InputError

if TYPE_CHECKING:
    from hil.workers.crew import Watch, Work

Piece = TypeVar("Piece")
One = TypeVar("One")
PATIENCE_S = 10  # for a scheduler that must answer
LOOKS_S = 0.2


class Cluster:
    """The workers of the scheduler at an address, such as tcp://10.0.0.7:8786; raises InputError."""

    def __init__(self, address: str) -> None:
        try:
            from distributed import Client
        except ModuleNotFoundError as error:
            raise InputError(f"--cluster {address}: needs Dask: pip install 'memristive-hil[cluster]'") from error
        try:
            self._client = Client(address, timeout=PATIENCE_S, set_as_default=False)
        except (OSError, ValueError, TypeError) as error:
            said = str(error).partition("\n")[0]
            raise InputError(
                f"--cluster {address}: no scheduler answers there ({said or type(error).__name__})"
            ) from error
        try:
            self._check(address)
        except BaseException:
            self._client.close()
            raise

    def _check(self, address: str) -> None:
        """Somebody must be there, with our version."""
        found = self._client.run(installed)
        if not found:
            raise InputError(f"--cluster {address}: the scheduler has no workers; start some: dask worker {address}")
        mine = installed()
        for worker, theirs in sorted(found.items()):
            if theirs != mine:
                raise InputError(f"--cluster {address}: {worker} has {theirs}, and here is {mine}: install the same")

    def work_off(self, work: Work[Piece, One], pieces: Sequence[Piece], watch: Watch) -> list[list[One]]:
        """See `hil.workers.crew.Crew`; raises BenchError where the cluster fails."""
        from distributed import wait

        futures: list[Any] = self._client.map(_worked, [work] * len(pieces), list(pieces), pure=False, batch_size=1)
        known: dict[int, list[One]] = {}
        while len(known) < len(pieces) and not watch.stopping():
            waiting = [future for number, future in enumerate(futures) if number not in known]
            try:
                wait(waiting, timeout=LOOKS_S, return_when="FIRST_COMPLETED")
            except TimeoutError:
                continue
            self._take(futures, known)
            watch.tell(sum(map(len, known.values())))
        self._client.cancel([future for number, future in enumerate(futures) if number not in known])
        return [known.get(number, []) for number in range(len(pieces))]

    def _take(self, futures: Sequence[Any], known: dict[int, list[Any]]) -> None:
        for number, future in enumerate(futures):
            if number in known or not future.done():
                continue
            if future.cancelled():
                raise BenchError(f"the cluster at {self._client.scheduler.address} gave a piece of the work up")
            known[number] = future.result()  # raises what the worker raised

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


def _worked(work: Callable[[Any], Any], piece: Any) -> list[Any]:
    return list(work(piece))

"""The only door to a bench: it decides between the mock and real parts, and what a real device gets is counted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from drivers.benchfile import BenchFile, load_bench
from drivers.device import DeviceFile, load_device
from drivers.wire.script import taped
from drivers.wire.tape import running

if TYPE_CHECKING:
    from drivers.bench import Bench

Fidelity = Literal["pulses", "counts"]


def open_bench(
    name: str, *, device: str | None = None, seed: int = 0, fidelity: Fidelity = "pulses", traces: bool = False
) -> Bench:
    """Open a bench by file or name, with the device named in its file or another one; raises InputError, BenchError."""
    file = load_bench(name)
    return make_bench(file, load_device(device or file.device), seed=seed, fidelity=fidelity, traces=traces)


def make_bench(
    file: BenchFile, device: DeviceFile, *, seed: int = 0, fidelity: Fidelity = "pulses", traces: bool = False
) -> Bench:
    """Open the bench that settled settings describe, such as those frozen in a run file; a context manager.

    What a real device gets is counted in its passport, whoever opens it. Raises InputError, BenchError.
    """
    if file.kind == "mock":
        from drivers.mock.bench import MockBench

        return MockBench(file, device, seed=seed, fidelity=fidelity, traces=traces)
    from drivers.pi import PiBench

    file.check_parts()
    tape = running()
    if tape is None:
        return PiBench(file, device)
    return taped(tape, file, device, lambda: PiBench(file, device))


def drifts(device: DeviceFile) -> bool:
    """Whether a simulated device changes with the pulses that it has had; raises InputError where it has no model."""
    from drivers.mock import drift

    return drift.drifts(device)


def steady(device: DeviceFile) -> DeviceFile:
    """A simulated device as it is when new, for ever."""
    from drivers.mock import drift

    return drift.steady(device)


def drifting(device: DeviceFile, share: float, pulses: int) -> DeviceFile:
    """A simulated device whose mean step of ln R has changed by this share, evenly, after so many pulses."""
    from drivers.mock import drift

    return drift.drifting(device, share, pulses)

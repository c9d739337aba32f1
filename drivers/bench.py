"""The seam between the network and the neuron: what a bench is, and what its parts are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from drivers.signals import Capture, Frame


@runtime_checkable
class Bench(Protocol):
    """Anything that can play frames and return captures.

    A bench is also a context manager; leaving it makes it safe and closes it.
    """

    @property
    def identity(self) -> dict[str, str]:
        """Makers, models, serials and versions of the parts, for the run file."""
        ...

    def set_threshold(self, volts: float) -> None:
        """Set the comparator's V_th; raises InputError outside the bench's limits."""
        ...

    def play(self, frames: Iterable[Frame]) -> Iterator[Capture]:
        """Play frames in order, yielding one Capture a shot, in slot order.

        Takes at most two frames ahead. Closing the iterator aborts and makes safe.
        Raises LimitError before a pulse leaves, BenchError when the bench fails.
        """
        ...

    def make_safe(self) -> None:
        """Idempotent: all lines low, threshold parked where the neuron never fires."""
        ...

    def __enter__(self) -> Bench: ...

    def __exit__(self, *exc: object) -> None: ...


class PulseSource(Protocol):
    """Makes the pulses of a shot on the lines."""

    @property
    def tick_s(self) -> float:
        """The time step that slot times and periods are rounded to."""
        ...

    def load(self, frame: Frame) -> None:
        """Take the shot that is to be played next; may be called while the last one plays."""
        ...

    def start(self) -> None:
        """Start the loaded shot."""
        ...

    def wait(self) -> None:
        """Return when the shot has ended and all lines are low; raises ConnectionLostError."""
        ...

    def stop(self) -> None:
        """Stop at once, all lines low; idempotent."""
        ...

    def close(self) -> None:
        """Let go of the part, at rest; idempotent."""
        ...


class AxonReader(Protocol):
    """Reads the axon spikes of a shot."""

    def arm(self, frame: Frame) -> None:
        """Get ready for this shot; returns when a trigger cannot be missed."""
        ...

    def read(self) -> Capture:
        """The capture of the armed shot, after it has been played; raises CaptureError."""
        ...

    def close(self) -> None:
        """Let go of the part, at rest; idempotent."""
        ...


class ThresholdSource(Protocol):
    """Makes V_th."""

    def set_threshold(self, volts: float) -> float:
        """Set V_th; returns the volts really made (a DAC has steps)."""
        ...

    def park(self) -> None:
        """Go to the configured maximum, where the neuron never fires."""
        ...

    def close(self) -> None:
        """Let go of the part, at rest; idempotent."""
        ...


class Panel(Protocol):
    """Bench enable, emergency stop and status lamp."""

    def check(self) -> None:
        """Raise EmergencyStopError when the stop is pressed or latched."""
        ...

    def enable(self, on: bool) -> None:
        """Switch the bench supply and the lamp."""
        ...

    def close(self) -> None:
        """Let go of the part, at rest; idempotent."""
        ...

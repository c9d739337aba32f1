"""The seam between the network and the neuron: what a bench is, and what its parts are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
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

    @property
    def tick_s(self) -> float:
        """The time step that the pulse source rounds slot times and periods to; see `drivers.timing.made`."""
        ...

    @property
    def temperature_c(self) -> float | None:
        """Of a part that has a sensor, °C; None without one. Only between shots."""
        ...

    @property
    def spent_s(self) -> dict[str, float]:
        """Where time went so far, s by what was done; empty where nobody looks."""
        ...

    @property
    def threshold_v(self) -> float | None:
        """The V_th really made, V; None while parked."""
        ...

    def set_threshold(self, volts: float) -> float:
        """Set the comparator's V_th; returns the volts really made. Raises InputError outside the bench's limits."""
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


@runtime_checkable
class Part(Protocol):
    """What all parts of a bench share. Making one changes nothing on the board; `prepare` does."""

    @property
    def identity(self) -> dict[str, str]:
        """Maker, model, serial number, version: what the part says of itself; its keys are its own."""
        ...

    def prepare(self) -> None:
        """Take the part over for playing: lines low, V_th parked, what a dead host left forgotten."""
        ...

    def close(self) -> None:
        """Let go of the part, at rest if it was prepared; idempotent."""
        ...


@runtime_checkable
class Thermometer(Protocol):
    """A part that measures a temperature on the bench."""

    @property
    def temperature_c(self) -> float | None:
        """°C; None where the part has no sensor after all. Only between shots."""
        ...


@runtime_checkable
class Watchful(Protocol):
    """A part that may stop the bench by itself: on a stop that was pressed, or because it heard nothing too long."""

    def check(self) -> None:
        """Raise UnsafeError, naming why, where it has; asked before and after every shot."""
        ...


@runtime_checkable
class Measured(Protocol):
    """A part that measures itself while it works: how fast its link is, and the like."""

    @property
    def readings(self) -> dict[str, float]:
        """By name, the unit in the name; what is not known yet is left out."""
        ...


@runtime_checkable
class Sized(Protocol):
    """An axon reader that reads some lengths of shots better than others."""

    @property
    def longest_s(self) -> float:
        """How long a shot should be at the most."""
        ...


@runtime_checkable
class Auditing(Protocol):
    """An axon reader that may look at some shots only, while another one counts: `audits` says so before it starts."""

    audits: bool

    @property
    def audited_s(self) -> float:
        """How long such a shot should be at the most: it is handed over while the next one plays."""
        ...


@runtime_checkable
class Selective(Protocol):
    """An axon reader for which some shots should be shorter than others."""

    @property
    def next_s(self) -> float | None:
        """How long the shot that is armed next should be at the most; None: as any other."""
        ...

    @property
    def next_slots(self) -> int | None:
        """How many played slots it may have at the most; None: as any other."""
        ...


@runtime_checkable
class Deferring(Protocol):
    """An axon reader that may go on handing a shot over while the next one plays."""

    def take(self) -> Callable[[], Capture]:
        """As `AxonReader.read`, but returns as soon as the next shot may begin; what it returns gives the capture."""
        ...


@runtime_checkable
class Latching(Part, Protocol):
    """A part that keeps the bench safe until a person has looked into what happened."""

    @property
    def latch(self) -> str:
        """Why, in a word; empty while it does not."""
        ...

    def clear(self) -> None:
        """Take the latch off; raises EmergencyStopError while the stop is pressed."""
        ...


@runtime_checkable
class PulseSource(Part, Protocol):
    """Makes the pulses of a shot on the lines."""

    @property
    def tick_s(self) -> float:
        """The time step that slot times and periods are rounded to."""
        ...

    @property
    def most_slots(self) -> int | None:
        """Most played slots of a shot; None where there is no such bound."""
        ...

    @property
    def gapless(self) -> bool:
        """Whether the next shot may be started while one plays, and then follows it without a pause."""
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


@runtime_checkable
class AxonReader(Part, Protocol):
    """Reads the axon spikes of a shot."""

    @property
    def most_slots(self) -> int | None:
        """Most played slots of a shot; None where there is no such bound."""
        ...

    @property
    def most_pulses(self) -> int | None:
        """Most pulses of a shot, each of which may be a spike; None where there is no such bound."""
        ...

    @property
    def spent_s(self) -> dict[str, float]:
        """Where time went while reading, s: transfer, decoding; empty where nobody looks."""
        ...

    def arm(self, frame: Frame) -> None:
        """Get ready for this shot; returns when a trigger cannot be missed."""
        ...

    def read(self) -> Capture:
        """The capture of the armed shot, after it has been played; raises CaptureError."""
        ...


@runtime_checkable
class ThresholdSource(Part, Protocol):
    """Makes V_th."""

    def set_threshold(self, volts: float) -> float:
        """Set V_th; returns the volts really made (a DAC has steps)."""
        ...

    def park(self) -> None:
        """Go to the configured maximum, where the neuron never fires."""
        ...


@runtime_checkable
class Panel(Part, Protocol):
    """Bench enable, emergency stop and status lamp."""

    def check(self) -> None:
        """Raise EmergencyStopError when the stop is pressed or latched."""
        ...

    def enable(self, on: bool) -> None:
        """Switch the bench supply and the lamp."""
        ...

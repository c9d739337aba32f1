"""What a file of traces holds, whoever wrote it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from drivers.errors import InputError
from drivers.signals import Trace

if TYPE_CHECKING:
    from collections.abc import Sequence

    from drivers.signals import Frame

SAMPLES_MOST = 1 << 30  # of a channel; RIGOL's deepest memory has 1.4·10⁸


@dataclass(frozen=True, eq=False)
class Recording:
    """The channels of one acquisition under the names that the file gives them.

    `said` are words on what was done to them on the way; `shot` is the plan it was played by, where the file holds it,
    and `tick_s` the step of that plan; `part` tells the acquisitions of one file from each other.
    """

    path: Path
    traces: tuple[Trace, ...]
    said: tuple[str, ...] = ()
    shot: Frame | None = None
    tick_s: float | None = None
    part: str = ""

    def channel(self, name: str) -> Trace:
        """A channel by its name, whatever its case and spaces; raises InputError naming those there are."""
        wanted = _plain(name)
        for trace in self.traces:
            if _plain(trace.name) == wanted:
                return trace
        raise InputError(f"{self.path} has no channel {name!r}: it has {', '.join(t.name for t in self.traces)}")

    def named(self, **channels: str | None) -> tuple[Trace, ...]:
        """The channels of these names under ours, as `axon="CH1"`; raises InputError."""
        return tuple(replace(self.channel(name), name=ours) for ours, name in channels.items() if name is not None)


def _plain(name: str) -> str:
    return "".join(name.split()).casefold()


def check_length(path: Path, samples: int) -> None:
    """Raise InputError where a channel is empty or longer than any oscilloscope's memory."""
    if not 1 < samples <= SAMPLES_MOST:
        raise InputError(f"{path} has {samples:,} samples a channel: allowed 2…{SAMPLES_MOST:,}; cut it")


def unlike_lengths(path: Path, lengths: Sequence[int]) -> None:
    """Raise InputError where the channels of one acquisition are not equally long."""
    if len(set(lengths)) > 1:
        raise InputError(f"{path}: its channels have {', '.join(f'{n:,}' for n in lengths)} samples, not as many each")

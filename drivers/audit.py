"""Two readers at once: the Pico counts every shot, and one shot in N the oscilloscope looks over its shoulder."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from drivers.bench import AxonReader, Watchful
from drivers.benchfile import ScopeSettings
from drivers.errors import CaptureError
from drivers.parts import table
from drivers.parts.kind import Opening, PartKind

if TYPE_CHECKING:
    from drivers.checks import Check
    from drivers.signals import BoolArray, Capture, Frame, IntArray

EDGE_SHARE = 0.01  # of the slots may differ by one spike at their edge
EMPTY_EDGE_SHARE = 0.1  # of those without pulses: a neuron that fires by itself does so at any time


class AuditedReader:
    """An `AxonReader` that trusts `counter`, and stops the run when `auditor` counts differently.

    Of the shots number 0, `every`, 2·`every` … the capture has the auditor's traces and slot times. One spike in one
    slot of a hundred may differ, and is noted: the two know the edge of a slot to a sample only. Of slots without
    pulses it is one in ten, and may be one spike at each edge.
    """

    def __init__(self, counter: AxonReader, auditor: AxonReader, every: int) -> None:
        self._counter, self._auditor, self._every = counter, auditor, every
        self._shots = 0
        self._auditing = False

    @property
    def identity(self) -> dict[str, str]:
        """Of both."""
        return {**self._counter.identity, **self._auditor.identity}

    @property
    def most_slots(self) -> int | None:
        """Of the counter, which sees every shot."""
        return self._counter.most_slots

    @property
    def most_pulses(self) -> int | None:
        """Of the counter, which sees every shot."""
        return self._counter.most_pulses

    @property
    def spent_s(self) -> dict[str, float]:
        """Of the auditor: the counter's time is lost in it."""
        return self._auditor.spent_s

    def prepare(self) -> None:
        """Both."""
        self._counter.prepare()
        self._auditor.prepare()

    def check(self) -> None:
        """Raise UnsafeError where one of them has stopped the bench by itself."""
        for part in (self._counter, self._auditor):
            if isinstance(part, Watchful):
                part.check()

    def arm(self, frame: Frame) -> None:
        """Arm the counter, and the auditor when it is its turn."""
        self._auditing = self._shots % self._every == 0
        self._shots += 1
        if self._auditing:
            self._auditor.arm(frame)
        self._counter.arm(frame)

    def read(self) -> Capture:
        """The counter's capture, or the auditor's when both agree; raises CaptureError when they do not."""
        counted = self._counter.read()
        if not self._auditing:
            return counted
        seen = self._auditor.read()
        both = counted.ok & seen.ok
        off = np.where(both, np.abs(counted.spikes - seen.spikes), 0)
        differ = np.flatnonzero(off)
        if self._disagree(off, seen.frame, both):
            slot = int(off.argmax())
            raise CaptureError(
                f"the Pico counted {counted.spikes[slot]} spikes in slot {seen.frame.first_slot + slot} and the "
                f"oscilloscope {seen.spikes[slot]} ({len(differ)} of {both.sum()} slots differ): check the axon "
                "threshold of both, then run hil doctor"
            )
        if len(differ):
            first = int(differ[0])
            slot = seen.frame.first_slot + first
            note = (
                f"{len(differ)} slots, the first {slot}: the Pico counted {counted.spikes[first]}, the oscilloscope "
                f"{seen.spikes[first]}"
            )
            return replace(seen, notes=(*seen.notes, note))
        return seen

    @staticmethod
    def _disagree(off: IntArray, frame: Frame, both: BoolArray) -> bool:
        """Whether counts differ by more than what the edges of slots explain, with pulses and without."""
        pulsed, empty = both & (frame.pulses > 0), both & (frame.pulses == 0) & frame.played
        for slots, least, share, most in ((pulsed, 1, EDGE_SHARE, 1), (empty, 0, EMPTY_EDGE_SHARE, 2)):
            here = off[slots]
            if (here > most).any() or np.count_nonzero(here) > max(least, share * len(here)):
                return True
        return False

    def close(self) -> None:
        """Close both."""
        try:
            self._counter.close()
        finally:
            self._auditor.close()


def _open(opening: Opening, settings: ScopeSettings) -> AuditedReader:
    counter, auditor = (opening.part(*part) for part in _USES)
    assert isinstance(counter, AxonReader) and isinstance(auditor, AxonReader)  # noqa: S101, PT018 (ours)
    return AuditedReader(counter, auditor, settings.audit_every)


def _check(_opening: Opening, _settings: ScopeSettings) -> tuple[Check, ...]:
    return ()  # both are checked by themselves


_USES: tuple[tuple[table.Role, str], ...] = (("axon_reader", "pico"), ("axon_reader", "scope"))
PART = PartKind(_open, _check, ScopeSettings, "scope", uses=_USES)

"""Two readers at once: the first counts every shot, and one shot in N the second looks over its shoulder."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import replace
from functools import cache
from itertools import count
from typing import TYPE_CHECKING

import numpy as np

from drivers.bench import Auditing, AxonReader, Deferring, Measured, Sized, Watchful
from drivers.benchfile import BOTH
from drivers.checks import Provable
from drivers.errors import CaptureError, InputError
from drivers.parts import table
from drivers.parts.kind import NoSettings, Opening, PartKind
from drivers.parts.pace import ELSEWHERE, Pace, part_pace, summed
from drivers.timing import LONGEST_SHOT_S

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from drivers.benchfile import BenchFile
    from drivers.checks import Check
    from drivers.signals import BoolArray, Capture, Frame, IntArray, SlotTiming

_TITLES = {"pico": "the Pico", "scope": "the oscilloscope", "gpio": "the Pi's GPIO"}
LEAST_SHARE = 0.25  # of the counter's longest shot: shorter ones cost more than they spare the auditor
EDGE_SHARE = 0.01  # of the slots may differ by one spike at their edge
ALONE_EDGE_SHARE = 0.5  # of those with more spikes than pulses, which come at any time: an edge is known to a sample
EMPTY_EDGE_SHARE = 0.1  # of those without pulses: a neuron that fires by itself does so at any time


class AuditedReader:
    """An `AxonReader` that trusts `counter`, and stops the run when `auditor` counts differently.

    Of the shots number 0, `every`, 2·`every` … the capture has the auditor's traces and slot times. One spike in one
    slot of a hundred may differ, and is noted: the two know the edge of a slot to a sample only. Of slots without
    pulses it is one in ten, and may be one spike at each edge; of slots with more spikes than pulses every second.
    """

    def __init__(
        self,
        counter: AxonReader,
        auditor: AxonReader,
        every: int,
        names: tuple[str, str] = BOTH,
        *,
        player: AxonReader | None = None,
    ) -> None:
        """`player`: the one that makes the pulses too, and has counts of whatever it plays, which have to be read."""
        self._player = player
        self._counter, self._auditor, self._every = counter, auditor, every
        self._counts, self._audits = (_TITLES.get(name, name) for name in names)
        self._shots = 0
        self._auditing = False
        if every > 1 and isinstance(auditor, Auditing):
            auditor.audits = True
        self._aside = ThreadPoolExecutor(1, "auditor")
        self._handing: Future[Capture] | None = None  # of the shot audited last
        self._alone: AxonReader | None = None  # the one that is being proven

    @property
    def identity(self) -> dict[str, str]:
        """Of both."""
        return {**self._counter.identity, **self._auditor.identity}

    @property
    def _each_sees(self) -> bool:
        """Whether the auditor is there for every shot: to audit it, or because it plays them."""
        return self._every == 1 or self._auditor is self._player

    @property
    def _seeing(self) -> list[AxonReader]:
        """Who sees every shot."""
        if self._alone is not None:
            return [part for part in (self._counter, self._auditor) if part in (self._alone, self._player)]
        return [self._counter, self._auditor] if self._each_sees else [self._counter]

    @property
    def most_slots(self) -> int | None:
        """Of those that see every shot."""
        return _least(part.most_slots for part in self._seeing)

    @property
    def most_pulses(self) -> int | None:
        """Of both: what an auditor has such a bound for is old firmware."""
        return _least(part.most_pulses for part in (self._counter, self._auditor))

    @property
    def spent_s(self) -> dict[str, float]:
        """Of those that see every shot: others hand over while the next one plays."""
        total: dict[str, float] = {}
        for part in (self._counter, self._auditor) if self._each_sees else (self._counter,):
            for name, spent in part.spent_s.items():
                total[name] = total.get(name, 0.0) + spent
        return total

    def prepare(self) -> None:
        """Both."""
        self._counter.prepare()
        self._auditor.prepare()

    @property
    def readings(self) -> dict[str, float]:
        """Of both."""
        return {
            k: v
            for part in (self._counter, self._auditor)
            if isinstance(part, Measured)
            for k, v in part.readings.items()
        }

    @property
    def longest_s(self) -> float:
        """Of the counter, which sees every shot; a little shorter where that suits an auditor of every shot."""
        own, audited = (
            part.longest_s if isinstance(part, Sized) else LONGEST_SHOT_S for part in (self._counter, self._auditor)
        )
        return _shared(own, audited, self._every)

    @property
    def _turn(self) -> bool:
        """Whether the next shot is to be audited, and others follow that the auditor does not see."""
        return self._alone is None and not self._each_sees and self._shots % self._every == 0

    @property
    def next_s(self) -> float | None:
        """As suits the auditor, where it is its turn."""
        return self._auditor.audited_s if self._turn and isinstance(self._auditor, Auditing) else None

    @property
    def next_slots(self) -> int | None:
        """As many as the auditor takes, where it is its turn."""
        return self._auditor.most_slots if self._turn else None

    def prove(self, play: Callable[[Frame], Capture], timing: SlotTiming) -> Iterator[Check]:
        """Whichever can, alone."""
        for part in (self._counter, self._auditor):
            if isinstance(part, Provable):
                self._alone = part
                try:
                    yield from part.prove(play, timing)
                finally:
                    self._alone = None

    def check(self) -> None:
        """Raise UnsafeError where one of them has stopped the bench by itself."""
        for part in (self._counter, self._auditor):
            if isinstance(part, Watchful):
                part.check()

    @property
    def _counts_too(self) -> AxonReader | None:
        """Who has to be read though another one is being proven."""
        return self._player if self._player is not self._alone else None

    def arm(self, frame: Frame) -> None:
        """Arm the counter, and the auditor when it is its turn."""
        if self._alone is not None:
            self._alone.arm(frame)
            if self._counts_too is not None:
                self._counts_too.arm(frame)
            return
        self._auditing = self._shots % self._every == 0
        self._shots += 1
        if self._auditing or self._each_sees:
            if self._handing is not None:
                wait([self._handing])  # whoever asked for that capture hears what came of it
            self._auditor.arm(frame)
        self._counter.arm(frame)

    def read(self) -> Capture:
        """The counter's capture, or the auditor's when both agree; raises CaptureError when they do not."""
        return self.take()()

    def take(self) -> Callable[[], Capture]:
        """Read what has to be read before the next shot, and return what gives the capture once the rest has come.

        An auditor that need not see the next shot hands over meanwhile, if it keeps its record until then: another one
        would go on listening.
        """
        if self._alone is not None:
            if self._counts_too is not None:
                self._counts_too.read()
            alone = self._alone.read()
            return lambda: alone
        counted, audits = _taken(self._counter), self._auditing
        if self._each_sees:
            seen = _taken(self._auditor)
            return lambda: self._compared(counted(), seen(), audits=audits)
        if not audits:
            return counted
        if not isinstance(self._auditor, Auditing):
            heard = self._auditor.read()
            return lambda: self._compared(counted(), heard)
        handing = self._handing = self._aside.submit(self._auditor.read)
        return lambda: self._compared(counted(), handing.result())

    def _compared(self, counted: Capture, seen: Capture, *, audits: bool = True) -> Capture:
        """The auditor's capture, if both agree; the counter's where it is not audited. Raises CaptureError."""
        if not audits:
            return counted
        both = counted.ok & seen.ok
        off = np.where(both, np.abs(counted.spikes - seen.spikes), 0)
        differ = np.flatnonzero(off)
        if self._disagree(off, seen, both):
            slot = int(off.argmax())
            raise CaptureError(
                f"{self._counts} counted {counted.spikes[slot]} spikes in slot {seen.frame.first_slot + slot} and "
                f"{self._audits} {seen.spikes[slot]} ({len(differ)} of {both.sum()} slots differ): check the axon "
                "threshold of both, then run hil doctor"
            )
        if len(differ):
            first = int(differ[0])
            slot = seen.frame.first_slot + first
            note = (
                f"{len(differ)} slots, the first {slot}: {self._counts} counted {counted.spikes[first]}, "
                f"{self._audits} {seen.spikes[first]}"
            )
            return replace(seen, notes=(*seen.notes, note))
        return seen

    @staticmethod
    def _disagree(off: IntArray, seen: Capture, both: BoolArray) -> bool:
        """Whether counts differ by more than what the edges of slots explain: of pulses, by itself, without pulses."""
        frame = seen.frame
        empty, alone = frame.pulses == 0, (frame.pulses > 0) & (seen.spikes > frame.pulses)
        kinds = (
            (~empty & ~alone, 1, EDGE_SHARE, 1),
            (alone, 1, ALONE_EDGE_SHARE, 2),
            (empty & frame.played, 0, EMPTY_EDGE_SHARE, 2),
        )
        for kind, least, share, most in kinds:
            slots = both & kind
            here = off[slots]
            if (here > most).any() or np.count_nonzero(here) > max(least, share * len(here)):
                return True
        return False

    def close(self) -> None:
        """Close both."""
        self._aside.shutdown()
        try:
            self._counter.close()
        finally:
            self._auditor.close()


def _taken(part: AxonReader) -> Callable[[], Capture]:
    """What gives the capture of a part, once it has been read as far as the next shot waits for it."""
    if isinstance(part, Deferring):
        return part.take()
    capture = part.read()
    return lambda: capture


def _least(bounds: Iterable[int | None]) -> int | None:
    return min((bound for bound in bounds if bound is not None), default=None)


def _shared(counter_s: float, auditor_s: float, every: int) -> float:
    """How long shots are at the most: as suits an auditor of every shot, unless that is far shorter than what suits the
    counter.
    """
    return auditor_s if every == 1 and LEAST_SHARE * counter_s <= auditor_s < counter_s else counter_s


@cache
def pair(counter: str, auditor: str) -> PartKind[NoSettings]:
    """The kind of part that two readers make, by their names; raises InputError where they are no two readers."""
    uses: tuple[tuple[table.Role, str], ...] = (("axon_reader", counter), ("axon_reader", auditor))
    if counter == auditor or "both" in (counter, auditor):
        raise InputError(
            f'axon_reader = ["{counter}", "{auditor}"]: name two different readers, the one that counts first'
        )

    def open_(opening: Opening, _settings: NoSettings) -> AuditedReader:
        first, second = (opening.part(*part) for part in uses)
        for name, part in ((counter, first), (auditor, second)):
            if not isinstance(part, AxonReader):
                raise InputError(f"axon_reader names {name!r}, which cannot count spikes")
        assert isinstance(first, AxonReader) and isinstance(second, AxonReader)  # noqa: S101, PT018 (just asked)
        player = {counter: first, auditor: second}.get(opening.file.pulse_source or "")
        return AuditedReader(first, second, opening.file.audits_every, (counter, auditor), player=player)

    def pace(file: BenchFile, _settings: NoSettings) -> Pace:
        first, second = (part_pace(file, *part) for part in uses)
        every = file.audits_every
        each_sees = every == 1 or file.pulse_source == auditor
        shots = count()

        def cost(shot: Frame) -> Mapping[str, float]:
            own, audited = first.cost(shot), second.cost(shot)
            turn = next(shots) % every == 0
            if not each_sees:  # then it is handed over while the next one plays
                audited = {"arming": audited.get("arming", 0.0) * turn}
            return summed(own, audited)

        def captured(shot: Frame) -> float:
            own, audited = (part.bytes(shot) if part.bytes else 0.0 for part in (first, second))
            return own + audited / every

        fewer = f"audit fewer shots: audit_every = {10 * every}"
        named = second.helps if each_sees else {*second.helps, "reading"}  # to wait for it is a part of reading
        rarer = {name: fewer for name in named if name != ELSEWHERE and auditor != file.pulse_source}
        helps = {**rarer, **first.helps}
        longest_s = _shared(first.longest_s, second.longest_s, every)
        most_slots = _least([first.most_slots, second.most_slots]) if each_sees else first.most_slots
        most_pulses = _least([first.most_pulses, second.most_pulses])
        once = summed(first.once, second.once)
        return Pace(most_slots, most_pulses, longest_s, cost, once, helps, captured)

    return PartKind(open_, _check, NoSettings, uses=uses, pace=pace)


def _check(_opening: Opening, _settings: NoSettings) -> tuple[Check, ...]:
    return ()  # both are checked by themselves


PART = pair(*BOTH)

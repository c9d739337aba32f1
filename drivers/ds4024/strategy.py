"""How an oscilloscope is best used for a shot: what is proven, how long a shot should be, and what reading it costs.

Pure: the reader and `hil plan` both ask here, so that what is planned is what is done.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from drivers.ds4024.known import Known
from drivers.ds4024.plan import CapturePlan, longest_sparse_s, plan_capture, plan_sparse
from drivers.errors import LimitError
from drivers.signals import PROBE_LAYER, probe_frame
from drivers.timing import LONGEST_SHOT_S, length_ticks, seconds, slot_ticks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from drivers.settings import BoardSettings, ScopeSettings
    from drivers.signals import Frame, SlotTiming

SPARSE_ATTEMPTS = 2  # what cannot be told in two records of few samples is read in full
LENGTHS_S = (
    0.065,
    0.13,
    0.26,
    0.33,
    0.5,
    0.65,
    1.0,
    1.3,
    1.37,
    1.5,
)  # of shots: what fits records of 1-2-5 time bases, and more
TAIL_SLOTS = 24  # whose edges prove when the shot ended
_TAIL_SHARE = 0.25  # of the shot: a longer tail is no saving
_ARMING = (1, 1)  # commands and queries: SINGle; TRIGger:STATus?
_STOPPING = (0, 1.5)
_A_CHANNEL = (2, 5)  # BEGin, END; without a pause STARt, RESet, SOURce or STOP; PREamble?, DATA?
_AROUND_S = 0.020  # quiet after a memory read
SLOW_LINK = 1e6  # bytes a second; up to 1.7e6 are reported for the family by LAN (ngscopeclient/scopehal#12)
_EXAMPLE = 8  # pulses a slot, where only the timing is known


@dataclass(frozen=True)
class Cost:
    """What a shot takes beside playing, s: arming, the rest of the record after the shot, handing over.

    It is decoded while the next one plays.
    """

    arming_s: float
    record_s: float
    transfer_s: float

    @property
    def total_s(self) -> float:
        """All of it."""
        return sum(self.parts().values())

    def parts(self) -> dict[str, float]:
        """By the names of `Bench.spent_s`: to wait for a record's end is a part of handing it over."""
        return {
            "arming": self.arming_s,
            "transfer": self.record_s + self.transfer_s,
        }


@dataclass(frozen=True)
class Strategy:
    """For one bench: its oscilloscope's settings, its board, the pulse source's step, and what is known."""

    settings: ScopeSettings
    board: BoardSettings
    tick_s: float
    known: Known = field(default_factory=Known)

    @property
    def bytes_per_s(self) -> float:
        """As measured, or as the bench file assumes."""
        return self.known.bytes_per_s or self.settings.transfer_bytes_per_s

    def sparsely(self, shot: Frame) -> bool:
        """Whether few samples may read this shot: proven, a network's first attempts, and no other trace wanted."""
        wanted = self.known.sparse and len(self.settings.channels) == 2 and len(shot) > 0
        first = wanted and int(shot.layer[0]) != PROBE_LAYER and shot.key.attempt < SPARSE_ATTEMPTS
        return first and self._sparse(shot) is not None

    def plan(self, shot: Frame, *, sparse: bool) -> CapturePlan:
        """How to capture it; raises LimitError where the memory is too small."""
        found = self._sparse(shot) if sparse else None
        return found or plan_capture(
            self.shot_s(shot), self.board.axon_width_s, self.settings, self.board.gap_s(shot.timing)
        )

    def shot_s(self, shot: Frame) -> float:
        """How long it plays, its closing pulse of sync included."""
        ticks = int(length_ticks(shot, self.tick_s).sum()) + slot_ticks(shot.timing, self.tick_s).lead
        return ticks * self.tick_s

    def tail_s(self, shot: Frame) -> float | None:
        """From when on sync has to be read, by the pulse source's clock, so that its end is proven; None: from the
        beginning.
        """
        ends_s = np.cumsum(seconds(length_ticks(shot, self.tick_s)[shot.played], self.tick_s))
        lead_s = slot_ticks(shot.timing, self.tick_s).lead * self.tick_s
        if len(ends_s) <= TAIL_SLOTS:
            return None
        before, begins_s = (float(ends_s[-TAIL_SLOTS - offset]) for offset in (1, 0))
        low_s = (before + lead_s + begins_s) / 2  # between two edges, far from either
        return low_s if ends_s[-1] - low_s <= _TAIL_SHARE * ends_s[-1] else None

    def cost(self, shot: Frame, plan: CapturePlan, *, clocks: bool = True) -> Cost:
        """What a shot takes beside playing; `clocks`: their ratio is known, so that the end of sync is enough."""
        return self._cost(plan, round(self.captured(shot, plan, clocks=clocks)))

    def captured(self, shot: Frame, plan: CapturePlan, *, clocks: bool = True) -> float:
        """How many samples are handed over."""
        tail_s = self.tail_s(shot) if plan.sparse and clocks else None
        if tail_s is None:
            return plan.points * plan.channels
        return plan.points + (plan.shot_s + plan.margin_s - tail_s) * plan.rate_hz

    def helps(self, *, pigpio: bool) -> dict[str, str]:
        """What would make reading shorter, by the names of its parts; `pigpio` makes the pulses, and could count."""
        count = 'count with a Pico (axon_reader = ["pico", "scope"], audit_every = 20)'
        if pigpio:
            count = 'count with the Pi (axon_reader = ["gpio", "scope"], audit_every = 20) or a Pico'
        faster = count
        if not self.known.sparse:
            faster = f"hil doctor --loopback, which proves on the instrument what makes reading it shorter; or {count}"
        elif self.bytes_per_s < SLOW_LINK:
            faster = f"LAN instead of USB, where the link has {self.bytes_per_s / 1e6:.2g} MB/s; or {count}"
        return {"transfer": faster, "arming": count}

    def _cost(self, plan: CapturePlan, points: int) -> Cost:
        def took(count: tuple[float, float]) -> float:
            return count[0] * self.known.write_s + count[1] * self.known.ask_s

        return Cost(
            arming_s=max(took(_ARMING), plan.pre_s),
            record_s=max(0.0, plan.record_s - plan.pre_s - plan.shot_s) + took(_STOPPING),
            transfer_s=points / self.bytes_per_s + plan.channels * (took(_A_CHANNEL) + _AROUND_S),
        )

    def longest_s(self, timing: SlotTiming) -> float:
        """How long shots of such slots should be at the most, so that reading them takes the smallest share."""
        best_s, least = LENGTHS_S[0], math.inf
        for length_s, cost in self._lengths(timing):
            share = (length_s + cost.total_s) / length_s
            if share < least * (1 - 1e-9):
                best_s, least = length_s, share
        return best_s

    def audited_s(self, timing: SlotTiming) -> float:
        """How long a shot of such slots should be at the most that is handed over while another one plays."""
        hidden = [length_s for length_s, cost in self._lengths(timing) if cost.total_s <= LONGEST_SHOT_S]
        return max(hidden, default=LENGTHS_S[0])

    def _lengths(self, timing: SlotTiming) -> Iterator[tuple[float, Cost]]:
        """Lengths of shots that may suit its records, and what each costs; as long as its memory holds them."""
        fits_s = longest_sparse_s(self.board.axon_width_s, self.board.gap_s(timing), self.settings)
        more_s = [length_s for length_s in fits_s if length_s <= LENGTHS_S[-1]] if self.known.sparse else []
        for length_s in sorted([*LENGTHS_S, *more_s]):
            plan = self._sparse_of(length_s, timing) if self.known.sparse else None
            try:
                plan = plan or plan_capture(length_s, self.board.axon_width_s, self.settings, self.board.gap_s(timing))
            except LimitError:
                return
            yield length_s, self._cost(plan, plan.points if plan.sparse else plan.points * plan.channels)

    def _sparse(self, shot: Frame) -> CapturePlan | None:
        return self._sparse_of(self.shot_s(shot), shot.timing) if len(shot) and shot.played.any() else None

    def _sparse_of(self, shot_s: float, timing: SlotTiming) -> CapturePlan | None:
        return plan_sparse(
            shot_s,
            self.board.axon_width_s,
            self.board.gap_s(timing),
            self.settings,
            vernier=self.known.vernier,
            bytes_per_s=self.bytes_per_s,
        )


def typical_shot(timing: SlotTiming, length_s: float, tick_s: float) -> Frame:
    """A shot of a network that lasts about so long."""
    one = probe_frame("typical", timing, np.full(1, _EXAMPLE, dtype=np.int32))
    slots = max(1, int(length_s / (float(length_ticks(one, tick_s)[0]) * tick_s) * 0.999))
    frame = probe_frame("typical", timing, np.full(slots, _EXAMPLE, dtype=np.int32))
    return replace(frame, layer=np.zeros_like(frame.layer))

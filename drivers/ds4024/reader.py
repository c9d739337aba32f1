"""The RIGOL DS4024 as axon reader: one single-shot record a shot, of which only what the shot occupies is read.

Where `hil doctor --loopback` has proven it on the instrument that answers, shots of a network are taken with two
samples in a pulse, of sync only the end is read, and records are as long as shots: see docs/explanation/scope-speed.md.
What cannot be told that way twice is played again and read in full.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from drivers.checks import Check, failed
from drivers.decode.slots import SlotsMissingError
from drivers.decode.spikes import decode, edge_slack_s, expected_lines, sync_by_tail
from drivers.decode.tail import clock_ratio, is_tail
from drivers.ds4024.blocks import Rate
from drivers.ds4024.doubts import FewSamples
from drivers.ds4024.fetch import Fetcher
from drivers.ds4024.known import Known, keep, kept
from drivers.ds4024.link import Pace, ScopeLink
from drivers.ds4024.look import rest_check, why_no_trigger
from drivers.ds4024.lost import Lost
from drivers.ds4024.memory import TRIES, NoRecordError
from drivers.ds4024.plan import CapturePlan, Changing, plan_capture, soonest
from drivers.ds4024.settings import TIMES, identify, takes_vernier
from drivers.ds4024.single import Single
from drivers.ds4024.strategy import Strategy, typical_shot
from drivers.ds4024.trial import prove
from drivers.errors import BenchError, CaptureError, ConnectionLostError, InputError
from drivers.settings import ScopeSettings
from drivers.signals import CLOCK_RATIO, Capture, SlotTiming, Trace
from drivers.timing import slot_ticks

if TYPE_CHECKING:
    from drivers.settings import BoardSettings, SpikeSettings
    from drivers.signals import Frame

SETTINGS_MADE = "scope settings (made, and read back)"
_CHANGED_S = 0.25  # to change a time base: two settings, read back


class ScopeReader:
    """Reads axon spikes with a DS4024; connects when it is first armed. See `drivers.bench.AxonReader`."""

    most_slots: int | None = None  # the record's length bounds a shot, which a second does before it
    most_pulses: int | None = None

    def __init__(
        self,
        settings: ScopeSettings,
        spikes: SpikeSettings,
        board: BoardSettings,
        tick_s: float,
        *,
        pace: Pace | None = None,
        sleep: Callable[[float], None] = time.sleep,
        slot: SlotTiming | None = None,
        folder: Path | None = None,
    ) -> None:
        """Make it, unconnected. `slot` is what most slots will be like; what is known of the instrument is in `folder`,
        without which nothing is known or kept.
        """
        self._settings, self._spikes = settings, spikes
        self._board, self._tick_s = board, tick_s
        self._pace = pace or Pace()
        self._link = ScopeLink(settings.resource, settings.timeout_s, self._pace, sleep=sleep)
        self._slot, self._folder = slot, folder
        self.audits = False  # whether it looks at some shots only, while another one counts
        self._strategy = Strategy(settings, board, tick_s)
        self._fetcher = Fetcher(self._link, settings, Rate())
        self._ratio: float | None = None  # of the oscilloscope's clock to the pulse source's
        self._told_ratio = False  # by edges of sync that were all read
        self._few = FewSamples()
        self._identity: dict[str, str] = {}
        self._connected = False
        self._single = Single(self._link, settings, spikes)
        self._armed: dict[str, str] = {}  # what it had when the shot in hand was armed
        self._plan: CapturePlan | None = None
        self._shot: Frame | None = None
        self._lost = Lost()
        self._armed_s = 0.0  # when the shot in hand could begin
        self._spent_s = {"transfer": 0.0, "beside": 0.0}

    @property
    def identity(self) -> dict[str, str]:
        """Maker, model, serial number and firmware of the one that was connected first."""
        return dict(self._identity)

    @property
    def spent_s(self) -> dict[str, float]:
        """Where time went while reading, s: transfer; beside: decoding, which the next shot does not wait for."""
        return dict(self._spent_s)

    @property
    def readings(self) -> dict[str, float]:
        """What was measured of its link: bytes a second out of memory, s a command and a query, as far as known."""
        measured = {"scope_bytes_per_s": self._fetcher.rate.bytes_per_s, **self._link.took_s}
        return {name: float(f"{value:.4g}") for name, value in measured.items() if value is not None}

    @property
    def longest_s(self) -> float:
        """How long a shot should be at the most."""
        return self._strategy.longest_s(self._slot or SlotTiming())

    @property
    def audited_s(self) -> float:
        """How long a shot should be at the most that is handed over while another one plays."""
        return self._strategy.audited_s(self._slot or SlotTiming())

    @property
    def known(self) -> Known:
        """What is known of the instrument that answers."""
        return self._strategy.known

    def prepare(self) -> None:
        """Connect, check who answers, and make the settings that most shots will need."""
        self._persist(lambda: None)
        if self._slot is not None:
            length_s = self.audited_s if self.audits else self.longest_s
            shot = typical_shot(self._slot, length_s, self._tick_s)
            plan = self._strategy.plan(shot, sparse=self._strategy.sparsely(shot))
            self._persist(lambda: self._ready(plan))
            self._plan = plan

    @property
    def plan(self) -> CapturePlan | None:
        """The plan of the shot in hand."""
        return self._plan

    def connect(self) -> None:
        """Open the connection and check who answers; raises ConnectionLostError or BenchError."""
        self._single.applied.clear()
        self._connected = False
        self._link.open()
        found = identify(self._link.ask("*IDN?"))
        if self._identity and found != self._identity:
            raise BenchError(
                f"another oscilloscope answers at {self._link.resource}: {', '.join(found.values())}, where it was "
                f"{', '.join(self._identity.values())}; put that back, or begin anew with this one"
            )
        self._fetcher.forget()
        self._identity, self._connected = found, True
        if self._folder is not None and not self.known.serial:
            serial, firmware = found["scope_serial"], found["scope_firmware"]
            self.learn(kept(self._folder, serial=serial).of(serial, firmware))
            self._ratio = self._ratio or self.known.ratio_now(datetime.now(UTC))
            self._fetcher.rate = Rate(self.known.bytes_per_s)

    def learn(self, known: Known) -> None:
        """Take something for known of the instrument that answers."""
        self._strategy = replace(self._strategy, known=known)

    def keep(self) -> None:
        """Keep what is known and what was measured, for the next time and for `hil plan`; raises InputError."""
        if self._folder is None or not self.known.serial:
            return
        measured = {"bytes_per_s": self._fetcher.rate.bytes_per_s, **{k[6:]: v for k, v in self._link.took_s.items()}}
        update: dict[str, Any] = {name: value for name, value in measured.items() if value is not None}
        if self._told_ratio:
            update |= {"ratio": self._ratio, "ratio_at": datetime.now(UTC)}
        self.learn(
            self.known.model_copy(update={**update, "resource": self._settings.resource, "at": datetime.now(UTC)})
        )
        keep(self.known, self._folder)

    def close(self) -> None:
        """Close the connection, and keep what was measured; idempotent."""
        self._shot = None
        measured, self._connected = self._connected and self._fetcher.rate.bytes_per_s is not None, False
        self._link.close()
        if measured:
            self.keep()

    # ---- proving ------------------------------------------------------------------------------------------------

    def taking(self, *, sparse: bool) -> AbstractContextManager[None]:
        """Shots within are taken with few samples, or in full, whatever is proven."""
        return self._few.taking(sparse=sparse)

    def takes_vernier(self) -> bool:
        """Whether a time base between its steps is taken, with the sample rate that belongs to it."""
        found = [False]

        def change() -> None:
            self._single.applied.clear()
            self._fetcher.forget()
            found[:] = [takes_vernier(self._link)]

        self._persist(change)
        return found[0]

    def prove(self, play: Callable[[Frame], Capture], timing: SlotTiming) -> Iterator[Check]:
        """Which faster ways of reading can be had of this instrument; see `drivers.ds4024.trial`."""
        return prove(self, play, timing)

    # ---- arming -------------------------------------------------------------------------------------------------

    def arm(self, frame: Frame) -> None:
        """Set up for this shot and wait until a trigger cannot be missed."""
        ideal = self._strategy.plan(frame, sparse=self._sparsely(frame))
        plan = ideal
        if self._plan is not None and self._few.on_trial is None:
            changing = Changing(_CHANGED_S, self._pace.depth_s)
            plan = soonest(ideal, self._plan, self._settings, self._strategy.bytes_per_s, changing)
        if self._lost.looking:  # the record before a trigger that may never come
            plan = self._look_plan(frame)
        self._persist(lambda: self._arm(plan))
        self._armed, self._armed_s = dict(self._single.applied), time.monotonic()
        self._plan, self._shot = plan, frame

    def _sparsely(self, frame: Frame) -> bool:
        """Whether this shot is taken with few samples."""
        return self._few.wanted(proven=self._strategy.sparsely(frame))

    def _look_plan(self, frame: Frame) -> CapturePlan:
        """A record that ends when it is told to, some time after the shot; sync pulses are to be seen in it."""
        lead_s = slot_ticks(frame.timing, self._tick_s).lead * self._tick_s
        plan = plan_capture(self._shot_s(frame) + self._lost.look_s, lead_s, self._settings)
        return replace(plan, pre_s=plan.record_s, start=1, stop=plan.depth)

    def _shot_s(self, frame: Frame) -> float:
        return self._strategy.shot_s(frame)

    def _persist(self, work: Callable[[], None]) -> None:
        """Do it; over a new connection when the old one breaks, at most TRIES times."""
        tries = 0
        while True:
            tries += 1
            try:
                if not self._connected:
                    self.connect()
                work()
            except ConnectionLostError:
                self._connected = False
                if tries == TRIES:
                    raise
            else:
                return

    def _arm(self, plan: CapturePlan) -> None:
        self._configure(plan)
        self._single.arm(plan)

    def _ready(self, plan: CapturePlan) -> None:
        self._configure(plan)
        self._fetcher.prepare(plan.start)

    def _configure(self, plan: CapturePlan) -> None:
        if changed := self._single.configure(plan):
            self._fetcher.forget(times_only=changed <= TIMES)

    # ---- reading ------------------------------------------------------------------------------------------------

    def read(self) -> Capture:
        """The capture of the armed shot, after it has been played.

        A shot whose trigger was lost comes back with no slot ok, so that it is played again; the third in a row is
        recorded without a trigger, to see why, and raises CaptureError, as does everything that decoding refuses.
        """
        return self.take()()

    def take(self) -> Callable[[], Capture]:
        """As `read`, but returns when memory has been handed over; what it returns decodes."""
        shot, plan, self._shot = self._shot, self._plan, None
        if shot is None or plan is None:
            raise CaptureError("the oscilloscope was not armed for this shot")
        start = time.monotonic()
        traces: list[Trace] = []
        try:
            if self._lost.looking:
                looked = self._look(shot, plan)
                return lambda: looked
            self._persist(lambda: self._single.stopped(plan))
            traces = self._sparse(shot, plan) if plan.sparse else self._traces(plan)
        except NoRecordError as error:
            lost = self._nothing(shot, self._lost.without_trigger(str(error)))
            return lambda: lost
        finally:
            self._spent_s["transfer"] += time.monotonic() - start
        return lambda: self._decoded(shot, plan, traces)

    def _decoded(self, shot: Frame, plan: CapturePlan, traces: list[Trace]) -> Capture:
        start = time.monotonic()
        try:
            capture = decode(shot, traces, self._spikes, self._board, self._tick_s, self._shot_s(shot))
        except SlotsMissingError as error:  # pulses that came late, on a busy host, go on after the record has ended
            return self._nothing(shot, self._lost.without_end(error))
        except CaptureError as error:
            if not plan.sparse:
                raise
            capture = self._nothing(shot, str(error))  # it is played again, and read in full if need be
        self._lost.recorded()
        if plan.sparse:
            self._learn_clocks(capture)
            capture = self._few.judged(capture, self._spikes.threshold_v)
        self._spent_s["beside"] += time.monotonic() - start
        return capture

    def _traces(self, plan: CapturePlan) -> list[Trace]:
        """All channels, in full."""
        return [self._fetcher.trace(name, plan, self._armed, more=self._identity) for name in self._settings.channels]

    def _sparse(self, shot: Frame, plan: CapturePlan) -> list[Trace]:
        """Axon, and of sync the end if that proves when every slot was; else all of it."""
        tail_s = self._strategy.tail_s(shot)
        if self._ratio is None or tail_s is None or self._few.on_trial is not None:
            return self._traces(plan)
        noted = {**self._identity, CLOCK_RATIO: f"{self._ratio:.12g}"}
        ways = {"axon": (None, self._identity), "sync": (tail_s * self._ratio, noted)}
        found: dict[str, Trace] = {}
        for name in sorted(ways, key=lambda name: name != self._fetcher.selected):
            from_s, more = ways[name]
            found[name] = self._fetcher.trace(name, plan, self._armed, from_s=from_s, more=more)
        with suppress(CaptureError):
            sync_by_tail(shot, found["sync"], self._spikes, self._board, self._tick_s)
            return [found["axon"], found["sync"]]
        return [found["axon"], self._fetcher.trace("sync", plan, self._armed, more=self._identity)]

    def _learn_clocks(self, capture: Capture) -> None:
        """How the oscilloscope's clock is related to the pulse source's, where the capture tells."""
        sync = next((trace for trace in capture.traces if trace.name == "sync"), None)
        if sync is None:
            return
        ratio = clock_ratio(capture, self._tick_s, edge_slack_s(sync.x_increment_s, self._spikes))
        self._ratio = ratio or self._ratio
        self._told_ratio |= ratio is not None and not is_tail(sync)

    def _look(self, shot: Frame, plan: CapturePlan) -> Capture:
        """After shots without a trigger this one was recorded without waiting for any: what it shows is why."""
        self._persist(lambda: self._link.write(":TFOR"))
        self._persist(lambda: self._single.stopped(plan))
        passed_s = time.monotonic() - self._armed_s
        traces = self._traces(plan)
        self._plan = None
        lead_s = slot_ticks(shot.timing, self._tick_s).lead * self._tick_s
        whole = passed_s <= plan.record_s
        why = why_no_trigger(traces, self._settings, self._spikes, lead_s, whole=whole)
        return self._nothing(shot, self._lost.looked(why, passed_s))

    def _nothing(self, shot: Frame, reason: str) -> Capture:
        """A shot of which no slot is ok."""
        nothing = np.zeros(len(shot), dtype=np.int32)
        return Capture(shot, nothing, np.zeros(len(shot)), ~shot.played, self._shot_s(shot), notes=(reason,))

    # ---- start-up checks ----------------------------------------------------------------------------------------

    def checks(self, shot_s: float = 0.01) -> list[Check]:
        """Connection, identity, settings read back, and levels at rest, for `hil doctor`."""
        done: list[Check] = []
        try:
            self.connect()
            found = ", ".join(self._identity.values())
            done.append(Check("scope identity", True, found))
            plan = plan_capture(shot_s, self._board.axon_width_s, self._settings, self._board.gap_s(SlotTiming()))
            self._configure(plan)
            made = len(self._single.applied)
            detail = f"{made} settings read back; {plan.rate_hz:g} Sa/s, {plan.depth:,} samples"
            done.append(Check(SETTINGS_MADE, True, detail))
            done.append(Check("scope transfer", True, f"{plan.transfer_s:.2g} s a shot", plan.advice))
            self._link.sleep(plan.record_s + self._pace.settle_s)
            lines = expected_lines(self._spikes, self._board, SlotTiming().lead_s)
            done += [rest_check(self._link, name, lines[name], self._settings) for name in ("axon", "sync")]
        except (BenchError, InputError) as error:
            names = ("scope identity", SETTINGS_MADE, "scope transfer", "scope levels")
            done.append(failed(names[min(len(done), 3)], error, "see docs/how-to/bring-up.md#oscilloscope"))
        return done

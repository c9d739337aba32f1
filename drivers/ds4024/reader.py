"""The RIGOL DS4024 as axon reader: one single-shot record a shot, of which only what the shot occupies is read.

Where `hil doctor --loopback` has proven it on the instrument that answers, shots of a network are taken with two
samples in a pulse, of sync only the end is read, and records are as long as shots: see docs/explanation/scope-speed.md.
What cannot be told that way twice is played again and read in full.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from drivers.checks import BUSY, Check, failed
from drivers.decode.slots import SlotsMissingError
from drivers.decode.spikes import decode, edge_slack_s, expected_lines, sync_by_tail
from drivers.decode.tail import clock_ratio, is_tail
from drivers.ds4024.blocks import Rate
from drivers.ds4024.fetch import Fetcher
from drivers.ds4024.known import Known, keep, kept
from drivers.ds4024.link import Pace, ScopeLink, as_number
from drivers.ds4024.look import why_no_trigger
from drivers.ds4024.memory import TRIES, NoRecordError
from drivers.ds4024.plan import DIVISIONS, CapturePlan, Changing, plan_capture, soonest
from drivers.ds4024.settings import TIMES, apply_settings, identify, wanted_settings
from drivers.ds4024.strategy import Strategy, typical_shot
from drivers.ds4024.trial import prove
from drivers.errors import BenchError, CaptureError, ConnectionLostError, InputError
from drivers.settings import ScopeSettings
from drivers.signals import CLOCK_RATIO, Capture, SlotTiming, Trace
from drivers.timing import slot_ticks

if TYPE_CHECKING:
    from drivers.settings import BoardSettings, SpikeSettings
    from drivers.signals import Frame

_LOOK_S = 0.5  # that may pass between the end of a shot and the command that ends its record; longer after each try
SETTINGS_MADE = "scope settings (made, and read back)"
_LOST_MOST = 3  # shots in a row without a trigger before it is an error
_LOOK_MORE, _LATE_LOOKS_MOST = 3, 3
_BETWEEN_S, _VERNIER = 1.23e-3, 0.005  # a time base between two steps, and how well it has to be made
_CHANGED_S = 0.25  # to change a time base: two settings, read back
_UNREADABLE_MOST = 3  # shots in a row that few samples could not tell, after which they are given up
_NOISE_MOST = 0.05  # of the swing, 26 dB: in more, few samples take a runt of a third of a pulse for rest


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
        self._mode: bool | None = None  # whether shots are taken with few samples, where a trial says so
        self._unreadable = 0
        self._given_up = ""  # why few samples are not used any more
        self._identity: dict[str, str] = {}
        self._connected = False
        self._applied: dict[str, str] = {}  # what it is known to have now
        self._armed: dict[str, str] = {}  # what it had when the shot in hand was armed
        self._plan: CapturePlan | None = None
        self._shot: Frame | None = None
        self._lost = self._short = 0  # shots in a row without a trigger, and without their end
        self._late_looks = 0  # in a row, at what had gone already
        self._armed_s = 0.0  # when the shot in hand could begin
        self._why = "check the sync line, its probe and its channel"
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
        self._applied.clear()
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

    @contextmanager
    def taking(self, *, sparse: bool) -> Iterator[None]:
        """Shots within are taken with few samples, or in full, whatever is proven."""
        self._mode = sparse
        try:
            yield
        finally:
            self._mode = None

    def takes_vernier(self) -> bool:
        """Whether a time base between its steps is taken, with the sample rate that belongs to it."""

        def change() -> None:
            self._applied.clear()
            self._fetcher.forget()
            self._link.write(":RUN")
            self._link.settle(":TIM:VERN 1")
            self._link.settle(f":TIM:SCAL {_BETWEEN_S:g}")

        self._persist(change)
        made_s, rate_hz = self._link.number(":TIM:SCAL?"), self._link.number(":ACQ:SRAT?")
        said = self._link.ask(":ACQ:MDEP?")
        depth = rate_hz * _BETWEEN_S * DIVISIONS if said == "AUTO" else as_number(":ACQ:MDEP?", said)
        return (
            abs(made_s / _BETWEEN_S - 1) < _VERNIER and abs(depth / (rate_hz * _BETWEEN_S * DIVISIONS) - 1) < _VERNIER
        )

    def prove(self, play: Callable[[Frame], Capture], timing: SlotTiming) -> Iterator[Check]:
        """Which faster ways of reading can be had of this instrument; see `drivers.ds4024.trial`."""
        return prove(self, play, timing)

    # ---- arming -------------------------------------------------------------------------------------------------

    def arm(self, frame: Frame) -> None:
        """Set up for this shot and wait until a trigger cannot be missed."""
        ideal = self._strategy.plan(frame, sparse=self._sparsely(frame))
        plan = ideal
        if self._plan is not None and self._mode is None:
            changing = Changing(_CHANGED_S, self._pace.depth_s)
            plan = soonest(ideal, self._plan, self._settings, self._strategy.bytes_per_s, changing)
        if self._lost == _LOST_MOST - 1:  # the record before a trigger that may never come
            plan = self._look_plan(frame)
        self._persist(lambda: self._arm(plan))
        self._armed, self._armed_s = dict(self._applied), time.monotonic()
        self._plan, self._shot = plan, frame

    def _sparsely(self, frame: Frame) -> bool:
        """Whether this shot is taken with few samples."""
        if self._mode is not None:
            return self._mode
        return not self._given_up and self._strategy.sparsely(frame)

    def _look_plan(self, frame: Frame) -> CapturePlan:
        """A record that ends when it is told to, some time after the shot; sync pulses are to be seen in it."""
        lead_s = slot_ticks(frame.timing, self._tick_s).lead * self._tick_s
        plan = plan_capture(self._shot_s(frame) + _LOOK_S * _LOOK_MORE**self._late_looks, lead_s, self._settings)
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
        for _ in range(TRIES):
            self._link.write(":SING", pause=False)  # its state tells whether it was taken
            armed = time.monotonic()
            state = self._poll({"WAIT", "STOP", "TD"}, plan.pre_s + self._settings.timeout_s)
            if state != "WAIT":  # it may still speak of the shot before
                self._link.sleep(self._pace.settle_s)
                state = self._poll({"WAIT", "STOP", "TD"}, plan.pre_s + self._settings.timeout_s)
            if state == "WAIT":
                # The trigger is let through only when the record before it is full.
                self._link.sleep(max(0.0, armed + plan.pre_s - time.monotonic()))
                return
            self._link.write(":STOP")
            self._link.sleep(self._pace.rearm_s)
        raise CaptureError(
            f"the oscilloscope does not wait for its trigger but is {state} at once, {TRIES} times: check that sync "
            f"(CHAN{self._settings.channels['sync']}) is quiet before a shot"
        )

    def _ready(self, plan: CapturePlan) -> None:
        self._configure(plan)
        self._fetcher.prepare(plan.start)

    def _configure(self, plan: CapturePlan) -> None:
        wanted = wanted_settings(plan, self._settings, self._spikes)
        changed = {header for header, value in wanted if self._applied.get(header) != value}
        if apply_settings(self._link, self._applied, wanted, plan):
            self._fetcher.forget(times_only=changed <= TIMES)

    def _poll(self, states: set[str], patience_s: float) -> str:
        """Ask for the trigger status until it is one of `states`; the last state when patience ends."""
        deadline = time.monotonic() + patience_s
        expired = False
        while True:
            state = self._link.ask(":TRIG:STAT?")
            if state in states or expired:
                return state
            expired = time.monotonic() > deadline  # then it is asked once more: this host may have been kept waiting
            self._link.sleep(self._pace.poll_s)

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
            if self._lost == _LOST_MOST - 1:
                looked = self._look(shot, plan)
                return lambda: looked
            self._persist(lambda: self._stopped(plan))
            traces = self._sparse(shot, plan) if plan.sparse else self._traces(plan)
        except NoRecordError as error:
            lost = self._lost_shot(shot, str(error))
            return lambda: lost
        finally:
            self._spent_s["transfer"] += time.monotonic() - start
        return lambda: self._decoded(shot, plan, traces)

    def _decoded(self, shot: Frame, plan: CapturePlan, traces: list[Trace]) -> Capture:
        start = time.monotonic()
        try:
            capture = decode(shot, traces, self._spikes, self._board, self._tick_s, self._shot_s(shot))
        except SlotsMissingError as error:  # pulses that came late, on a busy host, go on after the record has ended
            self._short += 1
            if self._short >= _LOST_MOST:
                raise
            return self._nothing(shot, str(error))
        except CaptureError as error:
            if not plan.sparse:
                raise
            capture = self._nothing(shot, str(error))  # it is played again, and read in full if need be
        self._lost = self._short = self._late_looks = 0
        capture = self._doubting(capture, plan)
        self._spent_s["beside"] += time.monotonic() - start
        return capture

    def _traces(self, plan: CapturePlan) -> list[Trace]:
        """All channels, in full."""
        return [self._fetcher.trace(name, plan, self._armed, more=self._identity) for name in self._settings.channels]

    def _sparse(self, shot: Frame, plan: CapturePlan) -> list[Trace]:
        """Axon, and of sync the end if that proves when every slot was; else all of it."""
        tail_s = self._strategy.tail_s(shot)
        if self._ratio is None or tail_s is None or self._mode is not None:
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

    def _doubting(self, capture: Capture, plan: CapturePlan) -> Capture:
        """Learn how the clocks are related; give few samples up, and say so, where they cannot tell shots."""
        traces = {trace.name: trace for trace in capture.traces}
        if not plan.sparse or "sync" not in traces:
            return self._unless_unreadable(capture, plan)
        ratio = clock_ratio(capture, self._tick_s, edge_slack_s(traces["sync"].x_increment_s, self._spikes))
        self._ratio = ratio or self._ratio
        self._told_ratio |= ratio is not None and not is_tail(traces["sync"])
        noise = _rest_noise(traces["axon"], self._spikes.threshold_v)
        if noise > _NOISE_MOST:
            self._given_up = self._given_up or f"the axon's noise is {noise:.0%} of its pulses"
            nothing = self._nothing(capture.frame, self._given_up)
            return replace(nothing, traces=capture.traces)
        return self._unless_unreadable(capture, plan)

    def _unless_unreadable(self, capture: Capture, plan: CapturePlan) -> Capture:
        if self._given_up or self._mode is not None or not plan.sparse:
            return capture
        self._unreadable = 0 if capture.ok.any() else self._unreadable + 1
        if self._unreadable < _UNREADABLE_MOST:
            return capture
        self._given_up = f"{self._unreadable} shots in a row could not be told ({'; '.join(capture.notes)})"
        note = f"two samples a pulse are not used any more: {self._given_up}; run hil doctor --loopback"
        return replace(capture, notes=(*capture.notes, note))

    def _look(self, shot: Frame, plan: CapturePlan) -> Capture:
        """After shots without a trigger this one was recorded without waiting for any: what it shows is why."""
        self._persist(lambda: self._link.write(":TFOR"))
        self._persist(lambda: self._stopped(plan))
        passed_s = time.monotonic() - self._armed_s
        traces = self._traces(plan)
        self._plan = None
        lead_s = slot_ticks(shot.timing, self._tick_s).lead * self._tick_s
        whole = passed_s <= plan.record_s
        why = why_no_trigger(traces, self._settings, self._spikes, lead_s, whole=whole)
        if not why:
            return self._late_look(shot, passed_s)
        self._why = why
        return self._lost_shot(shot, why)

    def _late_look(self, shot: Frame, passed_s: float) -> Capture:
        """What would have told why had left the memory before this computer looked: the next shot is looked at."""
        self._late_looks += 1
        why = (
            f"the oscilloscope sees no trigger, and {BUSY} to see why: it looked {passed_s:.2g} s after the shot was "
            "armed; stop other programs on it, then try again"
        )
        if self._late_looks >= _LATE_LOOKS_MOST:
            raise CaptureError(why)
        return self._nothing(shot, why)

    def _stopped(self, plan: CapturePlan) -> None:
        """Wait until the record is full; TD may be missed, so that WAIT is believed only when it lasts."""
        self._link.sleep(max(0.0, plan.record_s - plan.pre_s - plan.shot_s))
        state = self._poll({"STOP"}, plan.record_s + self._pace.rearm_s)
        if state != "STOP":
            self._link.write(":STOP")
            raise NoRecordError(f"the oscilloscope saw no trigger on sync and is still in {state}")

    def _lost_shot(self, shot: Frame, reason: str) -> Capture:
        self._lost += 1
        if self._lost >= _LOST_MOST:
            raise CaptureError(f"{self._lost} shots in a row were not recorded: {self._why}")
        return self._nothing(shot, reason)

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
            detail = f"{len(self._applied)} settings read back; {plan.rate_hz:g} Sa/s, {plan.depth:,} samples"
            done.append(Check(SETTINGS_MADE, True, detail))
            done.append(Check("scope transfer", True, f"{plan.transfer_s:.2g} s a shot", plan.advice))
            self._link.sleep(plan.record_s + self._pace.settle_s)
            done += [self._check_rest(name) for name in ("axon", "sync")]
        except (BenchError, InputError) as error:
            names = ("scope identity", SETTINGS_MADE, "scope transfer", "scope levels")
            done.append(failed(names[min(len(done), 3)], error, "see docs/how-to/bring-up.md#oscilloscope"))
        return done

    def _check_rest(self, name: str) -> Check:
        channel = self._settings.channels["axon" if name == "axon" else "sync"]
        low, high = (self._link.number(f":MEAS:{item}? CHAN{channel}") for item in ("VMIN", "VMAX"))
        line = expected_lines(self._spikes, self._board, SlotTiming().lead_s)[name]
        inverted = line.inverted
        edge = line.threshold_v + (line.hysteresis_v / 2 if inverted else -line.hysteresis_v / 2)
        ok = low > edge if inverted else high < edge
        rest = "high" if inverted else "low"
        advice = "" if ok else f"the {name} wire must be {rest} at rest: check it; --loopback tells more"
        return Check(f"scope {name} at rest", ok, f"{low:.3g}…{high:.3g} V on CHAN{channel}", advice)


def _rest_noise(axon: Trace, threshold_v: float) -> float:
    """Noise, rms, before the trigger, as a share of a pulse that the threshold lies in the middle of."""
    before = axon.codes[: max(2, round(-axon.x_origin_s / axon.x_increment_s))].astype(np.float64)
    rest_v = (before.mean() - axon.y_origin - axon.y_reference) * axon.y_increment_v
    noise_v = np.diff(before).std() / np.sqrt(2) * abs(axon.y_increment_v)
    return float(noise_v / max(2 * abs(threshold_v - rest_v), abs(axon.y_increment_v)))

"""The RIGOL DS4024 as axon reader: one single-shot record a shot, of which only what the shot occupies is read."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from drivers.checks import Check, failed
from drivers.decode.spikes import decode, expected_lines
from drivers.ds4024.address import instrument
from drivers.ds4024.link import Pace, ScopeLink, as_number
from drivers.ds4024.look import why_no_trigger
from drivers.ds4024.memory import TRIES, WINDOW, NoRecordError, Preamble, read_memory
from drivers.ds4024.plan import DIVISIONS, CapturePlan, plan_capture, refit
from drivers.ds4024.settings import (
    CODES_PER_DIV,
    SETTING_TOLERANCE,
    Y_REFERENCE,
    apply_settings,
    identify,
    wanted_settings,
)
from drivers.errors import BenchError, CaptureError, ConnectionLostError, InputError
from drivers.parts.kind import Opening, PartKind
from drivers.settings import ScopeSettings
from drivers.signals import Capture, SlotTiming, Trace
from drivers.timing import length_ticks, slot_ticks

if TYPE_CHECKING:
    from drivers.settings import BoardSettings, SpikeSettings
    from drivers.signals import Frame

_LOOK_S = 0.5  # that may pass between the end of a shot and the command that ends its record
RATE_MOST_HZ, DEPTH_MOST = 4e9, 140e6  # data sheet of the DS4000 series
SETTINGS_MADE = "scope settings (made, and read back)"
_LOST_MOST = 3  # shots in a row without a trigger before it is an error
_INCREMENT_TOLERANCE = 0.05  # beyond it XINCrement is not believed


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
    ) -> None:
        self._settings, self._spikes = settings, spikes
        self._board, self._tick_s = board, tick_s
        self._pace = pace or Pace()
        self._link = ScopeLink(settings.resource, settings.timeout_s, self._pace, sleep=sleep)
        self._identity: dict[str, str] = {}
        self._connected = False
        self._applied: dict[str, str] = {}  # what it is known to have now
        self._armed: dict[str, str] = {}  # what it had when the shot in hand was armed
        self._plan: CapturePlan | None = None
        self._shot: Frame | None = None
        self._lost = 0
        self._why = "check the sync line, its probe and its channel"
        self._spent_s = {"transfer": 0.0, "decoding": 0.0}

    @property
    def identity(self) -> dict[str, str]:
        """Maker, model, serial number and firmware of the one that was connected first."""
        return dict(self._identity)

    @property
    def spent_s(self) -> dict[str, float]:
        """Where time went while reading, s: transfer, decoding."""
        return dict(self._spent_s)

    def prepare(self) -> None:
        """Connect and check who answers; its settings change when it is armed."""
        self._persist(lambda: None)

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
        self._identity, self._connected = found, True

    def close(self) -> None:
        """Close the connection; idempotent."""
        self._shot = None
        self._connected = False
        self._link.close()

    # ---- arming -------------------------------------------------------------------------------------------------

    def arm(self, frame: Frame) -> None:
        """Set up for this shot and wait until a trigger cannot be missed."""
        shot_s = self._shot_s(frame)
        ideal = plan_capture(shot_s, self._board.axon_width_s, self._settings, self._board.gap_s(frame.timing))
        plan = refit(self._plan, ideal, self._settings, self._pace.depth_s) if self._plan else ideal
        if self._lost == _LOST_MOST - 1:  # the record before a trigger that may never come
            plan = self._look_plan(frame)
        self._persist(lambda: self._arm(plan))
        self._armed = dict(self._applied)
        self._plan, self._shot = plan, frame

    def _look_plan(self, frame: Frame) -> CapturePlan:
        """A record that ends when it is told to, some time after the shot; sync pulses are to be seen in it."""
        lead_s = slot_ticks(frame.timing, self._tick_s).lead * self._tick_s
        plan = plan_capture(self._shot_s(frame) + _LOOK_S, lead_s, self._settings)
        return replace(plan, pre_s=plan.record_s, start=1, stop=plan.depth)

    def _shot_s(self, frame: Frame) -> float:
        ticks = int(length_ticks(frame, self._tick_s).sum()) + slot_ticks(frame.timing, self._tick_s).lead
        return ticks * self._tick_s

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
            self._link.write(":SING")
            armed = time.monotonic()
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

    def _configure(self, plan: CapturePlan) -> None:
        apply_settings(self._link, self._applied, wanted_settings(plan, self._settings, self._spikes), plan)

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
        shot, plan, self._shot = self._shot, self._plan, None
        if shot is None or plan is None:
            raise CaptureError("the oscilloscope was not armed for this shot")
        start = time.monotonic()
        traces: list[Trace] = []
        try:
            if self._lost == _LOST_MOST - 1:
                return self._look(shot, plan)
            self._persist(lambda: self._stopped(plan))
            traces = [self._trace(name, channel, plan) for name, channel in self._settings.channels.items()]
        except NoRecordError as error:
            return self._lost_shot(shot, str(error))
        finally:
            self._spent_s["transfer"] += time.monotonic() - start
        self._lost = 0
        start = time.monotonic()
        capture = decode(shot, traces, self._spikes, self._board, self._tick_s, self._shot_s(shot))
        self._spent_s["decoding"] += time.monotonic() - start
        return capture

    def _look(self, shot: Frame, plan: CapturePlan) -> Capture:
        """After shots without a trigger this one was recorded without waiting for any: what it shows is why."""
        self._persist(lambda: self._link.write(":TFOR"))
        self._persist(lambda: self._stopped(plan))
        traces = [self._trace(name, channel, plan) for name, channel in self._settings.channels.items()]
        self._plan = None
        lead_s = slot_ticks(shot.timing, self._tick_s).lead * self._tick_s
        self._why = why_no_trigger(traces, self._settings, self._spikes, lead_s)
        return self._lost_shot(shot, self._why)

    def _stopped(self, plan: CapturePlan) -> None:
        """Wait until the record is full; TD may be missed, so that WAIT is believed only when it lasts."""
        state = self._poll({"STOP"}, plan.record_s + self._pace.rearm_s)
        if state != "STOP":
            self._link.write(":STOP")
            raise NoRecordError(f"the oscilloscope saw no trigger on sync and is still in {state}")

    def _lost_shot(self, shot: Frame, reason: str) -> Capture:
        self._lost += 1
        if self._lost >= _LOST_MOST:
            raise CaptureError(f"{self._lost} shots in a row were not recorded: {self._why}")
        nothing = np.zeros(len(shot), dtype=np.int32)
        return Capture(shot, nothing, np.zeros(len(shot)), ~shot.played, self._shot_s(shot), notes=(reason,))

    def _trace(self, name: str, channel: int, plan: CapturePlan) -> Trace:
        rate_hz, depth = self._memory()
        window = WINDOW if self._settings.read_style == "windows" else None
        # Where the shot lies follows from the time base; the preamble's own times have been seen wrong.
        scale = rate_hz / plan.rate_hz
        start = max(1, math.floor((plan.start - 1) * scale) + 1)
        stop = min(depth, math.ceil(plan.stop * scale))
        codes, preamble = read_memory(self._link, channel, depth, start, stop, window=window)
        self._check_volts(channel, preamble)
        settings = dict(self._armed)
        settings["preamble"] = ",".join(f"{v:g}" for v in vars(preamble).values())
        if abs(preamble.x_increment_s * rate_hz - 1) > _INCREMENT_TOLERANCE:
            settings["x_increment"] = f"1 / :ACQ:SRAT?, not {preamble.x_increment_s:g} of the preamble"
        return Trace(
            name=name,
            codes=codes,
            y_increment_v=preamble.y_increment_v,
            y_origin=preamble.y_origin,
            y_reference=preamble.y_reference,
            x_increment_s=1 / rate_hz,
            x_origin_s=(start - 1) / rate_hz - plan.pre_s,
            settings={**settings, **self._identity},
        )

    def _memory(self) -> tuple[float, int]:
        """Sample rate and depth of the record; in AUTO the depth follows from rate and time base."""
        rate_hz = self._link.number(":ACQ:SRAT?")
        said = self._link.ask(":ACQ:MDEP?")
        if said == "AUTO":
            depth = rate_hz * self._link.number(":TIM:SCAL?") * DIVISIONS
        else:
            depth = as_number(":ACQ:MDEP?", said)
        if not 0 < rate_hz <= RATE_MOST_HZ or not 1 <= depth <= DEPTH_MOST:
            raise CaptureError(f"the oscilloscope says that it took {depth:g} samples at {rate_hz:g} Sa/s")
        return rate_hz, round(depth)

    def _check_volts(self, channel: int, preamble: Preamble) -> None:
        scale_v = float(self._armed[f":CHAN{channel}:SCAL"])
        if (
            abs(preamble.y_increment_v * CODES_PER_DIV / scale_v - 1) > SETTING_TOLERANCE
            or preamble.y_reference != Y_REFERENCE
        ):
            raise CaptureError(
                f"channel {channel}: the preamble's {preamble.y_increment_v:g} V a code and reference "
                f"{preamble.y_reference} do not belong to {scale_v:g} V/div; expected "
                f"{scale_v / CODES_PER_DIV:g} and {Y_REFERENCE}"
            )

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


def _open(opening: Opening, settings: ScopeSettings) -> ScopeReader:
    file = opening.file
    return ScopeReader(settings, file.spikes, file.board, file.tick_s)


def _check(opening: Opening, settings: ScopeSettings) -> list[Check]:
    with closing(_open(opening, settings)) as scope:
        return scope.checks()


PART = PartKind(
    _open, _check, ScopeSettings, "scope", claims=lambda settings: [f"oscilloscope {instrument(settings.resource)}"]
)

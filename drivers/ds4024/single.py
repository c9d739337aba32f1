"""Single-shot records of a DS4024: its settings made, its trigger armed, and its record waited for."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from drivers.ds4024.memory import TRIES, NoRecordError
from drivers.ds4024.settings import apply_settings, wanted_settings
from drivers.errors import CaptureError

if TYPE_CHECKING:
    from drivers.ds4024.link import ScopeLink
    from drivers.ds4024.plan import CapturePlan
    from drivers.settings import ScopeSettings, SpikeSettings

_STATES = frozenset({"WAIT", "STOP", "TD"})


class Single:
    """Takes records one by one. Raises BenchError, CaptureError, ConnectionLostError."""

    def __init__(self, link: ScopeLink, settings: ScopeSettings, spikes: SpikeSettings) -> None:
        self._link, self._settings, self._spikes = link, settings, spikes
        self.applied: dict[str, str] = {}  # the settings that it is known to have

    def configure(self, plan: CapturePlan) -> frozenset[str]:
        """Make the settings of a plan that are not known to be made; which these were."""
        wanted = wanted_settings(plan, self._settings, self._spikes)
        changed = frozenset(header for header, value in wanted if self.applied.get(header) != value)
        apply_settings(self._link, self.applied, wanted, plan)
        return changed

    def arm(self, plan: CapturePlan) -> None:
        """Return when a trigger cannot be missed any more."""
        for _ in range(TRIES):
            self._link.write(":SING", pause=False)  # its state tells whether it was taken
            armed = time.monotonic()
            state = self._poll(_STATES, plan.pre_s + self._settings.timeout_s)
            if state != "WAIT":  # it may still speak of the shot before
                self._link.sleep(self._link.pace.settle_s)
                state = self._poll(_STATES, plan.pre_s + self._settings.timeout_s)
            if state == "WAIT":
                # The trigger is let through only when the record before it is full.
                self._link.sleep(max(0.0, armed + plan.pre_s - time.monotonic()))
                return
            self._link.write(":STOP")
            self._link.sleep(self._link.pace.rearm_s)
        raise CaptureError(
            f"the oscilloscope does not wait for its trigger but is {state} at once, {TRIES} times: check that sync "
            f"(CHAN{self._settings.channels['sync']}) is quiet before a shot"
        )

    def stopped(self, plan: CapturePlan) -> None:
        """Return when the record is full; TD may be missed, so that WAIT is believed only when it lasts."""
        self._link.sleep(max(0.0, plan.record_s - plan.pre_s - plan.shot_s))
        state = self._poll(frozenset({"STOP"}), plan.record_s + self._link.pace.rearm_s)
        if state != "STOP":
            self._link.write(":STOP")
            raise NoRecordError(f"the oscilloscope saw no trigger on sync and is still in {state}")

    def _poll(self, states: frozenset[str], patience_s: float) -> str:
        """Ask for the trigger status until it is one of `states`; the last state when patience ends."""
        deadline = time.monotonic() + patience_s
        expired = False
        while True:
            state = self._link.ask(":TRIG:STAT?")
            if state in states or expired:
                return state
            expired = time.monotonic() > deadline  # then it is asked once more: this host may have been kept waiting
            self._link.sleep(self._link.pace.poll_s)

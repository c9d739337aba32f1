"""The faults of a simulated DS4024 that can be switched on one by one, always or a number of times."""

from __future__ import annotations

import threading
from collections.abc import Iterable

from drivers.errors import InputError

FAULTS = {
    "hangs_on_clear": "device clear or *CLS stops all communication until the connection is opened anew",
    "old_firmware": "firmware 00.02.02, which corrupts RAW reads",
    "short_block": "a block of waveform data comes with samples left out",
    "truncated_block": "a block ends before its announced length",
    "late_idle": ":WAVeform:STATus? says READ long after everything has been copied",
    "lost_trigger": "a single shot never sees its trigger",
    "single_without_trigger": ":SINGle stops at once, with nothing in memory",
    "auto_depth": "the memory depth stays AUTO whatever is sent",
    "coarse_time_base": "time bases are 1-2-5 steps in spite of the vernier",
    "wrong_increment": "XINCrement in RAW is twice what it should be",
    "disconnect_mid_block": "the connection breaks inside a block",
    "no_reply": "queries are not answered",
    "stale_preamble": ":WAVeform:PREamble? still tells of NORM for a while after entering RAW",
    "missed_td": "TD is never seen: WAIT until STOP",
    "x10_probe": "every probe attenuates ten times more than it should",
    "clipped_channel": "the axon channel's gain is four times too high",
    "axon_raised_rest": "the axon rests at 0.8 V",
    "axon_glitches": "now and then the axon is high for a tenth of a pulse",
    "axon_sticks": "after some of its pulses the axon stays high for 20 ms",
    "axon_hum": "the axon hums at 60 Hz with an amplitude of 1.2 V",
    "axon_slow_edges": "the axon's edges have a time constant as long as its pulse",
    "axon_notches": "the axon falls for a tenth of its pulse in the middle of each",
    "axon_runts": "half of the axon's pulses reach 1.9 V only",
    "axon_echo": "an echo of 2.1 V follows every pulse of the axon",
    "axon_narrow": "the axon's pulses last a fifth of what they should",
}


class Faults:
    """Which faults are on. `name` is a fault that always strikes, `name:3` one that strikes three times."""

    def __init__(self, specifications: Iterable[str] = ()) -> None:
        self._left: dict[str, float] = {}
        self._lock = threading.Lock()
        for text in specifications:
            name, _, count = text.partition(":")
            if name not in FAULTS:
                raise InputError(f"unknown oscilloscope fault {name!r}; known: {', '.join(sorted(FAULTS))}")
            if count and not count.isdigit():
                raise InputError(f"fault {text!r}: after the colon comes how many times it strikes")
            self._left[name] = float(count) if count else float("inf")

    def on(self, name: str) -> bool:
        """Whether the fault is on, without using it up."""
        return self._left.get(name, 0) > 0

    def strikes(self, name: str) -> bool:
        """Whether the fault strikes now; counts down."""
        with self._lock:
            if not self.on(name):
                return False
            self._left[name] -= 1
            return True

"""What a command says of slots that are played again."""

from __future__ import annotations

import numpy as np

from drivers.signals import Frame, FrameKey, SlotTiming, probe_frame
from hil.terminal.again import Again


def digit(slots: int) -> Frame:
    ones = np.ones(slots, dtype=np.int32)
    return Frame(FrameKey("run", 7), SlotTiming(), 4 * ones, 0 * ones, 0 * ones, np.arange(slots, dtype=np.int32), 0)


def test_every_kind_of_reason_is_told_once_and_all_of_it_at_the_end() -> None:
    said: list[str] = []
    again = Again(said.append)
    again.close()
    assert said == []
    again(digit(1), "1 slots late")
    again(digit(30), "30 slots late")
    again(probe_frame("transfer", SlotTiming(), [2, 2]), "no trigger")
    again.close()
    assert said == [
        "digit 7: 1 slot is played again: 1 slots late",
        "transfer: 2 slots are played again: no trigger",
        "33 slots were late or unreadable and played again in 3 shots, 128 pulses",
    ]

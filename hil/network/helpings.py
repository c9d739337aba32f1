"""Pulses in helpings: some at first, and more for the same slots where that was not enough to be sure.

The pulses of a full-scale drive are shared out over the helpings, and those of any other drive in proportion. Every
slot begins with a reset, so that in a second helping the neuron starts afresh: counts of several helpings add up, and
their mean is the sum of what the measured transfer curve says of each. Its inverse turns counts back into pulses.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from drivers.errors import InputError

if TYPE_CHECKING:
    from calibration.transfer import TransferCurve
    from drivers.signals import IntArray

MOST_HELPINGS = 8


@dataclass(frozen=True)
class Helpings:
    """`pulses` of a full-scale drive in each helping, in order."""

    pulses: tuple[int, ...]

    @property
    def total(self) -> int:
        """Pulses of a full-scale drive in all helpings."""
        return sum(self.pulses)

    def sent(self, wanted: IntArray, number: int) -> IntArray:
        """What of `wanted` pulses (any shape, 0…total) is sent in helping `number`, counted from 0."""
        if len(self.pulses) == 1:
            return wanted
        sent: IntArray = self._until(wanted, number + 1) - self._until(wanted, number)
        return sent

    def _until(self, wanted: IntArray, number: int) -> IntArray:
        share = sum(self.pulses[:number]) / self.total
        until: IntArray = np.rint(wanted * share).astype(np.int32)
        return until

    def curve(self, measured: TransferCurve, number: int) -> TransferCurve:
        """Pulses wanted in all → spikes in helpings 0…`number` together, from the curve measured of single slots."""
        wanted = np.arange(self.total + 1, dtype=np.int32)
        mean = np.zeros(len(wanted))
        variance = np.zeros(len(wanted))
        for helping in range(number + 1):
            sent = self.sent(wanted, helping)
            mean += np.interp(sent, measured.pulses, measured.mean_spikes)
            variance += np.interp(sent, measured.pulses, measured.sd_spikes**2)
        slots = np.full(len(wanted), int(measured.slots.min()), dtype=np.int64)
        return replace(
            measured, pulses=wanted.astype(np.int64), mean_spikes=mean, sd_spikes=np.sqrt(variance), slots=slots
        )


def parse_helpings(text: str) -> Helpings:
    """`8,24`: pulses of a full-scale drive in each helping; raises InputError."""
    parts = text.split(",")
    if not 2 <= len(parts) <= MOST_HELPINGS or not all(part.strip().isdecimal() and int(part) > 0 for part in parts):
        raise InputError(f"--helpings {text!r}: give 2…{MOST_HELPINGS} numbers of pulses above 0, for example 8,24")
    return Helpings(tuple(int(part) for part in parts))

"""Pulses without end on pins: the edges of software PWM and of servo pulses (pigpio.c v79).

The DMA that samples the pins makes them: at the start of every period of its loop it sets a pin, some samples later it
clears it. So edges lie on samples, and the periods of all pins begin together.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Times = NDArray[np.int64]
Words = NDArray[np.int64]
FOR_EVER_NS = 1 << 62


@dataclass(frozen=True)
class Train:
    """A pin that is high for the first `high_ns` of every period, from one time until another."""

    pin: int
    period_ns: int
    high_ns: int
    since_ns: int
    until_ns: int = FOR_EVER_NS

    def edges(self, t0_ns: int, t1_ns: int) -> Times:
        """Times in (t0, t1] at which the pin may change; the last is its end."""
        first, last = max(t0_ns, self.since_ns), min(t1_ns, self.until_ns)
        rises = np.arange(first // self.period_ns, last // self.period_ns + 1, dtype=np.int64) * self.period_ns
        t = np.concatenate([[self.since_ns], rises, rises + self.high_ns, [self.until_ns]])
        return t[(t > t0_ns) & (t <= t1_ns) & (t >= self.since_ns) & (t <= self.until_ns)]


class Trains:
    """The trains of all pins, past and present."""

    def __init__(self) -> None:
        self._trains: list[Train] = []

    def __bool__(self) -> bool:
        return bool(self._trains)

    def begin(self, pin: int, period_ns: int, high_ns: int, now_ns: int) -> None:
        """Pulses from now on, instead of those that the pin may have."""
        self.end(pin, now_ns)
        self._trains.append(Train(pin, period_ns, high_ns, now_ns))

    def end(self, pin: int, now_ns: int) -> bool:
        """No pulses from now on; whether there were any."""
        there = [i for i, t in enumerate(self._trains) if t.pin == pin and t.until_ns > now_ns]
        for i in there:
            self._trains[i] = replace(self._trains[i], until_ns=now_ns)
        return bool(there)

    def on(self, mask: int, now_ns: int) -> bool:
        """Whether any pin of a mask has pulses now."""
        return any(mask >> t.pin & 1 and t.until_ns > now_ns for t in self._trains)

    def edges(self, t0_ns: int, t1_ns: int) -> Times:
        """Times in (t0, t1] at which any pin may change; unsorted."""
        return np.concatenate([np.empty(0, dtype=np.int64), *(t.edges(t0_ns, t1_ns) for t in self._trains)])

    def over(self, t_ns: Times, words: Words) -> Words:
        """The words (n,) at times (n,) with what the trains make of their pins."""
        for train in self._trains:
            inside = (t_ns >= train.since_ns) & (t_ns < train.until_ns)
            high = (t_ns % train.period_ns < train.high_ns).astype(np.int64) << train.pin
            words = np.where(inside, words & ~(1 << train.pin) | high, words)
        return words

    def forget(self, before_ns: int) -> None:
        """Drop trains that are over."""
        if self._trains:
            self._trains = [t for t in self._trains if t.until_ns > before_ns]

"""What pigpiod's wave engine plays and when: send modes, sync, chains (pigpio v79's chained DMA control blocks).

Every wave ends with a pointer to what follows it. Sending in a sync mode sets the pointer of the wave sent last, even
if that has ended; so a wave sent twice in sync mode follows itself for ever (joan2937/pigpio#457).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from drivers.errors import TwinError
from drivers.mock.pigpiod.chains import Delay, Play, endless, parse_chain, run_chain
from drivers.mock.pigpiod.memory import Pulses, Wave, WaveMemory
from drivers.mock.pigpiod.pins import Pins, Times
from drivers.mock.pigpiod.protocol import Code, Refused

LEAD_IN_US = 20
AHEAD_NS = 200_000_000  # how far endless waves are put on the pins in advance
CHAIN = -1  # stands for the end of a chain where else a wave id does
REPEAT, SYNC = 1, 2  # bits of a send mode
UNKNOWN_WAVE, NO_WAVE = 9998, 9999


@dataclass(frozen=True, eq=False)
class Segment:
    """A wave as it was when it was put on the pins, played so many times; a chain's delay is a wave without pulses."""

    wid: int
    wave: Wave | None
    start_ns: int
    pass_ns: float
    passes: int
    in_chain: bool

    @property
    def end_ns(self) -> int:
        """When the last pass has ended."""
        return self.start_ns + round(self.passes * self.pass_ns)

    def until(self, now_ns: int) -> Segment:
        """Only the passes that have begun by a time, the first at least."""
        begun = int((now_ns - self.start_ns) // self.pass_ns) + 1 if self.pass_ns else 1
        return replace(self, passes=min(max(begun, 1), self.passes))


class Player:
    """Plays waves on the pins. `slowness` is what the wave clock's faults multiply all times by."""

    def __init__(self, memory: WaveMemory, pins: Pins, clock: Callable[[], int], *, slowness: float = 1.0) -> None:
        self._memory = memory
        self._pins = pins
        self._clock = clock
        self._ns_a_us = 1000 * slowness
        self._plan: list[Segment] = []  # what is on the pins, from the segment playing now
        self._next: dict[int, int | None] = {}
        self._tail: int | None = None  # whose pointer the next sync send sets
        self._chain: Iterator[Play | Delay] | None = None

    def send(self, wid: int, mode: int) -> int:
        """Send a wave; returns the control blocks it holds."""
        wave = self._memory.get(wid)
        if mode > REPEAT + SYNC:
            raise Refused(Code.BAD_WAVE_MODE)
        now = self.pump()
        if not mode & SYNC:
            self.stop()
        self._next[wid] = wid if mode & REPEAT else None
        if self._tail is None:
            self._begin(now, self._segment(wid, self._lead_in_ends(now)))
        else:
            self._next[self._tail] = wid
            if self.busy():
                self._follow(now)
            else:
                self._begin(now, self._segment(wid, self._lead_in_ends(now)))
        self._tail = wid
        return wave.blocks

    def chain(self, data: bytes) -> None:
        """Play a chain; what runs is stopped even if the chain is refused."""
        self.pump()
        self.stop()
        steps = parse_chain(data, self._memory.exists)
        now = self._clock()
        self._chain = run_chain(steps)
        self._next[CHAIN] = None
        self._begin(now, self._delay(LEAD_IN_US, now))
        self._tail = None if endless(steps) else CHAIN

    def stop(self) -> None:
        """Stop at once; the pins stay as they are."""
        self._pins.halt(self._clock())
        self._plan, self._tail, self._chain = [], None, None

    def forget_tail(self) -> None:
        """What WVCLR does to the engine: what plays goes on, but nothing can follow it."""
        self._tail = None

    def busy(self) -> bool:
        """Whether anything plays."""
        self.pump()
        return bool(self._plan)

    def at(self) -> int:
        """The id of the wave that plays, 9998 if it has none, 9999 if nothing plays."""
        self.pump()
        if not self._plan:
            return NO_WAVE
        wid = self._plan[0].wid
        return wid if wid != CHAIN and self._memory.exists(wid) else UNKNOWN_WAVE

    def check_free(self, wave: Wave) -> None:
        """Raise TwinError if a wave just made lies where the one that plays does."""
        self.pump()
        if not self._plan or self._plan[0].wave is None:
            return
        playing = self._plan[0].wave
        last = max(wave.first_block, playing.first_block)
        if last < min(wave.first_block + wave.blocks, playing.first_block + playing.blocks):
            raise TwinError("a wave was made in the control blocks of the wave that plays: its pulses would be garbled")

    def pump(self) -> int:
        """Put what follows on the pins, some time ahead; returns the time now."""
        now = self._clock()
        self._extend(now)
        while self._plan and self._plan[0].end_ns <= now:
            self._plan.pop(0)
        return now

    def _lead_in_ends(self, now: int) -> int:
        return now + round(LEAD_IN_US * self._ns_a_us)

    def _segment(self, wid: int, start_ns: int, *, in_chain: bool = False) -> Segment:
        wave = self._memory.get(wid)
        return Segment(wid, wave, start_ns, wave.pulses.duration_us * self._ns_a_us, 1, in_chain)

    def _delay(self, us: int, start_ns: int) -> Segment:
        return Segment(CHAIN, None, start_ns, us * self._ns_a_us, 1, in_chain=True)

    def _begin(self, now: int, first: Segment) -> None:
        self._pins.halt(now)
        self._plan = [first]
        self._show(self._plan)
        self._extend(now)

    def _extend(self, now: int) -> None:
        if not self._plan:
            return
        fresh: list[Segment] = []
        while (last := (fresh or self._plan)[-1]).end_ns < now + AHEAD_NS:
            following = self._following(last)
            if following is None:
                break
            if self._next.get(following.wid) == following.wid and not following.in_chain:
                following = self._repeated(following, now)
            fresh.append(following)
        self._show(fresh)
        self._plan += fresh

    def _repeated(self, segment: Segment, now: int) -> Segment:
        """A wave that follows itself, as often as it takes to be ahead of time."""
        if segment.pass_ns == 0:
            raise TwinError(f"wave {segment.wid} has no duration and repeats for ever")
        return replace(segment, passes=max(1, math.ceil((now + AHEAD_NS - segment.start_ns) / segment.pass_ns)))

    def _following(self, last: Segment) -> Segment | None:
        if last.in_chain:
            step = next(self._chain, None) if self._chain is not None else None
            if isinstance(step, Play):
                return self._segment(step.wid, last.end_ns, in_chain=True)
            if isinstance(step, Delay):
                return self._delay(step.us, last.end_ns)
            self._chain = None
            wid = self._next.get(CHAIN)
        else:
            wid = self._next.get(last.wid)
        return None if wid is None else self._segment(wid, last.end_ns)

    def _follow(self, now: int) -> None:
        """A pointer has changed: take back what was put on the pins but will not follow now."""
        for i, segment in enumerate(self._plan):
            following = (
                segment.wid if segment.passes > 1 else self._plan[i + 1].wid if i + 1 < len(self._plan) else None
            )
            if not segment.in_chain and following is not None and self._next.get(segment.wid) != following:
                self._plan = [*self._plan[:i], segment.until(now)]
                self._pins.halt(now)
                self._show(self._plan, after_ns=now)
                break
        self._extend(now)

    def _show(self, segments: list[Segment], after_ns: int | None = None) -> None:
        waves = [(s, s.wave.pulses) for s in segments if s.wave is not None]
        if not waves:
            return
        t = np.concatenate([self._times(s, pulses) for s, pulses in waves])
        on = np.concatenate([np.tile(pulses.on, s.passes) for s, pulses in waves])
        off = np.concatenate([np.tile(pulses.off, s.passes) for s, pulses in waves])
        later = slice(None) if after_ns is None else t > after_ns
        self._pins.play(t[later], on[later], off[later])

    def _times(self, segment: Segment, pulses: Pulses) -> Times:
        starts = segment.start_ns + np.arange(segment.passes)[:, None] * segment.pass_ns
        times: Times = np.round(starts + pulses.since_us * self._ns_a_us).astype(np.int64)
        return times.ravel()

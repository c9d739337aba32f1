"""What pigpiod's wave engine plays and when: send modes, sync, chains (pigpio v79's chained DMA control blocks).

Every wave ends with a pointer to what follows it. Sending in a sync mode sets the pointer of the wave sent last, even
if that has ended; so a wave sent twice in sync mode follows itself for ever (joan2937/pigpio#457).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from drivers.bench import TwinError
from drivers.mock.pigpiod.chains import Delay, Play, endless, parse_chain, run_chain
from drivers.mock.pigpiod.memory import NOTHING, Pulses, Wave, WaveMemory
from drivers.mock.pigpiod.pins import Pins
from drivers.mock.pigpiod.protocol import Code, Refused

LEAD_IN_US = 20
AHEAD_NS = 200_000_000  # how far endless waves are put on the pins in advance
CHAIN = -1  # stands for the end of a chain where else a wave id does
REPEAT, SYNC = 1, 2  # bits of a send mode
UNKNOWN_WAVE, NO_WAVE = 9998, 9999


@dataclass(frozen=True, eq=False)
class Segment:
    """A wave (or a chain's delay: wid CHAIN) from start to end, as it was when it was put on the pins."""

    wid: int
    wave: Wave | None
    pulses: Pulses
    start_ns: int
    end_ns: int
    in_chain: bool


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
        start = Segment(CHAIN, None, NOTHING, now, self._lead_in_ends(now), in_chain=True)
        self._begin(now, start)
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
        end = start_ns + round(int(wave.pulses.delay_us.sum()) * self._ns_a_us)
        return Segment(wid, wave, wave.pulses, start_ns, end, in_chain)

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
            if following.end_ns == last.end_ns and following.wid == last.wid and not following.in_chain:
                raise TwinError(f"wave {last.wid} has no duration and repeats for ever")
            fresh.append(following)
        self._show(fresh)
        self._plan += fresh

    def _following(self, last: Segment) -> Segment | None:
        if last.in_chain:
            step = next(self._chain, None) if self._chain is not None else None
            if isinstance(step, Play):
                return self._segment(step.wid, last.end_ns, in_chain=True)
            if isinstance(step, Delay):
                end = last.end_ns + round(step.us * self._ns_a_us)
                return Segment(CHAIN, None, NOTHING, last.end_ns, end, in_chain=True)
            self._chain = None
            wid = self._next.get(CHAIN)
        else:
            wid = self._next.get(last.wid)
        return None if wid is None else self._segment(wid, last.end_ns)

    def _follow(self, now: int) -> None:
        """A pointer has changed: take back what was put on the pins but will not follow now."""
        for i, segment in enumerate(self._plan[:-1]):
            if not segment.in_chain and self._next.get(segment.wid) != self._plan[i + 1].wid:
                self._plan = self._plan[: i + 1]
                self._pins.halt(now)
                self._show(self._plan, after_ns=now)
                break
        self._extend(now)

    def _show(self, segments: list[Segment], after_ns: int | None = None) -> None:
        if not segments:
            return
        t = np.concatenate([self._times(s) for s in segments])
        on = np.concatenate([s.pulses.on for s in segments])
        off = np.concatenate([s.pulses.off for s in segments])
        later = slice(None) if after_ns is None else t > after_ns
        self._pins.play(t[later], on[later], off[later])

    def _times(self, segment: Segment) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        delay = segment.pulses.delay_us
        since_us = np.cumsum(delay) - delay
        return segment.start_ns + np.round(since_us * self._ns_a_us).astype(np.int64)

"""What pigpiod's wave engine plays and when: send modes, sync, chains (pigpio v79's chained DMA control blocks).

Every wave ends with a pointer to what follows it. Sending in a sync mode sets the pointer of the wave sent last, even
if that has ended; so a wave sent twice in sync mode follows itself for ever (joan2937/pigpio#457). A wave that is
deleted or cleared while it plays plays on: the DMA engine knows nothing of ids.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from drivers.mock.clock import TwinClock
from drivers.mock.pigpiod.header import Pins, Times
from drivers.mock.pigpiod.protocol import Code, Refused
from drivers.mock.pigpiod.waves.chains import Delay, Play, endless, parse_chain, run_chain
from drivers.mock.pigpiod.waves.memory import Pulses, Wave, WaveMemory

LEAD_IN_US = 20
AHEAD_NS = 200_000_000  # how far endless waves are put on the pins in advance
LEAST_PASS_NS = 1_000.0  # what one pass of a wave without duration takes at least; assumed
MANY_POINTERS = 600
QUESTIONS = 4  # after so many what is queued is believed to be all
REPEAT, SYNC = 1, 2  # bits of a send mode
UNKNOWN_WAVE, NO_WAVE = 9998, 9999

Item = Wave | None  # None stands for the end of a chain where else a wave does
_NOTHING_SENT = object()


@dataclass(frozen=True, eq=False)
class Segment:
    """A wave as it was when it was put on the pins, played so many times; a chain's delay is one without a wave."""

    wave: Item
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
        self._next: dict[Item, Wave] = {}  # what follows what, of waves that may still come
        self._tail: object = _NOTHING_SENT  # whose pointer the next sync send sets
        self._chain: Iterator[Play | Delay] | None = None
        self._questions = 0
        self._waited_for: Segment | None = None  # the segment whose end time has waited for

    def send(self, wid: int, mode: int) -> int:
        """Send a wave; returns the control blocks it holds."""
        self._questions = 0
        wave = self._memory.get(wid)
        if mode > REPEAT + SYNC:
            raise Refused(Code.BAD_WAVE_MODE)
        now = self.pump()
        if not mode & SYNC:
            self.stop()
        self._point(wave, wave if mode & REPEAT else None)
        if self._tail is _NOTHING_SENT:
            self._begin(now, self._segment(wave, self._lead_in_ends(now)))
        else:
            assert self._tail is None or isinstance(self._tail, Wave)  # noqa: S101 (what else it may be)
            self._next[self._tail] = wave
            if self.busy():
                self._follow(now)
            else:
                self._begin(now, self._segment(wave, self._lead_in_ends(now)))
        self._tail = wave
        self._hold()
        return wave.blocks

    def chain(self, data: bytes) -> None:
        """Play a chain; what runs is stopped even if the chain is refused."""
        self.pump()
        self.stop()
        steps = parse_chain(data, self._memory.get)
        now = self._clock()
        self._chain = run_chain(steps)
        self._begin(now, self._delay(LEAD_IN_US, now))
        self._tail = _NOTHING_SENT if endless(steps) else None

    def stop(self) -> None:
        """Stop at once; the pins stay as they are."""
        self._pins.halt(self._clock())
        self._plan, self._tail, self._chain, self._next = [], _NOTHING_SENT, None, {}
        self._hold()

    def forget_tail(self) -> None:
        """What WVCLR does to the engine: what plays goes on, but nothing can follow it."""
        self._tail = _NOTHING_SENT

    @property
    def ends_ns(self) -> int:
        """When all that is on the pins has ended; 0 where nothing is."""
        return self._plan[-1].end_ns if self._plan else 0

    def busy(self) -> bool:
        """Whether anything plays."""
        self.pump()
        return bool(self._plan)

    def at(self) -> int:
        """The id of the wave that plays, 9998 if it has none, 9999 if nothing plays."""
        self.pump()
        if not self._plan:
            return NO_WAVE
        wave = self._plan[0].wave
        found = (wid for wid, other in enumerate(self._memory.waves) if other is wave and not other.deleted)
        return next(found, UNKNOWN_WAVE)

    def check_free(self, wave: Wave) -> None:
        """Have it recorded if a wave just made lies where the one that plays does."""
        self.pump()
        if not self._plan or self._plan[0].wave is None:
            return
        playing = self._plan[0].wave
        last = max(wave.first_block, playing.first_block)
        if last < min(wave.first_block + wave.blocks, playing.first_block + playing.blocks):
            self._pins.misused(
                "a wave was made in the control blocks of the wave that plays: its pulses would be garbled"
            )

    def pump(self) -> int:
        """Put what follows on the pins, some time ahead; returns the time now."""
        now = self._clock()
        self._extend(now)
        while self._plan and self._plan[0].end_ns <= now:
            self._plan.pop(0)
        self._hold()
        self._pins.keep_up(now)
        return now

    def asked(self) -> None:
        """A client asks what plays. When it has asked so often and sent nothing more, what was queued may end."""
        if not (isinstance(self._clock, TwinClock) and self._clock.held):
            self._questions = 0
            return
        self._questions += 1
        if self._questions >= QUESTIONS:
            self._clock.go_on()
            self._waited_for = self._plan[-1] if self._plan else None
            self.pump()

    def expect(self) -> None:
        """A client makes a wave: it will send more."""
        self._questions = 0

    def _hold(self) -> None:
        """Have time wait at the end of what is queued: a host that is kept from queueing more is not late."""
        if not isinstance(self._clock, TwinClock):
            return
        if not self._plan:
            self._clock.go_on()
        elif self._plan[-1] is not self._waited_for:
            self._clock.hold(self._plan[-1].end_ns - 1)

    def _point(self, wave: Wave, following: Wave | None) -> None:
        if len(self._next) > MANY_POINTERS:
            known = {*self._memory.waves, *(segment.wave for segment in self._plan), self._tail}
            self._next = {key: value for key, value in self._next.items() if key in known}
        if following is None:
            self._next.pop(wave, None)
        else:
            self._next[wave] = following

    def _lead_in_ends(self, now: int) -> int:
        return now + round(LEAD_IN_US * self._ns_a_us)

    def _segment(self, wave: Wave, start_ns: int, *, in_chain: bool = False) -> Segment:
        return Segment(wave, start_ns, wave.pulses.duration_us * self._ns_a_us, 1, in_chain)

    def _delay(self, us: int, start_ns: int) -> Segment:
        return Segment(None, start_ns, us * self._ns_a_us, 1, in_chain=True)

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
            if self._next.get(following.wave) is following.wave and not following.in_chain:
                following = self._repeated(following, now)
            fresh.append(following)
        self._show(fresh)
        self._plan += fresh

    def _repeated(self, segment: Segment, now: int) -> Segment:
        """A wave that follows itself, as often as it takes to be ahead of time."""
        if segment.pass_ns == 0:
            self._pins.misused("a wave without duration repeats for ever: its DMA would never rest")
            segment = replace(segment, pass_ns=LEAST_PASS_NS)
        return replace(segment, passes=max(1, math.ceil((now + AHEAD_NS - segment.start_ns) / segment.pass_ns)))

    def _following(self, last: Segment) -> Segment | None:
        wave: Item
        if last.in_chain:
            step = next(self._chain, None) if self._chain is not None else None
            if isinstance(step, Play):
                return self._segment(step.wave, last.end_ns, in_chain=True)
            if isinstance(step, Delay):
                return self._delay(step.us, last.end_ns)
            self._chain = None
            wave = self._next.get(None)
        else:
            wave = self._next.get(last.wave)
        return None if wave is None else self._segment(wave, last.end_ns)

    def _follow(self, now: int) -> None:
        """A pointer has changed: take back what was put on the pins but will not follow now."""
        for i, segment in enumerate(self._plan):
            following = (
                segment.wave if segment.passes > 1 else self._plan[i + 1].wave if i + 1 < len(self._plan) else None
            )
            if not segment.in_chain and following is not None and self._next.get(segment.wave) is not following:
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

"""One shot's waves on their way through pigpiod: while one plays, the next is made and queued behind it.

Four waves exist at a time, or two of a shot with long slots, each padded to its share of the daemon's memory so that a
deleted one makes room for exactly one more (`wave_create_and_pad`, pigpio v79). A wave that was sent is never sent
again: sent twice in sync mode it would repeat for ever (joan2937/pigpio#457). When a shot has been played the first
waves of the next are made while others look after what came of it, so that shots follow each other closely. What is
asked of the daemon, and in which order, follows from its answers alone: a conversation can be played again.
"""

from __future__ import annotations

import contextlib
import math
import threading
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from drivers.errors import BenchError, HilError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from drivers.pigpio.link import Clock, PigpioLink
    from drivers.pigpio.waves import Wave

AT_ONCE = 3  # waves that are there before the first plays: with fewer, a host that is paused then is late
SURE_S = 0.010  # what played for so long yet when the daemon was asked last plays on
POLL_S = 0.002
LAG_S = 0.001  # what a wave ends later than reckoned: its way to the daemon, the lead-in, and the two clocks
LATE_S = 2.0  # a wave still playing so long after its end will never end
TICKS = 1 << 32  # the daemon's tick, µs, wraps
EARLY_S = 0.02  # how much a shot may seem to end too soon; the rest of the tolerance is EARLY of its length
EARLY = 0.01
ONE_SHOT, ONE_SHOT_SYNC = 0, 2
STOPPED = "the shot was stopped"
UNKNOWN_WAVE, NO_WAVE = 9998, 9999  # answers of wave_tx_at


@dataclass
class Made:
    """A wave that exists in the daemon, and when it should end by the daemon's own tick."""

    wid: int
    duration_s: float
    end_s: float = math.inf


class WaveStream:
    """Plays the waves of one shot, once: `begin`, then `finish` until it returns or `stop` is called elsewhere.

    The first of them may be made already by the stream that it comes `after`, to which they were offered.

    `underruns` counts how often the daemon had nothing to play because the next wave came too late. Ends are reckoned
    by the daemon's tick, so that a host that was kept from running takes its own lateness for nobody else's.
    """

    def __init__(
        self, link: PigpioLink, clock: Clock, waves: Sequence[Wave], *, after: WaveStream | None = None
    ) -> None:
        self._link = link
        self._clock = clock
        self._after = after
        self._shot = waves
        self._waves = deque(waves)  # not made yet
        self._most = waves[0].room.waves if waves else 0
        self._made: deque[Made] = deque()  # in order of playing; at most so many
        self._offered: Sequence[Wave] = ()  # of the next shot
        self._ahead: tuple[Sequence[Wave], list[Made]] = (), []  # of these waves the first
        self._over = threading.Event()  # all has been played and deleted, or it failed
        self._stop = threading.Event()
        self._sending = threading.Lock()  # held to send and to stop: nothing is sent once stop has returned
        self._thread = threading.Thread(target=self._run, name="pigpio waves", daemon=True)
        self._failure: HilError | None = None
        self._tick: int | None = None  # of the daemon, as last asked
        self._since_us = 0
        self.underruns = 0

    @property
    def playing(self) -> bool:
        """True until the last wave has been played and deleted."""
        return self._thread.ident is not None and not self._over.is_set()

    def begin(self) -> None:
        """Make and send the first waves and go on in the background."""
        if self._after is not None:
            for made in self._after.made_of(self._shot):
                self._made.append(made)
                self._waves.popleft()
            self._after = None
        while len(self._made) < min(AT_ONCE, self._most) and self._waves:
            self._make()
        for wave in list(self._made):
            self._send(wave)
        self._thread.start()

    def finish(self) -> None:
        """Return when all waves have been played and deleted; raises what went wrong, BenchError if stopped."""
        if self._thread.ident is None:
            raise BenchError(STOPPED)
        self._over.wait()
        if self._failure is not None:
            raise self._failure

    def stop(self) -> None:
        """Send no more waves; what was sent goes on."""
        with self._sending:
            self._stop.set()

    def join(self) -> None:
        """Wait until the background thread has ended; bounded by the link's time-out."""
        if self._thread.ident is not None:
            self._thread.join()

    def offer(self, waves: Sequence[Wave]) -> None:
        """What is to be played next."""
        self._offered = waves

    def made_of(self, waves: Sequence[Wave]) -> list[Made]:
        """The first of these waves, where they are made already; others that are are deleted. Only when all is over."""
        self.join()
        if waves is not self._ahead[0]:
            self._delete_ahead()
        made, self._ahead = self._ahead[1], ((), [])
        return made

    def _delete_ahead(self) -> None:
        while self._ahead[1]:
            self._link.call("wave_delete", self._ahead[1].pop().wid)

    def delete(self) -> None:
        """Delete the waves that are left, the last first, so that the daemon gets all its space back."""
        if self._after is not None:
            self._after.join()
            self._after.delete()
        self._delete_ahead()
        while self._made:
            self._link.call("wave_delete", self._made.pop().wid)

    def _run(self) -> None:
        try:
            while self._waves:
                if len(self._made) == self._most:
                    self._await_end()
                self._make()
                self._send(self._made[-1])
            while self._made:
                self._await_end()
        except HilError as error:
            self._failure = error
            return
        finally:
            self._over.set()
        self._make_ahead()

    def _make(self) -> None:
        wave = self._waves.popleft()
        self._made.append(self._created(wave, first=wave is self._shot[0]))

    def _created(self, wave: Wave, *, first: bool) -> Made:
        """A wave made in the daemon; before the first of a shot what others have left there is thrown away."""
        if first:  # what a wave is made of is consumed (pigpio.h v79, gpioWaveCreate)
            self._link.call("wave_add_new")
        self._link.add_wave(wave.packed())
        return Made(self._link.call("wave_create_and_pad", wave.room.percent), wave.duration_us * 1e-6)

    def _make_ahead(self) -> None:
        """Make the first waves of the next shot, if it is known yet; where that fails, it does when that is started."""
        waves = self._offered
        self._ahead = waves, []
        with contextlib.suppress(BenchError):
            for wave in waves[: min(AT_ONCE, waves[0].room.waves) if waves else 0]:
                self._ahead[1].append(self._created(wave, first=wave is waves[0]))

    def _send(self, wave: Made) -> None:
        """Send a wave behind the one made before it, or at once if nothing plays."""
        before = [made for made in self._made if made is not wave and made.end_s < math.inf]
        with self._sending:
            if self._stop.is_set():
                raise BenchError(STOPPED)
            idle, now_s = False, self._since_us * 1e-6
            if not before or before[-1].end_s - now_s < SURE_S:
                idle, now_s = self._link.call("wave_tx_at") == NO_WAVE, self._now_s()
            self._link.call("wave_send_using_mode", wave.wid, ONE_SHOT if idle else ONE_SHOT_SYNC)
        if not idle and not before:
            raise BenchError("pigpiod plays a wave of another program: stop that, the bench needs it alone")
        self.underruns += idle and bool(before)
        wave.end_s = (now_s if idle else before[-1].end_s) + wave.duration_s

    def _now_s(self) -> float:
        """The daemon's time since the first wave was sent, s."""
        tick = self._link.call("get_current_tick")
        if self._tick is None:
            self._tick = tick
        self._since_us += (tick - self._tick) % TICKS
        self._tick = tick
        return self._since_us * 1e-6

    def _await_end(self) -> None:
        """Wait until the wave that plays first has ended, and delete it."""
        wave = self._made[0]
        while (at := self._link.call("wave_tx_at")) in (wave.wid, UNKNOWN_WAVE):
            late_s = self._now_s() - wave.end_s
            if late_s > LATE_S:
                raise BenchError(f"a wave still plays {late_s:.1f} s after its end: restart pigpiod, then `hil doctor`")
            if self._clock.wait(self._stop, max(POLL_S, LAG_S - late_s)):
                raise BenchError(STOPPED)
        early_s = self._made[-1].end_s - self._now_s()
        if at == NO_WAVE and early_s > EARLY_S + EARLY * wave.duration_s:
            raise BenchError(f"the waves ended {early_s:.3g} s too soon: does another program use pigpiod? stop it")
        if at != NO_WAVE and at not in [made.wid for made in self._made]:
            raise BenchError(f"pigpiod plays wave {at} of another program: stop it, the bench needs it alone")
        for _ in range(len(self._made) if at == NO_WAVE and not self._waves else 1):
            self._link.call("wave_delete", self._made.popleft().wid)

"""The Pi bench: a pulse source, an axon reader, a threshold source and a panel, composed from a bench file."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, TypeVar

from drivers.bench import Deferring, Selective
from drivers.checks import Provable
from drivers.claims import claim
from drivers.errors import BenchError, HilError, UnsafeError
from drivers.parts.assembly import Parts, claims, open_parts
from drivers.signals import nothing_played
from drivers.timing import begun, length_ticks, ramped, shots
from drivers.wear.account import Account
from drivers.wear.passport import passport_folder
from drivers.witness import Witness

if TYPE_CHECKING:
    from drivers.benchfile import BenchFile
    from drivers.checks import Check
    from drivers.device import DeviceFile
    from drivers.signals import Capture, Frame

T = TypeVar("T")
RECENT_S = 0.010  # what a part has said so shortly before need not be asked again
RAMP = (320, 512, 640)  # slots of the first shots of a gapless source: each is sent while the last one plays


class PiBench:
    """A bench of real parts; see `drivers.bench.Bench`.

    While a shot plays, the next one is compiled and whoever iterates works on the last one. What the device gets is
    accounted for, whoever opens the bench, and everything the bench uses is its own while it is open.
    """

    def __init__(self, file: BenchFile, device: DeviceFile, *, parts: Parts | None = None) -> None:
        """Open it; raises BusyError where another program has a part or the device, InputError, BenchError."""
        self.file = file
        self.device = device
        self._spent_s = {"compiling": 0.0, "arming": 0.0, "playing": 0.0, "reading": 0.0, "beside": 0.0}
        self._vth_v: float | None = None
        self._closed = False
        self._checked_s = -math.inf  # when parts were asked last
        self._witness = Witness(file.witness) if file.witness else None
        purpose = f"bench {file.name!r}"
        with ExitStack() as stack:
            if parts is None:
                stack.enter_context(claim(claims(file), purpose))
            self.account = stack.enter_context(Account(device, passport_folder(file.passports), purpose))
            self._parts = parts if parts is not None else open_parts(file, self._emergency)
            self._parts.close_with(stack)
            self._parts.prepare()
            self._closing = stack.pop_all()

    @property
    def identity(self) -> dict[str, str]:
        """Makers, models, serials and versions of the parts."""
        return {"bench": self.file.name, "kind": "pi", "device": self.device.id, **self._parts.identity()}

    @property
    def tick_s(self) -> float:
        """Of the pulse source."""
        return self._parts.source.tick_s

    @property
    def temperature_c(self) -> float | None:
        """Of the part that has a sensor, the Pico's chip; None without one. Only between shots."""
        found = (part.temperature_c for part in self._parts.thermometers())
        return next((celsius for celsius in found if celsius is not None), None)

    @property
    def spent_s(self) -> dict[str, float]:
        """Where time went so far, s: compiling, arming, playing, reading; of the last, transfer where it is known;
        beside: what was read while the next shot played.
        """
        known = {name: spent for name, spent in self._parts.reader.spent_s.items() if name != "beside"}
        spent = self._spent_s | known
        spent["reading"] = max(0.0, spent["reading"] - sum(known.values()))
        return spent

    @property
    def readings(self) -> dict[str, float]:
        """What parts have measured of themselves so far, by name."""
        return self._parts.readings()

    def prove(self) -> Iterator[Check]:
        """Known pulses for what parts may do faster once it is proven; leaves the bench safe. Raises BenchError."""
        reader = self._parts.reader
        if not isinstance(reader, Provable):
            return
        self.set_threshold(self.file.vth_v)
        try:
            yield from reader.prove(self._one_shot, self.file.slot)
        finally:
            self.make_safe()

    def _one_shot(self, frame: Frame) -> Capture:
        captures = list(self.play([frame]))
        if len(captures) != 1:
            raise BenchError(f"a frame of known pulses came as {len(captures)} shots: make its slots shorter")
        return captures[0]

    def set_threshold(self, volts: float) -> float:
        """Set V_th; returns the volts really made. Raises InputError outside the bench's limits."""
        self.file.check_threshold(volts)
        self._vth_v = made_v = self._parts.threshold.set_threshold(volts)
        return made_v

    @property
    def threshold_v(self) -> float | None:
        """The V_th really made, None while parked."""
        return self._vth_v

    def play(self, frames: Iterable[Frame]) -> Iterator[Capture]:
        """Play frames shot by shot; see `drivers.bench.Bench.play`."""
        if self._vth_v is None:
            self._check_parts()  # which says why
            raise UnsafeError("V_th is parked: set_threshold before playing")
        try:
            if self._parts.panel is not None:
                self._parts.panel.enable(on=True)
            with self.account.playing():
                yield from self._captures(self._shots(frames))
        except BenchError as error:
            reason = self._reason(error)
            self._safe_after(reason)
            if reason is error:
                raise
            raise reason from error
        except BaseException as error:
            self._safe_after(error)
            raise

    def _shots(self, frames: Iterable[Frame]) -> Iterator[Frame]:
        ramp = RAMP if self._parts.gapless else ()
        for frame in frames:
            self.file.check_frame(frame)
            self.account.check(frame)
            parts = self._parts
            tick_s, reader = parts.source.tick_s, parts.reader
            bounds = {"most_slots": parts.most_slots, "most_pulses": reader.most_pulses}
            for part in ramped(frame, ramp):
                for shot in shots(part, tick_s, longest_s=parts.longest_s, **bounds):
                    if isinstance(reader, Selective):
                        yield from begun(shot, tick_s, reader.next_s, reader.next_slots)
                    else:
                        yield shot
            ramp = ()

    def _captures(self, queue: Iterator[Frame]) -> Iterator[Capture]:
        """The next shot is compiled while one plays, and plays while the caller works on the last.

        No further ahead: a frame says how many pulses the device had before it, which retakes of earlier ones add to.
        """
        shot = self._load(queue)
        if shot is not None:
            self._begin(shot)
        while shot is not None:
            following = self._load(queue)
            if following is not None and self._parts.gapless:
                self._begin(following)
            finish = self._finish(shot)
            if following is not None and not self._parts.gapless:
                self._begin(following)
            yield self._rest(finish, following)
            shot = following

    def _rest(self, finish: Callable[[], Capture], following: Frame | None) -> Capture:
        """What has to be read yet, while the next shot plays: nobody waits for what does not take longer than that."""
        start = time.monotonic()
        try:
            return finish()
        finally:
            took_s, plays_s = time.monotonic() - start, 0.0
            if following is not None:
                plays_s = float(length_ticks(following, self.tick_s).sum()) * self.tick_s
            self._spent_s["beside"] += min(took_s, plays_s)
            self._spent_s["reading"] += max(0.0, took_s - plays_s)

    def _load(self, queue: Iterator[Frame]) -> Frame | None:
        shot = next(queue, None)
        if shot is not None and shot.played.any():
            self.account.promise(shot)
            self._timed("compiling", lambda: self._parts.source.load(shot))
        return shot

    def _begin(self, shot: Frame) -> None:
        if time.monotonic() - self._checked_s > RECENT_S:
            self._check_parts()
        if shot.played.any():
            self._timed("arming", lambda: self._parts.reader.arm(shot))
            self.account.started()
            self._parts.source.start()

    def _finish(self, shot: Frame) -> Callable[[], Capture]:
        """Wait for the end of a shot and read what must be before the next; what it returns gives the capture."""
        if not shot.played.any():
            return lambda: nothing_played(shot)
        self._timed("playing", self._parts.source.wait)
        self._check_parts()
        if self._witness is not None:
            self._witness.check()
        reader = self._parts.reader
        if isinstance(reader, Deferring):
            rest = self._timed("reading", reader.take)
            return lambda: self._accounted(rest())
        capture = self._accounted(self._timed("reading", reader.read))
        return lambda: capture

    def _accounted(self, capture: Capture) -> Capture:
        self.account.played(capture.bench_s)
        return capture

    def _check_parts(self) -> None:
        """Raise UnsafeError where a part has stopped the bench by itself: what it cut short counts for nothing."""
        for part in self._parts.watchful():
            part.check()
        self._checked_s = time.monotonic()

    def _reason(self, error: BenchError) -> BenchError:
        """Why a shot failed: the stop that was pressed in the middle of it, rather than what came of that."""
        if isinstance(error, UnsafeError):
            return error
        try:
            self._check_parts()
        except UnsafeError as unsafe:
            return unsafe
        except HilError:  # the error in hand tells as much
            pass
        return error

    def _timed(self, what: str, work: Callable[[], T]) -> T:
        start = time.monotonic()
        try:
            return work()
        finally:
            self._spent_s[what] += time.monotonic() - start

    def make_safe(self) -> None:
        """All lines low, V_th parked, supply off; idempotent. Raises UnsafeError naming every part that refused."""
        self._vth_v = None
        troubles = []
        for work in self._parts.safing():
            try:
                work()
            except HilError as error:
                troubles.append(str(error))
        if troubles:
            raise UnsafeError(f"bench {self.file.name!r} may not be at rest: {'; '.join(troubles)}")

    def _emergency(self) -> None:
        """The stop was pressed (in the panel's thread): no pulse more, and a threshold that never fires."""
        self._vth_v = None
        self._parts.source.stop()
        self._parts.threshold.park()

    def _safe_after(self, error: BaseException) -> None:
        try:
            self.make_safe()
        except UnsafeError as unsafe:
            raise UnsafeError(f"{error or type(error).__name__}; and then: {unsafe}") from error

    def __enter__(self) -> PiBench:
        return self

    def __exit__(self, *exc: object) -> None:
        if self._closed:
            return
        self._closed = True
        with self._closing:
            try:
                self.make_safe()
            except BenchError:
                if exc[0] is None:
                    raise

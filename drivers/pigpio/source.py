"""The pulse source pigpio: shots played as DMA-timed waves by the pigpio daemon of a Raspberry Pi (not a Pi 5)."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from drivers.checks import Check
from drivers.errors import BenchError, UnsafeError
from drivers.parts.kind import Opening, PartKind
from drivers.parts.pace import Pace
from drivers.pigpio.checks import link_checks, pigpio_checks
from drivers.pigpio.link import Clock, PigpioLink
from drivers.pigpio.stream import WaveStream
from drivers.pigpio.waves import TICK_S, Wave, plan_waves
from drivers.settings import PigpioSettings

if TYPE_CHECKING:
    from drivers.benchfile import BenchFile
    from drivers.settings import BoardSettings, Wiring
    from drivers.signals import Frame

START_S = 0.010  # from the end of a shot to the first pulse of the next, whose waves are made
FIRST_S = 0.040  # to compile a shot and make its waves while nothing plays
LEFTOVER_S = 2.5  # what a killed host leaves playing ends within 2 s


class PigpioPulses:
    """Plays shots on the lines; see `drivers.bench.PulseSource`.

    `underruns` counts the pauses in the last shot in which the daemon had nothing
    to play: each makes the slot before it too long, which an axon reader sees.
    """

    most_slots: int | None = None
    gapless = False

    def __init__(
        self, settings: PigpioSettings, wiring: Wiring, board: BoardSettings, *, clock: Clock | None = None
    ) -> None:
        self._wiring = wiring
        self._board = board
        self._clock = Clock() if clock is None else clock
        self._loaded: list[Wave] | None = None
        self._stream: WaveStream | None = None
        self._mask = sum(1 << line.pin for line in wiring.lines())
        self._deleting = threading.Lock()
        self._prepared = False
        self._link = PigpioLink(settings)
        try:
            self._identity = self._ask_identity()
        except BaseException:
            self._link.close()
            raise

    @property
    def tick_s(self) -> float:
        """1 µs, the time step of pigpio's waves."""
        return TICK_S

    @property
    def identity(self) -> dict[str, str]:
        """Where the daemon is, its version and the board it runs on."""
        return dict(self._identity)

    @property
    def underruns(self) -> int:
        """How often the daemon ran dry in the last shot."""
        return 0 if self._stream is None else self._stream.underruns

    def checks(self) -> list[Check]:
        """The start-up checks: version, model, pins, wave clock. Plays a second of silence."""
        return link_checks(self._link, self._wiring, self._clock)

    def load(self, frame: Frame) -> None:
        """Compile the shot that is to be played next; raises LimitError if no waves can play it."""
        self._loaded = plan_waves(frame, self._wiring, self._board)
        if self._stream is not None:
            self._stream.offer(self._loaded)

    def start(self) -> None:
        """Start the loaded shot."""
        if not self._prepared:
            raise BenchError("the pulse source was not prepared: prepare before start")
        if self._loaded is None:
            raise BenchError("no shot is loaded: load before start")
        if self._stream is not None and self._stream.playing:
            raise BenchError("a shot is playing: wait before start")
        waves, self._loaded = self._loaded, None
        self._stream = WaveStream(self._link, self._clock, waves, after=self._stream)
        try:
            self._stream.begin()
        except BaseException:
            self._rest_if_possible()
            raise

    def wait(self) -> None:
        """Return when the shot has ended and all lines are low; raises ConnectionLostError, BenchError."""
        if self._stream is None:
            raise BenchError("no shot was started: start before wait")
        try:
            self._stream.finish()
        except BaseException:
            self._rest_if_possible()
            raise

    def stop(self) -> None:
        """Stop at once, all lines low; idempotent. Raises UnsafeError when the daemon cannot be told."""
        if self._link.lost:
            raise UnsafeError(
                f"the connection to pigpiod at {self._link.where} is gone: what was queued ends with all lines low "
                "within 2 s, but nobody can confirm it; switch the bench off before touching it"
            )
        if self._prepared:
            self._rest()

    def close(self) -> None:
        """Stop, and let go of the daemon; idempotent."""
        try:
            self._rest_if_possible()
        finally:
            self._link.close()

    def _ask_identity(self) -> dict[str, str]:
        return {
            "pigpiod": self._link.where,
            "pigpiod_version": str(self._link.call("get_pigpio_version")),
            "pi_revision": f"{self._link.call('get_hardware_revision'):x}",
        }

    def prepare(self) -> None:
        """Let a killed host's waves end, forget them, and drive every line low; raises BenchError."""
        until_s = self._clock.now_s() + LEFTOVER_S
        while self._link.call("wave_tx_busy"):
            if self._clock.now_s() > until_s:
                raise BenchError(
                    f"another program plays waves through pigpiod at {self._link.where}: stop it, the bench needs "
                    "pigpiod for itself"
                )
            self._clock.wait(threading.Event(), 0.05)
        self._prepared = True
        self._link.call("wave_clear")
        for line in self._wiring.lines():
            self._link.call("write", line.pin, 0)

    def _rest_if_possible(self) -> None:
        if self._prepared and not self._link.lost:
            self._rest()

    def _rest(self) -> None:
        """Nothing queued, all lines low, no wave left."""
        stream = self._stream
        if stream is not None:
            stream.stop()
            if not stream.playing:
                stream.join()  # what it makes of the next shot plays nothing, and is the same however late we stop
        self._link.call("wave_tx_stop")
        self._link.call("clear_bank_1", self._mask)
        if stream is not None:
            stream.join()
            with self._deleting:
                stream.delete()


def _open(opening: Opening, settings: PigpioSettings) -> PigpioPulses:
    return PigpioPulses(settings, opening.file.wired(), opening.file.board)


def _check(opening: Opening, settings: PigpioSettings) -> list[Check]:
    return pigpio_checks(settings, opening.file.wired())


def _claims(settings: PigpioSettings) -> list[str]:
    host, port = settings.address()
    host = "localhost" if host in ("127.0.0.1", "::1") else host.lower()
    return [f"pigpiod {host}:{port}"]


def _pace(_file: BenchFile, _settings: PigpioSettings) -> Pace:
    """A shot's end is looked for every 2 ms, its waves are deleted, and those of the next are sent."""
    return Pace(cost=lambda _shot: {"starting": START_S}, once={"starting": FIRST_S})


PART = PartKind(_open, _check, PigpioSettings, "pigpio", tick_s=TICK_S, claims=_claims, pace=_pace)

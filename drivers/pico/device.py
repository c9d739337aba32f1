"""The Raspberry Pi Pico on USB, with our firmware: pulse source, axon reader and threshold source."""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np

from drivers.errors import BenchError, CaptureError, ConnectionLostError, InputError, LimitError
from drivers.pico.counting import stamps
from drivers.pico.finding import find_port
from drivers.pico.link import PicoLink
from drivers.pico.packing import pack_pieces
from drivers.pico.replies import NOT_OURS_TO_CLEAR, latched
from drivers.pico.setup import check_timing, settings_of
from drivers.pico.startup import axon_hint, start_checks
from drivers.pico.underway import Shot, Underway
from drivers.signals import Capture, FloatArray, IntArray, probe_frame
from drivers.timing import length_ticks, seconds, slot_ticks
from firmware import protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from drivers.benchfile import BenchFile
    from drivers.checks import Check
    from drivers.signals import Frame, SlotTiming

SYNC_ALONE = (1, 5, 0)  # firmware that need not stamp the spikes that it counts
COUNTS_EARLY = (1, 6, 0)  # firmware that tells counts while their shot plays
VBUS_PIN = 24  # of a Pico and a Pico 2; the wireless ones have their radio there
_LIMITS = (
    *("tick_hz", "banks", "bank_slots", "break_ticks", "guard_ticks", "reset_ticks"),
    *("width_ticks", "low_ticks", "settle_ticks", "lead_ticks"),
)
_LISTENED_TICK_S = 1e-6  # the step of the slot times that are compared with the plan where pigpio makes the pulses


class Pico:
    """See `drivers.bench`: a PulseSource, an AxonReader and a ThresholdSource, as the bench file says.

    `most_slots` bounds the played slots of a shot so that the next can be loaded while it plays, or counted while this
    one's counts are read. The shot that was
    loaded may be armed and started while the last one still plays: it follows without a pause, and `wait` and `read`
    then speak of the shots in the order in which they were started.
    """

    most_slots = 1024
    most_stamped = 4096  # spikes that older firmware stamps of a shot that pigpio plays; none comes without a pulse

    gapless = True

    def __init__(self, file: BenchFile) -> None:
        if file.pico is None or file.wiring is None:
            raise InputError(f"bench {file.name!r} has no [pico] table or no wiring")
        self._file = file
        self._plays = file.pulse_source == "pico"
        self._counts = "pico" in file.readers
        self._timing: SlotTiming | None = None
        self._loaded: Frame | None = None
        self._unread: deque[Shot] = deque()
        self._prepared = self._closed = False
        self._clock_hz: int | None = None
        self.elapsed_s = 0.0  # of the shot read last, as the Pico timed it: up to the start of a queued one; 1 ms steps
        self.link = PicoLink(file.pico.port or find_port(), file.pico.reply_s)
        self._underway = Underway(self.link)
        try:
            self._greet(file.pico.heartbeat_timeout_s / 4)
        except BaseException:
            self.link.close()
            raise

    def _greet(self, beat_s: float) -> None:
        """Who is there? Nothing on the board changes."""
        self.link.begin(beat_s)
        try:
            self._id = self.link.greet()
        except ConnectionLostError as error:
            raise ConnectionLostError(
                f"nothing of ours answers at {self.link.port}: put the firmware on it with `hil flash`"
            ) from error
        if self._id.get("protocol") != str(protocol.VERSION):
            raise BenchError(
                f"the Pico at {self.link.port} has firmware {self._id.get('firmware')}, which speaks protocol "
                f"{self._id.get('protocol')}; this program speaks {protocol.VERSION}: run `hil flash`"
            )
        limits = self.link.ask("limits")
        self._limits = {name: limits.number(name) for name in limits}
        self._limits |= {name: limits.number(name) for name in _LIMITS}

    def prepare(self) -> None:
        """Take it over: stop what plays, tell it its wiring, whereupon lines are low and V_th is parked; idempotent.

        A latch that a dead host left is taken off. Raises UnsafeError for one that a person has to look into,
        InputError where the wiring does not suit it.
        """
        if self._prepared:
            return
        reason = self.latch
        if reason in NOT_OURS_TO_CLEAR:
            raise latched(reason)
        self._prepared = True
        self.link.ask("abort")  # whatever a dead host left playing
        self.set_up()
        self.link.ask("clear")
        if self._plays:
            self._expect(self._file.slot)

    def _expect(self, timing: SlotTiming) -> None:
        """Tell it a slot timing before a shot has it, where it can have that: no time for it is lost then."""
        with suppress(LimitError):  # a shot that has it is refused
            self._set_timing(probe_frame("expected", timing, [1]))

    def vanish(self) -> None:
        """Let go of it without a word, as a host does that dies: what plays goes on, until the Pico notices."""
        self._closed = True
        self.link.close()

    @property
    def latch(self) -> str:
        """Why the Pico keeps the board safe, in the firmware's word; empty while it does not."""
        reason = self.link.ask("beat")["latch"]
        return "" if reason == "none" else reason

    def clear(self) -> None:
        """Take the latch off, which only a person should do; raises EmergencyStopError while the stop is pressed."""
        self.link.ask("clear")

    def check(self) -> None:
        """Raise UnsafeError where the Pico has made the board safe by itself, whatever for."""
        if self._prepared and not self._closed:
            self.link.check_latch()

    def set_up(self) -> None:
        """Tell it its wiring, whereupon lines are low and V_th is parked; raises InputError where it cannot be."""
        try:
            vbus = "none" if "_W_" in self._id["machine"] else VBUS_PIN
            self.link.ask("setup", *settings_of(self._file, plays=self._plays, counts=self._counts, vbus=vbus))
        except LimitError as error:
            raise InputError(f"bench {self._file.name!r} does not suit the Pico: {error}") from error

    @property
    def tick_s(self) -> float:
        """One cycle of the sequencer: 40 ns."""
        return 1 / self._limits["tick_hz"]

    @property
    def identity(self) -> dict[str, str]:
        """Firmware, interpreter, chip and its number."""
        wanted = ("firmware", "protocol", "digest", "micropython", "machine", "uid")
        return {f"pico_{name}": self._id[name] for name in wanted}

    @property
    def most_pulses(self) -> int | None:
        """Most pulses of a shot that pigpio plays, of which older firmware stamps every spike."""
        return None if self._plays or self._stamps_sync_alone else self.most_stamped

    @property
    def _stamps_sync_alone(self) -> bool:
        """Whether the firmware counts spikes without stamping them."""
        return self._version >= SYNC_ALONE

    @property
    def _version(self) -> tuple[int, ...]:
        return tuple(int(part) for part in self._id["firmware"].split(".") if part.isdigit())

    @property
    def spent_s(self) -> dict[str, float]:
        """Empty: reading counts takes no time to speak of."""
        return {}

    @property
    def temperature_c(self) -> float | None:
        """Of the chip: some degrees off, and above the board's, but it follows it; None with firmware before 1.1.0."""
        status = self.link.ask("status")
        return status.number("chip_millicelsius") / 1000 if "chip_millicelsius" in status else None

    # ---- pulse source -------------------------------------------------------------------------------------------

    def load(self, frame: Frame) -> None:
        """Send the shot that is to be played next, whatever the Pico says of it, which `start` waits for; raises
        LimitError where it cannot be played.
        """
        played = int(frame.played.sum())
        if played == 0:
            raise LimitError("a shot without played slots: there is nothing to load")
        most = self._limits["banks"] * self._limits["bank_slots"]
        if played > most:
            raise LimitError(f"{played} played slots in a shot: the Pico holds {most}")
        self._set_timing(frame)
        self._upload(frame, played, stamps=False)

    def _set_timing(self, frame: Frame) -> None:
        check_timing(frame, self.tick_s, self._limits)
        if self._timing == frame.timing:
            return
        ticks, timing = slot_ticks(frame.timing, self.tick_s), frame.timing
        period = (
            int(timing.window_s / self.tick_s + 1e-6)
            if timing.mode == "fixed"
            else max(1, round(1 / (timing.dendrite_clock_hz * self.tick_s)))
        )
        self.link.ask("timing", timing.mode, ticks.break_, ticks.guard, ticks.reset, ticks.width, ticks.settle, period)
        self._timing = timing

    def _upload(self, frame: Frame, played: int, *, stamps: bool) -> None:
        args = (frame.first_slot, len(frame), played, frame.total_pulses, int(stamps))
        self.link.post_shot(args, pack_pieces(frame.pulses))
        self._loaded = frame

    def _shot(self, frame: Frame, number: int, ticks: int = 0) -> Shot:
        return Shot.of(self.link, frame, number, ticks, self.tick_s)

    def start(self) -> None:
        """Start the loaded shot, or have it follow the one that plays; raises LimitError where it cannot be played."""
        shot = self._start()
        if self._counts:
            self._unread.append(shot)

    def _start(self) -> Shot:
        frame, self._loaded = self._loaded, None
        if frame is None:
            raise BenchError("no shot is loaded: load before start")
        shot = self._shot(frame, *self.link.play_shot())
        self._underway.add(shot)
        return shot

    def wait(self) -> None:
        """Return when the oldest started shot has ended; raises ConnectionLostError, UnsafeError, BenchError."""
        self._underway.wait(counts=self._counts and self._version >= COUNTS_EARLY)

    def stop(self) -> None:
        """Stop at once, all lines low, V_th parked; idempotent."""
        self._loaded = None
        self._underway.forget()
        self._unread.clear()
        if self._prepared and not self._closed and self.link.lost is None:
            self.link.ask("abort")

    # ---- axon reader --------------------------------------------------------------------------------------------

    def arm(self, frame: Frame) -> None:
        """Get ready to count this shot: the Pico's own need nothing, it counts all it plays."""
        if self._plays:
            return
        played = int(frame.played.sum())
        spikes = ("0",) if self._stamps_sync_alone else ()
        number = self.link.ask("listen", played, *spikes).number("shot")
        self._unread.append(self._shot(frame, number))

    def read(self) -> Capture:
        """The capture of the oldest shot not read yet; raises CaptureError."""
        return self.take()()

    def take(self) -> Callable[[], Capture]:
        """What gives the capture of the oldest shot not read yet: the Pico keeps it while it counts the next."""
        if not self._unread:
            raise BenchError("no shot was counted: arm before read")
        shot = self._unread.popleft()
        return lambda: self._capture(shot)

    def _capture(self, shot: Shot) -> Capture:
        try:
            counts = shot.counting.result()
        except CaptureError as error:
            raise CaptureError(f"{error}; {axon_hint(self.link)}") from error
        frame, self.elapsed_s = shot.frame, shot.counting.elapsed_s
        spikes = np.zeros(len(frame), dtype=np.int32)
        spikes[frame.played] = counts
        slot_s = seconds(length_ticks(frame, self.tick_s if self._plays else _LISTENED_TICK_S), 1.0)
        slot_s *= self.tick_s if self._plays else _LISTENED_TICK_S
        ok = np.ones(len(frame), dtype=np.bool_)
        bench_s = shot.length_s
        if not self._plays:
            planned, slot_s = slot_s, self._measured(shot)
            settings = self._file.spikes
            # A pulse too many or too few is a whole period, a host that was late 20 µs and more (pigpio's lead-in).
            ok = np.abs(slot_s - planned) <= settings.slot_tolerance * planned + settings.edge_slack_s
            bench_s = float(slot_s.sum())
        return Capture(frame, spikes, slot_s, ok, bench_s, shot.counting.stray)

    def _measured(self, shot: Shot) -> FloatArray:
        """(slots,) lengths from the stamps of sync, 0 where not played."""
        times = self._stamped(shot, "sync")
        if len(times) != int(shot.frame.played.sum()) + 1:
            raise BenchError(f"the Pico sent {len(times)} stamps of {int(shot.frame.played.sum())} slots")
        lengths = np.zeros(len(shot.frame))
        lengths[shot.frame.played] = np.diff(times)
        return lengths

    def spike_times(self, frame: Frame) -> tuple[IntArray, FloatArray]:
        """Play a shot by itself and stamp every spike; nothing else may be playing.

        Returns (spikes,) the slot each spike fell in, and (spikes,) its time since that slot began, s, to 24 ns. The
        minimum width does not apply to stamps. Raises CaptureError, LimitError.
        """
        self._set_timing(frame)
        self._upload(frame, int(frame.played.sum()), stamps=True)
        shot = self._start()
        self._underway.wait(counts=False)
        slots, spikes = self._stamped(shot, "sync"), self._stamped(shot, "axon")
        at = np.searchsorted(slots, spikes, side="right") - 1
        if (at < 0).any() or (at >= len(slots) - 1).any():
            raise CaptureError("spikes before the first or after the last slot; run hil doctor")
        return np.flatnonzero(frame.played)[at].astype(np.int32), spikes - slots[at]

    def _stamped(self, shot: Shot, what: str) -> FloatArray:
        """(edges,) times of one line, s since the Pico began to listen."""
        if self._clock_hz is None:  # of a chip that runs it does not change
            self._clock_hz = self.link.ask("status").number("clock_hz")
        return stamps(self.link, shot.number, what, self._clock_hz)

    # ---- threshold source ---------------------------------------------------------------------------------------

    def set_threshold(self, volts: float) -> float:
        """Set V_th; returns the volts really made. Raises InputError outside the limits."""
        self._file.check_threshold(volts)
        return self.link.ask("vth", round(volts * 1e6)).number("uv") * 1e-6

    def park(self) -> None:
        """V_th to the configured maximum, where the neuron never fires."""
        if self._prepared and not self._closed and self.link.lost is None:
            self.link.ask("park")

    def power_up_v(self) -> float | None:
        """What the DAC's EEPROM makes at power-up, V; None where it is set up otherwise or powered down."""
        found = self.link.ask("store")
        return None if found["uv"] == "none" else found.number("uv") * 1e-6

    def store_park(self) -> float:
        """Write the parked V_th to the DAC's EEPROM; returns the volts read back. Raises BenchError."""
        return self.link.ask("store", "write").number("uv") * 1e-6

    # ---- the rest -----------------------------------------------------------------------------------------------

    def checks(self) -> list[Check]:
        """The start-up checks, after `prepare`; one sync pulse is made, nothing reaches the neuron."""
        return start_checks(self.link, self._id, self._file)

    def close(self) -> None:
        """Make it safe and let go; idempotent."""
        if self._closed:
            return
        self._closed = True
        try:
            if self._prepared and self.link.lost is None:
                self.link.ask("safe")
        finally:
            self.link.close()

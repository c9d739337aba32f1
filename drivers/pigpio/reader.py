"""The axon reader gpio: the Pi itself counts spikes, from the samples that pigpiod takes of its pins."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from typing import TYPE_CHECKING

import numpy as np

from drivers.checks import Check
from drivers.errors import BenchError, CaptureError, InputError, LimitError
from drivers.parts.kind import Opening, PartKind
from drivers.parts.pace import Pace
from drivers.pigpio.count import Hearing, LostShotError, count
from drivers.pigpio.link import Clock, PigpioLink
from drivers.pigpio.reports import Reports, ReportStream, gathered
from drivers.pigpio.sampling import describe, longest_slot_s, measure_sample_us, too_long, unfit
from drivers.settings import GpioSettings
from drivers.signals import Capture
from drivers.timing import length_ticks, slot_ticks

if TYPE_CHECKING:
    from drivers.benchfile import BenchFile
    from drivers.signals import Frame

INPUT = 0
READ_S = 0.003  # the last reports of a shot, and counting them
PATIENCE_S = 2.0  # after a shot for its last reports, which are due a few ms after it
QUIET_S = 0.2  # after the last report, where some are known to be lost, or the shot is seen to have ended
LOST_MOST = 3  # shots in a row of which nothing can be told before it is an error
_US = 1e6


class GpioReader:
    """Counts axon spikes with the daemon that makes the pulses; see `drivers.bench.AxonReader`.

    The daemon is asked for the changes of sync and axon only, and how often it samples is measured when the reader is
    prepared: of a one-shot shorter than two samples pulses would be missed, and that is refused.
    """

    most_slots: int | None = None
    most_pulses: int | None = None

    def __init__(self, file: BenchFile, *, clock: Clock | None = None) -> None:
        """Connect; raises ConnectionLostError."""
        assert file.gpio is not None  # noqa: S101 (checked by the caller)
        self._file, self._axon_pin, self._sync_pin = file, file.gpio.axon_pin, file.wired().sync
        self._clock = Clock() if clock is None else clock
        self._sample_us = 0
        self._shot: Frame | None = None
        self._since_tick = self._before = self._lost = 0
        self._spent_s = {"decoding": 0.0}
        self._link = PigpioLink(file.pigpio)
        try:
            self._stream = ReportStream(file.pigpio)
        except BaseException:
            self._link.close()
            raise

    @property
    def identity(self) -> dict[str, str]:
        """The pin, and how often it is sampled, once that is measured."""
        return {"axon_gpio": str(self._axon_pin), "sample_us": str(self._sample_us or "not measured yet")}

    @property
    def spent_s(self) -> dict[str, float]:
        """Where time went while reading, s: decoding."""
        return dict(self._spent_s)

    def prepare(self) -> None:
        """Measure how often pins are sampled, and listen; raises InputError where axon pulses would be missed."""
        self._measure()
        if fault := unfit(self._file.board, self._sample_us):
            raise InputError(fault)
        self._link.call("set_mode", self._axon_pin, INPUT)
        self._link.call("notify_begin", self._stream.handle, 1 << self._sync_pin | 1 << self._axon_pin)

    def _measure(self) -> None:
        self._sample_us = measure_sample_us(self._link, self._stream, self._sync_pin, self._clock)

    def arm(self, frame: Frame) -> None:
        """Take note of where this shot begins; raises LimitError where a loss could pass unnoticed."""
        lengths = length_ticks(frame, self._file.tick_s)
        longest = int(lengths.argmax())
        if (slot_s := float(lengths[longest]) * self._file.tick_s) > longest_slot_s():
            raise LimitError(too_long(frame.first_slot + longest, slot_s))
        self._stream.take()
        self._since_tick = self._link.call("get_current_tick")
        self._before = self._link.call("read_bank_1")
        self._shot = frame

    def read(self) -> Capture:
        """The capture of the armed shot, after it has been played.

        A shot of which nothing can be told comes back with no slot ok, so that it is played again; the third in a row
        raises CaptureError, as an axon does that cannot be one.
        """
        shot, self._shot = self._shot, None
        if shot is None:
            raise CaptureError("the GPIO reader was not armed for this shot")
        reports = self._reports(shot)
        start = time.monotonic()
        hearing = Hearing(
            self._sync_pin,
            self._axon_pin,
            self._sample_us / _US,
            self._file.tick_s,
            self._file.spikes,
            self._file.board,
        )
        try:
            capture = count(shot, reports, self._before, self._since_tick, hearing)
        except LostShotError as error:
            return self._lost_shot(shot, str(error))
        finally:
            self._spent_s["decoding"] += time.monotonic() - start
        self._lost = 0
        return capture

    def _reports(self, shot: Frame) -> Reports:
        """What was reported since arming, until sync has risen as often as it ought and fallen again, or patience ends.

        Edges that are lost never come: where reports are missing, or come from when the shot was to end, nothing is
        waited for but those on their way.
        """
        found: list[Reports] = []
        bit, high, rises = np.uint32(1 << self._sync_pin), bool(self._before >> self._sync_pin & 1), 0
        edges, lasts_us, began = int(shot.played.sum()) + 1, self._lasts_s(shot) * _US, None
        lost = False
        until_s = last_s = time.monotonic() + PATIENCE_S
        while (rises < edges or high) and self._stream.wait(max(0.0, until_s - time.monotonic())):
            fresh = self._stream.take()
            fresh = fresh.part((fresh.ticks - np.uint32(self._since_tick)).astype(np.int32) >= 0)  # none of before
            if not len(fresh):
                continue
            found.append(fresh)
            sync = (fresh.levels & bit) != 0
            rising = np.flatnonzero(sync & ~np.append(high, sync[:-1]))
            if began is None and len(rising):
                began = fresh.ticks[rising[0]]
            rises += len(rising)
            high = bool(sync[-1])
            lost |= bool(fresh.after_gap.any()) or (began is not None and fresh.ticks[-1] - began >= lasts_us)
            until_s = min(last_s, time.monotonic() + QUIET_S) if lost else last_s
        return gathered(found)

    def _lasts_s(self, shot: Frame) -> float:
        """From the first edge of sync to the last, as planned."""
        ticks = int(length_ticks(shot, self._file.tick_s).sum()) + slot_ticks(shot.timing, self._file.tick_s).lead
        return ticks * self._file.tick_s

    def _lost_shot(self, shot: Frame, reason: str) -> Capture:
        self._lost += 1
        if self._lost >= LOST_MOST:
            raise CaptureError(
                f"of {self._lost} shots in a row no slot can be told ({reason}): is this machine too busy, does "
                "another program leave its notifications of pigpiod unread, which holds up all, or is sync not on GPIO "
                f"{self._sync_pin}? Run hil doctor"
            )
        nothing = np.zeros(len(shot), dtype=np.int32)
        return Capture(shot, nothing, np.zeros(len(shot)), ~shot.played, self._lasts_s(shot), notes=(reason,))

    def checks(self) -> list[Check]:
        """How often pins are sampled, at what cost, whether that suits the one-shot, and the axon at rest.

        Some 40 ms of pulses are made on sync, which is wired to no switch; its mode is put back.
        """
        mode = self._link.call("get_mode", self._sync_pin)
        try:
            self._measure()
        except BenchError as error:
            return [Check("GPIO samples", False, str(error), "see docs/how-to/bring-up.md")]
        finally:
            self._link.call("set_mode", self._sync_pin, mode)
        fault = unfit(self._file.board, self._sample_us)
        high = self._link.call("read", self._axon_pin) != int(self._file.spikes.inverted)
        advice = "at rest it has to be low: comparator inverted, V_th too low, or the line not connected"
        return [
            Check("GPIO samples", not fault, describe(self._sample_us), fault),
            Check("GPIO axon at rest", not high, f"GPIO {self._axon_pin}", advice if high else ""),
        ]

    def close(self) -> None:
        """Stop listening, and let go of the daemon; idempotent."""
        self._stream.close()
        self._link.close()


def _open(opening: Opening, _settings: GpioSettings) -> GpioReader:
    return GpioReader(opening.file)


def _check(opening: Opening, _settings: GpioSettings) -> Iterator[Check]:
    with closing(GpioReader(opening.file)) as reader:
        yield from reader.checks()


def _pace(_file: BenchFile, _settings: GpioSettings) -> Pace:
    """Reports come while a shot plays; the last of them some milliseconds after it."""
    return Pace(cost=lambda _shot: {"reading": READ_S})


PART = PartKind(_open, _check, GpioSettings, "gpio", pace=_pace)

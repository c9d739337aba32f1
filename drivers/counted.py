"""A bench whose every shot is counted in the passport of its device."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from drivers.errors import LimitError
from drivers.passport import load_passport, save_passport
from drivers.timing import made

if TYPE_CHECKING:
    from drivers.bench import Bench
    from drivers.device import DeviceFile
    from drivers.signals import Capture, Frame, SlotTiming

SHOT_S = 2.0  # a bench never queues more than this


class CountedBench:
    """A bench that writes every shot into the passport of its device, and refuses to exceed the device's endurance."""

    def __init__(self, inner: Bench, device: DeviceFile, folder: Path | None = None) -> None:
        self._inner = inner
        self._folder = folder
        self.device = device
        self.passport = load_passport(device.id, folder)

    @property
    def identity(self) -> dict[str, str]:
        """Of the bench inside."""
        return self._inner.identity

    @property
    def tick_s(self) -> float:
        """Of the bench inside."""
        return self._inner.tick_s

    @property
    def temperature_c(self) -> float | None:
        """Of the bench inside."""
        return self._inner.temperature_c

    @property
    def spent_s(self) -> dict[str, float]:
        """Of the bench inside."""
        return self._inner.spent_s

    @property
    def threshold_v(self) -> float | None:
        """Of the bench inside."""
        return self._inner.threshold_v

    def set_threshold(self, volts: float) -> float:
        """See the bench inside."""
        return self._inner.set_threshold(volts)

    def make_safe(self) -> None:
        """See the bench inside."""
        self._inner.make_safe()

    def play(self, frames: Iterable[Frame]) -> Iterator[Capture]:
        """Play and count; raises LimitError before a frame that the device's endurance does not allow."""
        planned = [0, 0]

        def checked() -> Iterator[Frame]:
            for frame in frames:
                planned[0] += frame.total_pulses
                planned[1] += int(frame.played.sum())
                self._check(*planned)
                self._hold(frame.timing, frame.total_pulses)
                yield frame

        playing = self._inner.play(checked())
        try:
            for capture in playing:
                pulses, resets = capture.frame.total_pulses, int(capture.frame.played.sum())
                planned[0], planned[1] = planned[0] - pulses, planned[1] - resets
                self._count(pulses, resets, capture.bench_s)
                yield capture
        finally:
            # Closing first: only then is it sure that nothing more is played.
            close = getattr(playing, "close", None)
            if close is not None:
                close()
            self._settle(planned[0])

    def _check(self, pulses: int, resets: int) -> None:
        for what, had, more, most in (
            ("pulses", self.passport.pulses, pulses, self.device.endurance_pulses),
            ("resets", self.passport.resets, resets, self.device.endurance_resets),
        ):
            if had + more > most:
                raise LimitError(
                    f"device {self.device.id!r} has had {had:,} {what} and would get {more:,} more; "
                    f"its file allows {most:,} in its life"
                )

    def _hold(self, timing: SlotTiming, pulses: int) -> None:
        """Before a frame: a bench that is killed may have played what it queues at most."""
        fastest_hz = made(timing, self.tick_s, pulses).rate_hz
        self._update(in_hand=min(pulses, math.ceil(SHOT_S * fastest_hz)))

    def _count(self, pulses: int, resets: int, seconds: float) -> None:
        was = self.passport
        self._update(pulses=was.pulses + pulses, resets=was.resets + resets, played_s=was.played_s + seconds)

    def _settle(self, unplayed: int) -> None:
        """After playing: what was planned and not captured counts as far as it can have been played."""
        lost = min(unplayed, self.passport.in_hand)
        self._update(pulses=self.passport.pulses + lost, in_hand=0)

    def _update(self, **changes: object) -> None:
        self.passport = self.passport.model_copy(update=changes)
        save_passport(self.passport, self._folder)

    def __enter__(self) -> CountedBench:
        self._inner.__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        self._inner.__exit__(*exc)

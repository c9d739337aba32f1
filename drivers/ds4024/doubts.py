"""When two samples a pulse are not enough: noise that they do not bear, and shots that they cannot tell."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from drivers.signals import Capture

if TYPE_CHECKING:
    from drivers.signals import Trace

UNREADABLE_MOST = 3  # shots in a row that few samples could not tell, after which they are given up
NOISE_MOST = 0.05  # of the swing, 26 dB: in more, few samples take a runt of a third of a pulse for rest


class FewSamples:
    """Whether a session takes shots with few samples, where that is proven; once given up, no more."""

    def __init__(self) -> None:
        self.on_trial: bool | None = None  # taken so, or in full, whatever is proven
        self._unreadable = 0
        self._given_up = False

    @contextmanager
    def taking(self, *, sparse: bool) -> Iterator[None]:
        """Shots within are taken with few samples, or in full, whatever is proven."""
        self.on_trial = sparse
        try:
            yield
        finally:
            self.on_trial = None

    def wanted(self, *, proven: bool) -> bool:
        """Whether the next shot is taken with few samples, where the instrument is `proven` to bear that."""
        return proven and not self._given_up if self.on_trial is None else self.on_trial

    def judged(self, capture: Capture, threshold_v: float) -> Capture:
        """A capture that was taken with few samples: with no slot ok in noise that they do not bear. That it gives them
        up is noted.
        """
        axon = next((trace for trace in capture.traces if trace.name == "axon"), None)
        noise = 0.0 if axon is None else rest_noise(axon, threshold_v)
        if noise > NOISE_MOST:
            why = (
                f"the axon's noise is {noise:.0%} of its pulses, and they bear {NOISE_MOST:.0%}: check the ground clip "
                "of its probe and the probe's switch"
            )
            return self._give_up(_nothing_told(capture), why)
        self._unreadable = 0 if capture.ok.any() else self._unreadable + 1
        if self._unreadable < UNREADABLE_MOST:
            return capture
        return self._give_up(
            capture, f"{self._unreadable} shots in a row could not be told ({'; '.join(capture.notes)})"
        )

    def _give_up(self, capture: Capture, why: str) -> Capture:
        if self.on_trial is not None:  # whoever tries says what comes of it
            return replace(capture, notes=(*capture.notes, why))
        self._given_up = True
        note = f"two samples a pulse are not used any more: {why}; run hil doctor --loopback"
        return replace(capture, notes=(*capture.notes, note))


def _nothing_told(capture: Capture) -> Capture:
    """With no slot ok, and nothing but its traces."""
    shot = capture.frame
    nothing = np.zeros(len(shot), dtype=np.int32)
    return Capture(shot, nothing, np.zeros(len(shot)), ~shot.played, capture.bench_s, traces=capture.traces)


def rest_noise(axon: Trace, threshold_v: float) -> float:
    """Noise, rms, before the trigger, as a share of a pulse that the threshold lies in the middle of."""
    before = axon.codes[: max(2, round(-axon.x_origin_s / axon.x_increment_s))].astype(np.float64)
    rest_v = (before.mean() - axon.y_origin - axon.y_reference) * axon.y_increment_v
    noise_v = np.diff(before).std() / np.sqrt(2) * abs(axon.y_increment_v)
    return float(noise_v / max(2 * abs(threshold_v - rest_v), abs(axon.y_increment_v)))

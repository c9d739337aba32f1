"""Does a frame's answer fit the calibration at all? A stuck line must never pass for a quiet digit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from drivers.bench import CaptureError

if TYPE_CHECKING:
    from calibration.transfer import TransferCurve
    from drivers.signals import FrameKey, IntArray

SIGMAS = 8.0  # a sound frame is refused once in about 1e15
SLACK = 0.15  # of the expected spikes: slow drift is the sentinel's business, not this one's


class ImplausibleError(CaptureError):
    """The spikes of the frame with this key cannot come from its pulses."""

    def __init__(self, key: FrameKey, text: str) -> None:
        super().__init__(text)
        self.key = key


def check_plausible(key: FrameKey, curve: TransferCurve, pulses: IntArray, spikes: IntArray) -> None:
    """Raise ImplausibleError when a frame's spikes (slots,) cannot come from its pulses (slots,) through the curve.

    Slots are independent, so the total has the sum of the measured means and variances. The limits catch an axon or
    a dendrite that is stuck, and a select address that does not close when there are at most four.
    """
    expected = float(np.interp(pulses, curve.pulses, curve.mean_spikes).sum())
    sd = float(np.sqrt(np.interp(pulses, curve.pulses, curve.sd_spikes**2).sum()))
    found = int(spikes.sum())
    if abs(found - expected) > SIGMAS * sd + SLACK * expected + 1:
        raise ImplausibleError(
            key,
            f"image {key.image}: {found} spikes where the calibration expects {expected:.0f} ± {sd:.0f}: "
            "run hil doctor --loopback, then calibrate again",
        )

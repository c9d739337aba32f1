"""What no working bench does: a floor under every calibration, which no calibration can lower.

A fault that is there while calibrating is learnt: a dead axon gives a curve without spikes, which every silent run then
fits, and a select address that never closes gives one that is too low by its share.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from drivers.errors import CalibrationError

LEAST_GAIN = 0.005  # spikes a pulse at full scale: a spike in two hundred pulses tells nothing from nothing
MOST_GAIN = 1.05  # a pulse makes one spike at most; more come of a neuron that fires at rest
LEAST_RISE = 1.05  # of the spikes without pulses to those at full scale
LEAST_SHARE = 0.5  # of the address that answers best; sound ones differ by a few per cent
TELLING = 200  # spikes of the best address, from which on half of them is no chance (less than one in 10¹⁰)
ADVICE = "run hil doctor --loopback, mend what it names, then calibrate again"


class Curve(Protocol):
    """What is looked at of a transfer curve, see `calibration.transfer`."""

    @property
    def pulses(self) -> NDArray[np.int64]:
        """(k,) pulses a slot, rising."""
        ...

    @property
    def mean_spikes(self) -> NDArray[np.float64]:
        """(k,) spikes a slot."""
        ...

    @property
    def made_v(self) -> float:
        """V_th as it was made."""
        ...


def check_curve(curve: Curve) -> None:
    """Raise CalibrationError for a curve that no neuron has: no spikes, as many without pulses as with them, or more
    than pulses, as where the rest state is above V_th.
    """
    most, mean = int(curve.pulses[-1]), float(curve.mean_spikes[-1])
    if mean < LEAST_GAIN * most:
        raise CalibrationError(
            f"{mean:.2g} spikes a slot of {most} pulses at V_th = {curve.made_v:.3g} V: the axon or the dendrite is "
            f"dead, or V_th is too high; {ADVICE}"
        )
    if mean > MOST_GAIN * most + 1:
        raise CalibrationError(
            f"{mean:.3g} spikes a slot of {most} pulses at V_th = {curve.made_v:.3g} V: the neuron fires at rest; V_th "
            f"is below what its low-resistance state makes, or its reset does not bring it there; {ADVICE}"
        )
    silent = float(curve.mean_spikes[0])
    if most and mean < LEAST_RISE * silent:
        raise CalibrationError(
            f"{silent:.2g} spikes a slot without pulses and {mean:.2g} with {most} at V_th = {curve.made_v:.3g} V: "
            f"pulses do not reach the neuron, or V_th is too low; {ADVICE}"
        )


def check_addresses(pulses: NDArray[np.integer], spikes: NDArray[np.integer], addresses: int) -> None:
    """Raise CalibrationError where a select address answers less than half as well as the best.

    `pulses`, `spikes`: (slots,) in the order of playing, slot i through address i mod `addresses`.
    """
    if addresses < 2:
        return
    at = np.arange(len(pulses)) % addresses
    sent, seen = (np.bincount(at, weights=found, minlength=addresses) for found in (pulses, spikes))
    gain = seen / np.maximum(sent, 1)
    best, worst = int(gain.argmax()), int(gain.argmin())
    if seen[best] >= TELLING and gain[worst] < LEAST_SHARE * gain[best]:
        raise CalibrationError(
            f"select address {worst} gives {gain[worst]:.2g} spikes a pulse where address {best} gives "
            f"{gain[best]:.2g}: its switch does not close; {ADVICE}"
        )

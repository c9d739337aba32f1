"""The sentinel: notices during a run that the neuron no longer answers as it was calibrated.

Every slot of a frame holds a known number of pulses, so every frame is a test: its total of spikes against what the
transfer curve expects. Two one-sided cumulative sums (Page, Biometrika 41:100, 1954) add up the standardised deviations
less an allowance. The allowance is half a standard deviation, plus twice the error that the curve itself may have, so
that an inexact calibration is not taken for drift; what the curve is wrong by is learnt from the first frames, within
its error, but for a part that differs from digit to digit. The decision limit gives one false alarm in
`FALSE_ALARM_FRAMES` frames, by Siegmund's approximation of the average run length (Sequential Analysis, 1985,
eq. 2.56).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from calibration.transfer import TransferCurve

FALSE_ALARM_FRAMES = 100_000
ALLOWANCE = 0.5  # standard deviations of one frame
SETTLING_FRAMES = 25
MOST_BIAS = 3.0  # standard errors of the curve that may be learnt; what is more than that was never its error
UNLEARNT = 0.5  # of the curve's error, for it differs with the counts, and digits differ in those
CURVE_ERRORS = 2.0  # standard errors of the curve that are not yet drift


def decision_limit(frames: float = FALSE_ALARM_FRAMES, allowance: float = ALLOWANCE) -> float:
    """The h for a mean of `frames` frames between false alarms of two one-sided sums, by Siegmund's formula."""
    from scipy.optimize import brentq

    def excess(h: float) -> float:
        b = 2 * allowance * (h + 1.166)
        return float((np.exp(b) - b - 1) / (2 * allowance**2) / 2 - frames)

    root: float = brentq(excess, 0.0, 100.0)
    return root


@dataclass(frozen=True)
class Expected:
    """What a frame should give: total spikes, their standard deviation, and the standard error of the curve in it."""

    spikes: float
    sd: float
    curve_error: float


def expected_spikes(curve: TransferCurve, pulses: NDArray[np.integer]) -> Expected:
    """For slots of `pulses` (slots,), independent as resets make them."""
    spikes = np.interp(pulses, curve.pulses, curve.mean_spikes).sum()
    variance = np.interp(pulses, curve.pulses, curve.sd_spikes**2).sum()
    share = np.bincount(
        np.clip(np.searchsorted(curve.pulses, pulses), 0, len(curve.pulses) - 1), minlength=len(curve.pulses)
    )
    error = np.sqrt(((share * curve.sd_spikes) ** 2 / np.maximum(curve.slots, 1)).sum())
    return Expected(float(spikes), float(np.sqrt(variance)), float(error))


@dataclass(frozen=True)
class Drift:
    """An alarm: relative change of the spikes since the sum began to grow, and over how many frames."""

    change: float
    frames: int

    def __str__(self) -> str:
        more = "more" if self.change > 0 else "fewer"
        return (
            f"the neuron has drifted: {abs(self.change):.1%} {more} spikes than calibrated, "
            f"over the last {self.frames} frames"
        )


@dataclass
class _Sum:
    """One one-sided sum, and what was seen since it last was at zero."""

    sign: int
    value: float = 0.0
    frames: int = 0
    found: float = 0.0
    expected: float = 0.0

    def add(self, z: float, allowance: float, found: float, expected: float) -> None:
        self.value += self.sign * z - allowance
        self.frames, self.found, self.expected = self.frames + 1, self.found + found, self.expected + expected
        if self.value <= 0:
            self.value, self.frames, self.found, self.expected = 0.0, 0, 0.0, 0.0


@dataclass
class _Bias:
    """What the curve is wrong by, as a share of the spikes: its own error as the prior, the first frames as data."""

    frames: int = 0
    found: float = 0.0
    expected: float = 0.0
    variance: float = 0.0

    def estimate(self, error: float) -> tuple[float, float]:
        """Mean and standard deviation, for a curve whose relative standard error is `error`."""
        if self.frames == 0:
            return 0.0, error
        seen, spread2 = self.found / self.expected - 1, self.variance / self.expected**2
        weight = error**2 / (error**2 + spread2)
        mean = float(np.clip(seen * weight, -MOST_BIAS * error, MOST_BIAS * error))
        return mean, max(float(np.sqrt(weight * spread2)), UNLEARNT * error)

    def add(self, expected: Expected, found: float) -> None:
        if self.frames < SETTLING_FRAMES:
            self.frames, self.found = self.frames + 1, self.found + found
            self.expected, self.variance = self.expected + expected.spikes, self.variance + expected.sd**2


@dataclass
class Sentinel:
    """Fed with every frame since the calibration, in order."""

    limit: float = field(default_factory=decision_limit)
    _bias: _Bias = field(default_factory=_Bias)
    _up: _Sum = field(default_factory=lambda: _Sum(+1))
    _down: _Sum = field(default_factory=lambda: _Sum(-1))

    def state(self) -> dict[str, Any]:
        """All that it has seen, as JSON values."""
        return {"limit": self.limit, "bias": asdict(self._bias), "up": asdict(self._up), "down": asdict(self._down)}

    @classmethod
    def of(cls, state: Mapping[str, Any]) -> Sentinel:
        """Back from `state`; it goes on as if it had never stopped."""
        return cls(state["limit"], _Bias(**state["bias"]), _Sum(**state["up"]), _Sum(**state["down"]))

    @property
    def statistic(self) -> float:
        """The larger of the two sums, 0 or more; an alarm comes when it passes the limit."""
        return max(self._up.value, self._down.value)

    def feed(self, expected: Expected, found: int) -> Drift | None:
        """Add one frame's total; an alarm, once, when a sum passes the limit. Frames expecting nothing are skipped."""
        if expected.sd <= 0:
            return None
        bias, doubt = self._bias.estimate(expected.curve_error / expected.spikes)
        self._bias.add(expected, found)
        spikes = expected.spikes * (1 + bias)
        allowance = ALLOWANCE + CURVE_ERRORS * doubt * expected.spikes / expected.sd
        z = (found - spikes) / expected.sd
        for one in (self._up, self._down):
            one.add(z, allowance, found, spikes)
        alarmed = max((self._up, self._down), key=lambda one: one.value)
        if alarmed.value <= self.limit:
            return None
        drift = Drift(alarmed.found / alarmed.expected - 1, alarmed.frames)
        self._up, self._down = _Sum(+1), _Sum(-1)
        return drift

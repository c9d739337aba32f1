"""Does a frame's answer fit the calibration? A stuck line must not pass for a quiet digit, nor drift for an answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from calibration.sentinel import Expected, Sentinel, expected_spikes
from drivers.errors import CalibrationError, CaptureError

if TYPE_CHECKING:
    from calibration.transfer import TransferCurve
    from drivers.signals import FrameKey, IntArray

Policy = Literal["warn", "stop", "recalibrate"]
SIGMAS = 8.0  # a sound frame is refused once in about 1e15
SLACK = 0.15  # of the expected spikes: slow drift is the sentinel's business, not this one's
LASTING_FRAMES = 10  # that a calibration in a run must hold, for another one to make sense
QUIET_FRAMES = 100  # between warnings: what has drifted stays so


class ImplausibleError(CaptureError):
    """The spikes of the frame with this key cannot come from its pulses."""

    def __init__(self, key: FrameKey, text: str) -> None:
        super().__init__(text)
        self.key = key


def check_plausible(key: FrameKey, expected: Expected, found: int) -> None:
    """Raise ImplausibleError when a frame's total of spikes cannot come from its pulses.

    The limits catch an axon or a dendrite that is stuck, and a select address that does not close when there are at
    most four.
    """
    if abs(found - expected.spikes) > SIGMAS * expected.sd + SLACK * expected.spikes + 1:
        raise ImplausibleError(
            key,
            f"image {key.image}: {found} spikes where the calibration expects "
            f"{expected.spikes:.0f} ± {expected.sd:.0f}: run hil doctor --loopback, then calibrate again",
        )


@dataclass
class Judge:
    """Looks at every whole frame: refuses what cannot be, and notices when the neuron drifts.

    On drift it tells; then, by `policy`, goes on as calibrated ("warn"), ends the run ("stop"), or says that the curve
    is `stale` ("recalibrate"). Without a policy it only refuses, as in a replay, where nothing can be done any more.
    Each helping of a digit has a sentinel of its own: what is learnt of the curve's error at few pulses a slot says
    little of that at many.
    `alarms` were told and `renewals` followed, in all of the run; `frames` were judged since the last of either here.
    """

    policy: Policy | None
    tell: Callable[[str], None] = lambda _text: None
    sentinel: Sentinel = field(default_factory=Sentinel)
    alarms: int = 0
    renewals: int = 0
    frames: int = 0
    alarmed: tuple[int, int] | None = None  # noise and image of the frame that the last alarm came with
    later: dict[int, Sentinel] = field(default_factory=dict)  # of second helpings and on
    _measured: bool = False  # the curve, in this run

    @property
    def stale(self) -> bool:
        """Whether the curve has to be measured again."""
        return self.policy == "recalibrate" and self.alarms > self.renewals

    def __call__(self, key: FrameKey, curve: TransferCurve, pulses: IntArray, spikes: IntArray) -> None:
        """Raises ImplausibleError, CalibrationError."""
        expected, found = expected_spikes(curve, pulses), int(spikes.sum())
        check_plausible(key, expected, found)
        self.frames += 1
        if self.policy is None or self.stale:  # frames that were under way when the curve was found to be stale
            return
        drift = self._sentinel_of(key.helping).feed(expected, found)
        if drift is None or (self.policy == "warn" and self.alarms and self.frames < QUIET_FRAMES):
            return
        self.alarms += 1
        self.alarmed = key.noise, key.image
        self.tell(str(drift))
        frames, self.frames = self.frames, 0
        if self.policy == "stop":
            raise CalibrationError(f"{drift}; run hil calibrate transfer, then begin anew")
        if self._measured and frames < LASTING_FRAMES:
            raise CalibrationError(
                f"{drift}: faster than calibrating it again can follow; let it settle, look at it with "
                "hil characterize, then begin anew"
            )

    def _sentinel_of(self, helping: int) -> Sentinel:
        return self.sentinel if helping == 0 else self.later.setdefault(helping, Sentinel(self.sentinel.limit))

    def state(self) -> dict[str, Any]:
        """All that a later frame's judgement depends on, as JSON values: recorded with every result."""
        counts = {"alarms": self.alarms, "renewals": self.renewals, "frames": self.frames, "measured": self._measured}
        later = {"later": {str(n): one.state() for n, one in self.later.items()}} if self.later else {}
        return {**counts, "alarmed": self.alarmed, "sentinel": self.sentinel.state(), **later}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a recorded state."""
        self.alarms, self.renewals, self.frames = state["alarms"], state["renewals"], state["frames"]
        self.alarmed = tuple(state["alarmed"]) if state["alarmed"] is not None else None
        self._measured, self.sentinel = state["measured"], Sentinel.of(state["sentinel"])
        self.later = {int(n): Sentinel.of(one) for n, one in state.get("later", {}).items()}

    def renewed(self) -> None:
        """The curve has been measured again, or found in the run file."""
        self.sentinel, self.frames, self._measured = Sentinel(self.sentinel.limit), 0, True
        self.later.clear()
        self.renewals += 1

"""What a run is made of, frozen: everything needed to do it again, resume it or replay it."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from calibration.storedcurve import CurveFact
from drivers.benchfile import BenchFile
from drivers.device import DeviceFile
from drivers.errors import InputError
from drivers.signals import SlotTiming
from hil.network.encode import Coding
from hil.network.physical import Physical, parse_physical
from hil.network.pooled import Play
from hil.network.source import DigitSource
from hil.network.weights import Sign
from hil.run.judge import Policy

TEST_DIGITS = 10_000
DEFAULT_FULL_SCALE = {"conv1": 32, "conv2": 128, "fc1": 256, "fc2": 1024}


class RunConfig(BaseModel):
    """One command's settings, as stored in its run file; `noise` are the shares of zeroed pixels in percent.

    With `helpings`, pulses of a full-scale drive, a digit's one layer on the neuron is played until its confidence
    reaches `sure`. Runs of before `coding` coded whole sums of every layer.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="constants")

    command: Literal["run", "evaluate"]
    digits: str
    noise: tuple[int, ...] = (0,)
    physical: str = "conv1"
    seed: int = 0
    vth_v: float
    timing: SlotTiming
    bench: BenchFile
    device: DeviceFile
    fidelity: Literal["pulses", "counts"] = "pulses"
    traces: bool = False
    weights_path: str | None = None
    weights_digest: str
    full_scale_pulses: dict[str, int] = Field(default_factory=lambda: dict(DEFAULT_FULL_SCALE))
    curve: CurveFact | None = None
    calibration_id: str = ""
    drift: Policy = "warn"
    play: Play = "all"
    sign: Sign = "positive"
    helpings: tuple[int, ...] = ()
    sure: float = 1.0
    coding: Coding = "sums"
    source: DigitSource = DigitSource()

    @property
    def parts(self) -> tuple[Physical, ...]:
        """What is played on the neuron."""
        return parse_physical(self.physical, 1 if self.sign == "positive" else 2)

    @property
    def images(self) -> range:
        """The indices of the digits."""
        return parse_digits(self.digits, self.source.count)


def parse_digits(text: str, count: int = TEST_DIGITS) -> range:
    """`a:b` (b not included), `a:` or a single index, within the `count` digits there are; raises InputError."""
    head, colon, tail = text.partition(":")
    try:
        start = int(head) if head or not colon else 0  # of an empty text int() complains
        stop = (int(tail) if tail else count) if colon else start + 1
    except ValueError as error:
        raise InputError(f"digits {text!r}: give a:b or one index, for example 0:10") from error
    if not 0 <= start < stop <= count:
        raise InputError(f"digits {text!r} are outside the test set: allowed 0:{count}, and not empty")
    return range(start, stop)


def noisy(images: NDArray[np.uint8], index: NDArray[np.int64], noise: int, seed: int) -> NDArray[np.uint8]:
    """Images (n, 28, 28) with `noise` percent of their pixels set to zero, the same ones for an image every time."""
    from hil.network.mnist import zero_pixels

    if noise == 0:
        return images
    return np.stack(
        [
            zero_pixels(image[None], noise / 100, np.random.default_rng([seed, noise, int(i)]))[0]
            for image, i in zip(images, index, strict=True)
        ]
    )

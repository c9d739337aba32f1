"""When to stop: an answer is taken as soon as its confidence reaches a threshold that was found on training digits.

The error of the rule is the share of digits that are stopped early with another answer than all helpings would have
given. It is counted on digits that no network was trained on, and told as its one-sided 95 % limit (Clopper and
Pearson, Biometrika 26:404, 1934).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drivers.errors import CalibrationError

CERTAINTY = 0.95


@dataclass(frozen=True)
class Rule:
    """Stop where the confidence is at least `sure`; how many of `digits` that stopped, and stopped with another answer.

    `error` is the upper limit of the share of the latter among all digits.
    """

    sure: float
    digits: int
    stopped: int
    otherwise: int
    error: float


def find_rule(confidence: NDArray[np.floating], changed: NDArray[np.bool_], most_error: float) -> Rule:
    """The rule that stops most digits with an error of at most `most_error`.

    `confidence` (digits, helpings − 1) is that of each answer but the last, `changed` whether that answer differs from
    the last one. Raises CalibrationError when there are too few digits to promise so little.
    """
    digits = len(confidence)
    best: Rule | None = None
    before, error = -1, 1.0
    for sure in np.unique(np.concatenate([confidence.ravel(), [np.nextafter(1.0, 2.0)]]))[::-1]:
        reached = confidence >= sure
        stops = reached.any(axis=1)
        where = reached.argmax(axis=1)
        otherwise = int((stops & changed[np.arange(digits), where]).sum())
        if otherwise != before:
            before, error = otherwise, upper_limit(otherwise, digits)
        if error > most_error:
            break
        best = Rule(float(sure), digits, int(stops.sum()), otherwise, error)
    if best is None:
        raise CalibrationError(
            f"{digits} digits cannot promise an error of at most {most_error:g}; at least "
            f"{int(np.ceil(np.log(1 - CERTAINTY) / np.log1p(-most_error)))} are needed"
        )
    return best


def upper_limit(events: int, trials: int) -> float:
    """Of the chance of an event that was seen so often in so many trials."""
    from scipy.special import betaincinv

    return float(betaincinv(events + 1, trials - events, CERTAINTY)) if events < trials else 1.0

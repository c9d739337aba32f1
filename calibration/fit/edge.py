"""An edge of the threshold window: where the chance to fire, falling with V_th, passes a level.

P(fire | V) = Φ((ln V_e − ln V) / w + z), with z such that it is the wanted level at V_e. Where a single draw decides (a
low-resistance state against the threshold) one width w does. Where many pulses do, the chance falls slowly up to V_e
and steeply beyond, since the resistance has an upper bound: there w may differ on the two sides (z = 0).
The likelihood is evaluated on a grid, which needs no start and no luck, and is honest when all slots below some V fire
and none above (then the interval is the gap between them).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import log_ndtr, ndtri

from calibration.estimate import CHI2_95, Estimate
from calibration.tally import Floats

_WIDTHS = (2e-4, 1.0)  # of w, in ln V
_POINTS, _WIDTH_POINTS = 161, 81
_MARGIN = 1.15  # a step of the coarsest grid of widths
_NEGLIGIBLE = 12.0  # likelihoods smaller by exp(−12) are not looked at again when zooming in


@dataclass(frozen=True)
class Edge:
    """`at_v` where the chance passes the level, with its 95 % profile interval; `width` is w (mean of the two sides),
    in ln V; `median_v` where the chance is a half.
    """

    at_v: Estimate
    width: float
    median_v: float

    @property
    def half_width(self) -> float:
        """Of the interval, in ln V; inf when an end is not known."""
        if self.at_v.lo is None or self.at_v.hi is None:
            return float("inf")
        return float(np.log(self.at_v.hi / self.at_v.lo)) / 2


def fit_edge(
    vth_v: Floats, fired: Floats, tries: Floats, limits_v: tuple[float, float], *, level: float, two_sided: bool
) -> Edge:
    """Fit an edge within `limits_v` to `fired` of `tries` at `vth_v`, all (n,); `two_sided` needs level 0.5."""
    z, x = float(ndtri(level)), np.log(vth_v)
    lo, hi = np.log(limits_v)
    w_lo, w_hi = _WIDTHS
    at, profile, width = np.empty(0), np.empty(0), np.empty(0)
    for _ in range(4):  # zoom in: each time to where the likelihood is not negligible
        at = np.linspace(lo, hi, _POINTS)
        widths = np.geomspace(w_lo, w_hi, _WIDTH_POINTS)
        profile, width = _profile(at, widths, x, fired, tries, z, two_sided=two_sided)
        near = np.flatnonzero(profile > profile.max() - _NEGLIGIBLE)
        lo, hi = at[max(near[0] - 1, 0)], at[min(near[-1] + 1, _POINTS - 1)]
        if not two_sided:  # V_e and w go together then, and w has to be as fine
            w_lo, w_hi = max(width[near].min() / _MARGIN, w_lo), min(width[near].max() * _MARGIN, w_hi)
    inside = np.flatnonzero(profile > profile.max() - CHI2_95 / 2)
    top = np.flatnonzero(profile > profile.max() - 1e-3)  # a flat top has no best point: take its middle
    value, w = float(np.exp(at[top].mean())), float(width[top].mean())
    ends = np.exp([at[max(inside[0] - 1, 0)], at[min(inside[-1] + 1, _POINTS - 1)]]).tolist()
    return Edge(Estimate(value=value, lo=ends[0], hi=ends[1]), w, float(value * np.exp(z * w)))


def _profile(
    at: Floats, widths: Floats, x: Floats, fired: Floats, tries: Floats, z: float, *, two_sided: bool
) -> tuple[Floats, Floats]:
    """(points,) log-likelihood at its best width for every V_e in `at`, and that width."""
    sides = [np.zeros((len(at), len(widths))) for _ in range(1 + two_sided)]
    for xi, yes, n in zip(x, fired, tries, strict=True):
        score = (at[:, None] - xi) / widths + z
        term = yes * log_ndtr(score) + (n - yes) * log_ndtr(-score)
        if two_sided:
            below = (xi < at)[:, None]
            sides[0] += np.where(below, term, 0.0)
            sides[1] += np.where(below, 0.0, term)
        else:
            sides[0] += term
    best = [side.argmax(axis=1) for side in sides]
    total = np.sum([side[np.arange(len(at)), i] for side, i in zip(sides, best, strict=True)], axis=0)
    return total, np.mean([widths[i] for i in best], axis=0)

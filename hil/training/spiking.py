"""The neuron in the loop: conv1's drives come back as the spike counts of a renewal process would tell them.

The process is the generic one, or what a calibration record measured: the hazard of firing fitted to the histograms of
its transfer curve. Forward, whole pulses are sent, at most those of full scale, and spike counts are drawn; backward,
the gradient is that of their expectation: the drive itself up to full scale, and nothing above it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from drivers.errors import InputError
from hil.network.pooled import Play

PULSES_A_SPIKE = 4.0  # the generic neuron: mean of the pulses to fire,
VARIATION = 0.55  # and their coefficient of variation
CHANCES = 1_024  # equally likely outcomes that a slot's spike count is drawn from
MOST_PULSES = 128  # for a full-scale drive: the table of estimates grows with its square


@dataclass(frozen=True)
class Playing:
    """One way that conv1 is played in training: which neurons, pulses for a full-scale drive, and how often.

    No pulses at all means in software. `share` is relative to that of the other ways.
    """

    play: Play
    pulses: int
    share: int

    def __str__(self) -> str:
        return f"{self.play}:{self.pulses}" if self.pulses else "none"


SOFTWARE = Playing("all", 0, 1)


def parse_playings(text: str) -> tuple[Playing, ...]:
    """`pooled:8=5,all:32=2,none=1`: which neurons, full-scale pulses and share of each; raises InputError."""
    return tuple(_parse_playing(item, text) for item in text.split(","))


def _parse_playing(item: str, text: str) -> Playing:
    how, _, share = item.strip().partition("=")
    play, _, pulses = how.partition(":")
    if not share.isdecimal() or not 1 <= int(share) <= 128:
        raise InputError(f"--playing {text!r}: {item!r} needs a share of 1…128, for example pooled:8=5")
    if how == "none":
        return Playing("all", 0, int(share))
    if play not in ("all", "pooled") or not pulses.isdecimal() or not 1 <= int(pulses) <= MOST_PULSES:
        raise InputError(
            f"--playing {text!r}: {item!r}: give all:N, pooled:N or none, with N in 1…{MOST_PULSES} pulses "
            "for a full-scale drive"
        )
    return Playing("pooled" if play == "pooled" else "all", int(pulses), int(share))


@dataclass(frozen=True)
class Later:
    """A later layer that is played in training as `--coding excess` does, and its pulses for full scale."""

    name: str
    pulses: int

    def __str__(self) -> str:
        return f"{self.name}={self.pulses}"


def parse_later(text: str) -> tuple[Later, ...]:
    """`conv2=64,fc1=128`; raises InputError."""
    found = []
    for item in text.split(","):
        name, _, pulses = item.strip().partition("=")
        if name not in ("conv2", "fc1") or not pulses.isdecimal() or not 1 <= int(pulses) <= MOST_PULSES:
            raise InputError(f"--later {text!r}: {item!r}: give conv2=N or fc1=N with N in 1…{MOST_PULSES}")
        found.append(Later(name, int(pulses)))
    return tuple(found)


def portions(playings: tuple[Playing, ...], batch: int) -> list[tuple[Playing, int]]:
    """How many images of a batch are played in which way; every image in one, in proportion to the shares."""
    ends = np.cumsum([p.share for p in playings]) * batch / sum(p.share for p in playings)
    counts = np.diff(ends.round().astype(int), prepend=0)
    return [(playing, int(count)) for playing, count in zip(playings, counts, strict=True) if count]


class SpikingNeuron:
    """A neuron that forgets when it fires: pmf (K,) is P(N = k), k = 1…K, of the pulses to fire."""

    def __init__(self, pmf: NDArray[np.float64], name: str = "generic") -> None:
        self.pmf = pmf
        self.name = name

    @classmethod
    def generic(cls) -> SpikingNeuron:
        """Pulses to fire are gamma distributed and rounded up; nothing is taken from a device file."""
        from scipy.stats import gamma

        deviation = VARIATION * PULSES_A_SPIKE
        mean = PULSES_A_SPIKE - 0.5  # rounding up adds half a pulse
        shape, scale = (mean / deviation) ** 2, deviation**2 / mean
        return cls(np.diff(gamma.cdf(np.arange(MOST_PULSES + 1), shape, scale=scale)))

    @classmethod
    def of_record(cls, path: Path) -> SpikingNeuron:
        """As calibrated: the hazard fitted to the record's transfer curve. Raises InputError, CalibrationError."""
        from calibration.fit.hazard import fit_hazard
        from calibration.fit.renewal import hazard_to_pmf
        from calibration.record import load_record
        from calibration.tally import Tally

        record = load_record(path)
        curve = record.curve(record.timing_key, record.vth_v, 1)
        known = curve.pulses <= MOST_PULSES
        if curve.pulses[known].max() < 8:
            raise InputError(f"{path}: its transfer curve ends at {curve.pulses.max()} pulses; at least 8 are needed")
        fit = fit_hazard([(record.vth_v, Tally(curve.pulses[known], curve.histogram[known]))], v_terms=0)
        hazard = fit.hazard(record.vth_v)
        lasting = np.full(max(MOST_PULSES - len(hazard), 0), hazard[-1])
        return cls(hazard_to_pmf(np.concatenate([hazard, lasting])), f"calibration {record.id[:12]}")

    @cached_property
    def _tables(self) -> dict[int, torch.Tensor]:
        return {}

    def estimates(self, pulses: int) -> torch.Tensor:
        """(pulses + 1, CHANCES): the pulses that one slot's spike count tells of, for each number sent and each chance.

        Counts are turned back by the inverse of their mean, as a transfer curve is; see
        `calibration.transfer.TransferCurve.decode`.
        """
        if pulses not in self._tables:
            self._tables[pulses] = _estimates(self.pmf, pulses)
        return self._tables[pulses]


def _estimates(pmf: NDArray[np.float64], pulses: int) -> torch.Tensor:
    from calibration.fit.renewal import count_probabilities

    sent = np.arange(pulses + 1)
    cumulative = np.cumsum(count_probabilities(pmf, sent, pulses), axis=1)
    chance = (np.arange(CHANCES) + 0.5) / CHANCES
    spikes = np.minimum((chance[None, :, None] > cumulative[:, None, :]).sum(axis=2), pulses)
    mean = spikes.mean(axis=1)
    back = np.interp(sent, mean, sent)
    beyond = sent > mean[-1]
    half = min(int(np.searchsorted(mean, mean[-1] / 2)), pulses - 1)
    back[beyond] = pulses + (sent[beyond] - mean[-1]) * (pulses - half) / (mean[-1] - mean[half])
    return torch.from_numpy(back[spikes].astype(np.float32))


def as_spikes(drive: torch.Tensor, full_scale: torch.Tensor, estimates: torch.Tensor) -> torch.Tensor:
    """Drives (n, units, rows, columns) as a spiking neuron hands them back, of full scale (units,)."""
    limited = torch.minimum(drive, full_scale[:, None, None].to(drive.dtype))
    with torch.no_grad():
        scale, full = full_scale[:, None, None], len(estimates) - 1
        sent = (limited.float() / scale * full).round().clamp(0, full).int()
        # Four draws from each random word: drawing is what takes the time.
        words = torch.empty(-(-sent.numel() // 4), dtype=torch.int64, device=drive.device).random_()
        chance = words.view(torch.int16)[: sent.numel()].view(sent.shape) & (CHANCES - 1)
        back = estimates.flatten().index_select(0, (sent * CHANCES + chance).flatten()).view(sent.shape)
        change = (back / full * scale - limited.float()).to(drive.dtype)
    return limited + change


def pooled_spikes(
    halves: torch.Tensor, full_scale: torch.Tensor, estimates: torch.Tensor | None, play: Play
) -> torch.Tensor:
    """conv1's map after its max-pool (n, units, rows/2, columns/2), played as `play` says; no estimates: in software.

    `halves` (n, halves · units, rows, columns) are drives: of units, or of their positive halves and then of their
    negative ones, which are played one after the other and subtracted.
    """
    if estimates is None:
        return F.max_pool2d(_subtracted(halves, full_scale), 2)
    if play == "all":
        return F.max_pool2d(_subtracted(as_spikes(halves, full_scale, estimates), full_scale), 2)
    return _subtracted(as_spikes(_largest(halves, full_scale), full_scale, estimates), full_scale)


UNITS = 32


def _subtracted(halves: torch.Tensor, full_scale: torch.Tensor) -> torch.Tensor:
    return halves if len(full_scale) == UNITS else halves[:, :UNITS] - halves[:, UNITS:]


def _largest(halves: torch.Tensor, full_scale: torch.Tensor) -> torch.Tensor:
    """Of each 2×2 the drives of the neuron whose (subtracted) drive is largest."""
    if len(full_scale) == UNITS:
        return F.max_pool2d(halves, 2)
    _, where = F.max_pool2d(_subtracted(halves, full_scale), 2, return_indices=True)
    where = torch.cat([where, where], 1)
    return halves.flatten(2).gather(2, where.flatten(2)).view(where.shape)

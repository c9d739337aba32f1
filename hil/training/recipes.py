"""How each kind of network is trained: epochs, rates, and the ways that conv1 is played meanwhile."""

from __future__ import annotations

from dataclasses import dataclass

from hil.network.weights import Sign
from hil.training.spiking import SOFTWARE, Playing, parse_playings


@dataclass(frozen=True)
class Stage:
    """Some epochs at one peak learning rate; `zeroed` is the share of the images that have pixels zeroed."""

    epochs: int
    rate: float
    zeroed: float = 0.0
    playings: tuple[Playing, ...] = (SOFTWARE,)

    def __str__(self) -> str:
        playings = ",".join(f"{p}={p.share}" for p in self.playings)
        return f"{self.epochs} × {self.rate:g}, {self.zeroed:g}, {playings}"


@dataclass(frozen=True)
class Recipe:
    """How one kind of network is trained: from nothing, and from trained weights; `decay` is AdamW's weight decay."""

    stages: tuple[Stage, ...]
    further: tuple[Stage, ...]
    decay: float


_POSITIVE = parse_playings("pooled:8=5,pooled:12=2,pooled:32=3,all:32=3,none=3")
_DIFFERENTIAL = parse_playings("pooled:16=4,pooled:32=4,pooled:128=5,all:32=1,none=2")
RECIPES: dict[Sign, Recipe] = {
    "positive": Recipe(
        (Stage(10, 1e-2), Stage(10, 8e-3), Stage(12, 5e-3, 0.5, _POSITIVE)),
        (Stage(10, 3e-3, 0.5, _POSITIVE),),
        decay=0.0,
    ),
    "differential": Recipe(
        (Stage(8, 3e-3, 0.45, _DIFFERENTIAL),),
        (Stage(4, 1e-3, 0.45, _DIFFERENTIAL),),
        decay=0.02,
    ),
}

"""What a step of an acceptance has come to."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

State = Literal["ok", "failed", "not done"]


@dataclass(frozen=True)
class Done:
    """One step: its name, how it went, in words, its figures, and the pictures it left."""

    name: str
    state: State
    detail: str
    figures: dict[str, Any] = field(default_factory=dict)
    pictures: tuple[Path, ...] = ()

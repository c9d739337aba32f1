"""How far a run is and how it goes, kept up to date from what its file says: the state that a page shows.

Everything here is plain numbers and text for JSON; the same for a run that goes on and for one that is over.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from datetime import datetime
from statistics import median
from typing import TYPE_CHECKING, Any

from hil.network.layers import LAYERS
from hil.store.notes import Kinds
from hil.store.tail import News, ShotCost, Tail

if TYPE_CHECKING:
    from hil.run.config import RunConfig
    from hil.store.runfile import RunFile

_PACE_DIGITS = 20  # the last ones decide how long the rest will take
_MOST_EVENTS = 500
_SHOWN = ("noise", "index", "label", "answer", "confidence", "pulses", "spikes", "bench_s", "saturated", "stray")
_SUMS = ("shots", "pulses", "spikes", "retaken", "stray")


@dataclass
class Progress:
    """The digits done, the one under way, and the sums over all shots; `look` reads what is new."""

    config: RunConfig
    digits: dict[tuple[int, int], dict[str, Any]] = field(default_factory=dict)
    events: deque[tuple[str, str, str]] = field(default_factory=lambda: deque(maxlen=_MOST_EVENTS))
    totals: dict[str, int] = field(default_factory=lambda: dict.fromkeys(_SUMS, 0))
    bench_s: float = 0.0
    generation: int = 0
    _bench: dict[str, Any] = field(default_factory=dict)
    _parts_s: dict[str, float] = field(default_factory=dict)
    _last: ShotCost | None = None
    _paces_s: deque[float] = field(default_factory=lambda: deque(maxlen=_PACE_DIGITS))
    _ended_utc: str = ""
    _kinds: Kinds = field(default_factory=Kinds)
    _tail: Tail = field(default_factory=Tail)

    def look(self, run: RunFile) -> bool:
        """Read what has come; whether anything has. Raises RunFileError."""
        news = self._tail.read(run)
        if news.afresh:
            self._forget()
        self._shots(news)
        for result in news.results:
            digit = {name: result[name] for name in _SHOWN if name in result}
            self.digits[digit["noise"], digit["index"]] = digit
            self._bench = result.get("bench") or self._bench
            for part, seconds in (result.get("bench") or {}).get("parts_s", {}).items():
                self._parts_s[part] = self._parts_s.get(part, 0.0) + float(seconds)
        self.events.extend(news.events)
        return bool(news)

    def _forget(self) -> None:
        self.generation += 1
        self.digits.clear()
        self.events.clear()
        self.totals = dict.fromkeys(_SUMS, 0)
        self.bench_s, self._last, self._ended_utc = 0.0, None, ""
        self._parts_s.clear()
        self._paces_s.clear()
        self._kinds = Kinds()

    def _shots(self, news: News) -> None:
        for shot in news.shots:
            if shot.purpose.partition("+")[0] != self.config.command:  # after a "+" there is the helping
                continue
            before = self._last
            if before is not None and (before.noise, before.image) != (shot.noise, shot.image):
                if self._ended_utc <= before.taken_utc and self._ended_utc:  # otherwise the clock was put back
                    self._paces_s.append(_seconds(self._ended_utc, before.taken_utc))
                self._ended_utc = before.taken_utc
            self._last = shot
            for name, more in zip(_SUMS, (1, shot.pulses, shot.spikes, shot.bad_slots, shot.stray), strict=True):
                self.totals[name] += more
            self.bench_s += shot.bench_s
            self._kinds.add(shot.notes)

    @property
    def wanted(self) -> int:
        """Digits that the run is to do."""
        return len(self.config.images) * len(self.config.noise)

    @property
    def correct(self) -> int:
        """Digits answered rightly."""
        return sum(digit["answer"] == digit["label"] for digit in self.digits.values())

    def under_way(self) -> dict[str, Any] | None:
        """The digit whose shots come in now: where its last shot ended, of how many slots of its layer."""
        last = self._last
        if last is None or (last.noise, last.image) in self.digits:
            return None
        part = next((part for part in self.config.parts if part.layer.index == last.layer), None)
        if part is None:
            return None
        return {
            "noise": last.noise,
            "index": last.image,
            "layer": LAYERS[last.layer].name,
            "slots": min(last.first_slot + last.slots, part.slots),
            "of": part.slots,
        }

    def state(self, *, running: bool, size: int) -> dict[str, Any]:
        """What changes from look to look; `size` is that of the run file, bytes."""
        done, wanted = len(self.digits), self.wanted
        now = self.under_way()
        state = "complete" if done >= wanted else "running" if running else "interrupted"
        left_s = median(self._paces_s) * (wanted - done) if self._paces_s else None
        parts = sum(part.slots for part in self.config.parts)
        half = now["slots"] / max(parts, 1) if now is not None else 0.0
        return {
            "state": state,
            "progress": min(1.0, (done + half) / wanted),
            "left_s": left_s,
            "under_way": now if state != "complete" else None,
            "totals": {**self.totals, "bench_s": self.bench_s, "bytes": size},
            "bench": {
                "vth_v": self.config.vth_v,
                "temperature_c": self._bench.get("temperature_c"),
                "parts_s": self._parts_s,
            },
            "drift": self._bench.get("drift"),
            "events": list(self.events),
            "notes": [[noted.captures, noted.text] for noted in self._kinds.noted()],
        }


def _seconds(begin_utc: str, end_utc: str) -> float:
    return (datetime.fromisoformat(end_utc) - datetime.fromisoformat(begin_utc)).total_seconds()

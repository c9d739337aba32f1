"""What a simulated DS4024 records: its probes on the board, its trigger, and the states RUN, WAIT, TD and STOP.

Nothing happens in the background: whoever looks lets the past catch up. A record keeps what its probes saw, but its
samples are worked out only when somebody reads them, so that a record of 70 M points costs what is read of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from drivers.edges import SYNC
from drivers.mock.defects import Wire, defective
from drivers.mock.probe import sample
from drivers.mock.roughness import SMOOTH, Roughness

if TYPE_CHECKING:
    from drivers.mock.ds4024.settings import Channel, Horizontal

HISTORY_NS = (
    150_000_000_000  # how far back a running instrument looks for its latest record; the board remembers longer
)
_EARLY_NS = 1_000_000  # before a stretch, an axon pulse may have begun that lasts into it
_AXON_NS = 1 << 40  # longer than any axon pulse
_NOISE_BLOCK = 1 << 16
_LOOK_NS = 1_000  # between looks at signals that change without an edge
_EDGE_LOOKS_NS = (0, 20, 50, 120, 300, 800)  # after an event, where edges take their time
_SEARCH_NS = 20_000_000  # that are searched for a trigger at once
_MEAN_SAMPLES = 1_400  # that AC coupling is taken from

Times = NDArray[np.int64]


class Signals(Protocol):
    """What a probe sees: drivers.mock.past.Past, or anything that gives the same three."""

    def volts(self, signal: str, t_ns: Times) -> NDArray[np.float64]:
        """What a ×1 probe on `signal` sees at ascending times."""
        ...

    def lines(self, t0_ns: int, t1_ns: int) -> tuple[Times, NDArray[np.uint32]]:
        """Level changes of the lines in [t0, t1)."""
        ...

    def axon(self, t0_ns: int, t1_ns: int) -> tuple[Times, Times]:
        """Axon pulses that rise in [t0, t1)."""
        ...


class SignalSource(Signals, Protocol):
    """What a probe can be put on: drivers.mock.board.Board, or anything that gives the same."""

    def past(self, t0_ns: int, t1_ns: int) -> Signals:
        """What it does in [t0, t1), to be kept."""
        ...

    def remembered_ns(self) -> int:
        """Since when it can be asked."""
        ...


@dataclass(frozen=True)
class Probes:
    """Which signal hangs on which channel, by how much its probe attenuates, and what is wrong, as a fault.

    `wrong_gain` by signal; `defects` of the axon by the names in `drivers.mock.defects`.
    """

    source: SignalSource
    signals: dict[int, str]
    attenuation: float
    wrong_gain: dict[str, float]
    rough: Roughness = SMOOTH
    defects: tuple[str, ...] = ()

    def looks(self, number: int, t0_ns: int, t1_ns: int, kept: Signals) -> Times:
        """When to look at a channel in [t0, t1) so as to miss no extreme of it: before and after all that happens."""
        signal = self.signals.get(number)
        if signal in ("membrane", "vth"):
            return np.arange(t0_ns, t1_ns, _LOOK_NS, dtype=np.int64)
        changes, words = kept.lines(t0_ns, t1_ns)
        own = changes
        if signal in ("axon", "sync"):  # the two may be swapped
            changed = np.diff(words & np.uint32(SYNC), prepend=words[:1] & np.uint32(SYNC)) != 0
            own = np.concatenate([changes[changed], *kept.axon(t0_ns - _EARLY_NS, t1_ns)])
            changes = changes if signal == "axon" else changes[:0]  # nothing couples into sync
        offsets = (-1, *_EDGE_LOOKS_NS) if self.rough.rough or self.defects else (-1, 0)
        found: Times = np.concatenate([(own[:, None] + np.array(offsets)).ravel(), changes])
        within: Times = found[(found >= t0_ns) & (found < t1_ns)]
        return within

    def shown_v(self, number: int, view: Channel, t_ns: Times, kept: Signals | None = None) -> NDArray[np.float64]:
        """Volts as the screen scales them, of the board or of what was kept of it; 0 V with nothing on the channel."""
        signal = self.signals.get(number)
        if signal is None or view.coupling == "GND" or not len(t_ns):
            return np.zeros(len(t_ns))
        gain = view.probe / self.attenuation * self.wrong_gain.get(signal, 1.0)
        source = self.source if kept is None else kept
        return self._volts(source, signal, t_ns) * (-gain if view.invert else gain)

    def _volts(self, source: Signals, signal: str, t_ns: Times) -> NDArray[np.float64]:
        if signal != "axon" or not self.defects:
            return source.volts(signal, t_ns)
        rise, fall = source.axon(int(t_ns[0]), int(t_ns[-1]) + 1)
        width = int((fall - rise).min(initial=_AXON_NS))
        wire = Wire(lambda t: source.volts("axon", t), lambda t0, t1: source.axon(t0, t1)[0], width)
        for name in self.defects:
            wire = defective(wire, name)
        return wire.volts(t_ns)

    def crossings(self, number: int, view: Channel, level_v: float, slope: str, t0_ns: int, t1_ns: int) -> Times:
        """When the channel passes the level in (t0, t1]."""
        if t1_ns <= t0_ns:
            return np.empty(0, dtype=np.int64)
        kept = self.source.past(t0_ns, t1_ns + 1)
        look = np.unique(np.concatenate([[t0_ns], self.looks(number, t0_ns, t1_ns + 1, kept), [t1_ns]]))
        look = look[(look >= t0_ns) & (look <= t1_ns)]
        high = self.shown_v(number, view, look, kept) >= level_v
        up, down = ~high[:-1] & high[1:], high[:-1] & ~high[1:]
        found = {"POS": up, "NEG": down}.get(slope, up | down)
        return look[1:][found]


@dataclass(frozen=True)
class Record:
    """One acquisition in memory, as it was set when it was taken; `kept` is what its probes saw."""

    kept: Signals
    sequence: int
    start_ns: int
    pre_s: float
    horizontal: Horizontal
    channels: dict[int, Channel]

    @property
    def points(self) -> int:
        """Samples of each channel."""
        return self.horizontal.points

    def codes(self, probes: Probes, number: int, first: int, count: int, seed: int) -> NDArray[np.uint8]:
        """(count,) codes of a channel from sample `first` (from 0) on; the same samples read twice are the same."""
        if count == 0:
            return np.empty(0, dtype=np.uint8)
        view, rough = self.channels[number], probes.rough
        volts = probes.shown_v(number, view, self._times(np.arange(first, first + count), rough), self.kept)
        if view.coupling == "AC":
            thinned = np.linspace(0, self.points - 1, _MEAN_SAMPLES).astype(np.int64)
            volts = volts - probes.shown_v(number, view, self._times(thinned, rough), self.kept).mean()
        codes = np.empty(count, dtype=np.uint8)
        for block in range(first // _NOISE_BLOCK, (first + count - 1) // _NOISE_BLOCK + 1):
            codes_of = slice(max(block * _NOISE_BLOCK - first, 0), min((block + 1) * _NOISE_BLOCK - first, count))
            skipped = codes_of.start + first - block * _NOISE_BLOCK
            rng = np.random.default_rng([seed, self.sequence, number, block])
            noise = rng.standard_normal(_NOISE_BLOCK, dtype=np.float32)[skipped:][: codes_of.stop - codes_of.start]
            codes_off = rough.scope_offset_codes * (1 if number % 2 else -1)
            noisy = volts[codes_of] + (noise * rough.scope_noise_codes + codes_off) * view.y_increment
            codes[codes_of] = sample(noisy, view.scale, view.y_origin, rng, noise_codes=0.0)
        return codes

    def _times(self, at: NDArray[np.int64], rough: Roughness) -> Times:
        step_ns = 1e9 / self.horizontal.rate_hz * (1 + rough.scope_clock_ppm * 1e-6)
        return self.start_ns + np.round(at * step_ns).astype(np.int64)


@dataclass(frozen=True)
class Trigger:
    """An edge trigger."""

    channel: int
    slope: str
    level_v: float
    auto: bool


@dataclass(frozen=True)
class Setup:
    """All settings that shape an acquisition; `trigger` is None where nothing can trigger."""

    horizontal: Horizontal
    channels: dict[int, Channel]
    trigger: Trigger | None


class Acquisition:
    """Runs, stops and single shots, on the instrument's clock."""

    def __init__(self, probes: Probes) -> None:
        self.record: Record | None = None
        self.running = True
        self._probes = probes
        self._shown: Record | None = None  # what a running instrument shows until it has something newer
        self._sequence = 0
        self._since_ns = 0
        self._searched_ns = 0
        self._single = False
        self._trigger_ns: int | None = None
        self._forced = False
        self.deaf = False  # to triggers, as a fault

    def run(self, now_ns: int) -> None:
        """Acquire again and again."""
        self.running, self._single, self._trigger_ns = True, False, None
        self._forced = self.deaf = False
        self._since_ns = now_ns

    def single(self, now_ns: int) -> None:
        """Wait for one trigger; the memory is empty until it comes."""
        self.run(now_ns)
        self._single, self.record, self._searched_ns = True, None, now_ns
        self._shown = None

    def stop(self, now_ns: int, setup: Setup) -> None:
        """Keep the latest complete record of a run; a single shot without a trigger leaves the memory empty."""
        if self.running and not self._single:
            self.record = self.latest(now_ns, setup)
        self.running = False

    def force(self) -> None:
        """Trigger without an edge."""
        self._forced = True

    def halt_empty(self) -> None:
        """Stop with nothing in memory, as a fault."""
        self.running, self.record, self._shown = False, None, None

    def latest(self, now_ns: int, setup: Setup) -> Record | None:
        """What a running instrument shows, which is the last complete record; None before the first."""
        self._shown = self._newest(now_ns, setup) or self._shown
        return self._shown

    def _newest(self, now_ns: int, setup: Setup) -> Record | None:
        """A record of now; None if it is not complete yet, or without a trigger."""
        post_ns = round((setup.horizontal.record_s - setup.horizontal.pre_s) * 1e9)
        first_ns = max(self._since_ns + round(setup.horizontal.pre_s * 1e9), now_ns - HISTORY_NS)
        if now_ns - post_ns < first_ns:
            return None
        found = self._crossings(setup, max(first_ns, now_ns - post_ns - 1_000_000_000), now_ns - post_ns)
        if len(found):
            return self._take(int(found[-1]), setup)
        if setup.trigger is None or setup.trigger.auto:
            return self._take(now_ns - post_ns, setup)
        return None

    def status(self, now_ns: int, setup: Setup) -> str:
        """`:TRIGger:STATus?`."""
        if not self.running:
            return "STOP"
        if self._single and self._trigger_ns is not None:
            return "TD"
        if now_ns - self._since_ns < setup.horizontal.pre_s * 1e9:
            return "RUN"  # the record before the trigger is not full yet
        if self._single:
            return "WAIT"
        found = self._crossings(setup, now_ns - round(setup.horizontal.record_s * 1e9), now_ns)
        if len(found):
            return "TD"
        return "AUTO" if setup.trigger is None or setup.trigger.auto else "WAIT"

    def advance(self, now_ns: int, setup: Setup) -> None:
        """Let a single shot catch up: find its trigger, and end it when its record is full."""
        if not (self.running and self._single):
            return
        if self._trigger_ns is None:
            ready_ns = self._since_ns + max(0, round(setup.horizontal.pre_s * 1e9))
            if self._forced:
                self._trigger_ns = max(now_ns, ready_ns)
            else:
                self._trigger_ns = self._first_crossing(setup, max(self._searched_ns, ready_ns), now_ns)
                self._searched_ns = max(self._searched_ns, now_ns)
        if self._trigger_ns is None:
            return
        if now_ns >= self._trigger_ns + round((setup.horizontal.record_s - setup.horizontal.pre_s) * 1e9):
            self.record = self._take(self._trigger_ns, setup)
            self.running = False

    def _first_crossing(self, setup: Setup, t0_ns: int, t1_ns: int) -> int | None:
        """The first trigger in (t0, t1]: what comes after it need not be looked at."""
        while t0_ns < t1_ns:
            until_ns = min(t0_ns + _SEARCH_NS, t1_ns)
            found = self._crossings(setup, t0_ns, until_ns)
            if len(found):
                return int(found[0])
            t0_ns = until_ns
        return None

    def _crossings(self, setup: Setup, t0_ns: int, t1_ns: int) -> Times:
        trigger = setup.trigger
        if trigger is None or self.deaf:
            return np.empty(0, dtype=np.int64)
        view = setup.channels[trigger.channel]
        t0_ns = max(t0_ns, self._probes.source.remembered_ns())
        return self._probes.crossings(trigger.channel, view, trigger.level_v, trigger.slope, t0_ns, t1_ns)

    def _take(self, trigger_ns: int, setup: Setup) -> Record:
        self._sequence += 1
        pre_s = setup.horizontal.pre_s
        start_ns = trigger_ns - round(pre_s * 1e9)
        end_ns = start_ns + round(setup.horizontal.record_s * 1e9) + 1
        kept = self._probes.source.past(max(start_ns, self._probes.source.remembered_ns()), end_ns)
        channels = dict(setup.channels)
        return Record(kept, self._sequence, start_ns, pre_s, setup.horizontal, channels)

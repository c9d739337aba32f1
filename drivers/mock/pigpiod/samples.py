"""What samples of the pins show, and the filters that clients put on some of them.

Levels are looked at every 5 µs unless `pigpiod -s` says otherwise, so that a pulse shorter than that may be missed.
Ticks are those of the samples: that the real daemon puts them right every 25 samples is not modelled. By how much a
sample is off decides its own time, whoever looks at it and when: so it is worked out once for as long as levels are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from drivers.mock.physics.random import sequence_keys, uniforms_at
from drivers.mock.pigpiod.filters import Glitch, Noise

if TYPE_CHECKING:
    from drivers.mock.pigpiod.foresight import Stretch

Times = NDArray[np.int64]
Words = NDArray[np.int64]
SAMPLES_US = (1, 2, 4, 5, 8, 10)  # what -s may be
SAMPLE_US = 5
OFF_MOST = 0.25  # of a sample: a level that lasts two of them is never missed (pigpio.h v79, gpioCfgClock)


class Samples:
    """Samples of GPIO 0-31 every `sample_us`, off by `jitter_s`, rms: the pacing catches up with what contention
    delays, so that two samples stay less than one and a half apart, and what lasts two is never missed.
    """

    def __init__(self, sample_us: int = SAMPLE_US, jitter_s: float = 0.0, seed: int = 0) -> None:
        self.step_ns = sample_us * 1000
        self._jitter_ns = jitter_s * 1e9
        self._key = sequence_keys(seed, 0x5A3B, 1)[0]
        self._raw = 0  # the level at the last sample
        self._filters: dict[tuple[int, bool], Glitch | Noise] = {}  # pin, whether of noise
        self._of: Stretch | None = None  # the latest that was looked at
        self._at_ns: Times = np.empty(0, dtype=np.int64)  # of its changes, when the first sample shows each

    def begin(self, level: int) -> None:
        """What the level is is known, and nothing was between."""
        self._raw = level

    def filter_glitches(self, pin: int, steady_us: int) -> None:
        """Show a level of this pin only once it has been steady for so long; 0 ends that."""
        self._filters.pop((pin, False), None)
        if steady_us:
            self._filters[pin, False] = Glitch(steady_us * 1000, self.step_ns)

    def filter_noise(self, pin: int, steady_us: int, active_us: int, now_ns: int) -> None:
        """Show this pin for a while after a change that a steady level came before; 0 ends that."""
        self._filters.pop((pin, True), None)
        if steady_us:
            self._filters[pin, True] = Noise(steady_us * 1000, active_us * 1000, self.step_ns, now_ns)

    def shown(self, since_ns: int, now_ns: int, look: Callable[[int, int], Stretch], known: int) -> tuple[Times, Words]:
        """What samples in (since, now] show, both of them whole samples: when (ns) the level changes, and to what.

        `known` is the level that clients were told last.
        """
        stretch = look(since_ns, now_ns)
        if stretch is not self._of:
            self._of, self._at_ns = stretch, self._instants(stretch.t_ns)
        first, last = (int(stretch.t_ns.searchsorted(at, "right")) for at in (since_ns, now_ns))
        at = np.minimum(np.maximum(self._at_ns[first:last], since_ns + self.step_ns), now_ns)
        words = stretch.words[first:last]
        at_first = int(stretch.words[first - 1]) if first else stretch.before
        if at_first != self._raw:  # what was between has not been seen
            at, words = np.append(since_ns, at), np.append(at_first, words)
        if not len(at):
            return (at, words) if not self._filters else self._filtered(self._raw, since_ns, now_ns, at, words, known)
        last_of_sample = np.ones(len(at), dtype=np.bool_)
        np.not_equal(at[1:], at[:-1], out=last_of_sample[:-1])
        at, words = at[last_of_sample], words[last_of_sample]
        before, self._raw = self._raw, int(words[-1])
        return (at, words) if not self._filters else self._filtered(before, since_ns, now_ns, at, words, known)

    def _instants(self, t_ns: Times) -> Times:
        """(n,) when the first sample comes that shows what changes at times (n,)."""
        if self._jitter_ns:
            from scipy.special import ndtri

            most = OFF_MOST * self.step_ns
            off = np.clip(self._jitter_ns * ndtri(uniforms_at(self._key, t_ns)), -most, most)
            t_ns = np.maximum.accumulate(t_ns + off.astype(np.int64))
        instants: Times = -(-t_ns // self.step_ns) * self.step_ns
        return instants

    def _filtered(
        self, before: int, since_ns: int, now_ns: int, t: Times, words: Words, known: int
    ) -> tuple[Times, Words]:
        """Samples with what the filters make of their pins; `before` was the level until the first."""
        shown: dict[int, list[tuple[int, bool]]] = {}
        for pin in sorted({pin for pin, _ in self._filters}):
            level = bool(before >> pin & 1)
            bits = (words >> pin & 1).astype(bool).tolist()
            changes = list(zip(t.tolist(), bits, strict=True))
            started = bool(known >> pin & 1)
            for of_noise in (False, True):
                stage = self._filters.get((pin, of_noise))
                if stage is not None:
                    found = stage.run(level, since_ns, changes, now_ns)
                    level, changes = bool(stage.reported) if not found else not found[0][1], found
            shown[pin] = [(since_ns, started), *changes]
        when = np.unique(
            np.concatenate([t, *(np.array([at for at, _ in rows], dtype=np.int64) for rows in shown.values())])
        )
        when = when[when > since_ns]
        words = np.append(before, words)[np.searchsorted(t, when, side="right")].astype(np.int64)
        for pin, rows in shown.items():
            at = np.array([row[0] for row in rows])
            bits = np.array([row[1] for row in rows], dtype=np.int64)
            words = words & ~(1 << pin) | bits[np.searchsorted(at, when, side="right") - 1] << pin
        changed = words != np.append(known, words[:-1])
        return when[changed], words[changed]
